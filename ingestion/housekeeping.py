"""Each process's background thread.

Once a second it writes request lines, measurements and when secrets were last used, and re-reads the providers.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from django.conf import settings
from django.db import Error, connection
from redis import RedisError

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from ingestion.buffer.memory import MEMORY
from ingestion.buffer.store import redis_client
from ingestion.certificates import WANTED
from ingestion.latency import LatencyRecorder
from ingestion.latency_store import LatencyFlusher
from ingestion.provider_book import ProviderBook
from ingestion.refusals.record import REFUSALS
from ingestion.refusals.store import store_samples
from ingestion.request_log import REQUEST_LOG
from ingestion.secret_use import SECRET_USES

EVERY_SECONDS = 1.0
LOG_PARTS_COUNT = 10  # request lines are written in so many parts of it: acks wait for the interpreter meanwhile

log = logging.getLogger(__name__)


class Housekeeping:
    """Never on the request path. While PostgreSQL is away the last known providers stay and measurements wait."""

    def __init__(self, *, recorder: LatencyRecorder, book: ProviderBook | None, is_ingress: bool = False) -> None:
        self._book = book
        self._is_ingress = is_ingress
        self._client = redis_client(settings.AUTOCOM.redis_url)
        self._recorder = recorder
        self._flusher = LatencyFlusher(recorder, client=self._client)
        self._noted_minute = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Writes what is left, if PostgreSQL lets it."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=3)

    def turn(self) -> None:
        """One round."""
        REQUEST_LOG.write()
        self._note_alive()
        try:
            if self._book is not None:
                self._book.refresh()
                WANTED.write(now=datetime_of(us=SYSTEM_CLOCK.now_us()))
                SECRET_USES.write()
        except Error as error:
            log.warning("providers_not_read", extra={"error": str(error)})
            connection.close()  # a dead connection is replaced at the next turn
            return
        if not (self._flusher.flush() and self._look_at_refusals()):
            connection.close()

    def _note_alive(self) -> None:
        """Once a minute, by the ingress alone: so that an idle minute can be told from one that nobody measured."""
        minute = SYSTEM_CLOCK.now_us() // 60_000_000
        if self._is_ingress and minute != self._noted_minute:
            self._noted_minute = minute
            self._recorder.note_alive()

    def look_at_memory(self) -> None:
        """So that deliveries are refused before Redis has to. While Redis is away the last look stays."""
        was_short = MEMORY.is_short
        try:
            MEMORY.look(self._client)
        except RedisError:
            return  # every append says so already
        if MEMORY.is_short != was_short:
            log.warning(
                "buffer_memory_short" if MEMORY.is_short else "buffer_memory_free_again",
                extra={"used_bytes": MEMORY.used_bytes, "limit_bytes": MEMORY.limit_bytes},
            )

    def _look_at_refusals(self) -> bool:
        return self._book is None or store_samples(REFUSALS.take(), others=self._book.known())

    def _run(self) -> None:
        is_last = False
        while True:  # the first turn is at once: until the providers are read, only `default` is served
            _attempt(self.turn)
            if self._book is not None:
                _attempt(self.look_at_memory)
            if is_last:
                connection.close()
                return
            is_last = self._rest()

    def _rest(self) -> bool:
        """True when it is told to stop."""
        for _ in range(LOG_PARTS_COUNT):
            if self._stop.wait(EVERY_SECONDS / LOG_PARTS_COUNT):
                return True
            _attempt(REQUEST_LOG.write)
        return False


def _attempt(step: Callable[[], None]) -> None:
    """A fault is logged, and the thread lives on."""
    try:
        step()
    except Exception:
        log.exception("housekeeping_failed")
