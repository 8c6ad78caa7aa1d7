"""The head of the API's document, a setting of drf-spectacular."""

from typing import Any

DESCRIPTION = """\
What the console shows and does, for programs. Authorization: a service token, made by `manage.py service_token create`
or on the console's page Service tokens. Refusals are RFC 9457 problems with a stable `code`; docs/api.md lists them.
Lists are pages by key: follow `next`. Times are RFC 3339 in UTC, and units are in the names.
Payloads, headers and bodies of events are never answered: they may hold personal data."""
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "autocom",
    "VERSION": "1",
    "DESCRIPTION": DESCRIPTION,
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "POSTPROCESSING_HOOKS": [],
    "PREPROCESSING_HOOKS": ["console.api.v1.schema.of_this_version"],
    "APPEND_COMPONENTS": {
        "securitySchemes": {
            "serviceToken": {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer acst_…`"}
        }
    },
}
