"""A delivery is one trace from its first byte to its commit, in logs, lineage, Sentry and OpenTelemetry, and nothing of
it leaves that should not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import Client
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from autocom.build import build
from autocom.kernel.clock import us_of
from autocom.kernel.ids import new_request_id
from autocom.kernel.request_context import PERSONAL_TEXTS
from autocom.kernel.trace_ids import is_sampled, is_traceparent, sender_span, span_id, trace_id
from autocom.otlp import GuardedExporter
from autocom.scrubbing import scrub
from autocom.sentry_traces import CheckIns, TransactionTeller
from autocom.spans import span_of_job, span_of_request
from evidence.audit import Act, Actor
from evidence.mode_changes import change_mode
from evidence.models import AuditEntry, ModeChange
from evidence.modes import Mode
from ingestion import committed, drain, jobs
from ingestion.buffer import keys
from ingestion.buffer.store import LaneBuffer
from ingestion.committed import CommittedDelivery
from ingestion.drain import Drainer
from ingestion.lanes import lane_of
from ingestion.models import Delivery, Event
from ingestion.personal_texts import texts_of_payload
from ingestion.providers.registry import ADAPTERS
from ingestion.worker import PERIODIC
from tests.project.fake_sentry import FakeSentry, fake_sentry
from tests.project.otlp_receiver import otlp_receiver
from tests.project.posting import posted
from tests.project.service_kit import PROJECT, await_answer, running_service
from tests.support.gates import approved_go, own_store
from tests.support.ingress import free_port, running_ingress, signed_request
from tests.support.senders import event_body, signed_headers
from tests.support.spans import answered_request, ended_job
from tests.support.workers import database_url, wait_for

SENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ADDRESS = "ada@example.com"
MESSAGE, KEY = "evt-of-ada-lovelace", "customer-ada-lovelace"


def post(body: bytes, *, traceparent: str = SENT) -> dict[str, Any]:
    headers = signed_headers(body) | {"traceparent": traceparent}
    answer = Client().post("/webhooks/default", data=body, content_type="application/json", headers=headers)
    assert answer.status_code == 202
    found: dict[str, Any] = answer.json()
    return found


def body_of_ada() -> bytes:
    return event_body(MESSAGE, ordering_key=KEY, to=ADDRESS)


def drained(drainer: Drainer) -> None:
    for lane in range(settings.AUTOCOM.lanes):
        drainer.drain(lane, job_id="test")


MALFORMED = [
    "",
    SENT.upper(),
    SENT + "-extra",
    SENT[:-1],
    f"00-{'0' * 32}-b7ad6b7169203331-01",
    f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01",
    f"ff{SENT[2:]}",
    f"01{SENT[2:]}",
    SENT.replace("-", "_"),
    "x" * 55,
    "x" * 5_000,
]


@pytest.mark.parametrize("text", MALFORMED)
def test_what_is_no_traceparent_of_version_00_is_nobodys_trace(text: str) -> None:
    assert not is_traceparent(text)
    assert sender_span(text) is None


def test_ids_follow_from_the_delivery_alone() -> None:
    request_id = new_request_id(now_us=1_795_439_432_793_424)
    assert trace_id(request_id) == request_id.hex
    assert span_id(request_id, "queue 1") == span_id(request_id, "queue 1")
    ids = {span_id(request_id, name) for name in ("receive", "queue 1", "queue 2", "commit 1")}
    assert len(ids) == 4
    assert all(len(each) == 16 and int(each, 16) for each in ids)


def test_a_share_of_deliveries_is_sampled_and_the_same_ones_by_everybody() -> None:
    ids = [new_request_id(now_us=1_795_439_432_793_424 + i) for i in range(4_000)]
    chosen = [each for each in ids if is_sampled(each, share=0.25)]
    assert 800 <= len(chosen) <= 1_200
    assert [each for each in ids if is_sampled(each, share=0.25)] == chosen
    assert not any(is_sampled(each, share=0) for each in ids)
    assert all(is_sampled(each, share=1) for each in ids)


def attributes(span: Any) -> dict[str, Any]:
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


@pytest.mark.django_db(transaction=True)
def test_a_senders_traceparent_is_a_link_and_never_ours(buffer: LaneBuffer, tmp_path: Path) -> None:
    answer = post(body_of_ada())
    request_id = UUID(answer["request_id"])
    with otlp_receiver() as receiver:
        wanted = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=shop",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=test",
        }
        with running_service("worker", log_path=tmp_path / "log", **wanted):
            spans = {span.name: span for span in receiver.wait_for_spans(3)}
    assert set(spans) == {"receive", "queue", "commit"}
    root = spans["receive"]
    assert {span.trace_id.hex() for span in spans.values()} == {request_id.hex}
    assert root.parent_span_id == b""
    assert {spans[name].parent_span_id for name in ("queue", "commit")} == {root.span_id}
    (link,) = root.links
    assert (link.trace_id.hex(), link.span_id.hex()) == sender_span(SENT)
    assert not spans["queue"].links
    row = Event.objects.select_related("batch").get()
    assert root.start_time_unix_nano == us_of(row.received_at) * 1_000
    assert spans["queue"].start_time_unix_nano == root.end_time_unix_nano or row.accepted_at < row.received_at
    assert spans["commit"].start_time_unix_nano == us_of(row.batch.claimed_at) * 1_000
    assert spans["commit"].end_time_unix_nano >= us_of(row.batch.committed_at) * 1_000
    assert attributes(root) == {"autocom.request_id": str(request_id), "autocom.provider": "default"}
    told = attributes(spans["commit"])
    assert (told["autocom.batch"], told["autocom.events"], told["autocom.sequence"]) == (row.batch_id, 1, row.sequence)
    (path, headers, body), *_ = receiver.requests
    assert (path, headers["x-tenant"]) == ("/v1/traces", "shop")
    assert receiver.resource()["service.name"] == "autocom"
    assert receiver.resource()["deployment.environment"] == "test"
    for private in (ADDRESS, MESSAGE, KEY, answer["receipt"], settings.AUTOCOM.webhook_hmac_secret):
        assert private.encode() not in body


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("sent", ["x" * 5_000, SENT.upper()])
def test_a_malformed_traceparent_is_not_kept(buffer: LaneBuffer, drainer: Drainer, sent: str) -> None:
    post(body_of_ada(), traceparent=sent)
    drained(drainer)
    assert ":traceparent" not in Delivery.objects.get().headers
    post(event_body("evt-2"))
    drained(drainer)
    assert Delivery.objects.latest("received_at").headers[":traceparent"] == SENT


@pytest.mark.django_db(transaction=True)
def test_lineage_tells_the_trace_and_what_the_sender_calls_it(buffer: LaneBuffer, drainer: Drainer) -> None:
    request_id = post(body_of_ada())["request_id"]
    drained(drainer)
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("lineage", request_id, stdout=out)
    assert f"trace {UUID(request_id).hex}  sender's trace 0af7651916cd43dd8448eb211c80319c" in out.getvalue()
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("lineage", request_id, "--json", stdout=out)
    (delivery,) = json.loads(out.getvalue())["deliveries"]
    assert (delivery["trace_id"], delivery["sender_traceparent"]) == (UUID(request_id).hex, SENT)


@pytest.mark.django_db(transaction=True)
def test_the_log_lines_of_ingress_and_worker_bear_the_trace(buffer: LaneBuffer, tmp_path: Path) -> None:
    with running_ingress(redis_url=settings.AUTOCOM.redis_url, db_url=database_url()) as ingress:
        answer = ingress.send(signed_request(body_of_ada()))
        traced = UUID(answer.json()["request_id"]).hex
        wait_for(lambda: f'"trace_id":"{traced}"' in ingress.log(), what="the line")
    with running_service("worker", log_path=tmp_path / "log") as worker:
        assert worker.wait_for_line("batch_committed")["trace_id"] == traced


@pytest.mark.django_db(transaction=True)
def test_a_listener_that_fails_costs_no_commit_and_no_other_listener(
    buffer: LaneBuffer, drainer: Drainer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Sequence[CommittedDelivery]] = []

    def fails(_: Sequence[CommittedDelivery]) -> None:
        raise OSError("no collector")

    monkeypatch.setattr(committed, "LISTENERS", [fails, heard.append])
    post(body_of_ada())
    drained(drainer)
    assert Event.objects.count() == 1
    ((told,),) = heard
    assert (told.provider, told.event_count, told.sender_trace) == ("default", 1, SENT)
    assert "commit_not_told" in caplog.text


def loaded(*argv: str, **environ: str) -> list[str]:
    """What of OpenTelemetry a process with these words has in memory."""
    script = (
        "import django, json, sys; sys.argv = ['manage.py', *sys.argv[1:]]; django.setup();"
        "found = [m for m in sys.modules if m.startswith(('opentelemetry', 'google', 'autocom.otlp'))];"
        "print(json.dumps(found))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *argv],
        cwd=PROJECT,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found: list[str] = json.loads(done.stdout)
    return found


COLLECTOR = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}


def test_nothing_of_opentelemetry_is_loaded_unless_a_worker_is_asked_for_it() -> None:
    assert loaded("worker") == []
    assert loaded("worker", **COLLECTOR, OTEL_SDK_DISABLED="true") == []
    assert loaded("ingress", **COLLECTOR, AUTOCOM_PROCESS="ingress") == []
    assert loaded("console", **COLLECTOR) == []
    assert "autocom.otlp" in loaded("worker", **COLLECTOR)


@pytest.mark.django_db(transaction=True)
def test_in_observer_no_span_leaves_for_elsewhere_which_is_on_record_and_counted(
    buffer: LaneBuffer, tmp_path: Path
) -> None:
    post(body_of_ada())
    wanted = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://spans.example.com:4318", "OTEL_BSP_SCHEDULE_DELAY": "200"}
    with running_service("worker", log_path=tmp_path / "log", **wanted):
        wait_for(lambda: buffer.client.hget(keys.METRICS.decode(), "withheld|traces"), what="a withheld export")
    refused = AuditEntry.objects.filter(act=Act.EXTERNAL_SEND_REFUSED.value, subject="traces to spans.example.com")
    assert refused.exists()


class Kept(SpanExporter):
    def __init__(self) -> None:
        self.count = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.count += 1
        return SpanExportResult.SUCCESS


@pytest.mark.django_db(transaction=True)
def test_spans_leave_in_another_mode_or_where_the_setting_allows_it(buffer: LaneBuffer, tmp_path: Path) -> None:
    endpoint = "http://collector.example.com:4318/v1/traces"
    kept = Kept()
    assert GuardedExporter(kept, endpoint=endpoint, is_guarded=True).export([]) is SpanExportResult.SUCCESS
    assert kept.count == 0
    GuardedExporter(kept, endpoint=endpoint, is_guarded=False).export([])
    assert kept.count == 1
    with own_store(tmp_path):
        change_mode(
            Mode.LIMITED,
            cause=ModeChange.Cause.DECISION,
            actor=Actor.process("test-traces"),
            reason="canary",
            decision=approved_go(),
            scope={"share": "0.05"},
        )
        GuardedExporter(kept, endpoint=endpoint, is_guarded=True).export([])
    assert kept.count == 2


@pytest.mark.django_db(transaction=True)
def test_a_collector_that_redirects_sends_nothing_elsewhere(buffer: LaneBuffer, tmp_path: Path) -> None:
    post(body_of_ada())
    with otlp_receiver() as elsewhere, otlp_receiver(redirect_to=elsewhere.url) as receiver:
        wanted = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_BSP_SCHEDULE_DELAY": "200"}
        with running_service("worker", log_path=tmp_path / "log", **wanted):
            receiver.wait_for_spans(3)
    assert elsewhere.requests == []


def items(sentry: FakeSentry, kind: str) -> list[dict[str, Any]]:
    found = []
    for envelope in list(sentry.envelopes):
        lines = envelope.split(b"\n")[1:]
        found += [
            json.loads(body)
            for header, body in zip(lines[::2], lines[1::2], strict=False)
            if header and json.loads(header)["type"] == kind
        ]
    return found


@pytest.mark.django_db(transaction=True)
def test_sentry_is_told_a_transaction_of_the_delivery_and_nothing_private(buffer: LaneBuffer, tmp_path: Path) -> None:
    request_id = UUID(post(body_of_ada())["request_id"])
    with fake_sentry() as sentry:
        wanted = {"SENTRY_DSN": sentry.dsn, "SENTRY_TRACES_SAMPLE_RATE": "1", "SENTRY_RELEASE": "1.2.3"}
        with running_service("worker", log_path=tmp_path / "log", **wanted):
            wait_for(lambda: items(sentry, "transaction"), what="a transaction")
        (told,) = items(sentry, "transaction")
    assert told["contexts"]["trace"]["trace_id"] == request_id.hex
    assert [span["op"] for span in told["spans"]] == ["webhook.queue", "webhook.commit"]
    assert {span["parent_span_id"] for span in told["spans"]} == {told["contexts"]["trace"]["span_id"]}
    assert (told["release"], told["environment"]) == ("1.2.3", "local")
    assert told["tags"]["request_id"] == str(request_id)
    assert told["contexts"]["sender"]["traceparent"] == SENT
    sent = b"\n".join(sentry.envelopes)
    assert [word for word in (ADDRESS, MESSAGE, KEY) if word.encode() in sent] == []


@pytest.mark.django_db(transaction=True)
def test_an_error_stands_in_the_trace_of_its_delivery_under_a_release(buffer: LaneBuffer, tmp_path: Path) -> None:
    request_id = UUID(posted(body_of_ada())["request_id"])
    with fake_sentry() as sentry:
        wanted = {"DJANGO_SETTINGS_MODULE": "tests.project.sabotage.settings", "SABOTAGE": "commit"}
        with running_service("worker", log_path=tmp_path / "log", SENTRY_DSN=sentry.dsn, **wanted):
            event = sentry.wait_for_event()
    assert event["contexts"]["trace"]["trace_id"] == request_id.hex
    assert event["release"] == f"autocom@{build()}"
    sent = b"\n".join(sentry.envelopes)
    assert [word for word in (ADDRESS, MESSAGE, KEY) if word.encode() in sent] == []


@pytest.mark.django_db(transaction=True)
def test_what_is_at_hand_when_a_drain_fails_is_left_out_of_its_report(
    buffer: LaneBuffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError

    posted(body_of_ada())
    monkeypatch.setattr(drain, "settle", fails)
    try:
        with pytest.raises(RuntimeError):
            jobs.drain(lane_of(provider="default", ordering_key=KEY, lane_count=settings.AUTOCOM.lanes))
        told = json.dumps(scrub({"message": f"cannot tell {ADDRESS} of {MESSAGE} for {KEY}"}, {}))
    finally:
        PERSONAL_TEXTS.set(None)
    assert [word for word in (ADDRESS, MESSAGE, KEY) if word in told] == []
    assert "cannot tell [removed]" in told


def test_the_adapters_marks_say_what_is_personal_in_lists_and_forms_too() -> None:
    payload = json.dumps({"mail": {"destination": ["ada@x.example"], "messageId": "kept-0001"}, "n": 1}).encode()
    assert set(texts_of_payload(payload, paths=["mail.destination"])) == {"ada@x.example"}
    people = json.dumps({"bounce": {"bouncedRecipients": [{"emailAddress": "b@x.example"}]}}).encode()
    assert set(texts_of_payload(people, paths=ADAPTERS["ses"].PERSONAL_PATHS)) == {"b@x.example"}
    assert set(texts_of_payload(b"To=%2B4912345&Body=hello+there", paths=["To", "Body"])) == {"+4912345", "hello there"}
    assert set(texts_of_payload(payload, paths=())) == {"ada@x.example", "kept-0001"}
    assert list(texts_of_payload(b"\xff\xfe", paths=None)) == []


@pytest.mark.django_db(transaction=True)
def test_sentry_has_a_check_in_of_each_periodic_job(buffer: LaneBuffer, tmp_path: Path) -> None:
    with fake_sentry() as sentry:
        wanted = {"SENTRY_DSN": sentry.dsn}
        with (
            running_service("cron", log_path=tmp_path / "cron", **wanted),
            running_service("worker", "--queue", "ops", log_path=tmp_path / "ops", **wanted),
        ):
            slugs = {"autocom-sweep", "autocom-check-promises", "autocom-seal-logs", "autocom-check-guardrails"}
            wait_for(
                lambda: slugs <= {each["monitor_slug"] for each in items(sentry, "check_in")},
                what="check-ins",
                seconds=90,
            )
        told = items(sentry, "check_in")
    known = {f"autocom-{job.__name__.replace('_', '-')}" for job in PERIODIC}
    assert {each["monitor_slug"] for each in told} <= known
    assert {each["status"] for each in told} == {"ok"}
    sweep = next(each for each in told if each["monitor_slug"] == "autocom-sweep")
    assert sweep["monitor_config"]["schedule"] == {"type": "interval", "value": 1, "unit": "minute"}
    assert len([each for each in told if each["monitor_slug"] == "autocom-sweep"]) <= 2  # not one every two seconds


def test_a_job_that_fails_is_told_at_once_and_a_drain_is_no_periodic_job(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, str]] = []

    def note(*, monitor_slug: str, status: str, **_: object) -> None:
        told.append((monitor_slug, status))

    monkeypatch.setattr("autocom.sentry_traces.capture_checkin", note)
    check_ins = CheckIns(periodic=PERIODIC)
    for name, is_done in (("sweep", True), ("sweep", True), ("sweep", False), ("drain", True), ("roll_up", True)):
        check_ins(ended_job(name, queue="drain" if name == "drain" else "ops", is_done=is_done))
    assert told == [("autocom-sweep", "ok"), ("autocom-sweep", "error"), ("autocom-roll-up", "ok")]


def test_a_job_and_a_request_are_one_span_each_that_says_whether_it_failed() -> None:
    job = ended_job("sweep", queue="ops", is_done=False)
    span = span_of_job(job)
    assert (span.name, span.trace_id, span.has_failed) == ("job sweep", job.run_id.hex, True)
    assert span.end_us - span.start_us == 100_000
    request = answered_request(method="ADA@EXAMPLE.COM", status=503)
    told = span_of_request(request)
    assert (told.name, told.trace_id, told.has_failed) == ("_OTHER admin:latency", request.request_id.hex, True)
    assert told.attributes["http.route"] == "/admin/latency/"
    assert not span_of_request(answered_request(status=404)).has_failed, "the caller's fault is none of ours"


@pytest.mark.django_db(transaction=True)
def test_ops_jobs_and_console_requests_have_spans_by_names_of_ours_alone(buffer: LaneBuffer, tmp_path: Path) -> None:
    port, event_id = free_port(), "01a20877-3e9d-7985-b24d-b2dbc3e74000"
    with otlp_receiver() as receiver, fake_sentry() as sentry:
        wanted = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "OTEL_BSP_SCHEDULE_DELAY": "200",
            "SENTRY_DSN": sentry.dsn,
            "SENTRY_TRACES_SAMPLE_RATE": "1",
        }
        site = f"http://127.0.0.1:{port}"
        with (
            running_service("console", log_path=tmp_path / "console", CONSOLE_PORT=str(port), **wanted),
            running_service("cron", log_path=tmp_path / "cron"),
            running_service("worker", "--queue", "ops", log_path=tmp_path / "ops", **wanted),
        ):
            await_answer(f"{site}/healthz")
            for path in (f"/admin/login/?next={ADDRESS}", f"/api/v1/events/{event_id}?x={ADDRESS}", "/nowhere"):
                urllib.request.build_opener(NoErrors).open(f"{site}{path}", timeout=30).close()
            names = {"GET admin:login", "GET api_event", "job sweep", "job seal_logs"}
            wait_for(lambda: names <= {span.name for span in receiver.spans()}, what="spans", seconds=90)
            wait_for(lambda: names <= {each["transaction"] for each in items(sentry, "transaction")}, what="Sentry")
    spans = {span.name: span for span in receiver.spans()}
    assert attributes(spans["GET api_event"]) == {
        "http.request.method": "GET",
        "http.route": "/api/v1/events/<uuid:event_id>",
        "http.response.status_code": 401,
    }
    assert {name for name in spans if not name.startswith("job ")} == {"GET admin:login", "GET api_event"}
    assert attributes(spans["job sweep"]) == {"autocom.job": "sweep", "autocom.queue": "ops"}
    sent = b"".join(body for _, _, body in receiver.requests) + b"".join(sentry.envelopes)
    assert [word for word in (ADDRESS, "ada%40", event_id, "?x=") if word.encode() in sent] == []
    (told,) = [each for each in items(sentry, "transaction") if each["transaction"] == "GET api_event"]
    assert told["contexts"]["trace"]["trace_id"] == spans["GET api_event"].trace_id.hex()
    assert told["tags"]["request_id"].replace("-", "") == spans["GET api_event"].trace_id.hex()


class NoErrors(urllib.request.HTTPErrorProcessor):
    """An answer of any status is one."""

    def http_response(self, request: Any, response: Any) -> Any:
        return response

    https_response = http_response


def test_a_share_of_jobs_and_requests_is_told_and_no_drain(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr("autocom.sentry_traces.sentry_sdk.capture_event", lambda event: told.append(event["type"]))
    TransactionTeller(share=1).tell_job(ended_job("drain", queue="drain"))
    TransactionTeller(share=0).tell_job(ended_job("sweep", queue="ops"))
    TransactionTeller(share=0).tell_request(answered_request())
    assert told == []
    TransactionTeller(share=1).tell_job(ended_job("sweep", queue="ops"))
    TransactionTeller(share=1).tell_request(answered_request())
    assert told == ["transaction"] * 2
