from typing import Any

from ingestion.management.with_examples import WithExamples
from ingestion.worker import cron


class Command(WithExamples):
    help = (
        "Run the clock that rings for the periodic jobs. Exactly one of these per installation. "
        "Exit 0: stopped by SIGTERM or Ctrl-C. 2: a setting is wrong."
    )
    examples = ("cron",)
    requires_system_checks = ()

    def handle(self, **_: Any) -> None:
        cron().start()  # type: ignore[no-untyped-call]
