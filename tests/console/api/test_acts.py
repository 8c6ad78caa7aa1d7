"""Acts by the API: done once for a key, with the console's own rules, and on record in the token's name."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.test import Client
from django.utils import timezone

from console.api.v1 import idempotency
from console.models import IdempotentCall, RateWindow
from console.roles import Role
from console.service_tokens.scopes import Scope
from evidence.models import AuditEntry, BundleOrder
from ingestion.buffer.store import LaneBuffer
from ingestion.models import DeadLetter, QuarantinedEvent
from tests.console.api.kit import api_views, code, post, program, token
from tests.console.letters import freed, mended, newest_number, poisoned
from tests.console.rows import bundle_row
from tests.support.evidence import use_store

pytestmark = pytest.mark.django_db(transaction=True)
DEAD = "/api/v1/dead-letters"
ORDERS = "/api/v1/bundles/orders/"
KEY = "1f0c33ab-key"
BEFORE = [0]


@pytest.fixture(autouse=True)
def root(settings: Any, tmp_path: Path) -> Path:
    return use_store(settings, tmp_path / "evidence")


def discarding(*rows: Any, reason: str = "test data") -> dict[str, Any]:
    return {"event_ids": [str(row.pk) for row in rows], "reason": reason}


def discards() -> list[AuditEntry]:
    """Of this test: the audit log is append-only, for tests too."""
    rows = AuditEntry.objects.filter(act="dead_letter.discarded", number__gt=BEFORE[0])
    return list(rows.order_by("number"))


@pytest.fixture(autouse=True)
def before(transactional_db: None) -> None:
    BEFORE[0] = newest_number()


def test_letters_are_discarded_with_a_reason_and_on_record_in_the_tokens_name() -> None:
    letter, other = poisoned(), poisoned(state="discarded", discard_reason="before")
    client = program(Scope.LETTERS_WRITE, name="cleaner")
    told = post(client, f"{DEAD}/discard", discarding(letter, other)).json()
    assert told["done"] == [str(letter.pk)]
    assert [(each["event_id"], each["fate"]) for each in told["refused"]] == [(str(other.pk), "not_open")]
    letter.refresh_from_db()
    assert (letter.state, letter.discard_reason) == ("discarded", "test data")
    entry = AuditEntry.objects.get(number=told["audit_entry"])
    assert (entry.actor_kind, entry.actor, entry.reason) == ("token", "cleaner", "test data")


def test_letters_are_retried_of_both_kinds(buffer: LaneBuffer) -> None:
    letter, row = mended(), freed()
    client = program(Scope.LETTERS_WRITE)
    assert post(client, f"{DEAD}/retry", discarding(letter, reason="")).json()["done"] == [str(letter.pk)]
    assert post(client, "/api/v1/quarantine/retry", discarding(row)).json()["done"] == [str(row.pk)]
    assert DeadLetter.objects.get().state == QuarantinedEvent.objects.get().state == "retrying"


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        None,
        {"event_ids": [], "reason": "x"},
        {"event_ids": ["nonsense"], "reason": "x"},
        {"event_ids": ["00000000-0000-0000-0000-00000000000a\n"], "reason": "x"},
        {"event_ids": ["00000000-0000-0000-0000-00000000000a"] * 501, "reason": "x"},
        {"event_ids": ["00000000-0000-0000-0000-00000000000a"], "reason": " "},
        {"event_ids": ["00000000-0000-0000-0000-00000000000a"], "reason": 7},
        {"event_ids": ["00000000-0000-0000-0000-00000000000a"], "reason": "x", "more": 1},
        {"event_ids": ["00000000-0000-0000-0000-00000000000a"], "reason": "\x00"},
        {"event_ids": ["00000000-0000-0000-0000-00000000000a"], "reason": "\ud800"},
    ],
)
def test_a_body_that_does_not_fit_does_nothing(body: Any) -> None:
    assert code(post(program(Scope.LETTERS_WRITE), f"{DEAD}/discard", body)) == (400, "request_invalid")
    assert discards() == []


def test_what_is_no_json_is_said_to_be_none() -> None:
    client = program(Scope.LETTERS_WRITE)
    for text, content_type, answer in (
        ("{", "application/json", (400, "request_invalid")),
        ("[" * 100_000, "application/json", (400, "request_invalid")),
        ("\xff", "application/json", (400, "request_invalid")),
        ("a=1", "application/x-www-form-urlencoded", (415, "media_type_unsupported")),
    ):
        refused = client.post(f"{DEAD}/discard", text.encode("latin-1"), content_type=content_type)
        assert code(refused) == answer


def test_the_scope_that_reads_letters_does_not_decide_over_them_and_its_try_is_on_record() -> None:
    letter = poisoned()
    refused = post(program(Scope.EVENTS_READ, name="reader"), f"{DEAD}/discard", discarding(letter))
    assert code(refused) == (403, "permission_refused")
    entry = AuditEntry.objects.filter(act="permission.refused").latest("number")
    assert (entry.actor, entry.subject) == ("reader", f"POST {DEAD}/discard")


def test_a_person_acts_by_the_api_too_but_not_without_the_csrf_header(signed_in: Any) -> None:
    letter = poisoned()
    assert post(signed_in(Role.PLATFORM_OPS), f"{DEAD}/discard", discarding(letter)).status_code == 200
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = signed_in(Role.DRI).cookies
    assert code(post(strict, f"{DEAD}/discard", discarding(letter))) == (403, "permission_refused")


def test_a_bundle_is_asked_for_and_its_order_can_be_watched() -> None:
    run_id = bundle_row().run_id
    client = program(Scope.EVIDENCE_EXPORT, Scope.EVIDENCE_READ)
    asked = post(client, ORDERS, {"run_id": run_id, "gate": "a"})
    assert asked.status_code == 202
    told = client.get(asked["Location"]).json()
    assert (told["state"], told["asked_by"], told["sha256"]) == ("waiting", "ci", None)
    BundleOrder.objects.filter(pk=told["number"]).update(state="running")
    assert client.get(asked["Location"]).json()["state"] == "died", "as the console says where no process is"
    for body, answer in (
        ({"run_id": "r20200102T030405-0a0b0c", "gate": "a"}, (404, "run_unknown")),
        ({"run_id": run_id, "gate": "none"}, (404, "gate_unknown")),
        ({"run_id": "../../etc", "gate": "a"}, (400, "request_invalid")),
    ):
        assert code(post(client, ORDERS, body)) == answer


def test_a_bundle_is_verified_on_record_and_what_does_not_fit_is_told() -> None:
    bundle = bundle_row()
    client = program(Scope.EVIDENCE_READ)
    told = post(client, f"/api/v1/bundles/{bundle.artifact_id}/verify", {}).json()
    assert told["outcome"] == "FAIL"
    assert told["findings"]
    assert AuditEntry.objects.filter(act="bundle.verified", actor="ci", number__gt=BEFORE[0]).count() == 1


# Idempotency-Key


def test_the_same_key_and_request_is_done_once_and_answered_alike() -> None:
    letter = poisoned()
    client = program(Scope.LETTERS_WRITE)
    first = post(client, f"{DEAD}/discard", discarding(letter), **{"Idempotency-Key": KEY})
    again = post(client, f"{DEAD}/discard", discarding(letter), **{"Idempotency-Key": KEY})
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert ("Idempotency-Replayed" in first, again["Idempotency-Replayed"]) == (False, "true")
    assert len(discards()) == 1
    assert len(post(client, f"{DEAD}/discard", discarding(letter)).json()["refused"]) == 1  # without a key it is an act


def test_a_replayed_answer_keeps_status_and_location() -> None:
    run_id = bundle_row().run_id
    client = program(Scope.EVIDENCE_EXPORT)
    first, again = (post(client, ORDERS, {"run_id": run_id, "gate": "a"}, **{"Idempotency-Key": KEY}) for _ in "12")
    assert (again.status_code, again["Location"], again.json()) == (202, first["Location"], first.json())


def test_a_key_with_another_body_or_address_is_refused_and_nothing_is_done() -> None:
    letter = poisoned()
    client = program(Scope.LETTERS_WRITE)
    post(client, f"{DEAD}/discard", discarding(letter), **{"Idempotency-Key": KEY})
    other = poisoned()
    for address, body in (
        (f"{DEAD}/discard", discarding(other)),
        (f"{DEAD}/discard", discarding(letter, reason="another")),
        (f"{DEAD}/retry", discarding(letter)),
    ):
        refused = post(client, address, body, **{"Idempotency-Key": KEY})
        assert code(refused) == (422, "idempotency_key_reused")
    assert len(discards()) == 1


def test_keys_of_two_accounts_have_nothing_to_do_with_each_other() -> None:
    one, two = poisoned(), poisoned()
    for name, letter in (("one", one), ("two", two)):
        client = program(Scope.LETTERS_WRITE, name=name)
        answer = post(client, f"{DEAD}/discard", discarding(letter), **{"Idempotency-Key": KEY})
        assert answer.json()["done"] == [str(letter.pk)]


def test_a_refusal_frees_the_key_as_it_did_nothing() -> None:
    client = program(Scope.EVIDENCE_EXPORT)
    unknown = {"run_id": "r20200102T030405-0a0b0c", "gate": "a"}
    assert code(post(client, ORDERS, unknown, **{"Idempotency-Key": KEY})) == (404, "run_unknown")
    assert IdempotentCall.objects.count() == 0


def test_of_racing_requests_with_one_key_one_acts_and_all_others_get_its_answer_or_are_told_to_wait() -> None:
    letter, text, barrier = poisoned(), token(Scope.LETTERS_WRITE), Barrier(6)

    def race(_: int) -> Any:
        barrier.wait()
        try:
            client = Client(headers={"Authorization": f"Bearer {text}"})
            return post(client, f"{DEAD}/discard", discarding(letter), **{"Idempotency-Key": KEY})
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(race, range(6)))
    done = [answer for answer in answers if answer.status_code == 200]
    assert len({answer.content for answer in done}) == 1
    assert {code(each) for each in answers if each.status_code != 200} <= {(409, "idempotency_key_under_way")}
    assert sum("Idempotency-Replayed" not in answer for answer in done) == 1
    assert len(discards()) == 1


def test_a_process_that_died_after_the_act_leaves_a_key_that_never_acts_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    letter = poisoned()
    client = program(Scope.LETTERS_WRITE)

    class Killed(BaseException):
        pass

    def killed(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(idempotency, "_settle", killed)
        with pytest.raises(Killed):
            post(client, f"{DEAD}/discard", discarding(letter), **{"Idempotency-Key": KEY})
    again = post(client, f"{DEAD}/discard", discarding(letter), **{"Idempotency-Key": KEY})
    assert code(again) == (409, "idempotency_key_under_way")
    assert again["Retry-After"] == "10"
    assert len(discards()) == 1


def test_keys_are_forgotten_after_a_day() -> None:
    letter = poisoned()
    client = program(Scope.LETTERS_WRITE)
    post(client, f"{DEAD}/discard", discarding(letter), **{"Idempotency-Key": KEY})
    IdempotentCall.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    again = post(client, f"{DEAD}/discard", discarding(letter), **{"Idempotency-Key": KEY})
    assert [each["fate"] for each in again.json()["refused"]] == ["not_open"]
    assert (IdempotentCall.objects.count(), len(discards())) == (1, 2)


@pytest.mark.parametrize("key", ["", " ", "x" * 201, "ä"])
def test_a_key_that_is_none_is_refused(key: str) -> None:
    refused = post(program(Scope.LETTERS_WRITE), f"{DEAD}/discard", discarding(poisoned()), **{"Idempotency-Key": key})
    assert code(refused) == (400, "request_invalid")


def test_every_act_of_the_api_takes_a_key_but_a_check_which_may_be_repeated_and_a_decision_which_is_refused() -> None:
    without = {
        view.__name__
        for view in api_views()
        for method, operation in view.operations.items()
        if method == "POST" and not operation.is_idempotent
    }
    assert without == {"ReceiptCheck", "GateDecisions"}
    behind = {view.__name__ for view in api_views() if hasattr(getattr(view, "post", None), "__wrapped__")}
    assert behind == {
        view.__name__ for view in api_views() if any(each.is_idempotent for each in view.operations.values())
    }


# How often


def limited(settings: Any, limit_count: int) -> None:
    settings.AUTOCOM = replace(django_settings.AUTOCOM, api_rate_limit_per_minute=limit_count)


def same_minute(client: Client, address: str, count: int) -> list[Any]:
    """Calls within one window, even where a minute ended between them."""
    while True:
        answers = [client.get(address) for _ in range(count)]
        if RateWindow.objects.get().count == count:
            return answers
        RateWindow.objects.all().delete()


def test_above_the_limit_a_program_is_told_when_to_come_again(settings: Any) -> None:
    limited(settings, 3)
    answers = same_minute(program(Scope.EVIDENCE_READ), "/api/v1/gates/", 5)
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert [answer["RateLimit"].split(";t=")[0] for answer in answers] == [
        f'"account";r={left}' for left in (2, 1, 0, 0, 0)
    ]
    assert code(answers[3]) == (429, "rate_limited")
    assert answers[3]["RateLimit-Policy"] == '"account";q=3;w=60'
    assert 1 <= int(answers[3]["Retry-After"]) <= 60


def test_all_addresses_and_processes_count_together_and_accounts_apart(settings: Any, tmp_path: Path) -> None:
    limited(settings, 2)
    client = program(Scope.EVIDENCE_READ, name="busy")
    same_minute(client, "/evidence/", 2)
    row = RateWindow.objects.get()  # in the database, so no process has a count of its own
    assert (row.account, row.count) == ("token:busy", 2)
    RateWindow.objects.update(began_at=timezone.now() + timedelta(minutes=5))
    assert code(client.get("/api/v1/mode")) == (429, "rate_limited")
    assert program(Scope.EVIDENCE_READ, name="quiet").get("/api/v1/mode").status_code == 200


def test_a_new_minute_begins_anew(settings: Any) -> None:
    limited(settings, 1)
    client = program(Scope.EVIDENCE_READ)
    same_minute(client, "/api/v1/mode", 2)
    RateWindow.objects.update(began_at=timezone.now() - timedelta(minutes=2))
    assert client.get("/api/v1/mode").status_code == 200


def test_racing_calls_are_all_counted() -> None:
    text = token(Scope.EVIDENCE_READ)

    def call(_: int) -> None:
        try:
            Client(headers={"Authorization": f"Bearer {text}"}).get("/api/v1/mode")
        finally:
            connection.close()

    while True:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(call, range(24)))
        counted = RateWindow.objects.get()
        if counted.began_at.minute == timezone.now().minute:
            break
        RateWindow.objects.all().delete()
    assert counted.count == 24


def test_webhooks_and_the_ingress_know_no_rate_limit() -> None:
    from autocom import ingress_urls
    from ingestion.receive import ReceiveDelivery

    assert tuple(ReceiveDelivery.throttle_classes) == ()
    views = [getattr(each.callback, "cls", None) for each in ingress_urls.urlpatterns if hasattr(each, "callback")]
    assert not [view for view in views if view is not None and view.throttle_classes]
