"""The generator process against a real server whose answers the test decides."""

import hashlib
import hmac
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ingestion.replay.config import GeneratorConfig
from ingestion.replay.errors import RecordingError, ReplayUsageError, ServiceUnreachableError
from ingestion.replay.history import History
from ingestion.replay.journal import read_journal
from ingestion.replay.run import PROJECT_ROOT, Progress
from tests.replay.kit import BEARER, SECRET, config, run
from tests.replay.stub import Behaviour, Drop, Hang, Reply, Request, StubService, stub_service


def statuses(history: History, n: int) -> list[int]:
    return [attempt.status for attempt in history.sends[n].attempts]


def test_every_planned_send_goes_out_once_and_signed(tmp_path: Path) -> None:
    with stub_service() as service:
        result = run(service.url, tmp_path)
    assert len(service.requests) == result.figures.sent == result.figures.accepted == 60
    assert result.figures.answered_duplicate == 6
    assert sorted(hashlib.sha256(request.body).hexdigest() for request in service.requests) == sorted(
        send.planned.body_sha256 for send in result.history.sends
    )
    for request in service.requests:
        moment = request.header("X-Webhook-Timestamp")
        signed = hmac.digest(SECRET.encode(), f"{moment}.".encode() + request.body, "sha256").hex()
        assert request.header("X-Webhook-Signature") == f"sha256={signed}"
        assert request.header("Authorization") == f"Bearer {BEARER}"
        assert request.header("Content-Type") == "application/json"
        assert abs(int(moment) - time.time()) < 60
        assert request.head.startswith(b"POST /webhooks/default HTTP/1.1")


def test_each_answer_is_taken_down_with_its_own_send(tmp_path: Path) -> None:
    with stub_service() as service:
        result = run(service.url, tmp_path, rate=0, count=200, connections=16)
    for send in result.history.sends:
        (receipt,) = send.answer.receipts
        assert receipt.body_sha256 == send.planned.body_sha256
        assert send.attempts[0].ack_ns > send.attempts[0].sent_ns


def test_the_whole_plan_is_on_disk_before_the_first_send(tmp_path: Path) -> None:
    seen: list[int] = []

    def behave(service: StubService) -> Behaviour:
        def answer(request: Request) -> Reply:
            if not seen:
                lines = (tmp_path / "journal.jsonl").read_text().splitlines()
                seen.append(sum('"kind":"plan"' in line for line in lines))
            return service.accept(request)

        return answer

    with stub_service(behave) as service:
        run(service.url, tmp_path)
    assert seen == [60]


def test_a_busy_service_is_tried_again_after_its_retry_after_and_the_first_attempt_decides(tmp_path: Path) -> None:
    def behave(service: StubService) -> Behaviour:
        def answer(request: Request) -> Reply:
            if request.number < 3:
                return Reply(503, b'{"code":"lane_full"}', "Retry-After: 1\r\n")
            return service.accept(request)

        return answer

    with stub_service(behave) as service:
        result = run(service.url, tmp_path, duplicates=0)
    assert [statuses(result.history, n) for n in range(3)] == [[503, 202]] * 3
    for send in result.history.sends[:3]:
        assert send.attempts[1].sent_ns - send.attempts[0].ack_ns >= 1_000_000_000
    figures = result.figures
    assert (figures.sent, figures.accepted, figures.rejected, figures.accepted_after_retry) == (60, 57, 3, 3)
    assert figures.refusals == (("503 lane_full", 3),)
    assert figures.ack_ms.count == 57


def test_a_refusal_is_final(tmp_path: Path) -> None:
    with stub_service(lambda _: lambda _: Reply(401, b'{"code":"signature_invalid"}')) as service:
        result = run(service.url, tmp_path)
    assert len(service.requests) == 60
    assert (result.figures.accepted, result.figures.rejected, result.figures.acknowledged) == (0, 60, 0)
    assert result.figures.refusals == (("401 signature_invalid", 60),)


def test_a_broken_connection_is_replaced_and_its_send_tried_again(tmp_path: Path) -> None:
    def behave(service: StubService) -> Behaviour:
        return lambda request: Drop() if request.number in {5, 6, 20} else service.accept(request)

    with stub_service(behave) as service:
        result = run(service.url, tmp_path)
    assert result.figures.acknowledged == 60
    assert result.figures.rejected == result.figures.accepted_after_retry == 3
    assert len(service.requests) == 63


def test_silence_is_ended_by_the_time_limit_and_unanswered_sends_are_rejected(tmp_path: Path) -> None:
    def behave(service: StubService) -> Behaviour:
        silent = json.loads
        return lambda request: Hang() if silent(request.body)["id"].endswith("00000004") else service.accept(request)

    with stub_service(behave) as service:
        result = run(service.url, tmp_path, duplicates=0, timeout_seconds=0.3, retries=1)
    assert statuses(result.history, 4) == [0, 0]
    assert {attempt.error for attempt in result.history.sends[4].attempts} == {"timeout"}
    assert (result.figures.accepted, result.figures.rejected, result.figures.unknown) == (59, 1, 1)


def test_latency_counts_the_wait_for_a_connection_and_service_time_does_not(tmp_path: Path) -> None:
    def behave(service: StubService) -> Behaviour:
        def answer(request: Request) -> Reply:
            time.sleep(0.01)  # one server thread: 100 answers a second, four times too slow
            return service.accept(request)

        return answer

    with stub_service(behave) as service:
        result = run(service.url, tmp_path, connections=1, count=60, rate=400)
    last = result.history.sends[-1]
    first = last.attempts[0]
    assert first.sent_ns - last.intended_ns > 300_000_000
    assert result.history.self_check is not None
    assert result.history.self_check.waited_count > 40
    assert not result.figures.kept_pace


def test_an_answer_in_pieces_and_one_in_chunks_are_understood(tmp_path: Path) -> None:
    body = b'{"status":"accepted"}'
    chunked = (
        b"HTTP/1.1 202 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n"
        + body[:5]
        + b"\r\n10\r\n"
        + body[5:]
        + b"\r\n0\r\n\r\n"
    )
    plain = b"HTTP/1.1 202 OK\r\ncontent-length: 21\r\n\r\n" + body
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        peer, _ = listener.accept()
        with peer:
            for message in (chunked, plain, chunked, plain):
                while b"}" not in peer.recv(65_536)[-2:]:
                    pass
                for start in range(0, len(message), 7):
                    peer.sendall(message[start : start + 7])
                    time.sleep(0.002)
            peer.recv(1)

    thread = threading.Thread(target=serve)
    thread.start()
    port = listener.getsockname()[1]
    result = run(f"http://127.0.0.1:{port}", tmp_path, count=4, connections=1, duplicates=0, rate=0)
    thread.join()
    listener.close()
    assert [send.attempts[0].answer for send in result.history.sends] == [body.decode()] * 4


def test_a_closing_answer_is_read_and_its_connection_not_used_again(tmp_path: Path) -> None:
    def behave(service: StubService) -> Behaviour:
        def answer(request: Request) -> Reply:
            accepted = service.accept(request)
            return Reply(202, accepted.body, "Connection: close\r\n")

        return answer

    with stub_service(behave) as service:
        result = run(service.url, tmp_path, count=20, connections=2, rate=0)
    assert result.figures.accepted == 20
    assert result.figures.retries == 0


def test_nobody_answering_is_told_and_nothing_is_left(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(ServiceUnreachableError, match=f"127.0.0.1:{port} does not answer.*nothing was sent"):
        run(f"http://127.0.0.1:{port}", tmp_path)
    assert not (tmp_path / "journal.jsonl").exists()


def test_an_interrupt_stops_the_sending_and_finishes_the_journal(tmp_path: Path) -> None:
    with stub_service() as service:
        given = config(service.url, tmp_path, count=10_000, rate=200)
        given.write(tmp_path / "config.json")
        with subprocess.Popen(
            [sys.executable, "-m", "ingestion.replay.generator", str(tmp_path / "config.json")],
            stdout=subprocess.PIPE,
            cwd=PROJECT_ROOT,
            text=True,
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=20) == 0
    history = read_journal(tmp_path / "journal.jsonl")
    assert history.self_check is not None
    assert history.self_check.was_interrupted
    assert 0 < history.self_check.sent_count == len(service.requests) < 10_000
    assert all(send.acknowledged for send in history.sends if send.attempts)


def test_a_ctrl_c_in_the_parent_still_gives_the_figures_of_what_was_sent(tmp_path: Path) -> None:
    def interrupt(_: Progress) -> None:
        raise KeyboardInterrupt

    seen: list[Progress] = []

    def once(progress: Progress) -> None:
        seen.append(progress)
        if len(seen) == 1:
            interrupt(progress)

    with stub_service() as service:
        result = run(service.url, tmp_path, once, count=10_000, rate=200)
    assert 0 < result.figures.sent == len(service.requests) < 10_000
    assert not result.figures.kept_pace


def test_a_killed_generator_leaves_a_journal_that_tells_what_was_planned(tmp_path: Path) -> None:
    with stub_service() as service:
        given = config(service.url, tmp_path, count=5_000, rate=500)
        given.write(tmp_path / "config.json")
        with subprocess.Popen(
            [sys.executable, "-m", "ingestion.replay.generator", str(tmp_path / "config.json")],
            stdout=subprocess.PIPE,
            cwd=PROJECT_ROOT,
            text=True,
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            process.kill()
    history = read_journal(tmp_path / "journal.jsonl")
    assert history.self_check is None
    assert len(history.sends) == 5_000
    assert sum(bool(send.attempts) for send in history.sends) > 0


def test_a_recording_is_sent_as_it_is_with_fresh_signatures(tmp_path: Path) -> None:
    path = tmp_path / "recorded.ndjson"
    recorded = {"id": "m1", "type": "t", "ordering_key": "k"}
    lines = [
        {"body": recorded, "headers": {"x-webhook-signature": "sha256=stale", "X-Custom": "kept"}},
        {"body_text": '{"id": "m2",  "type": "t"}'},
    ]
    path.write_text("\n".join(json.dumps(line) for line in lines))
    with stub_service() as service:
        result = run(service.url, tmp_path, input_path=path, count=6, duplicates=0, connections=1)
    bodies = [request.body for request in service.requests]
    assert bodies == [b'{"id":"m1","type":"t","ordering_key":"k"}', b'{"id": "m2",  "type": "t"}'] * 3
    assert service.requests[0].header("X-Custom") == "kept"
    assert service.requests[0].head.lower().count(b"x-webhook-signature") == 1
    assert not result.history.is_generated
    assert result.figures.answered_duplicate == 4


def test_a_bad_recording_is_refused_by_the_process_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "recorded.ndjson"
    path.write_text('{"body": {}}\n{"body"\n')
    with stub_service() as service, pytest.raises(ReplayUsageError, match="line 2: not JSON"):
        run(service.url, tmp_path, input_path=path)
    assert service.requests == []
    assert issubclass(RecordingError, ReplayUsageError)


def test_the_generator_imports_no_django_and_sees_no_secret_of_the_service(tmp_path: Path) -> None:
    probe = (
        "import sys; import ingestion.replay.generator; print(sorted(n for n in sys.modules if n.startswith('django')))"
    )
    environ = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, cwd=PROJECT_ROOT, env=environ)
    assert done.stdout.strip() == "[]"


def test_the_configuration_file_is_for_its_owner_alone_and_is_read_back_whole(tmp_path: Path) -> None:
    given = config("http://[::1]:9", tmp_path, input_path=tmp_path / "x")
    given.write(tmp_path / "config.json")
    assert (tmp_path / "config.json").stat().st_mode & 0o777 == 0o600
    assert GeneratorConfig.read(tmp_path / "config.json") == given
    assert SECRET not in repr(given)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com",
        "https://127.0.0.1",
        "http://127.0.0.1.example.com",
        "http://0.0.0.0:8001",
        "http://user@127.0.0.1:8001",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:8001/?a=1",
        "127.0.0.1:8001",
        "ftp://localhost",
    ],
)
def test_only_this_machine_may_be_loaded(tmp_path: Path, url: str) -> None:
    with pytest.raises(ReplayUsageError, match="--target"):
        config(url, tmp_path)


@pytest.mark.parametrize(
    "wrong", [{"count": 0}, {"rate": -1}, {"rate": float("nan")}, {"connections": 0}, {"keys": 0}, {"duplicates": 1.0}]
)
def test_values_out_of_range_are_refused_by_the_name_of_their_option(tmp_path: Path, wrong: dict[str, float]) -> None:
    with pytest.raises(ReplayUsageError, match=f"--{next(iter(wrong))}"):
        config("http://127.0.0.1:8001", tmp_path, **wrong)
