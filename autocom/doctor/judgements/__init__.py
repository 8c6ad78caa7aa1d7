"""Facts to findings, a module for each reading. Pure: no Django, no Redis, no PostgreSQL, no clock."""
