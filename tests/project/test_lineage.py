"""`manage.py lineage`: the whole way of what was accepted, whatever became of it, and no "no trace" by guess."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import transaction

from autocom.kernel.clock import us_of
from autocom.kernel.ids import event_id
from ingestion import lineage as module
from ingestion.accept import promise_keys
from ingestion.buffer import keys
from ingestion.buffer.store import LaneBuffer, lane_buffer
from ingestion.drain import Drainer
from ingestion.lanes import lane_of
from ingestion.lineage import IdInvalid, Lineage, lineage_of
from ingestion.models import Batch, DeadLetter, Delivery, Event, Lane
from ingestion.receipts import read_receipt
from ingestion.redrive.place import SetAside
from ingestion.redrive.retry import request_retry
from ingestion.traces import EventTrace, Fate
from tests.project.posting import posted
from tests.project.test_health import without_postgresql, without_redis  # noqa: F401  (fixtures)
from tests.support.senders import event_body
from tests.support.workers import environment

pytestmark = pytest.mark.django_db(transaction=True)
PROJECT = Path(__file__).resolve().parents[2]
NOWHERE = "01890000-0000-7000-8000-000000000000"


def send(message_id: str = "evt-1", *, path: str = "/webhooks/default", **event: Any) -> dict[str, Any]:
    return posted(event_body(message_id, **event), path=path)


def drain(drainer: Drainer) -> None:
    for lane in range(settings.AUTOCOM.lanes):
        drainer.drain(lane, job_id="test")


def asked(text: str) -> Lineage:
    return lineage_of(text, buffer=lane_buffer(), lane_count=settings.AUTOCOM.lanes)


def only(lineage: Lineage) -> EventTrace:
    (event,) = [e for d in lineage.deliveries for e in d.events if e.event_id in lineage.asked]
    return event


def run(*words: str) -> tuple[int, str]:
    """Exit code and output of the command."""
    out = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("lineage", *words, stdout=out, stderr=out)
    assert isinstance(ended.value.code, int)
    return ended.value.code, out.getvalue()


def test_a_stored_event_shows_each_step_with_the_times_of_the_receipt_and_the_rows(
    buffer: LaneBuffer, drainer: Drainer
) -> None:
    answer = send()
    drain(drainer)
    receipt = read_receipt(answer["receipt"], keys=(promise_keys().receipt,))
    batch = Batch.objects.get()
    trace = only(asked(answer["request_id"]))
    assert trace.fate is Fate.STORED
    assert (trace.lane, trace.epoch, trace.sequence) == (receipt.lane, receipt.epoch, receipt.sequence)
    assert (trace.batch, trace.worker) == (batch.number, "test")
    row = Event.objects.get()
    assert [(step.name, step.at) for step in trace.steps] == [
        ("received", row.received_at),
        ("accepted", row.accepted_at),
        ("claimed", batch.claimed_at),
        ("committed", batch.committed_at),
    ]
    assert us_of(trace.steps[1].at) == receipt.accepted_us
    took = [step.took for step in trace.steps]
    assert took[0] is None
    assert sum((each for each in took[1:] if each is not None), timedelta()) == batch.committed_at - row.received_at


@pytest.mark.parametrize("ask", ["request id", "event id without hyphens", "message id"])
def test_each_kind_of_id_leads_to_the_event(buffer: LaneBuffer, drainer: Drainer, ask: str) -> None:
    answer = send("order-7/β")
    send("another")
    drain(drainer)
    text = {
        "request id": answer["request_id"],
        "event id without hyphens": UUID(answer["request_id"]).hex.upper(),
        "message id": "order-7/β",
    }[ask]
    lineage = asked(f" {text} ")
    assert lineage.is_found
    assert only(lineage).message_id == "order-7/β"
    assert lineage.gaps == []


def test_a_message_id_that_looks_like_one_of_our_ids_is_found_too(buffer: LaneBuffer, drainer: Drainer) -> None:
    answer = send(NOWHERE)
    assert only(asked(NOWHERE)).event_id == UUID(answer["request_id"])
    drain(drainer)
    assert only(asked(NOWHERE)).fate is Fate.STORED


def test_a_message_id_too_long_to_be_stored_whole_is_found(buffer: LaneBuffer, drainer: Drainer) -> None:
    long = "x" * 900
    send(long)
    drain(drainer)
    assert only(asked(long)).fate is Fate.STORED


def test_an_event_on_its_lane_is_waiting_with_the_place_and_the_reason(buffer: LaneBuffer) -> None:
    answer = send()
    trace = only(asked(answer["request_id"]))
    assert trace.fate is Fate.WAITING
    lane = lane_of(provider="default", ordering_key="key-1", lane_count=settings.AUTOCOM.lanes)
    assert (trace.lane, trace.sequence) == (lane, 1)
    assert [step.name for step in trace.steps] == ["received", "accepted"]
    assert "its drain job is due" in trace.what
    buffer.client.delete(keys.wake(lane))
    assert "nobody is at work" in only(asked("evt-1")).what
    claim = buffer.claim(lane, token=b"abc@worker-9", fence_floor=0)
    assert claim is not None
    assert "worker-9 is at work" in only(asked("evt-1")).what
    buffer.back_off(claim, rest=timedelta(seconds=60), next_attempt_us=2_000_000_000_000_000, error="no\nDETAIL: row")
    what = only(asked("evt-1")).what
    assert "rests until 03:33:20 UTC after attempt 1: no" in what
    assert "DETAIL" not in what


def test_a_waiting_event_is_found_behind_many_others(buffer: LaneBuffer, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(30):
        send(f"evt-{i}")
    monkeypatch.setattr(module, "SCAN_SLICE_BYTES", 5_000)
    assert only(asked("evt-29")).fate is Fate.WAITING


def test_beyond_the_scan_limit_the_answer_is_not_no_trace(buffer: LaneBuffer, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(30):
        send(f"evt-{i}")
    monkeypatch.setattr(module, "SCAN_SLICE_BYTES", 1_000)
    monkeypatch.setattr(module, "SCAN_LIMIT_COUNT", 10)
    assert only(asked("evt-3")).fate is Fate.WAITING
    lineage = asked("evt-29")
    assert not lineage.is_found
    assert "more than 10 entries" in lineage.gaps[0]
    status, text = run("evt-29")
    assert status == 3
    assert "no trace" not in text


def test_a_repeated_event_is_a_duplicate_of_the_original_before_and_after_the_commit(
    buffer: LaneBuffer, drainer: Drainer
) -> None:
    first, again = send(), send()
    assert again["status"] == "duplicate"
    waiting = only(asked(again["request_id"]))
    assert (waiting.fate, waiting.original_event_id) == (Fate.DUPLICATE, UUID(first["request_id"]))
    drain(drainer)
    settled = only(asked(again["request_id"]))
    assert (settled.fate, settled.original_event_id) == (Fate.DUPLICATE, UUID(first["request_id"]))
    assert f"duplicate of {first['request_id']}" in settled.what
    assert "came again 1 time" in only(asked(first["request_id"])).what
    assert {delivery.request_id for delivery in asked("evt-1").deliveries} == {
        UUID(first["request_id"]),
        UUID(again["request_id"]),
    }


def test_the_same_identity_with_other_content_is_quarantined_with_its_way(buffer: LaneBuffer, drainer: Drainer) -> None:
    first, other = send(to="a"), send(to="b")
    assert other["code"] == "identity_conflict"
    assert only(asked(other["request_id"])).fate is Fate.QUARANTINED
    drain(drainer)
    trace = only(asked(other["request_id"]))
    assert (trace.fate, trace.original_event_id) == (Fate.QUARANTINED, UUID(first["request_id"]))
    assert [step.name for step in trace.steps] == ["received", "accepted", "claimed", "committed"]


def test_a_poison_event_is_a_dead_letter_with_its_reason(buffer: LaneBuffer, drainer: Drainer) -> None:
    answer = posted(event_body("evt-1").replace(b'"data": {}', b'"data": {"a": "\\u0000"}'))
    drain(drainer)
    trace = only(asked(answer["request_id"]))
    assert trace.fate is Fate.DEAD_LETTER
    assert "NUL character" in trace.what
    assert len(trace.steps) == 4


def test_a_retried_event_shows_both_its_lives(
    buffer: LaneBuffer, drainer: Drainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = send()
    with monkeypatch.context() as patched:
        patched.setattr("ingestion.commit.why_unstorable", lambda _payload: "a bug of ours")
        drain(drainer)
    one_life = ["received", "accepted", "claimed", "committed"]
    with transaction.atomic():
        request_retry(SetAside.DEAD_LETTER, [UUID(answer["request_id"])])
    trace = only(asked(answer["request_id"]))
    assert (trace.fate, [step.name for step in trace.steps]) == (Fate.DEAD_LETTER, [*one_life, "retrying"])
    DeadLetter.objects.update(message_id="hidden")  # only its lane tells of it now
    sequence = Lane.objects.get().cursor
    monkeypatch.setattr(module, "_traces_in_rows", lambda *_: {})
    assert only(asked(answer["request_id"])).what.startswith("sent again by a retry, waiting on lane")
    monkeypatch.undo()
    DeadLetter.objects.update(message_id="evt-1")
    drain(drainer)
    trace = only(asked(answer["request_id"]))
    stored, letter = Event.objects.get(), DeadLetter.objects.get()
    assert (trace.fate, trace.batch, trace.sequence) == (Fate.STORED, stored.batch_id, sequence + 1)
    assert f"by a retry, accepted first at sequence {sequence}" in trace.what
    assert [step.name for step in trace.steps] == [*one_life[:3], "set aside", "retry asked", *one_life[1:]]
    assert [step.at for step in trace.steps] == sorted(step.at for step in trace.steps)
    assert trace.steps[3].what == f"to the dead letters in batch {letter.batch_id}"
    letter.delete()  # aged out: the event still tells that it was retried
    trace = only(asked(answer["request_id"]))
    assert [step.name for step in trace.steps] == ["received", "retry asked", *one_life[1:]]


def delivery_of_three(buffer: LaneBuffer, drainer: Drainer) -> UUID:
    """A delivery whose three events became: stored, gone, stored. Made of two deliveries' rows."""
    answer = send()
    send("evt-2")
    drain(drainer)
    request_id = UUID(answer["request_id"])
    Delivery.objects.filter(pk=request_id).update(event_count=3)
    Event.objects.filter(message_id="evt-2").update(id=event_id(request_id, position=2))
    return request_id


def test_every_event_of_a_delivery_is_accounted_for_and_the_missing_one_is_unknown(
    buffer: LaneBuffer, drainer: Drainer
) -> None:
    request_id = delivery_of_three(buffer, drainer)
    lineage = asked(str(request_id))
    (delivery,) = [each for each in lineage.deliveries if each.request_id == request_id]
    assert [event.fate for event in delivery.events] == [Fate.STORED, Fate.UNKNOWN, Fate.STORED]
    assert [event.event_id for event in delivery.events] == [event_id(request_id, position=i) for i in range(3)]
    assert lineage.is_found
    missing = asked(str(event_id(request_id, position=1)))
    assert not missing.is_found
    status, text = run(str(event_id(request_id, position=1)))
    assert status == 1
    assert "no trace: it was never accepted here, or retention removed it" in text


def test_one_event_of_a_delivery_is_shown_and_the_others_are_counted(buffer: LaneBuffer, drainer: Drainer) -> None:
    request_id = delivery_of_three(buffer, drainer)
    status, text = run(str(event_id(request_id, position=2)))
    assert status == 0
    assert "evt-2" in text
    assert "evt-1" not in text
    assert "other events of this delivery: 1 stored, 1 unknown" in text


def test_an_event_committed_between_the_two_looks_is_not_missed(
    buffer: LaneBuffer, drainer: Drainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = send()
    original = module._traces_on_lanes

    def drained_meanwhile(*args: Any, **kwargs: Any) -> Iterator[EventTrace]:
        drain(drainer)
        return original(*args, **kwargs)

    monkeypatch.setattr(module, "_traces_on_lanes", drained_meanwhile)
    for text in (answer["request_id"], "evt-1"):
        trace = only(asked(text))
        assert trace.fate is Fate.STORED


@pytest.mark.parametrize("text", [NOWHERE, "never-sent"])
def test_what_was_never_accepted_has_no_trace_and_exit_1(buffer: LaneBuffer, text: str) -> None:
    send()
    assert run(text) == (1, f"{text}: no trace: it was never accepted here, or retention removed it\n")


@pytest.mark.parametrize("text", ["", "   ", "a\x00b", "a\nb", "\udcff", "x" * 5_000])
def test_a_text_that_can_be_no_id_is_refused_with_2(buffer: LaneBuffer, text: str) -> None:
    with pytest.raises(IdInvalid):
        asked(text)
    status, said = run(text)
    assert status == 2
    assert said.startswith("lineage: an id ")


def test_without_redis_the_rows_still_answer_and_nothing_is_called_untraced(
    buffer: LaneBuffer, drainer: Drainer, request: pytest.FixtureRequest
) -> None:
    answer = send()
    drain(drainer)
    request.getfixturevalue("without_redis")
    assert only(asked(answer["request_id"])).fate is Fate.STORED
    status, text = run("never-sent")
    assert status == 3
    assert "Redis cannot be asked" in text
    assert "no trace" not in text


def test_without_postgresql_the_lanes_still_answer_and_nothing_is_called_untraced(
    buffer: LaneBuffer, request: pytest.FixtureRequest
) -> None:
    answer = send()
    request.getfixturevalue("without_postgresql")
    assert only(asked(answer["request_id"])).fate is Fate.WAITING
    status, text = run(NOWHERE)
    assert status == 3
    assert "PostgreSQL cannot be asked" in text
    assert "no trace" not in text


def test_the_text_has_absolute_times_in_utc_with_microseconds_and_the_time_each_step_took(
    buffer: LaneBuffer, drainer: Drainer
) -> None:
    answer = send()
    drain(drainer)
    status, text = run(answer["request_id"])
    assert status == 0
    lines = [line for line in text.splitlines() if re.match(r"    (received|accepted|claimed|committed) ", line)]
    assert len(lines) == 4
    assert all(re.search(r" \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z ", line) for line in lines)
    assert all(re.search(r"[+-][\d,]+\.\d{3} ms ", line) for line in lines[1:])
    assert text.splitlines()[-1] == f"    stored in batch {Batch.objects.get().number}"


def test_a_senders_text_cannot_steer_the_terminal(buffer: LaneBuffer, drainer: Drainer) -> None:
    answer = send("evt-\x1b[31mred", event_type="a\nb")
    drain(drainer)
    _, text = run(answer["request_id"])
    assert "\x1b" not in text
    assert "evt-\\x1b[31mred" in text
    assert "a\\nb" in text


def test_the_json_says_the_same_for_machines(buffer: LaneBuffer, drainer: Drainer) -> None:
    answer = send()
    drain(drainer)
    status, text = run(answer["request_id"], "--json")
    found = json.loads(text)
    (event,) = found["deliveries"][0]["events"]
    assert (status, found["found"], found["gaps"]) == (0, True, [])
    assert event["fate"] == "stored"
    assert event["asked"] is True
    assert event["steps"][0]["took_us"] is None
    first, last = (datetime.fromisoformat(event["steps"][i]["at"]) for i in (0, -1))
    assert sum(step["took_us"] for step in event["steps"][1:]) == (last - first) // timedelta(microseconds=1)
    status, text = run("never-sent", "--json")
    assert (status, json.loads(text)["found"]) == (1, False)


def test_the_command_as_a_process_tells_its_answer_by_its_exit_code(buffer: LaneBuffer) -> None:
    answer = send()

    def exit_of(text: str) -> int:
        return subprocess.run(
            [sys.executable, "manage.py", "lineage", text],
            cwd=PROJECT,
            env=environment(),
            capture_output=True,
            timeout=60,
            check=False,
        ).returncode

    assert [exit_of(text) for text in (answer["request_id"], " ")] == [0, 2]
