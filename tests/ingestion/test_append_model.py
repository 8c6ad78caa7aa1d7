"""append.lua and the lane scripts against a model in memory: any sequence of deliveries, drains, rests, expiries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from autocom.kernel.digest import sha256
from ingestion.buffer import keys
from ingestion.buffer.append import (
    ENTRY_BYTES,
    Appended,
    AppendLimits,
    Code,
    DeliveryToAppend,
    EntryKind,
    EventToAppend,
)
from ingestion.buffer.store import Claim, lane_buffer
from ingestion.receipts import Receipt
from tests.support.lanes import LaneKit, delivery, event

LIMITS = AppendLimits(lane_bound_count=6, lane_bound_bytes=6_000, seen_bound_count=1_000)
TOKENS = [b"token-a", b"token-b"]
LANE_NUMBERS = st.integers(0, 2)


@dataclass
class ModelEntry:
    sequence: int
    kind: EntryKind
    meta: bytes
    payload: bytes
    delivery: bytes
    seen_bytes: int

    @property
    def size_bytes(self) -> int:
        mac_bytes = 32 if self.delivery else 0
        return len(self.meta) + len(self.payload) + len(self.delivery) + mac_bytes + self.seen_bytes + ENTRY_BYTES


@dataclass
class ModelLane:
    """What a lane must be. `epoch` is learned from the first receipt, as only Redis's clock knows it."""

    sequence: int = 0
    epoch: int = 0
    entries: list[ModelEntry] = field(default_factory=list)
    is_due: bool = False
    claim: Claim | None = None
    expired: Claim | None = None  # the last claim, where its lease ran out and nobody has claimed since
    attempt: int = 0

    @property
    def size_bytes(self) -> int:
        return sum(entry.size_bytes for entry in self.entries)

    @property
    def has_room(self) -> bool:
        return len(self.entries) < LIMITS.lane_bound_count and self.size_bytes < LIMITS.lane_bound_bytes


def seen_bytes(receipt: Receipt) -> int:
    """Of what Redis remembers of an event: digests and ids of 88 bytes, then words."""
    return 88 + len(f"{receipt.lane} {receipt.sequence} {receipt.epoch} {receipt.accepted_us}")


class Lanes(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.kit = LaneKit(buffer=lane_buffer(), limits=LIMITS)
        self.kit.buffer.client.flushdb()
        self.lanes = {number: ModelLane() for number in range(3)}
        self.seen: dict[bytes, tuple[bytes, Receipt]] = {}
        self.tokens: dict[bytes, tuple[bytes, bytes]] = {}  # the identity and content that each vouched for
        self.token_receipts: dict[bytes, Receipt] = {}  # of these, kept with the token: `seen` may go before it
        self.jobs: list[str] = []
        self.token = 0

    # deliveries

    @rule(
        parts=st.lists(
            st.tuples(st.integers(0, 5), LANE_NUMBERS, st.integers(0, 1), st.integers(0, 1_500)), min_size=1, max_size=5
        ),
        has_own_body=st.booleans(),
        token=st.sampled_from([b"", b"", *TOKENS]),
    )
    def deliver(self, parts: Sequence[tuple[int, int, int, int]], has_own_body: bool, token: bytes) -> None:
        parts = parts[:1] if token else parts
        events = [
            event(f"evt-{name}", lane=lane, payload=b'{"content":%d,"fill":"%s"}' % (content, b"x" * size))
            for name, lane, content, size in parts
        ]
        sent = delivery(*events, body=b"raw body" if has_own_body else None, token_sha256=token)
        answers = self.kit.append(sent)
        assert len(answers) == len(events)
        attached = False
        appended_to: list[int] = []
        for each, answer in zip(sent.events, answers, strict=True):
            stored = self.check_one(sent, each, answer, attach=not attached)
            if stored:
                attached = True
                appended_to.append(each.lane)
        for lane in dict.fromkeys(each.lane for each in sent.events):
            if lane in appended_to and not self.lanes[lane].is_due:
                self.lanes[lane].is_due = True
                self.jobs.append(f"drain-{lane}-{sent.request_id.hex}")

    def check_one(self, sent: DeliveryToAppend, each: EventToAppend, answer: Appended, *, attach: bool) -> bool:
        """Compares one answer with the model's and moves the model on. True when an entry was stored."""
        lane = self.lanes[each.lane]
        known = self.seen.get(each.identity)
        if known is None:
            kind, code = EntryKind.EVENT, Code.ACCEPTED
        elif known[0] == each.content_sha256:
            kind, code = EntryKind.DUPLICATE, Code.DUPLICATE
        else:
            kind, code = EntryKind.QUARANTINED, Code.QUARANTINED
        this = (each.identity, each.content_sha256)
        if sent.token_sha256 and self.tokens.get(sent.token_sha256, this) != this:
            kind, code = EntryKind.QUARANTINED, Code.TOKEN_REUSED
        vouched = code is Code.TOKEN_REUSED
        first = self.token_receipts[sent.token_sha256] if vouched else known[1] if known else None
        has_room = lane.has_room
        if not has_room and kind is not EntryKind.DUPLICATE:
            code = Code.FULL
        assert answer.code is code
        if code is Code.DUPLICATE:
            assert known is not None
            assert answer.receipt == known[1]
        if known is not None or code is Code.ACCEPTED:
            self.tokens.setdefault(sent.token_sha256, this)
            if (told := known[1] if known else answer.receipt) is not None:
                self.token_receipts.setdefault(sent.token_sha256, told)
        if not has_room:
            return False
        lane.sequence += 1
        if code is Code.ACCEPTED:
            receipt = answer.receipt
            assert receipt is not None
            assert (receipt.lane, receipt.sequence, receipt.event_id) == (each.lane, lane.sequence, each.event_id)
            assert receipt.body_sha256 == sent.body_sha256
            self.seen[each.identity] = (each.content_sha256, receipt)
            lane.epoch = lane.epoch or receipt.epoch
            assert receipt.epoch == lane.epoch
        is_whole = not sent.header  # the event's meta and payload are all of the delivery
        has_payload = attach or is_whole or kind is not EntryKind.DUPLICATE
        lane.entries.append(
            ModelEntry(
                sequence=lane.sequence,
                kind=kind,
                meta=each.meta,
                payload=each.payload if has_payload else b"",
                delivery=sent.header + b"\n" + sent.body if attach and not is_whole else b"",
                seen_bytes=seen_bytes(first) if first else 0,
            )
        )
        return True

    # drains

    @rule(number=LANE_NUMBERS)
    def claim(self, number: int) -> None:
        lane = self.lanes[number]
        self.token += 1
        claim = self.kit.buffer.claim(number, token=b"t%d" % self.token, fence_floor=0)
        assert (claim is None) == (lane.claim is not None)
        if claim is not None:
            assert claim.epoch == (self.actual_epoch(number))
            lane.claim, lane.expired, lane.is_due = claim, None, True

    @rule(number=LANE_NUMBERS, count=st.integers(1, 4), claim_is_lost=st.booleans())
    def trim(self, number: int, count: int, claim_is_lost: bool) -> None:
        lane = self.lanes[number]
        gone = lane.entries[:count]
        if not gone:
            return
        claim = Claim(lane=number, token=b"lost", fence=0, epoch=0) if claim_is_lost else self.held(number)
        left = self.kit.buffer.trim(
            claim, through_sequence=gone[-1].sequence, freed_bytes=sum(entry.size_bytes for entry in gone)
        )
        if claim.token == b"lost":
            assert left is None
            return
        del lane.entries[:count]
        lane.attempt, lane.is_due = 0, True
        assert left == len(lane.entries)

    def held(self, number: int) -> Claim:
        """The lane's claim, or that of a drainer that lost it."""
        return self.lanes[number].claim or Claim(lane=number, token=b"lost", fence=0, epoch=0)

    @rule(number=LANE_NUMBERS)
    def release(self, number: int) -> None:
        lane = self.lanes[number]
        is_over = self.kit.buffer.release(self.held(number))
        assert is_over == (lane.claim is None or not lane.entries)
        if lane.claim is not None and not lane.entries:
            lane.claim, lane.is_due = None, False

    @rule(number=LANE_NUMBERS)
    def hand_back(self, number: int) -> None:
        lane = self.lanes[number]
        job_id = f"back-{number}-{self.token}-{len(self.jobs)}"
        is_rung = self.kit.buffer.hand_back(self.held(number), job_id=job_id.encode())
        assert is_rung == (lane.claim is not None and bool(lane.entries))
        if lane.claim is not None:
            lane.claim, lane.is_due = None, bool(lane.entries)
        if is_rung:
            self.jobs.append(job_id)

    @rule(number=LANE_NUMBERS)
    def rest(self, number: int) -> None:
        lane = self.lanes[number]
        attempt = self.kit.buffer.back_off(
            self.held(number), rest=timedelta(minutes=1), next_attempt_us=1, error="no database"
        )
        if lane.claim is None:
            assert attempt is None
            return
        lane.attempt += 1
        assert attempt == lane.attempt
        lane.claim, lane.is_due = None, True

    @rule(number=LANE_NUMBERS)
    def rest_after_the_lease_ran_out(self, number: int) -> None:
        lane = self.lanes[number]
        if lane.expired is None:
            return
        attempt = self.kit.buffer.back_off(
            lane.expired, rest=timedelta(minutes=1), next_attempt_us=1, error="no database"
        )
        lane.attempt += 1
        assert attempt == lane.attempt
        lane.expired, lane.is_due = None, True

    @rule(number=LANE_NUMBERS)
    def sweep(self, number: int) -> None:
        lane = self.lanes[number]
        job_id = f"sweep-{number}-{self.token}-{len(self.jobs)}"
        is_rung = self.kit.buffer.ring_if_unattended(number, job_id=job_id.encode())
        assert is_rung == (bool(lane.entries) and lane.claim is None and not lane.is_due)
        if is_rung:
            lane.is_due = True
            self.jobs.append(job_id)

    # time

    @rule(number=LANE_NUMBERS)
    def the_lease_runs_out(self, number: int) -> None:
        self.kit.buffer.client.delete(keys.lease(number))
        lane = self.lanes[number]
        lane.expired, lane.claim = lane.claim or lane.expired, None

    @rule(number=LANE_NUMBERS)
    def the_wake_runs_out(self, number: int) -> None:
        self.kit.buffer.client.delete(keys.wake(number))
        self.lanes[number].is_due = False

    @rule(name=st.integers(0, 5))
    def the_dedupe_window_passes(self, name: int) -> None:
        (identified,) = delivery(event(f"evt-{name}")).events
        self.kit.buffer.client.delete(keys.seen(identified.identity))
        self.seen.pop(identified.identity, None)

    @rule(token=st.sampled_from(TOKENS))
    def a_token_is_forgotten(self, token: bytes) -> None:
        self.kit.buffer.client.delete(keys.token(token))
        self.tokens.pop(token, None)
        self.token_receipts.pop(token, None)

    # what must hold after each of them

    def actual_epoch(self, number: int) -> int:
        return self.kit.buffer.epoch(number)

    @invariant()
    def every_lane_is_as_the_model_says(self) -> None:
        for number, lane in self.lanes.items():
            peek = self.kit.buffer.peek(number)
            assert (peek.depth_count, peek.size_bytes, peek.sequence) == (
                len(lane.entries),
                lane.size_bytes,
                lane.sequence,
            )
            assert (bool(peek.holder), peek.is_due, peek.attempt) == (bool(lane.claim), lane.is_due, lane.attempt)
            found: list[Any] = [
                (entry.sequence, entry.kind, entry.meta, entry.payload, entry.delivery, entry.size_bytes)
                for entry in self.kit.waiting(number)
            ]
            assert found == [
                (entry.sequence, entry.kind, entry.meta, entry.payload, entry.delivery, entry.size_bytes)
                for entry in lane.entries
            ]

    @invariant()
    def every_ring_and_no_other_is_on_the_queue(self) -> None:
        assert self.kit.jobs() == self.jobs

    def teardown(self) -> None:
        self.kit.buffer.client.flushdb()


TestLanes = Lanes.TestCase
TestLanes.settings = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def test_the_model_speaks_of_the_identity_that_redis_keeps() -> None:
    """Else `the_dedupe_window_passes` would delete nothing and prove nothing."""
    first, again = (delivery(event("evt-1")).events[0] for _ in range(2))
    assert first.identity == again.identity
    assert first.content_sha256 == sha256(first.payload)
