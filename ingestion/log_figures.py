"""How far the logs have come, as it stands in Redis for metrics: a scrape asks no database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta

from ingestion.buffer.store import LaneBuffer

LIFE = timedelta(minutes=1)  # silent for longer: nobody knows


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFigures:
    """`oldest_waiting_us` 0: nothing waits. `is_refused` 1: the sealer stands still, or leaves something out."""

    log: str
    size_count: int
    waiting_count: int
    oldest_waiting_us: int
    is_refused: int


def keep_log_figures(figures: Sequence[LogFigures], *, buffer: LaneBuffer) -> None:
    """Raises BufferUnavailable."""
    fields = {f"{each.log}|{name}": str(value) for each in figures for name, value in asdict(each).items()}
    buffer.note_logs(fields, life=LIFE)


def log_figures(buffer: LaneBuffer) -> list[LogFigures]:
    """Empty where nobody has looked lately. Raises BufferUnavailable."""
    fields = buffer.logs()
    logs = sorted({name.partition("|")[0] for name in fields})
    try:
        return [
            LogFigures(
                log=log,
                size_count=int(fields[f"{log}|size_count"]),
                waiting_count=int(fields[f"{log}|waiting_count"]),
                oldest_waiting_us=int(fields[f"{log}|oldest_waiting_us"]),
                is_refused=int(fields[f"{log}|is_refused"]),
            )
            for log in logs
        ]
    except (KeyError, ValueError):  # of another version
        return []
