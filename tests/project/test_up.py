"""`manage.py up` end to end: what it prints works, what dies comes back and is said, and nothing is left at the end."""

from __future__ import annotations

import http.cookiejar
import json
import os
import re
import signal
import socket
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.project.up_kit import Up, new_up, wait_for


@pytest.fixture(scope="module")
def only_up() -> Iterator[Up]:
    with new_up() as up:
        up.start()
        yield up


@pytest.fixture
def up(only_up: Up) -> Up:
    """One for all tests, because a start takes seconds; started again after a test that ended it."""
    if only_up.process.poll() is not None:
        only_up.start()
    wait_for(only_up.is_ready, what=lambda: f"readiness\n{only_up.text()}")
    return only_up


def test_it_prints_both_addresses_and_they_answer(up: Up) -> None:
    console, webhooks = (re.search(rf"autocom: {name} +(\S+)", up.text()) for name in ("console", "webhooks"))
    assert console is not None
    assert webhooks is not None
    assert console[1] == f"http://127.0.0.1:{up.console_port}/admin/"
    assert webhooks[1] == f"http://127.0.0.1:{up.ingress_port}/webhooks/default"
    assert up.get("/admin/login/", port=up.console_port)[0] == 200
    assert up.get("/webhooks/default")[0] == 405  # a GET
    assert up.is_ready()


def test_the_pasted_command_is_accepted_and_the_event_is_in_postgresql_and_on_the_page(up: Up) -> None:
    answer = up.send()
    assert answer["status"] == "accepted", answer
    assert answer["receipt"].startswith(f"acr1 {answer['request_id']} ")
    wait_for(lambda: stored(up, answer["request_id"]), what=lambda: f"the row of {answer}")
    message_id = up.rows("SELECT message_id FROM ingestion_event WHERE id = %s", answer["request_id"])[0][0]
    page = logged_in(up, "ops").open(f"{site(up)}/admin/ingestion/event/?q={message_id}", timeout=20).read().decode()
    assert message_id in page
    assert answer["request_id"] in page


def stored(up: Up, request_id: str) -> bool:
    return up.rows("SELECT count(*) FROM ingestion_event WHERE id = %s", request_id) == [(1,)]


def site(up: Up) -> str:
    return f"http://127.0.0.1:{up.console_port}"


def logged_in(up: Up, username: str) -> urllib.request.OpenerDirector:
    """A browser of sorts, logged in with the printed password."""
    jar = http.cookiejar.CookieJar()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    browser.open(f"{site(up)}/admin/login/", timeout=20).read()
    token = next(cookie.value for cookie in jar if cookie.name == "csrftoken")
    form = {
        "username": username,
        "password": up.first_passwords[username],
        "csrfmiddlewaretoken": token or "",
        "next": "/admin/",
    }
    answer = browser.open(f"{site(up)}/admin/login/", data=urllib.parse.urlencode(form).encode(), timeout=20)
    assert answer.geturl() == f"{site(up)}/admin/", f"{username} was not let in"
    return browser


def test_each_printed_user_can_log_in_and_nobody_else_is_printed(up: Up) -> None:
    assert set(up.first_passwords) == {"admin", "dri", "ops", "leadership", "auditor"}
    for username in up.first_passwords:
        logged_in(up, username)


def test_lineage_shows_the_way_of_the_event_and_the_logs_bear_its_request_id(up: Up) -> None:
    request_id = up.send()["request_id"]
    wait_for(lambda: stored(up, request_id), what=lambda: "the row")
    done = up.manage("lineage", request_id, "--json")
    assert done.returncode == 0, done.stderr
    (delivery,) = json.loads(done.stdout)["deliveries"]
    assert [step["name"] for step in delivery["events"][0]["steps"]] == ["received", "accepted", "claimed", "committed"]
    logs = up.data_dir / "logs"
    await_one_line(logs / "ingress.log", "request_answered", request_id)
    await_one_line(logs / "worker-1.log", "batch_committed", request_id)


def await_one_line(log: Path, event: str, request_id: str) -> None:
    wait_for(lambda: len(lines_of(log, event, request_id)) == 1, what=lambda: f"one {event} of {request_id} in {log}")


def lines_of(log: Path, event: str, request_id: str) -> list[dict[str, object]]:
    parsed = [json.loads(line) for line in log.read_text().splitlines()]
    return [line for line in parsed if line["event"] == event and line.get("request_id") == request_id]


def test_a_second_one_on_the_same_directory_is_refused_with_one_line(up: Up) -> None:
    done = up.manage("up")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"CommandError: `manage.py up` runs already on {up.data_dir}: stop it first")
    assert "AUTOCOM_DATA_DIR" in line
    assert done.stdout == ""
    assert up.is_ready()


@pytest.mark.parametrize("name", ["CONSOLE_PORT", "INGRESS_PORT"])
def test_a_port_in_use_is_one_line_and_nothing_is_started(name: str) -> None:
    with new_up() as other, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        setattr(other, name.lower(), port)
        done = other.manage("up")
        assert done.returncode == 1
        assert done.stderr.splitlines() == [
            f"CommandError: {name} {port} is in use by another process: stop it, or set {name} to a free port"
        ]
        assert other.processes() == {}


def test_a_killed_worker_is_said_and_started_again(up: Up) -> None:
    (before,) = up.pids("worker --queue drain")
    os.kill(before, signal.SIGKILL)
    up.wait_for_words("worker 1 ended (killed by SIGKILL)")
    up.wait_for_words("worker 1 started again")
    answer = up.send()
    wait_for(lambda: stored(up, answer["request_id"]), what=lambda: "a commit by the new worker")
    assert before not in up.pids("worker --queue drain")


def test_a_killed_autoscaler_is_said_and_comes_back_with_workers_that_commit(up: Up) -> None:
    (autoscaler,) = up.pids("manage.py autoscale")
    before = up.pids("worker --queue drain")
    os.kill(autoscaler, signal.SIGKILL)
    up.wait_for_words("autoscale ended (killed by SIGKILL)")
    up.wait_for_words("autoscale started again")
    wait_for(lambda: not set(before) & set(up.pids("worker --queue drain")), what=lambda: "its workers ended with it")
    wait_for(lambda: up.pids("worker --queue drain"), what=lambda: "new workers")
    time.sleep(1.1)  # the command's message id has seconds
    answer = up.send()
    wait_for(lambda: stored(up, answer["request_id"]), what=lambda: "a commit by a new worker")


def test_a_killed_ingress_is_said_and_started_again_with_all_its_processes(up: Up) -> None:
    before = up.pids("manage.py ingress")
    os.kill(min(before), signal.SIGKILL)
    up.wait_for_words("ingress ended (killed by SIGKILL)")
    up.wait_for_words("ingress started again")
    wait_for(up.is_ready, what=lambda: f"an ingress that answers\n{up.text()}")
    wait_for(lambda: not set(before) & set(up.pids("manage.py ingress")), what=lambda: "the old one's workers are gone")
    assert up.send()["status"] == "accepted"


def test_a_killed_valkey_is_said_and_comes_back_with_what_it_had(up: Up) -> None:
    time.sleep(1.1)  # the command's message id has seconds
    answer = up.send()
    (valkey,) = up.pids("valkey-server")
    os.kill(valkey, signal.SIGKILL)
    up.wait_for_words("Valkey had died and is back")
    wait_for(lambda: stored(up, answer["request_id"]), what=lambda: "the event that was accepted before")
    wait_for(lambda: up.send().get("status") in ("accepted", "duplicate"), what=lambda: "a new ack")


def test_a_killed_postgresql_is_said_and_what_was_accepted_meanwhile_is_committed(up: Up) -> None:
    postmaster = int((next(up.data_dir.glob("pg*/postmaster.pid"))).read_text().splitlines()[0])
    time.sleep(1.1)
    os.kill(postmaster, signal.SIGKILL)
    answer = up.send()
    assert answer["status"] == "accepted"
    up.wait_for_words("PostgreSQL had died and is back")
    wait_for(lambda: stored(up, answer["request_id"]), what=lambda: "the event that was accepted meanwhile")
    wait_for(up.is_ready, what=lambda: "readiness")


def test_every_log_line_is_json_with_time_level_logger_and_event_and_none_shows_a_secret(up: Up) -> None:
    """After all the faults above: those are when people read logs."""
    logs = {log.name: log.read_text() for log in (up.data_dir / "logs").iterdir()}
    assert {"ingress.log", "console.log", "worker-1.log", "ops-worker.log", "cron.log"} <= set(logs)
    seen = 0
    for name, text in logs.items():
        for line in text.splitlines():
            entry = json.loads(line) if line.startswith("{") else pytest.fail(f"{name}: {line}")
            assert {"at", "level", "logger", "event"} <= set(entry), f"{name}: {line}"
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00", entry["at"]), line
            seen += 1
        assert not [secret for secret in up.secrets() if secret in text], name
        assert "ada@example.com" not in text
    assert seen > 5


def test_after_a_killed_supervisor_no_python_is_left_and_the_next_start_adopts_the_servers(up: Up) -> None:
    """Nothing is lost, no password is printed again, and a Ctrl-C then ends the adopted servers too."""
    time.sleep(1.1)
    answer = up.send()
    wait_for(lambda: stored(up, answer["request_id"]), what=lambda: "the row")
    (valkey,) = up.pids("valkey-server")
    os.kill(up.process.pid, signal.SIGKILL)
    up.process.wait()
    wait_for(lambda: not up.pids("manage.py"), what=lambda: f"no child, but {up.processes()}")
    assert up.pids("valkey-server") == [valkey]
    up.start()
    assert up.pids("valkey-server") == [valkey]
    assert "passwords" not in up.text()
    assert stored(up, answer["request_id"])
    assert up.signal(signal.SIGINT) == 0
    assert up.text().rstrip().endswith("autocom: stopped")
    up.wait_until_empty()


EARLY: dict[str, tuple[signal.Signals, Callable[[Up], bool]]] = {
    "while PostgreSQL is made": (
        signal.SIGTERM,  # on a busy machine that may be over between two looks: then it comes a moment later
        lambda up: bool(list(up.data_dir.glob("pg*.init"))) or "local servers run" in up.text(),
    ),
    "when the servers run": (signal.SIGINT, lambda up: "local servers run" in up.text()),
    "while the children start": (signal.SIGTERM, lambda up: len(up.pids("manage.py ")) >= 3),
}


@pytest.mark.parametrize("when", EARLY)
def test_a_signal_during_the_start_leaves_nothing_and_the_exit_is_clean(when: str) -> None:
    number, has_come = EARLY[when]
    with new_up() as up:
        up.start(until="")
        wait_for(lambda: has_come(up) or up.process.poll() is not None, what=lambda: when)
        assert up.signal(number) == 0, up.text()
        up.wait_until_empty()
        assert "Traceback" not in up.text()


def test_a_sigterm_ends_everything_with_exit_0_and_a_second_one_on_the_way_changes_nothing(up: Up) -> None:
    assert up.processes()
    up.process.send_signal(signal.SIGTERM)
    up.wait_for_words("autocom: stopping")
    assert up.signal(signal.SIGTERM) == 0
    up.wait_until_empty()
    assert "Traceback" not in up.text()
