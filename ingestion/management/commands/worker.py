import os
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import connection

from autocom.kernel.memory import settle_memory
from ingestion.buffer import keys
from ingestion.housekeeping import Housekeeping
from ingestion.latency import RECORDER, process_name
from ingestion.worker import work_until_stopped

NICENESS = (
    5  # on a machine that both share, an ack goes before a commit: the provider waits for one, nobody for the other
)
STATEMENT_TIMEOUT_MS = 30_000  # a stuck database becomes an error, and the lane rests instead of holding its worker


class Command(BaseCommand):
    help = (
        "Run a worker: queue `drain` commits what waits on the lanes, queue `ops` does the periodic work. "
        "Ends within seconds of SIGTERM."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--queue", choices=(keys.DRAIN_QUEUE, keys.OPS_QUEUE), default=keys.DRAIN_QUEUE)

    def handle(self, *, queue: str, **_: Any) -> None:
        RECORDER.process = process_name("worker" if queue == keys.DRAIN_QUEUE else "ops")
        settings.DATABASES["default"]["OPTIONS"]["options"] = f"-c statement_timeout={STATEMENT_TIMEOUT_MS}"
        connection.close()
        housekeeping = Housekeeping(recorder=RECORDER, book=None)
        housekeeping.start()
        settle_memory()
        os.nice(NICENESS)
        try:
            work_until_stopped(queue=queue, name=RECORDER.process)
        finally:
            housekeeping.stop()
