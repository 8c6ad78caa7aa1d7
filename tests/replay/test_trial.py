"""Reconciliation with a real PostgreSQL, and the command from its options to its exit code."""

import io
import json
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ingestion.models import Batch, DeadLetter, Event, SuppressedDuplicate
from ingestion.replay.findings import Kind, Place
from ingestion.replay.history import History
from ingestion.replay.run import GeneratorResult
from ingestion.replay.stored import stored_rows, wait_until_stored
from ingestion.replay.trial import judged
from ingestion.replay.verdict import GATE_A, Outcome
from tests.replay.kit import event_id, run
from tests.replay.stub import Reply, stub_service

pytestmark = pytest.mark.django_db

COMMITTED_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SHORT = timedelta(seconds=0.3)


@pytest.fixture
def result(tmp_path: Path) -> GeneratorResult:
    """A run against a service that promises everything and stores nothing: the tests do that."""
    with stub_service() as service:
        return run(service.url, tmp_path, count=300, rate=600, duplicates=0.1)


def batch() -> Batch:
    return Batch.objects.create(
        lane=0,
        epoch=1,
        first_sequence=1,
        last_sequence=1,
        event_count=1,
        merkle_root=b"",
        worker="w",
        fence=1,
        claimed_at=COMMITTED_AT,
        committed_at=COMMITTED_AT,
    )


def fields_of(history: History) -> list[dict[str, Any]]:
    """What the drain would have stored for each promise."""
    found: dict[Any, dict[str, Any]] = {}
    for send in history.sends:
        for receipt in send.answer.receipts:
            found[receipt.event_id] = {
                "provider": "default",
                "message_id": send.planned.message_id,
                "event_type": send.planned.event_type,
                "ordering_key": send.planned.ordering_key,
                "identity": receipt.event_id.bytes,
                "recipe": "generic/1",
                "lane": receipt.lane,
                "epoch": receipt.epoch,
                "sequence": receipt.sequence,
                "body_sha256": bytes.fromhex(send.planned.body_sha256),
                "content_sha256": b"",
                "received_at": COMMITTED_AT,
                "accepted_at": COMMITTED_AT,
                "id": receipt.event_id,
            }
    return sorted(found.values(), key=lambda fields: int(fields["sequence"]))


def store_where_they_belong(history: History) -> int:
    """Poison in the dead letters, all else as events; how many of each."""
    poison = {send.planned.message_id for send in history.sends if send.planned.is_poison}
    fields = fields_of(history)
    store([each for each in fields if each["message_id"] not in poison])
    dead = [each for each in fields if each["message_id"] in poison]
    for each in dead:
        dead_letter(each)
    return len(dead)


def store(fields: list[dict[str, Any]]) -> None:
    Event.objects.bulk_create([Event(**each, payload="{}", batch=batch()) for each in fields])


def dead_letter(fields: dict[str, Any]) -> None:
    given = {name: value for name, value in fields.items() if name != "id"}
    DeadLetter.objects.create(event_id=fields["id"], payload_bytes=b"{", batch=batch(), **given)


def test_a_run_whose_promises_are_all_stored_passes(tmp_path: Path) -> None:
    with stub_service() as service:
        result = run(service.url, tmp_path, count=300, rate=600, duplicates=0.1, poison=0.05)
    assert store_where_they_belong(result.history)
    report = judged(result, gate=GATE_A)
    assert report.is_drained
    assert report.drained_after_seconds == 0.0
    assert report.reconciliation is not None
    assert report.reconciliation.findings == {}
    assert report.reconciliation.stored_count == 270
    assert report.verdict.outcome is Outcome.PASS


def test_a_promise_that_is_never_stored_is_lost_once_the_wait_is_over(
    result: GeneratorResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(fields_of(result.history)[1:])
    monkeypatch.setattr("ingestion.replay.trial.DRAIN_LIMIT", SHORT)
    report = judged(result, gate=GATE_A)
    assert not report.is_drained
    assert report.reconciliation is not None
    assert report.reconciliation.count(Kind.LOST) == 1
    assert report.verdict.outcome is Outcome.FAIL


def test_rows_of_other_runs_are_left_alone(result: GeneratorResult) -> None:
    fields = fields_of(result.history)
    other = fields[0] | {"id": event_id(5_000), "identity": b"other", "message_id": "r20260102T030405-0a0b0d-00000000"}
    store([*fields, other])
    assert {row.event_id for row in stored_rows(result.history).rows} == {each["id"] for each in fields}


def test_the_rows_of_a_run_are_read_through_the_index_by_message_id(result: GeneratorResult) -> None:
    store(fields_of(result.history))
    with CaptureQueriesContext(connection) as asked:
        stored_rows(result.history)
    reads = [query["sql"] for query in asked.captured_queries if 'FROM "ingestion_event"' in query["sql"]]
    assert len(reads) == 1
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {reads[0][reads[0].index('SELECT') :]}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "event_message_type" in plan


def test_an_event_known_from_before_is_found_under_its_first_id(result: GeneratorResult) -> None:
    first, *others = fields_of(result.history)
    earlier = event_id(9_000)
    store([first | {"id": earlier}, *others])
    SuppressedDuplicate.objects.create(
        event_id=first["id"],
        original_event_id=earlier,
        provider="default",
        message_id=first["message_id"],
        event_type=first["event_type"],
        received_at=COMMITTED_AT,
        late=True,
    )
    stored = stored_rows(result.history)
    assert stored.aliases == {first["id"]: earlier}
    assert judged(result, gate=GATE_A).verdict.outcome is Outcome.PASS


def test_a_recorded_run_is_found_by_its_receipts_with_every_row_of_the_same_message(tmp_path: Path) -> None:
    path = tmp_path / "recorded.ndjson"
    path.write_text('{"body": {"id": "m1", "type": "t", "ordering_key": "k"}}\n')
    with stub_service() as service:
        result = run(service.url, tmp_path, input_path=path, count=3, duplicates=0)
    (fields,) = fields_of(result.history)
    store([fields, fields | {"id": event_id(70), "identity": b"x", "sequence": 9}])
    assert wait_until_stored(result.history, limit=SHORT)
    rows = stored_rows(result.history).rows
    assert sorted((row.place, row.event_id) for row in rows) == [
        (Place.EVENT, fields["id"]),
        (Place.EVENT, event_id(70)),
    ]


def replay(*arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of the command."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("replay", *arguments, stdout=out, stderr=err)
    return int(ended.value.code or 0), out.getvalue(), err.getvalue()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--target", "http://example.com"], "only this machine"),
        (["--gate", "z"], "there is no such gate; known: a"),
        (["--provider", "elsewhere"], "--provider elsewhere"),
        (["--count", "0"], "--count 0: must be between"),
        (["--input", "missing.ndjson"], "cannot be read"),
    ],
)
def test_wrong_usage_is_one_clear_line_and_exit_2(arguments: list[str], complaint: str) -> None:
    status, out, err = replay(*arguments)
    assert (status, out) == (2, "")
    assert complaint in err
    assert err.count("\n") == 1


def test_a_service_that_does_not_answer_is_inconclusive(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    status, out, err = replay("--target", f"http://127.0.0.1:{port}", "--out", str(tmp_path))
    assert (status, out) == (3, "")
    assert "nothing was sent" in err
    assert list(tmp_path.iterdir()) == []


def test_a_service_that_refuses_everything_fails_and_the_report_says_why(tmp_path: Path) -> None:
    def refuse(_: object) -> Any:
        return lambda _: Reply(401, b'{"code":"unauthorized"}')

    with stub_service(refuse) as service:
        target = ["--target", service.url, "--count", "300", "--rate", "600"]
        status, out, _ = replay(*target)
        assert status == 1
        assert "401 unauthorized (300)" in out
        status, out, _ = replay(*target, "--json", "--out", str(tmp_path))
    value = json.loads(out)
    assert (status, value["verdict"], value["rejected"], value["refusals"]) == (
        1,
        "FAIL",
        300,
        {"401 unauthorized": 300},
    )
    assert {path.name for path in tmp_path.iterdir()} == {
        "journal.jsonl",
        "samples.csv",
        "ack.hlog",
        "summary.json",
        "environment.json",
    }
