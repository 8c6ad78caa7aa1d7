"""Errors reach Sentry from every service with their request id, and nothing that must not leave goes with them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sentry_sdk
from django.conf import settings

from autocom.kernel.request_context import REQUEST_ID
from autocom.scrubbing import HEADERS_KEPT, known_secrets, scrub, without_data
from autocom.sentry_transport import ModeTransport
from evidence.audit import Actor
from evidence.mode_changes import change_mode
from evidence.models import ModeChange
from evidence.modes import Mode
from ingestion.buffer import keys
from ingestion.buffer.store import LaneBuffer
from ingestion.models import Provider, ProviderSecret
from ingestion.provider_book import ProviderBook
from ingestion.secret_box import fingerprint_of, seal
from tests.project.fake_sentry import PATIENCE_SECONDS, FakeSentry, fake_sentry
from tests.project.posting import posted
from tests.project.sabotage.apps import RECEIPT
from tests.project.service_kit import PROJECT, await_answer, running_service
from tests.support.gates import approved_go, own_store
from tests.support.ingress import free_port, running_ingress, signed_request
from tests.support.senders import event_body, signed_headers
from tests.support.workers import database_url, environment

ADDRESS = "ada@example.com"
QUERY_TOKEN = "tok-0123456789-query"
COOKIE = "cookie-0123456789-value"


@pytest.fixture
def sentry() -> Iterator[FakeSentry]:
    with fake_sentry() as sentry:
        yield sentry


def sabotaged(sentry: FakeSentry, where: str) -> dict[str, str]:
    return {
        "SENTRY_DSN": sentry.dsn,
        "DJANGO_SETTINGS_MODULE": "tests.project.sabotage.settings",
        "SABOTAGE": where,
    }


def assert_nothing_private(sentry: FakeSentry, *, headers: dict[str, str]) -> None:
    sent = b"\n".join(sentry.envelopes).decode()
    environment = settings.AUTOCOM
    private = {
        "secret key": environment.secret_key,
        "bearer key": environment.webhook_bearer_key,
        "hmac secret": environment.webhook_hmac_secret,
        "signature": headers["X-Webhook-Signature"].removeprefix("sha256="),
        "payload": ADDRESS,
        "message id": "evt-private",
        "receipt": RECEIPT,
        "receipt's MAC": RECEIPT.rsplit(" ", 1)[1],
        "query string": QUERY_TOKEN,
        "cookie": COOKIE,
    }
    assert [name for name, value in private.items() if value in sent] == []


def spilled(event: dict[str, Any]) -> dict[str, Any]:
    values: list[dict[str, Any]] = event["exception"]["values"]
    assert values[-1]["type"] == "SpilledError"
    return values[-1]


@pytest.mark.django_db(transaction=True)
def test_an_error_in_the_ingress_arrives_with_its_request_id_and_nothing_private(
    buffer: LaneBuffer, sentry: FakeSentry
) -> None:
    body = event_body("evt-private", to=ADDRESS)
    headers = signed_headers(body)
    wanted: dict[str, Any] = sabotaged(sentry, "accept")
    with running_ingress(redis_url=settings.AUTOCOM.redis_url, db_url=database_url(), **wanted) as ingress:
        answer = ingress.send(signed_request(body, path=f"/webhooks/default?token={QUERY_TOKEN}"))
        assert (answer.status, answer.code) == (500, "internal_error")
        event = sentry.wait_for_event()
        assert event["tags"]["request_id"] == answer.json()["request_id"]
        assert event["logger"] == "ingestion.receive"
        assert spilled(event)["value"].startswith("cannot go on with ")
        assert_nothing_private(sentry, headers=headers)
        assert ADDRESS not in answer.body.decode()


@pytest.mark.django_db(transaction=True)
def test_an_error_in_a_worker_arrives_with_the_request_id_of_its_batch_and_nothing_private(
    buffer: LaneBuffer, sentry: FakeSentry, tmp_path: Path
) -> None:
    body = event_body("evt-private", to=ADDRESS)
    headers = signed_headers(body)
    accepted = posted(body)
    with running_service("worker", log_path=tmp_path / "log", **sabotaged(sentry, "commit")):
        event = sentry.wait_for_event()
    assert event["tags"]["request_id"] == accepted["request_id"]
    assert spilled(event)
    assert_nothing_private(sentry, headers=headers)
    assert accepted["receipt"] not in b"\n".join(sentry.envelopes).decode()


@pytest.mark.django_db(transaction=True)
def test_an_error_in_the_console_arrives_with_its_request_id_and_nothing_private(
    buffer: LaneBuffer, sentry: FakeSentry, tmp_path: Path
) -> None:
    port = free_port()
    headers = signed_headers(event_body("evt-private", to=ADDRESS)) | {"Cookie": f"sessionid={COOKIE}"}
    wanted = sabotaged(sentry, "page") | {"CONSOLE_PORT": str(port)}
    with running_service("console", log_path=tmp_path / "log", **wanted) as console:
        await_answer(f"http://127.0.0.1:{port}/healthz")
        request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics?token={QUERY_TOKEN}", headers=headers)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=20)  # noqa: S310  (our own console)
        assert refused.value.code == 500
        event = sentry.wait_for_event()
        request_id = refused.value.headers["X-Request-Id"]
        assert event["tags"]["request_id"] == request_id
        assert event["request"]["method"] == "GET"
        assert {name.lower() for name in event["request"]["headers"]} <= HEADERS_KEPT
        assert spilled(event)
        assert_nothing_private(sentry, headers=headers)
        assert [line["request_id"] for line in console.lines("Internal Server Error: /metrics")] == [request_id]


def initialised(**environ: str) -> list[str] | None:
    """The integrations of a process with this environment; None where Sentry is off."""
    script = (
        "import django, json, sentry_sdk; django.setup(); client = sentry_sdk.get_client();"
        "print(json.dumps(sorted(client.integrations) if client.is_active() else None))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=PROJECT,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found: list[str] | None = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("process", ["", "ingress"])
def test_without_a_dsn_nothing_is_initialised(process: str) -> None:
    assert initialised(AUTOCOM_PROCESS=process) is None


def test_the_ingress_has_no_integration_but_its_log_and_the_others_have_django_and_rq() -> None:
    dsn = "http://key@127.0.0.1:1/1"
    assert initialised(SENTRY_DSN=dsn, AUTOCOM_PROCESS="ingress") == ["logging"]
    assert {"django", "rq", "logging"} <= set(initialised(SENTRY_DSN=dsn, AUTOCOM_PROCESS="") or ())


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("process", ["", "ingress"])
def test_in_observer_mode_a_sentry_elsewhere_is_told_nothing_unless_the_setting_allows_it(
    buffer: LaneBuffer, sentry: FakeSentry, process: str
) -> None:
    elsewhere = {"SENTRY_DSN": "http://key@sentry.example.com/1", "AUTOCOM_PROCESS": process, **proxied(sentry)}
    tell(**elsewhere)
    assert (sentry.envelopes, withheld_count(buffer)) == ([], 1)
    tell(**elsewhere, SENTRY_IN_OBSERVER="false")
    assert (sentry.envelopes, withheld_count(buffer)) == ([], 2)
    tell(**elsewhere, SENTRY_IN_OBSERVER="true")
    assert [event["logger"] for event in sentry.events()] == ["ingestion.receive"]
    assert withheld_count(buffer) == 2


@pytest.mark.django_db(transaction=True)
def test_sentry_follows_the_mode_up_and_down_while_the_process_runs(
    buffer: LaneBuffer, sentry: FakeSentry, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"dsn": "http://key@sentry.example.com/1", "default_integrations": False}
    client = sentry_sdk.Client(**options, transport=ModeTransport, http_proxy=f"http://127.0.0.1:{sentry.port}")
    try:
        with own_store(tmp_path):
            client.capture_event({"message": "in observer"})
            client.flush(timeout=PATIENCE_SECONDS)
            actor = Actor.process("test-sentry")
            change_mode(
                Mode.LIMITED,
                cause=ModeChange.Cause.DECISION,
                actor=actor,
                reason="canary",
                decision=approved_go(),
                scope={"share": "0.05"},
            )
            told_until(client, lambda: bool(sentry.events()))
            change_mode(Mode.OBSERVER, cause=ModeChange.Cause.PERSON, actor=actor, reason="enough")
            before = withheld_count(buffer)
            told_until(client, lambda: withheld_count(buffer) > before)
            passed_count = len(sentry.events())
            client.capture_event({"message": "in observer again"})
            client.flush(timeout=PATIENCE_SECONDS)
    finally:
        client.close(timeout=PATIENCE_SECONDS)
    assert len(sentry.events()) == passed_count
    assert {event["message"] for event in sentry.events()} == {"in another mode"}


def told_until(client: sentry_sdk.Client, is_done: Callable[[], bool]) -> None:
    """The mode is asked again within seconds."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_done():
        assert time.monotonic() < deadline, "the mode is not followed"
        client.capture_event({"message": "in another mode"})
        client.flush(timeout=PATIENCE_SECONDS)
        time.sleep(0.1)


def tell(**environ: str) -> None:
    """A process with this environment logs one error."""
    script = (
        "import django, logging, sentry_sdk; django.setup();"
        "logging.getLogger('ingestion.receive').error('told'); sentry_sdk.flush(timeout=30)"
    )
    told = {**environment(), **environ}
    subprocess.run([sys.executable, "-c", script], cwd=PROJECT, env=told, timeout=120, check=True)


def proxied(sentry: FakeSentry) -> dict[str, str]:
    """What is sent to any other host by http arrives at the fake, and no name is looked up."""
    return {"http_proxy": f"http://127.0.0.1:{sentry.port}", "no_proxy": ""}


def withheld_count(buffer: LaneBuffer) -> int:
    return int(buffer.client.hget(keys.METRICS.decode(), "withheld|sentry") or 0)


KEPT = [
    "connection to server failed: Connection refused",
    'duplicate key value violates unique constraint "event_identity_once"',
    "'NoneType' object has no attribute 'payload'",
    "it can't be read, and it doesn't matter",
]
REMOVED = [
    f"unexpected body {{'to': '{ADDRESS}'}}",
    f'bad value "{ADDRESS}" in line 3',
    f"KeyError: '{ADDRESS}'",
    f"postgresql://user:{ADDRESS}@db/x is down",
    f"Authorization: Bearer {ADDRESS}",
    f"first line\nDETAIL:  Failing row contains ({ADDRESS})",
    f"acr1 0189 3 {ADDRESS}",
    f'CONTEXT: JSON data, line 1: {{"to":"{ADDRESS}"}}',
]


@pytest.mark.parametrize("text", KEPT)
def test_an_ordinary_sentence_is_kept_whole(text: str) -> None:
    assert without_data(text) == text


@pytest.mark.parametrize("text", REMOVED)
def test_what_looks_like_data_is_taken_out_of_a_sentence(text: str) -> None:
    assert ADDRESS not in without_data(text)


def test_a_digest_or_signature_is_taken_out_and_the_text_is_cut() -> None:
    assert "ab" * 32 not in without_data(f"got {'ab' * 32} expected {'cd' * 32}")
    assert len(without_data("word " * 1_000)) == 500


def test_a_secret_is_taken_out_wherever_it_stands_even_as_a_key_of_a_tag_or_in_a_frame() -> None:
    secret = settings.AUTOCOM.webhook_hmac_secret
    event: Any = {
        "message": f"x {secret}",
        "transaction": f"/pages/{secret}",
        "tags": {"where": secret},
        "exception": {"values": [{"value": "x", "stacktrace": {"frames": [{"context_line": f"key = '{secret}'"}]}}]},
        "contexts": {"trace": {"deep": [{"deeper": f"a{secret}b"}]}},
    }
    assert secret not in json.dumps(scrub(event, {}))


def test_the_request_id_of_a_log_line_wins_over_that_of_the_request_at_hand() -> None:
    from uuid import UUID

    token = REQUEST_ID.set(UUID(int=7))
    try:
        assert scrub({}, {})["tags"] == {"request_id": str(UUID(int=7))}
        assert scrub({"extra": {"request_id": "named"}}, {})["tags"] == {"request_id": "named"}
    finally:
        REQUEST_ID.reset(token)
    assert "tags" not in scrub({}, {})


@pytest.mark.django_db
def test_the_secrets_of_all_known_providers_are_among_those_taken_out(monkeypatch: pytest.MonkeyPatch) -> None:
    value = "whsec-of-a-provider-0123456789"
    row = Provider.objects.create(name="stripe", scheme="stripe")
    ProviderSecret.objects.create(provider=row, ciphertext=seal(value), fingerprint=fingerprint_of(value))
    book = ProviderBook()
    book.refresh()
    monkeypatch.setattr("ingestion.provider_book.BOOK", book)
    monkeypatch.setattr(settings, "AUTOCOM", replace(settings.AUTOCOM, oidc_client_secret="c7" * 12))
    assert {value, "c7" * 12} <= set(known_secrets())
    assert settings.AUTOCOM.webhook_bearer_key in known_secrets()
    assert known_secrets() == sorted(known_secrets(), key=len, reverse=True)
