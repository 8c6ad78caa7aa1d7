"""The verbs of `manage.py evidence`, a module each."""
