"""HDR histogram logs, as HdrHistogram's own tools read and write them. Values are microseconds."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader, HistogramLogWriter

LOWEST_US: Final = 1
HIGHEST_US: Final = 60_000_000
SIGNIFICANT_DIGITS: Final = 3


def histogram_of(values_us: Iterable[int]) -> HdrHistogram:
    """Every value is in it: one beyond a minute counts as a minute, or the histogram would drop it silently."""
    histogram = HdrHistogram(LOWEST_US, HIGHEST_US, SIGNIFICANT_DIGITS)
    for value_us in values_us:
        histogram.record_value(min(max(value_us, LOWEST_US), HIGHEST_US))
    return histogram


def write_log(path: Path, histogram: HdrHistogram, *, what: str, start_seconds: float, end_seconds: float) -> None:
    """One interval. `what` says in the first line what was measured; the seconds count from 1970."""
    with path.open("w", encoding="utf-8") as file:
        log = HistogramLogWriter(file)
        log.output_comment(f"[{what}]")
        log.output_log_format_version()
        log.output_base_time(0)
        # Written here: the library's own output_start_time calls a method that datetime does not have.
        log.output_comment(f"[StartTime: {start_seconds:f} (seconds since epoch), {_iso(start_seconds)}]")
        log.output_legend()
        log.output_interval_histogram(histogram, start_seconds, end_seconds, 1_000)


def read_log(path: Path) -> HdrHistogram | None:
    """The interval of a log that `write_log` wrote; None for an empty one."""
    reader = HistogramLogReader(str(path), HdrHistogram(LOWEST_US, HIGHEST_US, SIGNIFICANT_DIGITS))
    try:
        return reader.get_next_interval_histogram()
    finally:
        reader.close()


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, tz=UTC).isoformat(timespec="milliseconds")
