"""Every input that senders come up with, through Django's own handler: status, code, and nothing of ours in answer or
log.

No test here may touch PostgreSQL: without the `django_db` mark any query raises.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
from collections.abc import Iterator

import pytest

from ingestion import receive
from ingestion.buffer.append import EntryKind
from ingestion.buffer.store import LaneBuffer
from ingestion.provider_book import BOOK, environment_default
from tests.support.inputs import INPUTS, Sent, good, serve_alone, signed
from tests.support.senders import event_body

pytestmark = pytest.mark.urls("autocom.ingress_urls")
NUMBERS = itertools.count()


def fresh_id() -> str:
    return f"input-{next(NUMBERS)}"


@pytest.fixture(autouse=True)
def _providers(monkeypatch: pytest.MonkeyPatch) -> None:
    """`default`, and `asleep`, which is switched off."""
    asleep = dataclasses.replace(environment_default(enabled=False), name="asleep")
    monkeypatch.setattr(BOOK, "_providers", {"default": environment_default(enabled=True), "asleep": asleep})
    monkeypatch.setattr(BOOK, "is_complete", True)


@pytest.fixture(autouse=True)
def _no_stack_in_the_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """A sender's fault is not an error of ours. A test of our own faults clears the log when it has read it."""
    yield
    logged = caplog.get_records("call")  # in this phase of the test `records` begins anew
    assert [record for record in logged if record.levelno >= logging.ERROR or record.exc_info] == []


@pytest.mark.parametrize("name", INPUTS)
def test_this_input_gets_its_status_and_code_and_harms_nobody(name: str, buffer: LaneBuffer) -> None:
    status, code = INPUTS[name].expected.alone
    answer = serve_alone(INPUTS[name].make(fresh_id()))
    assert (answer.status, answer.code) == (status, code)
    assert b"Traceback" not in answer.body
    assert answer.headers["content-length"] == str(len(answer.body))
    assert serve_alone(good(fresh_id())).status == 202


@pytest.mark.parametrize("name", [name for name, each in INPUTS.items() if each.expected.alone[0] != 202])
def test_nothing_of_a_refused_input_is_stored(name: str, buffer: LaneBuffer) -> None:
    serve_alone(INPUTS[name].make(fresh_id()))
    assert buffer.client.keys("*") == []


def test_a_body_shorter_than_its_length_is_refused_as_incomplete(buffer: LaneBuffer) -> None:
    whole = good(fresh_id())
    answer = serve_alone(Sent(body=whole.body[:-5], headers=whole.headers))
    assert (answer.status, answer.code) == (400, "body_incomplete")


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")], ids=["arrays", "objects"])
def test_json_of_any_depth_is_taken_whatever_each_parser_can_bear(
    opening: bytes, closing: bytes, buffer: LaneBuffer
) -> None:
    depths = [*range(900, 1_100, 20), *range(1_100, 12_000, 500), 20_000, 49_000]
    statuses = {
        (depth, shape): serve_alone(signed(body)).status
        for depth in depths
        for shape, body in (
            ("alone", opening * depth + b"1" + closing * depth),
            ("in a batch", b'[{"id": "%d", "data": ' % depth + opening * depth + b"1" + closing * depth + b"}]"),
        )
    }
    assert {at: status for at, status in statuses.items() if status != 202} == {}


def test_a_name_that_may_be_a_provider_is_not_refused_for_good_before_the_providers_were_read(
    buffer: LaneBuffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BOOK, "is_complete", False)
    answer = serve_alone(signed(event_body(fresh_id()), path="/webhooks/not-read-yet"))
    assert (answer.status, answer.code) == (429, "providers_not_loaded")
    assert int(answer.headers["retry-after"]) >= 1


def test_a_fault_of_ours_is_a_500_that_tells_only_its_code_and_where_to_look(
    buffer: LaneBuffer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the secret plans")

    monkeypatch.setattr(receive, "acceptance_of", broken)
    answer = serve_alone(good(fresh_id()))
    assert (answer.status, answer.code) == (500, "internal_error")
    assert b"secret plans" not in answer.body
    logged = [record for record in caplog.records if record.exc_info]
    assert [record.__dict__["request_id"] for record in logged] == [answer.json()["request_id"]]
    caplog.clear()


def test_a_fault_in_verification_is_a_401_and_never_lets_anybody_in(
    buffer: LaneBuffer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no verdict")

    monkeypatch.setattr(BOOK.named("default").adapter, "verify", broken)  # type: ignore[union-attr]
    answer = serve_alone(good(fresh_id()))
    assert (answer.status, answer.code) == (401, "unauthorized")
    assert buffer.client.keys("*") == []
    assert "verification_crashed" in caplog.text
    caplog.clear()


def test_the_same_event_again_gets_the_original_receipt(buffer: LaneBuffer) -> None:
    sent = good(fresh_id())
    first, second = serve_alone(sent), serve_alone(sent)
    assert (first.json()["status"], second.json()["status"]) == ("accepted", "duplicate")
    assert second.json()["receipt"] == first.json()["receipt"]


def test_the_same_id_with_another_body_is_a_conflict_and_both_are_kept(buffer: LaneBuffer) -> None:
    message_id = fresh_id()
    first, other = good(message_id, n=1), good(message_id, n=2)
    serve_alone(first)
    answer = serve_alone(other)
    assert (answer.status, answer.code) == (409, "identity_conflict")
    lanes = [buffer.read(lane, limit_count=10) for lane in range(4)]
    kept = [(entry.kind, entry.payload) for entries in lanes for entry in entries]
    assert kept == [(EntryKind.EVENT, first.body), (EntryKind.QUARANTINED, other.body)]
    assert serve_alone(first).json()["status"] == "duplicate"
