#!/usr/bin/env python3
"""Entry point of every command. `manage.py up` starts everything; `manage.py help` lists the rest."""

import os
import sys


def main() -> None:
    if sys.version_info < (3, 12):  # noqa: UP036  (this line is for those who run it with an older one)
        sys.exit(f"autocom needs Python 3.12 or newer, this is {sys.version.split()[0]}")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "autocom.settings")
    if supervisor := os.environ.get("AUTOCOM_SUPERVISED"):  # the pid of `manage.py up`
        from autocom.processes import die_with_parent

        die_with_parent(parent=int(supervisor))
    if sys.argv[1:2] == ["ingress"]:
        os.environ["AUTOCOM_PROCESS"] = "ingress"  # before settings are read: no middleware, URLs of its own
    if sys.argv[1:2] == ["up"]:
        # before settings are read: up makes what they need (local servers' data directory, local secrets)
        from autocom.first_run import prepare_first_run

        prepare_first_run(os.environ)
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
