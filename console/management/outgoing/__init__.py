"""The verbs of `manage.py outgoing`, a module each: HELP, add_arguments and run, which returns the exit code."""
