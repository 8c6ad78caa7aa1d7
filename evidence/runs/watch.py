"""A run under way tells its order how far it is, and hears from it that somebody cancelled.

In a thread with a connection of its own: a slow database must hold up neither the sending nor who reads its progress.
"""

from __future__ import annotations

import logging
import threading
from typing import Self

from django.db import Error, connection

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from evidence.models import ReplayOrder
from ingestion.provider_book import DEFAULT
from ingestion.replay.run import Progress
from ingestion.replay.stored import stored_count

TELL_EVERY_SECONDS = 1.0

log = logging.getLogger(__name__)


class Watcher:
    """Called with each Progress. Raises KeyboardInterrupt there, once, when the run was cancelled."""

    def __init__(self, order: ReplayOrder) -> None:
        self._order = order
        self._latest: Progress | None = None
        self._is_cancelled = order.cancel_asked_at is not None
        self._has_interrupted = False
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="replay-watcher", daemon=True)
        self.step = "starting"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def __call__(self, progress: Progress) -> None:
        self._latest, self.step = progress, "sending"
        if self._is_cancelled and not self._has_interrupted:
            self._has_interrupted = True
            raise KeyboardInterrupt  # ends the sending, as Ctrl-C does, and not the accounting

    def _work(self) -> None:
        try:
            while not self._is_over.wait(TELL_EVERY_SECONDS):
                self._tell()
        finally:
            connection.close()

    def _tell(self) -> None:
        rows = ReplayOrder.objects.filter(pk=self._order.pk)
        try:
            rows.update(step=self.step, seen_at=datetime_of(us=SYSTEM_CLOCK.now_us()), **self._figures())
            self._is_cancelled = rows.filter(cancel_asked_at__isnull=False).exists()
        except Error as error:
            connection.close()  # the next word opens a new one
            log.warning("replay_progress_not_told", extra={"run_id": self._order.run_id, "error": str(error)})

    def _figures(self) -> dict[str, int | None]:
        if (latest := self._latest) is None:
            return {}
        is_known_by_name = self._order.provider == DEFAULT  # other providers' ids do not tell the run
        return {
            "sent_count": latest.sent,
            "acked_count": latest.acked,
            "rejected_count": latest.rejected,
            "retried_count": latest.retried,
            "p95_us": latest.p95_us,
            "committed_count": stored_count(self._order.run_id) if is_known_by_name else None,
        }
