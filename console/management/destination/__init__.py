"""The verbs of `manage.py destination`, a module each: HELP, add_arguments and run, which returns the exit code."""
