"""`manage.py evidence receipt`: what became of a promise, its exit status, and its proof."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import OperationalError
from django.test import override_settings

from autocom.kernel.merkle import leaf_hash, root_of_path
from autocom.kernel.signed_note import Checkpoint, open_note
from evidence.log.keys import known_keys
from evidence.log.names import LogName
from evidence.log.sealer import seal_everything
from evidence.models import PromiseIncident
from evidence.promises import compare
from ingestion.accept import promise_keys, receipt_keys
from ingestion.buffer import keys
from ingestion.buffer.store import LaneBuffer
from ingestion.models import Event
from ingestion.receipts import Receipt, ReceiptKey
from tests.evidence.test_promises import forge
from tests.support.lanes import LaneKit
from tests.support.log import own_log

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def lanes(buffer: LaneBuffer, transactional_db: None, tmp_path: Path) -> Any:
    with own_log(tmp_path / "log"):
        yield LaneKit(buffer=buffer)


@dataclass(frozen=True)
class Done:
    status: int
    out: str
    err: str


@pytest.fixture
def evidence(capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*words: str) -> Done:
        with pytest.raises(SystemExit) as ended:
            call_command("evidence", "receipt", *words)
        told = capsys.readouterr()
        return Done(int(ended.value.code or 0), told.out, told.err)

    return run


def line(receipt: Receipt) -> str:
    return receipt.line(promise_keys().receipt)


def old(receipt: Receipt, lanes: LaneKit) -> Receipt:
    """The same promise, made two minutes ago."""
    return replace(receipt, accepted_us=receipt.accepted_us - 120_000_000)


def test_a_promise_is_followed_from_its_lane_to_its_proof(lanes: LaneKit, evidence: Any, tmp_path: Path) -> None:
    receipt = lanes.receive("a")
    lanes.receive("b")
    waiting = evidence(line(receipt))
    assert (waiting.status, "waits on lane 0" in waiting.out) == (3, True)
    lanes.drain()
    committed = evidence(line(receipt))
    assert (committed.status, "not sealed yet" in committed.out) == (3, True)
    seal_everything(LogName.EVENTS)
    file = tmp_path / "proof.txt"
    sealed = evidence(*line(receipt).split(" "), "--proof", str(file))
    assert sealed.status == 0, sealed
    assert "kept and sealed: stored as an event" in sealed.out
    assert "checkpoint of 2 leaves" in sealed.out
    assert_proves(file.read_text(encoding="utf-8"), receipt)
    assert evidence(line(receipt), "--proof", str(file)).status == 2  # nothing is overwritten


def assert_proves(text: str, receipt: Receipt) -> None:
    """As somebody checks it who has the text, the receipt and the public key."""
    head, _, note = text.partition("\n\n")
    facts = dict(each.partition(" ")[::2] for each in head.splitlines())
    assert str(receipt.event_id) in facts["leaf"]
    root = root_of_path(
        leaf_hash(facts["leaf"].encode()),
        position=int(facts["position"]),
        leaf_count=int(facts["leaf_count"]),
        path=[bytes.fromhex(each) for each in facts["path"].split()],
    )
    assert root.hex() in facts["batch"]
    opened = open_note(note)
    opened.signed_by(known_keys())
    assert Checkpoint.parse(opened.text).size == 2


def test_many_receipts_come_from_a_file_from_stdin_or_from_answers(
    lanes: LaneKit, evidence: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [line(each) for each in lanes.receive_many(["a", "b", "c"])]
    lanes.drain()
    seal_everything(LogName.EVENTS)
    file = tmp_path / "receipts"
    file.write_text("\n".join(lines) + "\n")
    assert evidence(str(file)).out.count("kept and sealed") == 3
    answer = json.dumps({"status": "accepted", "receipt": "\n".join(lines)})
    file.write_text(f"{answer}\n{answer}\n")
    assert evidence(str(file)).out.count("kept and sealed") == 6
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(answer.encode())))
    found = evidence("-", "--json")
    assert [each["verdict"] for each in json.loads(found.out)["receipts"]] == ["sealed"] * 3


@pytest.mark.parametrize(
    "text", ["", "hello", "{", '{"status": "accepted"}', "[1]", "/no/such/file", "acr2 a b c", '{"receipt": 1}']
)
def test_what_is_no_receipt_is_wrong_usage_that_says_what_is_wanted(evidence: Any, text: str) -> None:
    found = evidence(text)
    assert found.status == 2
    assert "receipt" in found.err


def test_a_changed_receipt_is_not_ours_and_one_of_a_former_key_is(lanes: LaneKit, evidence: Any) -> None:
    receipt = lanes.receive("a")
    lanes.drain()
    forged = line(receipt).replace(f" {receipt.sequence} ", " 2 ")
    found = evidence(forged)
    assert (found.status, "a word was changed" in found.out) == (1, True)
    former = ReceiptKey.derived("a-former-key-0123456789abcdef0123456789abcdef")
    assert evidence(receipt.line(former)).status == 1
    with override_settings(SECRET_KEY_FALLBACKS=["a-former-key-0123456789abcdef0123456789abcdef"]):
        assert former in receipt_keys()
        assert evidence(receipt.line(former)).status == 3  # kept, not sealed yet


def test_a_promise_that_is_nowhere_is_missing_after_a_minute_and_becomes_an_incident(
    lanes: LaneKit, evidence: Any
) -> None:
    receipt = lanes.receive("a")
    lanes.buffer.client.delete(keys.stream(0))
    assert (evidence(line(receipt)).status, PromiseIncident.objects.count()) == (3, 0)
    found = evidence(line(old(receipt, lanes)))
    assert (found.status, "MISSING" in found.out) == (1, True)
    assert PromiseIncident.objects.get().event_id == receipt.event_id


def test_a_row_that_differs_from_its_receipt_is_broken(lanes: LaneKit, evidence: Any) -> None:
    receipt = lanes.receive("a")
    lanes.drain()
    forge("UPDATE ingestion_event SET body_sha256 = sha256('other')")
    found = evidence(line(receipt))
    assert (found.status, "DIFFERS: body digest" in found.out) == (1, True)
    assert PromiseIncident.objects.get().state == "differs"


def test_a_late_repeat_is_proved_by_its_original(lanes: LaneKit, evidence: Any, tmp_path: Path) -> None:
    original = lanes.receive("a")
    lanes.drain()
    for key in lanes.buffer.client.scan_iter(match=keys.seen(b"").decode() + "*"):
        lanes.buffer.client.delete(key)
    repeat = lanes.receive("a")
    lanes.drain()
    seal_everything(LogName.EVENTS)
    assert Event.objects.count() == 1
    file = tmp_path / "proof.txt"
    found = evidence(line(repeat), "--proof", str(file))
    assert (found.status, f"a repeat of event {original.event_id}" in found.out) == (0, True)
    assert str(original.event_id) in file.read_text(encoding="utf-8")


def test_nothing_is_said_of_a_promise_while_postgresql_is_silent(
    lanes: LaneKit, evidence: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    receipt = lanes.receive("a")

    def refuse(*_: object) -> None:
        raise OperationalError("the server closed the connection")

    monkeypatch.setattr(compare, "kept_promises", refuse)
    found = evidence(line(old(receipt, lanes)))
    assert (found.status, "UNKNOWN: PostgreSQL cannot be asked" in found.out) == (3, True)
    assert PromiseIncident.objects.count() == 0
