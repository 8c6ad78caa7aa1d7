"""What the autoscaler wants, as it stands in Redis for the console, for metrics and for the next autoscaler."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import timedelta

from ingestion.buffer.store import LaneBuffer

LIFE = timedelta(seconds=30)  # silent for longer: nobody scales


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """`changed_us` is 0, and the change empty, where nothing has changed since the autoscaler's start."""

    wanted_count: int
    alive_count: int
    minimum_count: int
    maximum_count: int
    target_ms: int
    is_at_maximum: int  # 1 when more are wanted than may run
    why: str
    changed_us: int = 0
    changed_from_count: int = 0
    changed_to_count: int = 0
    changed_why: str = ""


def keep_standing(standing: Standing, *, buffer: LaneBuffer) -> None:
    """Raises BufferUnavailable."""
    buffer.note_autoscaler({name: str(value) for name, value in asdict(standing).items()}, life=LIFE)


def standing_of(buffer: LaneBuffer) -> Standing | None:
    """None where no autoscaler runs. Raises BufferUnavailable."""
    fields = buffer.autoscaler()
    try:
        return Standing(
            wanted_count=int(fields["wanted_count"]),
            alive_count=int(fields["alive_count"]),
            minimum_count=int(fields["minimum_count"]),
            maximum_count=int(fields["maximum_count"]),
            target_ms=int(fields["target_ms"]),
            is_at_maximum=int(fields["is_at_maximum"]),
            why=fields["why"],
            changed_us=int(fields["changed_us"]),
            changed_from_count=int(fields["changed_from_count"]),
            changed_to_count=int(fields["changed_to_count"]),
            changed_why=fields["changed_why"],
        )
    except (KeyError, ValueError):  # none, or one of another version
        return None
