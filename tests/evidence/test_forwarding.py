"""Accepted events reach their destinations in order for each key, and none leaves that the mode keeps back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction

from evidence.mode_standing import ModeStanding
from evidence.models import AuditEntry, Destination, ForwardCursor, Outgoing, WithheldCount
from evidence.modes import Mode
from evidence.outgoing import notifier
from evidence.outgoing.forwards import enter_forwards, start_forwarding
from ingestion.models import Batch, Event, Lane
from ingestion.retention.others import others
from ingestion.retention.policy import RetentionPolicy
from tests.console.rows import batch_row, event_row
from tests.evidence.test_notifications import Receiver, allow_private, destination, due_again, receiving

pytestmark = pytest.mark.django_db(transaction=True)
State = Outgoing.State


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    allow_private(monkeypatch, allowed=True)
    with receiving() as receiver:
        yield receiver


def mode(monkeypatch: pytest.MonkeyPatch, to: Mode, **scope: object) -> None:
    """The standing's own conditions are test_modes'."""
    for module in ("mode_standing", "outgoing.forwards"):
        monkeypatch.setattr(f"evidence.{module}.standing", lambda: ModeStanding(mode=to, scope=scope))


def forwarding(address: str, **filters: list[str]) -> Destination:
    row = destination(address)
    for name, value in {"forwards": True, "tells_alerts": False, **filters}.items():
        setattr(row, name, value)
    row.save()
    start_forwarding(row)
    return row


def committed(key: str, *, sequence: int, lane: int = 0, **fields: Any) -> Event:
    batch: Batch = batch_row(lane=lane, first_sequence=sequence, last_sequence=sequence)
    event = event_row(batch=batch, lane=lane, sequence=sequence, ordering_key=key, **fields)
    Lane.objects.update_or_create(number=lane, defaults={"epoch": 1, "cursor": sequence})
    return event


def keys_taken(receiver: Receiver) -> list[str]:
    return [json.loads(body)["data"]["event_id"] for _, body in receiver.requests]


@pytest.fixture(autouse=True)
def answers_events(monkeypatch: pytest.MonkeyPatch) -> None:
    def answers(self: Receiver, headers: dict[str, str], body: bytes) -> int:
        self.tried.append((json.loads(body)["data"]["ordering_key"], headers["webhook-id"]))
        if self.tried[-1][0] in self.failing:
            return self.status
        self.requests.append((headers, body))
        return 204

    monkeypatch.setattr(Receiver, "answers", answers)


def test_events_go_in_order_of_their_key_and_a_failing_key_holds_itself_alone(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    mode(monkeypatch, Mode.PRODUCTION)
    forwarding(f"http://127.0.0.1:{receiver.port}/events")
    first, second, other = (committed(key, sequence=n) for n, key in enumerate(("a", "a", "b"), 1))
    receiver.failing = {"a"}
    notifier.notify_all()
    assert keys_taken(receiver) == [str(other.pk)]
    receiver.failing = set()
    due_again()
    notifier.notify_all()
    assert keys_taken(receiver) == [str(each.pk) for each in (other, first, second)]
    assert json.loads(receiver.requests[0][1])["data"]["payload"]["to"] == "someone@example.com"


def test_only_events_of_its_providers_and_types_since_it_was_added_are_entered_once(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    mode(monkeypatch, Mode.PRODUCTION)
    committed("a", sequence=1, provider="mine", event_type="paid")
    forwarding(f"http://127.0.0.1:{receiver.port}/events", providers=["mine"], event_types=["paid"])
    committed("a", sequence=2, provider="mine", event_type="opened")
    committed("a", sequence=3, provider="other", event_type="paid")
    wanted = committed("a", sequence=4, provider="mine", event_type="paid")
    assert enter_forwards() == 1
    ForwardCursor.objects.update(batch_number=wanted.batch_id - 1, lane_seen_at=None)  # as after a crash
    enter_forwards()
    assert [row.event_id for row in Outgoing.objects.all()] == [wanted.pk]
    assert Outgoing.objects.get().body == ""


def test_a_lane_that_was_idle_is_looked_at_again_once_it_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    mode(monkeypatch, Mode.PRODUCTION)
    committed("a", sequence=1, lane=3)
    forwarding("https://hooks.example.com/x")
    assert (enter_forwards(), enter_forwards()) == (0, 0)
    committed("a", sequence=2, lane=3)
    assert enter_forwards() == 1


def test_in_observer_events_are_withheld_counted_and_on_record() -> None:
    forwarding("https://hooks.example.com/x")
    committed("a", sequence=1)
    committed("b", sequence=2)
    notifier.notify_all()
    assert set(Outgoing.objects.values_list("state", flat=True)) == {State.WITHHELD}
    assert WithheldCount.objects.get().count == 2
    assert AuditEntry.objects.filter(act="external_send.refused", actor="forwarder").count() == 1


def test_in_limited_only_the_canary_leaves_and_a_mode_that_falls_stops_what_waits(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    mode(monkeypatch, Mode.LIMITED, keys=["a"])
    forwarding(f"http://127.0.0.1:{receiver.port}/events")
    inside = committed("a", sequence=1)
    committed("b", sequence=2)
    notifier.notify_all()
    assert keys_taken(receiver) == [str(inside.pk)]
    committed("a", sequence=3)
    enter_forwards()
    mode(monkeypatch, Mode.LIMITED, keys=["c"])
    notifier.notify_all()
    assert len(receiver.requests) == 1
    assert Outgoing.objects.filter(state=State.WITHHELD).count() == 2


def test_an_event_that_aged_out_before_it_was_sent_is_dead(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    mode(monkeypatch, Mode.PRODUCTION)
    forwarding(f"http://127.0.0.1:{receiver.port}/events")
    event = committed("a", sequence=1)
    Event.objects.filter(pk=event.pk).update(payload=None)
    notifier.notify_all()
    assert Outgoing.objects.get().state == State.DEAD
    assert receiver.tried == []


def test_old_settled_messages_of_events_go_and_those_that_wait_or_tell_alerts_stay(receiver: Receiver) -> None:
    to = forwarding(f"http://127.0.0.1:{receiver.port}/events")
    at = datetime(2027, 1, 1, tzinfo=UTC)
    kept = RetentionPolicy(body_days=30, event_days=0, identity_days=0, figures_days=400)
    for number, (state, event) in enumerate(
        [
            (State.SENT, uuid4()),
            (State.WITHHELD, uuid4()),
            (State.WAITING, uuid4()),
            (State.DEAD, uuid4()),
            (State.SENT, None),
        ]
    ):
        settled_at = None if state == State.WAITING else at
        Outgoing.objects.create(
            destination=to, message_id=f"m{number}", event_id=event, ordering_key="k", state=state,
            next_attempt_at=at, created_at=at, settled_at=settled_at,
        )  # fmt: skip
    (due,) = (each for each in others(kept, now=at + timedelta(days=399)) if each.name == "outgoing messages")
    assert due.due_count() == 0
    (due,) = (each for each in others(kept, now=at + timedelta(days=401)) if each.name == "outgoing messages")
    with transaction.atomic():
        assert due.step(100) == 2
    assert list(Outgoing.objects.order_by("pk").values_list("message_id", flat=True)) == ["m2", "m3", "m4"]
