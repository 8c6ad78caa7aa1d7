"""The verbs of `manage.py sign_in`."""
