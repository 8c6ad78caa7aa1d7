"""The verbs of `manage.py evidence`."""
