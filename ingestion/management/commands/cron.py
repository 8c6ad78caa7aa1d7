from typing import Any

from django.core.management.base import BaseCommand

from ingestion.worker import cron


class Command(BaseCommand):
    help = "Run the periodic jobs' clock (sweeper and roll-ups). Exactly one of these per installation."
    requires_system_checks = ()

    def handle(self, **_: Any) -> None:
        cron().start()  # type: ignore[no-untyped-call]
