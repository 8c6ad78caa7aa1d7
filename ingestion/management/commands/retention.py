from __future__ import annotations

import json as json_module
import sys
from datetime import timedelta
from typing import Any, TypedDict

from django.conf import settings
from django.core.management.base import CommandParser
from django.db import Error

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from ingestion.buffer.store import BufferUnavailable, lane_buffer
from ingestion.management.with_examples import WithExamples
from ingestion.pacing import Pace
from ingestion.retention.bounds import Bounds, bounds_now
from ingestion.retention.policy import RetentionPolicy
from ingestion.retention.run import age_out, due

DONE, NOT_PROVED, CANNOT_TELL = 0, 1, 3
ONCE = Pace()
TO_THE_END = Pace(budget=timedelta(days=7))


class RowsJson(TypedDict):
    kind: str
    rows: int


class Command(WithExamples):
    help = (
        "Remove what is older than the RETENTION_ settings say, as the cron job does, to the end. "
        "Exit 0: done. 1: done, but batches that do not prove themselves kept their rows. "
        "3: Redis or PostgreSQL cannot be asked; what was removed until then stays removed."
    )
    examples = ("retention --dry-run", "retention --once")
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="count what would go, and remove nothing")
        parser.add_argument("--once", action="store_true", help="one run of the cron job: a second's worth")
        parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")

    def handle(self, *, dry_run: bool, once: bool, json: bool, **_: Any) -> None:
        try:
            bounds = bounds_now(lane_buffer(), lane_count=settings.AUTOCOM.lanes)
            status = self._due(bounds, json=json) if dry_run else self._age_out(bounds, once=once, json=json)
        except (BufferUnavailable, Error) as error:
            self.stderr.write(f"retention: a source cannot be asked: {type(error).__name__}")
            sys.exit(CANNOT_TELL)
        sys.exit(status)

    def _due(self, bounds: Bounds, *, json: bool) -> int:
        now = datetime_of(us=SYSTEM_CLOCK.now_us())
        found = due(RetentionPolicy.from_settings(), now=now, bounds=bounds)
        rows = [RowsJson(kind=kind, rows=count) for kind, count in found]
        self._print({"dry_run": True, "due": rows}, rows, json=json, words="would go")
        return DONE

    def _age_out(self, bounds: Bounds, *, once: bool, json: bool) -> int:
        pace = ONCE if once else TO_THE_END
        report = age_out(RetentionPolicy.from_settings(), bounds=bounds, pace=pace, clock=SYSTEM_CLOCK)
        rows = [RowsJson(kind=kind, rows=count) for kind, count in report.removed.items()]
        found = {
            "dry_run": False,
            "removed": rows,
            "complete": report.is_complete,
            "batches_not_proved": report.not_proved,
        }
        self._print(found, rows, json=json, words="removed")
        for number in () if json else report.not_proved:
            self.stdout.write(f"! batch {number} does not prove itself: its rows are kept")
        if not report.is_complete and not json:
            self.stdout.write("more is due: run it again, or let the cron job go on")
        return NOT_PROVED if report.not_proved else DONE

    def _print(self, found: dict[str, Any], rows: list[RowsJson], *, json: bool, words: str) -> None:
        if json:
            self.stdout.write(json_module.dumps(found, indent=2))
            return
        for row in rows:
            self.stdout.write(f"{row['kind']:<22}{row['rows']:>14,} {words}")
        if not rows:
            self.stdout.write(f"nothing {words}")
