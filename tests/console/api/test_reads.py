"""Every resource is read as its shape says, by pages and filters, and by nobody without the scope."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.db import OperationalError
from django.test import Client
from jsonschema import Draft202012Validator

from console.access import Permission
from console.api.v1.schema import document
from console.service_tokens.scopes import PERMISSIONS_BY_SCOPE, Scope
from evidence.models import BundleOrder
from ingestion.buffer.store import BufferUnavailable, LaneBuffer
from ingestion.models import AgedEvent
from tests.console.api.kit import api_views, code, post, program, stocked
from tests.console.rows import ago, batch_row, dead_letter_row, event_row
from tests.support.evidence import use_store

pytestmark = pytest.mark.django_db(transaction=True)
V1 = "/api/v1"


@pytest.fixture(autouse=True)
def root(settings: Any, tmp_path: Path) -> Path:
    return use_store(settings, tmp_path / "evidence")


@pytest.fixture
def rows(buffer: LaneBuffer) -> dict[str, Any]:
    return stocked()


def addresses(rows: dict[str, Any]) -> dict[str, str]:
    """By the document's paths: one address of each that answers JSON."""
    run, bundle = rows["bundle"].run_id, rows["bundle"].artifact_id
    order = BundleOrder.objects.get().pk
    one = {
        "events": {"event_id": rows["event"].pk},
        "dead-letters": {"event_id": rows["letter"].pk},
        "quarantine": {"event_id": rows["quarantined"].pk},
        "bundles": {"sha256": bundle, "number": order},
        "audit": {"number": rows["audit"].number},
        "rbac": {"number": rows["rbac"].pk},
        "gates": {"gate": "a"},
        "budgets": {"slo": "availability"},
        "providers": {"provider": "mail"},
        "replays": {"run_id": run},
        "lineage": {"id": rows["event"].message_id},
    }
    found = {}
    for path, methods in document()["paths"].items():
        answer = methods.get("get", {}).get("responses", {}).get("200", {})
        if "application/json" in answer.get("content", {}):
            values = {name: str(value) for name, value in one.get(path.split("/")[3], {}).items()}
            found[path] = path.format(**values) + (f"?id={values['id']}" if path == f"{V1}/lineage" else "")
    return found


def test_every_resource_answers_what_the_document_says_and_keeps_payloads_to_itself(rows: dict[str, Any]) -> None:
    client, told = program(), document()
    found = addresses(rows)
    assert len(found) > 25
    for path, address in found.items():
        answer = client.get(address)
        assert answer.status_code == 200, (address, answer.content)
        schema = told["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        Draft202012Validator({**schema, "components": told["components"]}).validate(answer.json())
        assert b"someone" not in answer.content, address  # of every payload in the rows
        assert b"by-nobody" not in answer.content, address  # of the signed headers
        head = client.head(address)
        assert (head.status_code, head.content, head["Content-Type"]) == (200, b"", answer["Content-Type"])


def test_every_resource_is_refused_without_account_or_scope(rows: dict[str, Any]) -> None:
    other = program(Scope.EVIDENCE_WRITE, name="uploads-only")
    for address in addresses(rows).values():
        assert code(Client().get(address)) == (401, "authentication_required")
        assert code(other.get(address)) == (403, "permission_refused")


def test_each_permission_that_an_operation_takes_is_held_by_a_scope_but_deciding() -> None:
    held = {permission for permissions in PERMISSIONS_BY_SCOPE.values() for permission in permissions}
    asked = {view.operations[m].permission for view in api_views() for m in view.operations}
    assert asked - held == {None, Permission.GATE_DECIDE}


def test_pages_lead_through_all_rows_once_and_filters_stay_in_the_links() -> None:
    rows = [event_row(provider="mail" if n % 2 else "default") for n in range(9)]
    client, address, seen = program(Scope.EVENTS_READ), f"{V1}/events/?limit=2&provider=mail", []
    while address:
        page = client.get(address).json()
        seen += [each["event_id"] for each in page["events"]]
        address = page["next"]
    assert seen == [str(row.pk) for row in reversed(rows) if row.provider == "mail"]


def test_a_search_is_the_consoles_and_says_how_it_was_understood() -> None:
    event_row(message_id="m-1")
    client = program(Scope.EVENTS_READ)
    found = client.get(f"{V1}/events/", {"q": "message:m-1"}).json()
    assert ([each["message_id"] for each in found["events"]], found["understood"]) == (
        ["m-1"],
        ["message id is “m-1”"],
    )
    nothing = client.get(f"{V1}/events/", {"q": "id:nonsense"}).json()
    assert (nothing["events"], nothing["problem"][:21]) == ([], "“nonsense” is no id: ")


def test_letters_are_filtered_by_state_provider_error_and_age() -> None:
    old = dead_letter_row(received_at=ago(days=9), fingerprint="f" * 16)
    new = dead_letter_row(provider="mail", state="discarded")
    client = program(Scope.EVENTS_READ)
    for query, expected in (
        ({"state": "open"}, [old]),
        ({"provider": "mail"}, [new]),
        ({"error": "f" * 16}, [old]),
        ({"age": "older"}, [old]),
        ({"age": "hour"}, [new]),
        ({"q": f"error:{'f' * 16}"}, [old]),
    ):
        told = client.get(f"{V1}/dead-letters/", query).json()["dead_letters"]
        assert [each["event_id"] for each in told] == [str(row.pk) for row in expected], query


def test_only_the_first_line_of_an_error_leaves_as_the_others_may_quote_the_payload() -> None:
    row = dead_letter_row(error='invalid input syntax for type json\nCONTEXT: {"to": "someone@example.com"}')
    client = program(Scope.EVENTS_READ)
    for address in (f"{V1}/dead-letters/", f"{V1}/dead-letters/{row.pk}", f"{V1}/lineage?id={row.pk}"):
        told = client.get(address).content
        assert b"invalid input syntax" in told
        assert b"someone" not in told


@pytest.mark.parametrize(
    "query",
    [
        "colour=red",
        "limit=0",
        "limit=201",
        "limit=x",
        "limit=1&limit=2",
        "before=nothing",
        "before=" + "5" * 40,
        "provider=%00",
        "q=%00",
    ],
)
def test_what_an_address_does_not_take_is_refused_and_not_ignored(query: str) -> None:
    assert code(program(Scope.EVENTS_READ).get(f"{V1}/events/?{query}")) == (400, "request_invalid")


def test_an_answer_that_did_not_change_is_not_sent_again(rows: dict[str, Any]) -> None:
    client = program(Scope.EVIDENCE_READ)
    first = client.get(f"{V1}/gates/a")
    again = client.get(f"{V1}/gates/a", headers={"If-None-Match": f'W/"0", {first["ETag"]}'})
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])
    assert client.get(f"{V1}/gates/a", headers={"If-None-Match": '"other"'}).status_code == 200


def test_methods_that_are_not_served_are_405_with_what_is_and_options_says_so(rows: dict[str, Any]) -> None:
    client = program()
    for method in ("post", "put", "patch", "delete"):
        refused = getattr(client, method)(f"{V1}/events/")
        assert code(refused) == (405, "method_not_allowed")
        assert refused["Allow"] == "GET, HEAD, OPTIONS"
    options = client.options(f"{V1}/dead-letters/retry")
    assert (options.status_code, options["Allow"], options.content) == (204, "POST, OPTIONS", b"")


def test_nothing_is_said_as_a_problem_at_every_address_below_the_api() -> None:
    for address in (f"{V1}/nothing", f"{V1}/events/not-an-id", f"{V1}/gates", f"{V1}/audit/x"):
        for method in ("get", "post", "delete"):
            assert code(getattr(Client(), method)(address)) == (404, "not_found")
    assert code(program().get(f"{V1}/gates/nothing")) == (404, "gate_unknown")


def test_what_aged_out_is_told_from_what_never_was() -> None:
    event = event_row()
    event_id = event.pk
    AgedEvent.objects.create(
        event_id=event_id,
        provider="default",
        identity=event.identity,
        content_sha256=event.content_sha256,
        lane=event.lane,
        epoch=1,
        sequence=event.sequence,
        batch=event.batch,
        position=0,
        aged_at=ago(days=1),
    )
    event.delete()
    client = program(Scope.EVENTS_READ)
    assert "aged out at" in client.get(f"{V1}/events/{event_id}").json()["detail"]
    assert "no such event" in client.get(f"{V1}/events/{UUID(int=7)}").json()["detail"]


def test_latency_is_told_by_stage_and_by_provider_over_the_range(rows: dict[str, Any]) -> None:
    client = program(Scope.OPERATIONS_READ)
    told = client.get(f"{V1}/latency", {"seconds": "600", "by_provider": "true"}).json()["stages"]
    ack = {each["provider"]: each for each in told if each["stage"] == "ack"}
    assert set(ack) == {None, "default"}
    assert (ack[None]["count"], ack[None]["within_slo_count"], ack[None]["max_ms"]) == (501, 500, 150.0)
    assert sum(each["count"] for each in ack["default"]["histogram"]) == 501
    past = client.get(f"{V1}/latency", {"until": "2020-01-01T00:00:00Z"}).json()
    assert {each["count"] for each in past["stages"]} == {0}
    assert (past["since"], past["until"]) == ("2019-12-31T23:00:00.000000Z", "2020-01-01T00:00:00.000000Z")


def test_receipts_are_checked_and_what_is_none_of_ours_is_said_to_be(buffer: LaneBuffer) -> None:
    client = program(Scope.EVENTS_READ)
    batch = batch_row(lane=0, first_sequence=1, last_sequence=1)
    event = event_row(lane=0, sequence=1, batch=batch)
    found = client.get(f"{V1}/events/{event.pk}").json()
    assert found["trace_id"] == UUID(found["request_id"]).hex
    receipt = found["receipt"]
    told = post(client, f"{V1}/receipts/check", {"receipts": [receipt, "acr1 forged"]}).json()
    assert [each["verdict"] for each in told["receipts"]] == ["committed", "forged"]
    assert told["outcome"] == "FAIL"
    assert code(post(client, f"{V1}/receipts/check", {"receipts": []})) == (400, "request_invalid")


def test_a_silent_redis_is_a_503_and_never_an_empty_list(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent() -> None:
        raise BufferUnavailable("Redis does not answer")

    monkeypatch.setattr("console.api.v1.operations.lane_states", silent)
    refused = program(Scope.OPERATIONS_READ).get(f"{V1}/lanes/")
    assert code(refused) == (503, "buffer_unavailable")
    assert refused["Retry-After"] == "10"


def test_a_silent_database_is_a_503_with_the_same_form(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(_: str) -> None:
        raise OperationalError("the server closed the connection")

    client = program(Scope.OPERATIONS_READ)
    monkeypatch.setattr("console.api.rates.counted", silent)
    assert code(client.get(f"{V1}/alerts/")) == (503, "database_unavailable")
