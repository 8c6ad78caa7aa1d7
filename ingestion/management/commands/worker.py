import os
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser
from django.db import connection

from autocom.kernel.memory import settle_memory
from ingestion.buffer import keys
from ingestion.housekeeping import Housekeeping
from ingestion.latency import RECORDER, process_name
from ingestion.management.with_examples import WithExamples
from ingestion.worker import work_until_stopped

NICENESS = (
    5  # on a machine that both share, an ack goes before a commit: the provider waits for one, nobody for the other
)
# A stuck database becomes an error, and the lane rests instead of holding its worker; a worker that stands still inside
# its transaction loses it, and with it the lane's row, which every other drainer of the lane waits for. Together far
# below the 60 s within which a 202 promises the event in PostgreSQL.
SESSION_LIMITS = {"statement_timeout": "15s", "lock_timeout": "10s", "idle_in_transaction_session_timeout": "8s"}
SESSION_OPTIONS = " ".join(f"-c {name}={limit}" for name, limit in SESSION_LIMITS.items())


class Command(WithExamples):
    help = (
        "Run a worker: queue `drain` commits what waits on the lanes, queue `ops` does the periodic work. "
        "Ends within seconds of SIGTERM. Exit 0: stopped. 2: wrong usage, or a setting is wrong."
    )
    examples = ("worker", "worker --queue ops")
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--queue", choices=(keys.DRAIN_QUEUE, keys.OPS_QUEUE), default=keys.DRAIN_QUEUE)

    def handle(self, *, queue: str, **_: Any) -> None:
        RECORDER.process = process_name("worker" if queue == keys.DRAIN_QUEUE else "ops")
        settings.DATABASES["default"]["OPTIONS"]["options"] = SESSION_OPTIONS
        connection.close()
        housekeeping = Housekeeping(recorder=RECORDER, book=None)
        housekeeping.start()
        settle_memory()
        os.nice(NICENESS)
        try:
            work_until_stopped(queue=queue, name=RECORDER.process)
        finally:
            housekeeping.stop()
