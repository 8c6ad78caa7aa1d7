"""Runs by the API: started once, within the console's bounds, watched while they go, cancelled; each on record."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from console.api.v1.runs import StartReplayJson
from console.api.v1.schema import document
from console.api.v1.shapes import schema_of
from console.service_tokens.scopes import Scope
from evidence.models import AuditEntry, BundleOrder, ReplayOrder
from evidence.runs.asked import BOUNDS
from tests.console.api.kit import code, post, program
from tests.console.letters import newest_number
from tests.console.rows import bundle_row
from tests.console.runs import RUN, UNDER_WAY, entered, folder, order_row
from tests.support.evidence import use_store

pytestmark = pytest.mark.django_db(transaction=True)
RUNS, ORDERS = "/api/v1/replays/", "/api/v1/bundles/orders/"
KEY = {"Idempotency-Key": "1f0c33ab-run"}
SMALL = {"reason": "the pipeline of commit 4711", "count": 200, "rate": 100, "gate": "smoke"}


@pytest.fixture(autouse=True)
def root(settings: Any, tmp_path: Path) -> Path:
    return use_store(settings, tmp_path / "evidence")


@pytest.fixture(autouse=True)
def before(transactional_db: None) -> int:
    return newest_number()


def entries(act: str, *, after: int) -> list[AuditEntry]:
    """Of this test: the audit log is append-only, for tests too."""
    return list(AuditEntry.objects.filter(act=act, number__gt=after).order_by("number"))


def fits(told: Any, path: str, *, method: str = "get", status: str = "200") -> bool:
    described = document()
    schema = described["paths"][path][method]["responses"][status]["content"]["application/json"]["schema"]
    Draft202012Validator({**schema, "components": described["components"]}).validate(told)
    return True


def starter() -> Any:
    return program(Scope.REPLAYS_WRITE, Scope.EVIDENCE_READ, name="pipeline")


def test_a_run_is_started_on_record_in_the_tokens_name_and_its_address_tells_how_far_it_is(before: int) -> None:
    client = starter()
    asked = post(client, RUNS, SMALL)
    assert asked.status_code == 202, asked.content
    assert fits(asked.json(), RUNS, method="post", status="202")
    order = ReplayOrder.objects.get()
    assert asked["Location"].endswith(f"{RUNS}{order.run_id}")
    assert (order.count, order.rate, order.keys, order.gate, order.actor_kind) == (200, 100, 500, "smoke", "token")
    told = client.get(asked["Location"]).json()
    assert (told["state"], told["verdict"], told["summary"]) == ("waiting", None, None)
    assert (told["order"]["asked_by"], told["order"]["reason"]) == ("pipeline", SMALL["reason"])
    (entry,) = entries("replay.asked", after=before)
    assert (entry.actor_kind, entry.actor, entry.reason) == ("token", "pipeline", SMALL["reason"])


def test_progress_is_told_while_the_run_goes_and_what_is_not_known_is_null() -> None:
    order_row(committed_count=None, p95_us=None)
    client = starter()
    told = client.get(f"{RUNS}{UNDER_WAY}").json()
    assert fits(told, "/api/v1/replays/{run_id}")
    assert (told["order"]["committed"], told["order"]["ack_p95_ms"]) == (None, None)
    ReplayOrder.objects.update(sent_count=13_000, acked_count=12_999, committed_count=12_500, p95_us=7_100)
    # whether its process lives is told by its lock, of which this row has none: it was started less than a minute ago
    order = client.get(f"{RUNS}{UNDER_WAY}").json()["order"]
    told = {name: order[name] for name in ("state", "step", "sent", "acked", "committed", "ack_p95_ms")}
    assert told == {
        "state": "running",
        "step": "sending",
        "sent": 13_000,
        "acked": 12_999,
        "committed": 12_500,
        "ack_p95_ms": 7.1,
    }


def test_a_run_whose_process_is_gone_is_told_as_died() -> None:
    order_row(started_at=datetime.fromisoformat("2026-01-02T03:04:05Z"))
    assert starter().get(f"{RUNS}{UNDER_WAY}").json()["state"] == "died"


def test_a_run_that_ended_has_its_figures_and_runs_of_all_kinds_are_listed() -> None:
    folder(RUN)
    order_row()
    entered("r20990101T000000-0a0b0c", verdict="FAIL")  # its files are elsewhere
    client = starter()
    told = client.get(f"{RUNS}{RUN}").json()
    assert fits(told, "/api/v1/replays/{run_id}")
    assert (told["verdict"], told["state"], told["order"], told["summary"]["sent"]) == ("PASS", None, None, 30_000)
    page = client.get(RUNS, {"limit": 3}).json()
    listed = [(each["run_id"], each["state"], each["verdict"], each["provider"]) for each in page["replays"]]
    assert listed == [
        (UNDER_WAY, "running", None, "default"),
        (RUN, None, "PASS", "default"),
        ("r20990101T000000-0a0b0c", None, "FAIL", "default"),
    ]
    assert code(client.get(f"{RUNS}r20990909T000000-0a0b0c")) == (404, "run_unknown")


def test_the_same_key_starts_one_run(before: int) -> None:
    client = starter()
    first, again = (post(client, RUNS, SMALL, **KEY) for _ in "12")
    assert (again.content, again["Location"]) == (first.content, first["Location"])
    assert again["Idempotency-Replayed"] == "true"
    assert (ReplayOrder.objects.count(), len(entries("replay.asked", after=before))) == (1, 1)
    assert code(post(client, RUNS, SMALL)) == (409, "replay_under_way")


@pytest.mark.parametrize(
    ("changed", "answer"),
    [
        ({"count": 300_001}, (400, "request_invalid")),
        ({"rate": 0}, (400, "request_invalid")),
        ({"seed": True}, (400, "request_invalid")),
        ({"reason": " "}, (400, "request_invalid")),
        ({"reason": "x" * 501}, (400, "request_invalid")),
        ({"target": "http://elsewhere"}, (400, "request_invalid")),
        ({"count": 300_000, "rate": 1}, (422, "replay_refused")),
        ({"gate": "none"}, (422, "replay_refused")),
        ({"provider": "nobody"}, (422, "replay_refused")),
    ],
)
def test_what_the_console_would_refuse_is_refused(
    changed: dict[str, Any], answer: tuple[int, str], before: int
) -> None:
    assert code(post(starter(), RUNS, {**SMALL, **changed})) == answer
    assert not ReplayOrder.objects.exists()
    assert entries("replay.asked", after=before) == []


def test_the_bounds_are_those_of_the_consoles_form() -> None:
    fields = schema_of(StartReplayJson)["properties"]
    told = {name: (each["minimum"], each["maximum"]) for name, each in fields.items() if each["type"] == "integer"}
    assert told == {bound.name: (bound.at_least, bound.at_most) for bound in BOUNDS}


def test_a_whole_number_that_json_writes_with_a_point_is_one() -> None:
    assert post(starter(), RUNS, {**SMALL, "count": 200.0}).status_code == 202
    assert ReplayOrder.objects.get().count == 200


def test_the_scope_that_reads_runs_neither_starts_nor_cancels_one_and_its_try_is_on_record(before: int) -> None:
    order_row()
    reader = program(Scope.EVIDENCE_READ, Scope.EVIDENCE_EXPORT, name="reader")
    assert code(post(reader, RUNS, SMALL)) == (403, "permission_refused")
    assert code(post(reader, f"{RUNS}{UNDER_WAY}/cancel", {})) == (403, "permission_refused")
    assert ReplayOrder.objects.get().cancel_asked_at is None
    assert [each.actor for each in entries("permission.refused", after=before)] == ["reader", "reader"]


def test_a_run_is_cancelled_once_with_its_reason_on_record(before: int) -> None:
    order_row(state="waiting", started_at=None)
    client = starter()
    told = post(client, f"{RUNS}{UNDER_WAY}/cancel", {"reason": "a newer commit"}, **KEY)
    assert (told.status_code, told.json()["state"]) == (202, "cancelled")
    (entry,) = entries("replay.cancelled", after=before)
    assert (entry.actor, entry.reason) == ("pipeline", "a newer commit")
    assert post(client, f"{RUNS}{UNDER_WAY}/cancel", {"reason": "a newer commit"}, **KEY).content == told.content
    assert code(post(client, f"{RUNS}{UNDER_WAY}/cancel", {})) == (409, "order_not_under_way")


def test_a_run_that_goes_is_asked_to_stop_and_says_so() -> None:
    order_row()
    told = post(starter(), f"{RUNS}{UNDER_WAY}/cancel", {}).json()
    assert (told["state"], told["order"]["cancel_asked_by"]) == ("running", "pipeline")


def test_a_run_of_a_command_line_or_of_nobody_is_not_cancelled() -> None:
    folder(RUN)
    client = starter()
    assert code(post(client, f"{RUNS}{RUN}/cancel", {})) == (409, "order_not_under_way")
    assert code(post(client, f"{RUNS}r20990909T000000-0a0b0c/cancel", {})) == (404, "run_unknown")


def test_the_order_of_a_bundle_is_cancelled_once_and_on_record(before: int) -> None:
    client = program(Scope.EVIDENCE_EXPORT, Scope.EVIDENCE_READ, name="exporter")
    number = post(client, ORDERS, {"run_id": bundle_row().run_id, "gate": "a"}).json()["number"]
    reader = program(Scope.EVIDENCE_READ, name="reader")
    assert code(post(reader, f"{ORDERS}{number}/cancel", {})) == (403, "permission_refused")
    told = post(client, f"{ORDERS}{number}/cancel", {})
    assert (told.status_code, told.json()["state"]) == (202, "cancelled")
    assert client.get(told["Location"]).json() == told.json()
    assert BundleOrder.objects.get(pk=number).cancel_asked_by == "exporter"
    assert [each.actor for each in entries("bundle.cancelled", after=before)] == ["exporter"]
    assert code(post(client, f"{ORDERS}{number}/cancel", {})) == (409, "order_not_under_way")
    assert code(post(client, f"{ORDERS}{number + 1}/cancel", {})) == (404, "not_found")
