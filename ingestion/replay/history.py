"""What a run did, read from its journal: planned sends, attempts, answers. Pure."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple, Self
from uuid import UUID

from ingestion.replay.backoff import is_success

RECEIPT_VERSION: Final = "acr1"
RECEIPT_FIELDS_COUNT: Final = 9
NS_PER_MS: Final = 1_000_000
ANSWER_LIMIT_NS: Final = 5_000 * NS_PER_MS  # from the intended moment; later than this is as bad as no answer


class ExpectedEvent(NamedTuple):
    """An event as the service will name it. `message_id` is empty where it depends on the moment of signing."""

    message_id: str
    event_type: str
    ordering_key: str


class PlannedSend(NamedTuple):
    """One send of the plan. `intended_ns` counts from the start; the names are empty where a recording hides them.

    `events` are all that the body holds, None where that is not known before it is sent. `is_poison`: its payload is
    one that PostgreSQL cannot hold, so it belongs into the dead letters.
    """

    n: int
    message_id: str
    event_type: str
    ordering_key: str
    body_sha256: str
    body_bytes: int
    intended_ns: int
    duplicate_of: int | None
    events: tuple[ExpectedEvent, ...] | None = None
    is_poison: bool = False


class Attempt(NamedTuple):
    """One request. Times are monotonic; `status` 0 with an `error` means that no answer came.

    `body_sha256` is of the body as an adapter signed it, if one did. `success_status` 0: the sender takes any 2xx.
    """

    n: int
    attempt: int
    sent_ns: int
    ack_ns: int
    status: int
    answer: str
    error: str
    body_sha256: str = ""
    success_status: int = 0

    @property
    def is_acknowledged(self) -> bool:
        return is_success(self.status, success_status=self.success_status)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """One line of the receipt in a 2xx. Its MAC is not checked here: that takes the service's key."""

    event_id: UUID
    lane: int
    epoch: int
    sequence: int
    body_sha256: str

    @classmethod
    def from_line(cls, line: str) -> Self:
        """Raises ValueError for a line that is no receipt of the known version."""
        fields = line.split(" ")
        if len(fields) != RECEIPT_FIELDS_COUNT or fields[0] != RECEIPT_VERSION:
            raise ValueError(f"not an {RECEIPT_VERSION} receipt: {line[:120]!r}")
        return cls(
            event_id=UUID(fields[1]),
            lane=int(fields[2]),
            epoch=int(fields[3]),
            sequence=int(fields[4]),
            body_sha256=fields[5],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the body of an answer said. Empty fields where it did not."""

    request_id: str = ""
    status: str = ""
    code: str = ""
    receipt: str = ""
    receipts: tuple[Receipt, ...] = ()
    events_count: int = 0
    duplicates_count: int = 0

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Never raises: an answer that cannot be read is an answer that says nothing."""
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return cls()
        if not isinstance(value, dict):
            return cls()
        receipt = str(value.get("receipt", ""))
        return cls(
            request_id=str(value.get("request_id", "")),
            status=str(value.get("status", "")),
            code=str(value.get("code", "")),
            receipt=receipt,
            receipts=_receipts(receipt),
            events_count=_count(value.get("events")),
            duplicates_count=_count(value.get("duplicates")),
        )


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


def _receipts(text: str) -> tuple[Receipt, ...]:
    try:
        return tuple(Receipt.from_line(line) for line in text.splitlines())
    except ValueError:
        return ()


@dataclass(frozen=True)
class Send:
    """A planned send with every attempt at it, in order. `intended_ns` is absolute here."""

    planned: PlannedSend
    attempts: tuple[Attempt, ...]
    intended_ns: int

    @property
    def first(self) -> Attempt | None:
        """The first attempt, whose outcome decides whether the send counts as accepted."""
        return self.attempts[0] if self.attempts else None

    @cached_property
    def acknowledged(self) -> Attempt | None:
        """The first attempt that was answered 2xx."""
        return next((attempt for attempt in self.attempts if attempt.is_acknowledged), None)

    @property
    def is_accepted(self) -> bool:
        """Answered 2xx at the first attempt, within five seconds of the moment at which the sender meant to send."""
        first = self.first
        return bool(first and first.is_acknowledged and first.ack_ns - self.intended_ns <= ANSWER_LIMIT_NS)

    @cached_property
    def answer(self) -> Answer:
        """The body of the answer that promised, or of the last one where none did."""
        attempt = self.acknowledged or (self.attempts[-1] if self.attempts else None)
        return Answer.from_text(attempt.answer) if attempt else Answer()


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfCheck:
    """How well the generator did its own work."""

    own_delay_p99_ms: float
    own_delay_max_ms: float
    sent_count: int  # as counted while sending; the journal's outcomes have to come to the same
    waited_count: int  # sends that had to wait for a free connection
    stall_count: int
    stall_max_ms: float
    cpu_seconds: float
    was_interrupted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A whole run. `self_check` is None where the generator died before it could write its end line."""

    header: Mapping[str, Any]
    sends: Sequence[Send]
    start_ns: int
    self_check: SelfCheck | None

    @property
    def run_id(self) -> str:
        return str(self.header["run_id"])

    @property
    def provider(self) -> str:
        return str(self.header["provider"])

    @property
    def rate(self) -> float:
        return float(self.header["rate"])

    @property
    def is_generated(self) -> bool:
        """True when the events were made here, so that names and digests of all of them are known."""
        return bool(self.header["is_generated"])

    @property
    def end_ns(self) -> int:
        """Monotonic time of the last answer; of the start where there was none."""
        return max((attempt.ack_ns for send in self.sends for attempt in send.attempts), default=self.start_ns)

    def wall_ns(self, monotonic_ns: int) -> int:
        """Nanoseconds since 1970 of a monotonic time of this run."""
        return monotonic_ns + int(self.header["wall_minus_monotonic_ns"])


def sends_of(
    planned: Iterable[PlannedSend], attempts: Iterable[Attempt], *, start_ns: int, is_open_loop: bool
) -> list[Send]:
    """Every planned send with its attempts. Without a rate, a send is intended when its first attempt is made."""
    by_n: dict[int, list[Attempt]] = {}
    for attempt in attempts:
        by_n.setdefault(attempt.n, []).append(attempt)
    sends: list[Send] = []
    for plan in planned:
        mine = tuple(sorted(by_n.get(plan.n, ()), key=lambda attempt: attempt.attempt))
        intended_ns = start_ns + plan.intended_ns
        if not is_open_loop and mine:
            intended_ns = mine[0].sent_ns
        sends.append(Send(plan, mine, intended_ns))
    return sends
