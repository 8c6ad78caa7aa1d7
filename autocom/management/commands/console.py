import os
from typing import Any

from django.conf import settings
from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server import Server

from autocom.observability import GRANIAN_LOGS
from evidence.configuration import record_start
from ingestion.management.with_examples import WithExamples


class Command(WithExamples):
    help = (
        "Serve the console, its API, health and metrics on CONSOLE_PORT. Exit 0: stopped by SIGTERM or Ctrl-C. 1: it "
        "cannot start, and why. 2: a setting is wrong."
    )
    examples = ("console",)
    requires_system_checks = ()

    def handle(self, **_: Any) -> None:
        if not os.environ.get("AUTOCOM_SUPERVISED"):  # else `up` has recorded the start
            record_start("console")
        Server(
            "autocom.wsgi:application",
            address="127.0.0.1",
            port=settings.AUTOCOM.console_port,
            interface=Interfaces.WSGI,
            workers=1,
            blocking_threads=4,  # granian's default is hundreds, each with a database connection
            log_level=LogLevels.warning,
            log_dictconfig=GRANIAN_LOGS,
            respawn_failed_workers=True,
            workers_kill_timeout=10,
        ).serve()
