"""The verbs of `manage.py provider`, a module each: HELP, add_arguments(parser), run(**options) -> exit status."""
