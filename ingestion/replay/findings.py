"""What a reconciliation looks at and what it can find wrong."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID


class Place(StrEnum):
    """Where a row was found."""

    EVENT = "event"
    DEAD_LETTER = "dead letter"
    QUARANTINE = "quarantine"


class Kind(StrEnum):
    """What can be wrong with a run."""

    LOST = "lost"  # answered 2xx and nowhere to be found
    DUPLICATED = "duplicated"  # one event stored twice
    UNEXPECTED = "unexpected"  # stored under this run's name, never sent
    CORRUPTED = "corrupted"  # stored, and not what was sent or promised
    MISTAKEN = "mistaken"  # two different events taken for one
    COMMIT_ORDER = "commit order"  # within a key, committed in another order than accepted
    REAL_TIME_ORDER = "real-time order"  # the ack of A came before B was sent, yet B is before A
    SPLIT_KEY = "split key"  # one ordering key on two lanes
    NO_RECEIPT = "no receipt"  # answered 2xx without a receipt to follow


ORDER_KINDS: Final = (Kind.COMMIT_ORDER, Kind.REAL_TIME_ORDER, Kind.SPLIT_KEY)
IDEMPOTENCY_KINDS: Final = (Kind.DUPLICATED, Kind.MISTAKEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRow:
    """A row of this run, wherever it ended up."""

    place: Place
    event_id: UUID
    message_id: str
    event_type: str
    ordering_key: str
    body_sha256: str
    lane: int
    epoch: int
    sequence: int
    batch: int
    redriven_from_sequence: int | None = None  # of an event that a retry stored: where its receipt says it is


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, with the smallest set of facts that shows it."""

    kind: Kind
    subject: str
    witness: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """Everything found wrong, in the order of the plan. With `doubts` the journal is not enough to judge the run."""

    findings: Mapping[Kind, tuple[Finding, ...]]
    doubts: tuple[str, ...]
    acknowledged_count: int
    stored_count: int
    stored_without_ack_count: int

    def count(self, *kinds: Kind) -> int:
        return sum(len(self.findings.get(kind, ())) for kind in kinds)

    def example(self, *kinds: Kind) -> Finding | None:
        """The first finding of these kinds."""
        return next((found[0] for kind in kinds if (found := self.findings.get(kind))), None)

    @property
    def idempotency_violations(self) -> int:
        return self.count(*IDEMPOTENCY_KINDS)

    @property
    def order_violations(self) -> int:
        return self.count(*ORDER_KINDS)
