"""What a retry is said to come to is what it comes to; discards and the reads beside it."""

from __future__ import annotations

import random
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ingestion.models import DeadLetter, Event, QuarantinedEvent, SetAsideAttempt
from ingestion.redrive.discard import REASON_LIMIT_CHARS, discard
from ingestion.redrive.forecast import Fate, Forecast, forecasts
from ingestion.redrive.selectors import counts_by_state, error_groups
from tests.support.lanes import Fields, LaneKit, assert_every_batch_is_proved, committed, delivery, event
from tests.support.redrives import LETTER, QUARANTINE, dead, outcomes, retry

pytestmark = pytest.mark.django_db(transaction=True)


def forecast(event_id: UUID) -> Forecast:
    (told,) = forecasts(LETTER, [event_id])
    return told


def test_later_events_of_its_key_make_a_retry_out_of_order_and_it_says_behind_which(
    lanes: LaneKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    lanes.receive("evt-before")
    (receipt,) = dead(lanes, monkeypatch, "evt-late")
    assert forecast(receipt.event_id).fate is Fate.STORED
    later = lanes.receive_many(["evt-1", "evt-2", "evt-3"])
    other_key = next(f"key-x{n}" for n in range(100) if delivery(event(key=f"key-x{n}")).events[0].lane == 0)
    lanes.append(delivery(event("evt-4", key=other_key)))
    lanes.drain()
    told = forecast(receipt.event_id)
    assert (told.fate, told.later_count, told.later_sequence) == (Fate.OUT_OF_ORDER, 3, later[-1].sequence)
    assert told.will_be_sent
    assert (
        f"3 events of its key were committed after sequence {receipt.sequence}, the last at sequence "
        f"{later[-1].sequence}" in told.sentence
    )
    retry(receipt.event_id)
    lanes.drain()
    assert committed()[-1] == "evt-late"


def test_an_earlier_event_that_was_retried_first_does_not_count_as_later(
    lanes: LaneKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, three = (each.event_id for each in dead(lanes, monkeypatch, "evt-1", "evt-2", "evt-3"))
    retry(one)
    lanes.drain()
    assert forecast(two).fate is Fate.STORED
    retry(three)
    lanes.drain()
    told = forecast(two)
    assert (told.fate, told.later_count) == (Fate.OUT_OF_ORDER, 1)


def test_a_key_of_another_provider_is_another_key(lanes: LaneKit, monkeypatch: pytest.MonkeyPatch) -> None:
    (receipt,) = dead(lanes, monkeypatch, "evt-late")
    lanes.receive("evt-1")
    lanes.drain()
    Event.objects.update(provider="other")
    assert forecast(receipt.event_id).fate is Fate.STORED


def test_a_held_identity_is_a_duplicate_or_a_conflict_with_the_original_named(
    lanes: LaneKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    (receipt,) = dead(lanes, monkeypatch, "evt-1")
    lanes.buffer.client.flushdb()  # the dedupe window is over
    again = lanes.receive("evt-1")
    lanes.drain()
    told = forecast(receipt.event_id)
    assert (told.fate, told.original_event_id, told.will_be_sent) == (Fate.DUPLICATE, again.event_id, True)
    retry(receipt.event_id)
    lanes.drain()
    assert (DeadLetter.objects.get().state, outcomes(receipt.event_id)) == ("retried", ["failed", "duplicate"])
    assert committed() == ["evt-1"]

    lanes.append(delivery(event("evt-1", payload=b'{"other":1}')))
    lanes.drain()
    aside = QuarantinedEvent.objects.get().event_id
    (told,) = forecasts(QUARANTINE, [aside])
    assert (told.fate, told.original_event_id, told.will_be_sent) == (Fate.CONFLICT, again.event_id, False)
    result = retry(aside, place=QUARANTINE)
    assert (result.requested, [each.fate for each in result.refused]) == ((), [Fate.CONFLICT])
    assert QuarantinedEvent.objects.get().state == "open"


@pytest.mark.parametrize("bad", [b'{"a":"\\u0000"}', b'{"a":NaN}', b'{"a":1e400}', b'{"a":"\\ud800"}'])
def test_poison_is_told_to_fail_again_and_not_sent(lanes: LaneKit, bad: bytes) -> None:
    receipt = lanes.receive("evt-bad", payload=bad)
    lanes.drain()
    result = retry(receipt.event_id)
    assert (result.requested, result.refused[0].fate) == ((), Fate.STILL_FAILS)
    assert DeadLetter.objects.get().state == "open"
    assert lanes.is_idle()


@pytest.mark.parametrize("column", ["message_id", "event_type", "key"])
def test_a_letter_whose_texts_were_made_storable_is_refused_and_not_stored_changed(lanes: LaneKit, column: str) -> None:
    parts = {"message_id": "evt-bad", "event_type": "delivered", "key": "key-bad", column: "nul \x00"}
    sent = delivery(event(**parts, payload=b"{}"))  # type: ignore[arg-type]
    lanes.append(sent)
    lanes.drain(sent.events[0].lane)
    (told,) = forecasts(LETTER, [DeadLetter.objects.get().event_id])
    assert told.fate is Fate.STILL_FAILS
    assert "as it was sent" in told.sentence


def test_a_text_that_only_looks_made_storable_is_retried_as_it_is(
    lanes: LaneKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    (receipt,) = dead(lanes, monkeypatch, r"evt-\x00-\ud800")
    assert retry(receipt.event_id).requested
    lanes.drain()
    assert committed() == [r"evt-\x00-\ud800"]


def test_a_letter_that_was_changed_in_redis_is_refused_with_that_reason(lanes: LaneKit) -> None:
    def forge(_: int, fields: Fields) -> Fields:
        return fields | {b"p": b'{"forged":1}'}

    receipt = lanes.receive("evt-1")
    lanes.rewrite(0, forge)
    lanes.drain()
    told = forecast(receipt.event_id)
    assert told.fate is Fate.STILL_FAILS
    assert "changed in Redis" in told.sentence


def test_forecasts_come_in_the_order_asked_for_in_as_many_queries_for_one_as_for_many(
    lanes: LaneKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [receipt.event_id for receipt in dead(lanes, monkeypatch, *[f"evt-{n}" for n in range(60)])]
    unknown = uuid4()
    asked = [*ids, unknown, ids[0]]
    random.Random(1).shuffle(asked)
    with CaptureQueriesContext(connection) as few:
        forecasts(LETTER, ids[:1])
    with CaptureQueriesContext(connection) as many:
        told = forecasts(LETTER, asked)
    assert [each.event_id for each in told] == asked
    assert {each.fate for each in told if each.event_id == unknown} == {Fate.UNKNOWN_ID}
    assert len(few) == len(many) == 3


def test_what_is_not_open_is_refused_with_its_state(lanes: LaneKit, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, three = (each.event_id for each in dead(lanes, monkeypatch, "evt-1", "evt-2", "evt-3"))
    retry(one)
    lanes.drain()
    retry(two)
    discard(LETTER, [three], reason="noise")
    told = forecasts(LETTER, [one, two, three])
    assert [each.sentence for each in told] == [
        "it was retried already",
        "it is being sent again already",
        "it was discarded",
    ]
    assert {each.fate for each in told} == {Fate.NOT_OPEN}
    assert retry(one, two, three).requested == ()
    assert len(discard(LETTER, [one, two, three], reason="noise").refused) == 3


def test_a_discard_changes_the_state_and_nothing_else(lanes: LaneKit, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = (each.event_id for each in dead(lanes, monkeypatch, "evt-1", "evt-2"))
    before: dict[str, object] = {**DeadLetter.objects.filter(pk=one).values().get()}
    unknown = uuid4()
    result = discard(LETTER, [one, unknown, one], reason="  sent by a broken\x00 test  ")
    assert result.discarded == (one,)
    assert [(each.event_id, each.fate) for each in result.refused] == [(unknown, Fate.UNKNOWN_ID)]
    after: dict[str, object] = {**DeadLetter.objects.filter(pk=one).values().get()}
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"state", "state_at", "discard_reason"}
    assert (after["state"], after["discard_reason"]) == ("discarded", r"sent by a broken\x00 test")
    assert after["state_at"] is not None
    assert DeadLetter.objects.get(pk=two).state == "open"
    assert not SetAsideAttempt.objects.exists()
    assert_every_batch_is_proved()


@pytest.mark.parametrize("reason", ["", " \n", "x" * (REASON_LIMIT_CHARS + 1)])
def test_a_discard_without_a_reason_that_fits_is_refused(
    lanes: LaneKit, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    (receipt,) = dead(lanes, monkeypatch, "evt-1")
    with pytest.raises(ValueError, match="reason"):
        discard(LETTER, [receipt.event_id], reason=reason)
    assert DeadLetter.objects.get().state == "open"


def test_groups_hold_the_open_letters_that_failed_alike_and_states_are_counted(
    lanes: LaneKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    alike = dead(lanes, monkeypatch, "evt-1", "evt-2", "evt-3", why="bug at line 17")
    alike += dead(lanes, monkeypatch, "evt-4", why="bug at line 18")
    (other,) = dead(lanes, monkeypatch, "evt-5", why="something else")
    discard(LETTER, [alike[0].event_id], reason="noise")
    largest, smallest = error_groups()
    assert (largest.count, largest.example, largest.error) == (3, alike[-1].event_id, "bug at line 18")
    assert largest.first_dead_at < largest.last_dead_at
    assert (smallest.count, smallest.example, smallest.error) == (1, other.event_id, "something else")
    assert [group.count for group in error_groups(DeadLetter.objects.all())] == [4, 1]
    assert [group.count for group in error_groups(limit_count=1)] == [3]
    assert counts_by_state(LETTER) == {"open": 4, "retrying": 0, "retried": 0, "discarded": 1}
    assert set(counts_by_state(QUARANTINE).values()) == {0}


def test_a_forecast_reads_no_more_of_a_busy_key_than_it_tells(lanes: LaneKit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingestion.redrive.forecast.LATER_LIMIT_COUNT", 3)
    monkeypatch.setattr("ingestion.redrive.later_events.LATER_LIMIT_COUNT", 3)
    (receipt,) = dead(lanes, monkeypatch, "evt-late")
    last = lanes.receive_many([f"evt-{number}" for number in range(5)])[-1]
    lanes.drain()
    told = forecast(receipt.event_id)
    assert (told.later_count, told.later_sequence) == (3, last.sequence)
    assert "3 or more events" in told.sentence
