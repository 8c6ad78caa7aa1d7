"""Which batches may age at all, however old they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from django.db.models import Q

from ingestion.buffer.store import LaneBuffer

type SealedThrough = Callable[[], int | None]

_sealed_through: list[SealedThrough] = []


def age_only_what_is_sealed(sealed_through: SealedThrough) -> None:
    """From now on a batch ages only up to the number that this says; None from it: nothing is sealed yet, nothing ages.

    For the app that seals batches, at its start. While nobody has called this, nothing is sealed and age alone decides.
    """
    _sealed_through[:] = [sealed_through]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """`sealed_through`: no batch above this number.

    `waiting`: by lane the epoch and sequence of its oldest entry; no batch of that epoch which ends there or later.
    """

    sealed_through: int | None = None
    waiting: Mapping[int, tuple[int, int]] = field(default_factory=dict)

    def allow(self, prefix: str = "") -> Q:
        """The condition on batches, or on rows whose batch is reached by the prefix."""
        allowed = Q() if self.sealed_through is None else Q(**{f"{prefix}number__lte": self.sealed_through})
        for lane, (epoch, sequence) in self.waiting.items():
            in_the_way = {f"{prefix}lane": lane, f"{prefix}epoch": epoch, f"{prefix}last_sequence__gte": sequence}
            allowed &= ~Q(**in_the_way)
        return allowed


def bounds_now(buffer: LaneBuffer, *, lane_count: int) -> Bounds:
    """Raises BufferUnavailable: then it is not known which entries may come again, and nothing may age."""
    waiting = {}
    for lane in range(lane_count):
        if oldest := buffer.read(lane, limit_count=1):
            waiting[lane] = (buffer.epoch(lane), oldest[0].sequence)
    return Bounds(sealed_through=_sealed(), waiting=waiting)


def _sealed() -> int | None:
    if not _sealed_through:
        return None
    return _sealed_through[0]() or 0
