"""Progress on a terminal: one line redrawn in place; elsewhere a line every five seconds."""

import time
from typing import Final, TextIO

from ingestion.replay.run import Progress

BAR_CELLS: Final = 30
PLAIN_EVERY_SECONDS: Final = 5.0


class ProgressLine:
    """Shows each Progress that it is called with. `end` leaves the last one standing."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._last_plain = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        if self._is_terminal:
            self._stream.write(f"\r\x1b[2K{bar(progress)} {describe(progress)}")
            self._stream.flush()
        elif time.monotonic() - self._last_plain >= PLAIN_EVERY_SECONDS:
            self._last_plain = time.monotonic()
            self._stream.write(f"{describe(progress)}\n")
            self._stream.flush()

    def end(self) -> None:
        if self._is_terminal:
            self._stream.write("\n")
            self._stream.flush()


def bar(progress: Progress) -> str:
    filled = BAR_CELLS * progress.sent // max(1, progress.planned)
    return f"[{'#' * filled}{'.' * (BAR_CELLS - filled)}]"


def describe(progress: Progress) -> str:
    """`12,000 of 30,000 sent, 11,998 acked, 0 rejected; ack P50 1.2 P95 3.4 P99 8.0 ms`."""
    named = (("P50", progress.p50_us), ("P95", progress.p95_us), ("P99", progress.p99_us))
    told = " ".join(f"{name} {value / 1_000:.1f}" for name, value in named if value is not None)
    retried = f", {progress.retried:,} tried again" if progress.retried else ""
    latency = f"; ack {told} ms" if told else ""
    return (
        f"{progress.sent:,} of {progress.planned:,} sent, {progress.acked:,} acked, "
        f"{progress.rejected:,} rejected{retried}{latency}"
    )
