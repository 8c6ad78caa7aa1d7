"""The mode as every page tells it: a band above the content, and the tab's title."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from evidence.mode_standing import ModeStanding, standing
from evidence.modes import Mode

POLL_SECONDS = 10
FRESH_SECONDS = 2.0  # tabs poll, and each answer takes several queries
SENTENCES = {
    Mode.OBSERVER: "nothing is sent to the outside",
    Mode.LIMITED: "a stated part is sent to the outside",
    Mode.PRODUCTION: "everything is sent to the outside",
}
ICONS = {Mode.OBSERVER: "visibility", Mode.LIMITED: "tonality", Mode.PRODUCTION: "cell_tower"}


@dataclass(frozen=True, slots=True)
class ModeBanner:
    mode: Mode
    why_not: str

    @property
    def sentence(self) -> str:
        return f"{SENTENCES[self.mode]}: {self.why_not}" if self.why_not else SENTENCES[self.mode]

    @property
    def icon(self) -> str:
        return ICONS[self.mode]


class ModeShown:
    """At most FRESH_SECONDS old, one reading for all requests of this process."""

    def __init__(self, *, ask: Callable[[], ModeStanding] = standing) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._known: ModeBanner | None = None
        self._known_at = 0.0

    def banner(self) -> ModeBanner:
        with self._lock:
            now = time.monotonic()
            if self._known is None or now - self._known_at >= FRESH_SECONDS:
                found = self._ask()
                self._known, self._known_at = ModeBanner(found.mode, found.why_not), now
            return self._known

    def forget(self) -> None:
        """Whoever changed the mode sees the new one at once."""
        with self._lock:
            self._known = None


SHOWN = ModeShown()
