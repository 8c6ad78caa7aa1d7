"""The way to Sentry, which follows the mode at run time: in OBSERVER nothing leaves, and what is withheld is counted.

The mode is asked in the SDK's own thread, so that no request waits for PostgreSQL; the answer is kept for some seconds.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import override

from django.db import connections
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import HttpTransport

from evidence.modes import Mode, current_mode
from ingestion.withheld import count_withheld

ASKED_AGAIN_AFTER_SECONDS = 2.0

log = logging.getLogger(__name__)


class ModeTransport(HttpTransport):
    """Sentry's own, which sends nothing in OBSERVER. Nothing withheld is kept for later."""

    _is_open = False
    _asked_at: float | None = None
    _asking = threading.Lock()

    @override
    def _send_envelope(self, envelope: Envelope) -> None:
        if self.may_send():
            super()._send_envelope(envelope)
        elif (
            envelope.get_event() is not None or envelope.get_transaction_event() is not None
        ):  # a report of the SDK about itself is not counted
            count_withheld("sentry")

    def may_send(self) -> bool:
        """As the mode was at most ASKED_AGAIN_AFTER_SECONDS ago."""
        with self._asking:
            now = time.monotonic()
            if self._asked_at is None or now - self._asked_at >= ASKED_AGAIN_AFTER_SECONDS:
                self._note(current_mode() is not Mode.OBSERVER)
                self._asked_at = now
            return self._is_open

    def _note(self, is_open: bool) -> None:
        connections.close_all()  # of this thread: it may be hours to the next question
        if is_open and not self._is_open:
            log.warning("sentry_on")
        elif not is_open and (self._is_open or self._asked_at is None):
            log.warning("sentry_off_in_observer", extra={"allow_by": "SENTRY_IN_OBSERVER=true"})
        self._is_open = is_open
