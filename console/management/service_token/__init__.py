"""The verbs of `manage.py service_token`."""
