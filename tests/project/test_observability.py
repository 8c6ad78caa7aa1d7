"""Logs: every line is JSON of one shape, one canonical line for each request and batch, with the id that joins them."""

from __future__ import annotations

import dataclasses
import io
import json
import logging
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
import pytest
from django.conf import settings

from autocom.kernel.ids import request_id_of
from autocom.kernel.request_context import ENVIRON_KEY, REQUEST_ID
from autocom.observability import JsonFormatter, start_logging, with_request_id
from ingestion import drain, request_log
from ingestion.accept import promise_keys
from ingestion.buffer.store import LaneBuffer
from ingestion.drain import Drainer
from ingestion.receipts import read_receipt
from ingestion.request_log import RequestLine, RequestLog
from tests.project.posting import posted
from tests.project.service_kit import answers, await_answer, running_service
from tests.project.test_health import without_redis  # noqa: F401  (a fixture)
from tests.support.ingress import Ingress, free_port, request_bytes, running_ingress, signed_request
from tests.support.senders import event_body
from tests.support.workers import database_url, wait_for

PROJECT = Path(__file__).resolve().parents[2]


def formatted(**given: Any) -> dict[str, Any]:
    record = logging.LogRecord("ingestion.drain", logging.WARNING, "f.py", 1, "lane_resting", (), None)
    record.__dict__ |= given
    text = JsonFormatter().format(record)
    assert "\n" not in text
    line: dict[str, Any] = json.loads(text)
    return line


def test_an_error_is_logged_without_any_secret_that_the_process_knows() -> None:
    secret = settings.AUTOCOM.webhook_hmac_secret
    try:
        raise RuntimeError(f"cannot go on with {secret}")
    except RuntimeError:
        line = formatted(exc_info=sys.exc_info(), error=f"it was {secret}", deep={"deeper": [secret]})
    assert secret not in json.dumps(line)
    assert "cannot go on with [removed]" in line["traceback"]


def test_a_line_has_time_level_logger_event_and_the_given_keys() -> None:
    line = formatted(created=1_795_439_432.793424, lane=3, error="down")
    assert line == {
        "at": "2026-11-23T13:10:32.793424+00:00",
        "level": "warning",
        "logger": "ingestion.drain",
        "event": "lane_resting",
        "lane": 3,
        "error": "down",
    }


def test_a_whole_second_is_written_with_its_microseconds_too() -> None:
    assert formatted(created=1_795_439_432.0)["at"] == "2026-11-23T13:10:32.000000+00:00"


def test_a_traceback_and_odd_values_stay_within_the_line() -> None:
    try:
        raise ValueError("a\nb")
    except ValueError:
        line = formatted(exc_info=sys.exc_info(), value={1, 2}, path=Path("/x"), text="\ud800\x00\n")
    assert line["traceback"].startswith("Traceback")
    assert line["path"] == "/x"


def test_djangos_request_is_left_out_because_it_shows_the_query_string() -> None:
    assert "request" not in formatted(request="<WSGIRequest: GET '/metrics?token=abc'>", status_code=500)


def test_a_message_of_several_lines_has_its_first_as_the_event() -> None:
    line = formatted(msg="job failed\nTraceback: x\ny")
    assert (line["event"], line["more"]) == ("job failed", "Traceback: x\ny")


def test_what_postgresql_quotes_below_its_message_is_not_logged() -> None:
    assert formatted(error="value too long\nDETAIL:  ada@example.com")["error"] == "value too long"


def test_the_request_at_hand_is_on_every_line_unless_the_line_names_another() -> None:
    token = REQUEST_ID.set(UUID(int=7))
    try:
        assert formatted()["request_id"] == str(UUID(int=7))
        assert formatted(request_id="other")["request_id"] == "other"
    finally:
        REQUEST_ID.reset(token)
    assert "request_id" not in formatted()


def served(application: Callable[..., Any]) -> tuple[dict[str, str], dict[str, Any]]:
    """The answer's headers and the environ, after one request."""
    environ: dict[str, Any] = {}
    headers: dict[str, str] = {}
    list(application(environ, lambda status, pairs, *_: headers.update(pairs)))
    return headers, environ


def test_each_request_of_the_console_has_an_id_of_its_own_in_the_answer_and_for_its_logs() -> None:
    seen: list[UUID | None] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append(REQUEST_ID.get())
        start_response("200 OK", [("X-Other", "kept")])
        return [b""]

    token = REQUEST_ID.set(None)
    try:
        (first, environ), (second, _) = served(with_request_id(application)), served(with_request_id(application))
    finally:
        REQUEST_ID.reset(token)
    assert [first["X-Request-Id"], second["X-Request-Id"]] == [str(each) for each in seen]
    assert environ[ENVIRON_KEY] == seen[0]
    assert first["X-Request-Id"] != second["X-Request-Id"]
    assert first["X-Other"] == "kept"


@pytest.fixture
def hooks() -> Iterator[None]:
    """The process's hooks as they were, afterwards."""
    before = sys.excepthook, threading.excepthook, warnings.showwarning
    yield
    logging.captureWarnings(False)
    sys.excepthook, threading.excepthook, warnings.showwarning = before


def test_a_service_logs_warnings_and_uncaught_errors_and_a_shell_command_does_not(
    hooks: None, caplog: pytest.LogCaptureFixture
) -> None:
    before = sys.excepthook, threading.excepthook
    start_logging(["manage.py", "migrate"])
    start_logging(["pytest"])
    assert (sys.excepthook, threading.excepthook) == before
    start_logging(["manage.py", "worker", "--queue", "ops"])
    warnings.warn("odd", UserWarning, stacklevel=1)
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
    sys.excepthook(ValueError, ValueError("x"), None)
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert [(record.name, record.levelname) for record in caplog.records] == [
        ("py.warnings", "WARNING"),
        ("autocom.observability", "CRITICAL"),
        ("autocom.observability", "CRITICAL"),
    ]
    assert [record.getMessage() for record in caplog.records[1:]] == ["process_crashed"] * 2
    assert all(record.exc_info for record in caplog.records[1:])


def test_a_service_that_crashes_says_so_in_one_json_line() -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "cron"],
        cwd=PROJECT,
        env={**os.environ, "REDIS_URL": "unix:///nowhere/valkey.sock"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["event"] for line in lines][-1] == "process_crashed"
    assert "ConnectionError" in lines[-1]["traceback"]


def line(number: int, *, reason: str = "") -> RequestLine:
    return RequestLine(
        at_us=number,
        request_id=f"id-{number}",
        provider="default",
        status=202,
        code="accepted",
        ack_us=900,
        body_bytes="100",
        reason=reason,
    )


def ids_in(stream: io.StringIO) -> list[str]:
    return [json.loads(text)["request_id"] for text in stream.getvalue().splitlines()]


def test_request_lines_are_written_in_order_and_once() -> None:
    stream = io.StringIO()
    log = RequestLog(stream=stream)
    for number in range(100):
        log.append(line(number))
    log.write()
    log.append(line(100))
    log.write()
    log.write()
    assert ids_in(stream) == [f"id-{n}" for n in range(101)]


def test_no_single_write_is_long_enough_to_be_torn_by_another_process() -> None:
    class Noting(io.StringIO):
        def write(self, text: str) -> int:
            sizes.append(len(text.encode()))
            assert text.endswith("\n")
            return super().write(text)

    sizes: list[int] = []
    log = RequestLog(stream=Noting())
    for number in range(200):
        log.append(line(number, reason="é" * (number % 40)))
    log.write()
    assert max(sizes) <= 4_096
    assert len(sizes) < 40


def test_processes_that_share_a_pipe_never_write_into_each_others_lines() -> None:
    """As ingress processes do in a container; a file is kinder than a pipe."""
    script = (
        "from ingestion.request_log import RequestLog, RequestLine\n"
        "log = RequestLog()\n"
        "for _ in range(15):\n"
        "    for n in range(700):\n"
        "        log.append(RequestLine(at_us=n, request_id='x' * 36, provider='default', status=202, code='accepted',"
        " ack_us=n, body_bytes='1', reason=''))\n"
        "    log.write()\n"
    )
    reader, writer = os.pipe()
    processes = [subprocess.Popen([sys.executable, "-c", script], cwd=PROJECT, stderr=writer) for _ in range(3)]
    os.close(writer)
    with os.fdopen(reader) as shared:
        texts = shared.read().splitlines()
    assert [process.wait(timeout=60) for process in processes] == [0, 0, 0]
    assert len(texts) == 3 * 15 * 700
    assert {json.loads(text)["event"] for text in texts} == {"request_answered"}


def test_a_senders_endless_content_length_makes_no_endless_line() -> None:
    written = dataclasses.replace(line(1), body_bytes="9" * 60_000).as_json()
    assert len(written) < 500


def test_lines_that_were_dropped_are_counted_and_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(request_log, "KEPT_LIMIT_COUNT", 10)
    stream = io.StringIO()
    log = RequestLog(stream=stream)
    for number in range(25):
        log.append(line(number))
    log.write()
    assert ids_in(stream) == [f"id-{n}" for n in range(15, 25)]
    (told,) = caplog.records
    assert (told.getMessage(), told.__dict__["count"]) == ("request_lines_dropped", 15)


@pytest.mark.django_db(transaction=True)
def test_a_batch_has_one_line_with_its_counts_and_the_request_id_of_its_first_event(
    buffer: LaneBuffer, drainer: Drainer, caplog: pytest.LogCaptureFixture
) -> None:
    bodies = [event_body(f"evt-{i}") for i in (1, 2, 2)]
    answers = [posted(body) for body in bodies]
    lane = read_receipt(answers[0]["receipt"], keys=(promise_keys().receipt,)).lane
    token = REQUEST_ID.set(None)
    with caplog.at_level(logging.INFO, logger=drain.__name__):
        try:
            drainer.drain(lane, job_id="job-1")
            at_hand = REQUEST_ID.get()
        finally:
            REQUEST_ID.reset(token)
    (record,) = [record for record in caplog.records if record.getMessage() == "batch_committed"]
    expected = {"lane": lane, "events": 2, "duplicates": 1, "dead": 0, "job_id": "job-1", "first_sequence": 1}
    assert {name: record.__dict__[name] for name in expected} == expected
    assert str(at_hand) == answers[0]["request_id"]


@pytest.fixture
def ingress(buffer: LaneBuffer, transactional_db: None) -> Iterator[Ingress]:
    with running_ingress(redis_url=settings.AUTOCOM.redis_url, db_url=database_url()) as ingress:
        yield ingress


def test_each_request_has_one_line_with_the_id_that_its_sender_was_told_and_no_private_word(ingress: Ingress) -> None:
    body = event_body("evt-private", to="ada@example.com")
    refused = event_body("evt-other")
    sent = [
        (signed_request(body), 202, "accepted"),
        (signed_request(body), 202, "duplicate"),
        (signed_request(refused, secret="wrong-0123456789"), 401, "unauthorized"),
        (signed_request(b"[]"), 422, "body_invalid"),
        (signed_request(body, path="/webhooks/nobody"), 404, "provider_unknown"),
        (request_bytes(b"", [], method="GET"), 405, "method_not_allowed"),
        (request_bytes(b"", []), 411, "length_required"),
        (request_bytes(b"", [("Content-Length", "99999999")]), 413, "body_too_large"),
    ]
    unknown = signed_request(body, path="/webhooks/nobody")
    wait_for(lambda: ingress.send(unknown).code == "provider_unknown", what="the providers are read")
    wait_for(lambda: answered(ingress) and answered(ingress)[-1]["code"] == "provider_unknown", what="those lines")
    before = len(answered(ingress))
    answers = [ingress.send(data) for data, _, _ in sent]
    wait_for(lambda: len(answered(ingress)) >= before + len(sent), what="a line for each request")
    written = answered(ingress)[before:]
    assert [(each["status"], each["code"]) for each in written] == [(status, code) for _, status, code in sent]
    assert [answer.status for answer in answers] == [status for _, status, _ in sent]
    ids = [each["request_id"] for each in written]
    assert len({UUID(each) for each in ids}) == len(sent)
    assert all(request_id_of(UUID(each)) == UUID(each) for each in ids)
    assert ids == [answer.json()["request_id"] for answer in answers]
    assert written[2]["reason"] == "wrong_signature"
    environment = settings.AUTOCOM
    private = (environment.secret_key, environment.webhook_bearer_key, environment.webhook_hmac_secret)
    assert [value for value in (*private, "ada@example.com", "evt-private", "acr1 ") if value in ingress.log()] == []
    ingress.stop()
    assert all({"at", "level", "logger", "event"} <= set(json.loads(text)) for text in ingress.log().splitlines())


def is_alive(ingress: Ingress) -> bool:
    try:
        return ingress.get("/healthz").status == 200
    except OSError:
        return False


def answered(ingress: Ingress) -> list[dict[str, Any]]:
    """The canonical lines so far."""
    return [each for each in map(json.loads, ingress.log().splitlines()) if each["event"] == "request_answered"]


def test_a_killed_ingress_worker_is_told_in_a_json_line(ingress: Ingress) -> None:
    before = ingress.log().count("\n")
    (worker,) = ingress.workers()
    worker.kill()
    wait_for(lambda: not worker.is_running() and is_alive(ingress), what="its successor")
    told = [json.loads(text) for text in ingress.log().splitlines()[before:]]
    assert [each["level"] for each in told if str(worker.pid) in json.dumps(each)] == ["warning"]


@pytest.mark.django_db(transaction=True)
def test_a_killed_console_worker_is_told_in_a_json_line(buffer: LaneBuffer, tmp_path: Path) -> None:
    port = free_port()
    with running_service("console", log_path=tmp_path / "log", CONSOLE_PORT=str(port)) as console:
        await_answer(f"http://127.0.0.1:{port}/healthz")
        psutil.Process(console.process.pid).children()[0].kill()
        wait_for(lambda: "Unexpected exit" in console.log(), what="the server's own line")
        wait_for(lambda: answers(f"http://127.0.0.1:{port}/healthz"), what="its successor")
        told = [json.loads(text) for text in console.log().splitlines()]
    assert [each["logger"] for each in told if "Unexpected exit" in each["event"]] == ["_granian"]
