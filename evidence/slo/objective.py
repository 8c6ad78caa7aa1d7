"""An objective, as the file of its name says it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from evidence.slo.errors import SloUnknown


class Source(StrEnum):
    """What is counted: answers by their code, or durations of a stage."""

    ANSWERS = "answers"
    ACK = "ack"
    END_TO_END = "end_to_end"


class MeasuredBy(StrEnum):
    """Who looks for violations of an invariant: the check of promises all the time, or replays alone."""

    PROMISES = "promises"
    RUNS = "runs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Slo:
    """`target` is the share of the valid that has to be good. Codes are empty where durations are counted."""

    name: str
    title: str
    version: int
    description: str
    target: Decimal
    window_days: int
    source: Source
    within_us: int
    good_codes: frozenset[str] = frozenset()
    bad_codes: frozenset[str] = frozenset()

    @property
    def valid_codes(self) -> frozenset[str]:
        return self.good_codes | self.bad_codes


@dataclass(frozen=True, slots=True, kw_only=True)
class Invariant:
    """What may never happen: it has no budget."""

    name: str
    title: str
    version: int
    description: str
    measured_by: MeasuredBy


@dataclass(frozen=True, slots=True, kw_only=True)
class Objectives:
    """`text` is the file as it stands: its digest names the policy."""

    slos: Mapping[str, Slo]
    invariants: Mapping[str, Invariant]
    text: bytes

    def slo(self, name: str) -> Slo:
        """Raises SloUnknown."""
        try:
            return self.slos[name]
        except KeyError:
            raise SloUnknown(f"there is no objective {name!r}: there are {', '.join(self.slos)}") from None

    @property
    def names(self) -> Sequence[str]:
        return tuple(self.slos)
