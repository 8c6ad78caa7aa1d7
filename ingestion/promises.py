"""How the comparison of promises with rows stands, as the checker left it in Redis for the console and for metrics."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from datetime import timedelta
from typing import Any

from ingestion.buffer import keys
from ingestion.buffer.store import LaneBuffer

DUE_AFTER = timedelta(seconds=60)  # from the promise; what no table has by then is missing
SILENT_AFTER = timedelta(seconds=30)  # without a whole check nothing is known


@dataclass(frozen=True, slots=True, kw_only=True)
class PromiseStanding:
    """As of the last check that could ask everything (`whole_us`); `problem` says why the last one could not.

    Times are of Redis's clock, 0 for never or none.
    """

    whole_us: int = 0
    problem: str = ""
    missing_count: int = 0  # incidents that are open
    behind_count: int = 0  # promises old enough to be looked for that were not yet
    oldest_waiting_us: int = 0  # accepted time of the oldest entry on any lane
    late_lanes: str = ""  # whose oldest entry waits for longer than DUE_AFTER
    gaps: str = ""  # sequences that are neither settled nor on their lane
    lost_lanes: str = ""  # where Redis knows less than PostgreSQL has settled: it lost its data
    checked_count: int = 0  # ever
    unchecked_count: int = 0  # ever: forgotten by Redis, or their record was taken away, before they could be checked

    def is_known(self, *, now_us: int) -> bool:
        return not self.problem and 0 <= now_us - self.whole_us <= SILENT_AFTER // timedelta(microseconds=1)


_TYPES = {
    field.name: str if field.name in ("problem", "late_lanes", "gaps", "lost_lanes") else int
    for field in fields(PromiseStanding)
}


def keep_standing(standing: PromiseStanding, *, buffer: LaneBuffer) -> None:
    """Raises BufferUnavailable."""
    buffer.set_fields(keys.PROMISES, {name: str(value) for name, value in asdict(standing).items()})


def standing_of(buffer: LaneBuffer) -> PromiseStanding | None:
    """None where nobody ever checked. Raises BufferUnavailable."""
    kept = buffer.fields(keys.PROMISES)
    try:
        found: dict[str, Any] = {name: of(kept[name]) for name, of in _TYPES.items()}
    except (KeyError, ValueError):  # none, or one of another version
        return None
    return PromiseStanding(**found)
