"""Alerts reach their destinations signed, in order for each key, at least once, and never our own network."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address

import pytest
from django.conf import settings
from django.utils import timezone
from standardwebhooks.webhooks import Webhook

from evidence import sends
from evidence.alerts import close_alert, raise_alert
from evidence.models import Alert, AuditEntry, Destination, Outgoing, WithheldCount
from evidence.modes import Mode
from evidence.outgoing import notifier
from evidence.outgoing.addresses import is_public
from evidence.outgoing.claims import claim_next
from evidence.outgoing.notices import enter_notices
from evidence.outgoing.sending import send
from evidence.outgoing.signature import key_of, new_secret
from ingestion.secret_box import fingerprint_of, seal

pytestmark = pytest.mark.django_db(transaction=True)
State = Outgoing.State


@dataclasses.dataclass
class Receiver:
    port: int = 0
    failing: set[str] = dataclasses.field(default_factory=set)  # subjects that are answered 500
    status: int = 500
    tried: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    taken: list[tuple[str, str]] = dataclasses.field(default_factory=list)  # subject, type
    requests: list[tuple[dict[str, str], bytes]] = dataclasses.field(default_factory=list)

    def answers(self, headers: dict[str, str], body: bytes) -> int:
        told = json.loads(body)
        seen = (told["data"]["subject"], told["type"])
        self.requests.append((headers, body))
        self.tried.append(seen)
        if seen[0] in self.failing:
            return self.status
        self.taken.append(seen)
        return 204


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            return

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(receiver.answers({k.lower(): v for k, v in self.headers.items()}, body))
            self.send_header("Location", f"http://127.0.0.1:{receiver.port}/elsewhere")
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    allow_private(monkeypatch, allowed=True)
    with receiving() as receiver:
        yield receiver


def allow_private(monkeypatch: pytest.MonkeyPatch, *, allowed: bool) -> None:
    known = dataclasses.replace(settings.AUTOCOM, allow_private_destinations=allowed)
    monkeypatch.setattr(settings, "AUTOCOM", known)


def destination(address: str, *, secret: str | None = None, kinds: tuple[str, ...] = ()) -> Destination:
    secret = secret or new_secret()
    return Destination.objects.create(
        name="hooks",
        address=address,
        secret_ciphertext=seal(secret),
        secret_fingerprint=fingerprint_of(secret),
        alert_kinds=list(kinds),
        created_at=timezone.now() - timedelta(minutes=1),
    )


def alert(subject: str, *, kind: str = "lag") -> Alert:
    return raise_alert(kind, subject, severity=Alert.Severity.PAGE, summary=f"{subject} is late")


def due_again() -> None:
    Outgoing.objects.filter(state=State.WAITING).update(next_attempt_at=timezone.now())


def test_a_message_is_signed_as_standard_webhooks_over_the_bytes_that_came(receiver: Receiver) -> None:
    secret = new_secret()
    destination(f"http://127.0.0.1:{receiver.port}/hook", secret=secret)
    alert("lane 1")
    assert notifier.notify_all() == 1
    headers, body = receiver.requests[0]
    told = Webhook(secret).verify(body, headers)  # raises for a wrong signature
    assert told["type"] == "alert.opened"
    assert Outgoing.objects.get().state == State.SENT


def test_each_alert_is_told_once_when_it_opens_and_once_when_it_closes(receiver: Receiver) -> None:
    destination(f"http://127.0.0.1:{receiver.port}/hook", kinds=("lag",))
    alert("lane 1")
    alert("gate", kind="burn")  # of no interest to it
    notifier.notify_all()
    close_alert("lag", "lane 1")
    notifier.notify_all()
    notifier.notify_all()
    assert receiver.taken == [("lane 1", "alert.opened"), ("lane 1", "alert.closed")]


def test_a_failing_key_holds_itself_and_no_other_and_keeps_its_order(receiver: Receiver) -> None:
    destination(f"http://127.0.0.1:{receiver.port}/hook")
    receiver.failing = {"lane 1"}
    alert("lane 1")
    close_alert("lag", "lane 1")
    alert("lane 2")
    notifier.notify_all()
    assert receiver.tried == [("lane 1", "alert.opened"), ("lane 2", "alert.opened")]
    receiver.failing = set()
    due_again()
    notifier.notify_all()
    assert receiver.taken == [("lane 2", "alert.opened"), ("lane 1", "alert.opened"), ("lane 1", "alert.closed")]


def test_a_crash_between_sending_and_marking_sends_again_with_the_same_id(receiver: Receiver) -> None:
    destination(f"http://127.0.0.1:{receiver.port}/hook")
    alert("lane 1")
    enter_notices()
    claim = claim_next()
    assert claim is not None
    send(claim)  # and here the process ends
    assert claim_next() is None  # the lease holds
    due_again()
    notifier.notify_all()
    assert len(receiver.taken) == 2
    assert len({headers["webhook-id"] for headers, _ in receiver.requests}) == 1


@pytest.mark.parametrize("status", [301, 400, 503])
def test_whatever_is_not_2xx_is_tried_up_to_the_limit_then_dead_with_an_alert(receiver: Receiver, status: int) -> None:
    destination(f"http://127.0.0.1:{receiver.port}/hook")
    receiver.failing, receiver.status = {"lane 1"}, status
    alert("lane 1")
    for _ in range(notifier.ATTEMPT_LIMIT_COUNT + 3):
        notifier.notify_all()
        due_again()
    assert len(receiver.tried) == notifier.ATTEMPT_LIMIT_COUNT
    assert Outgoing.objects.get().state == State.DEAD  # and of its own trouble the destination is not told
    assert Alert.objects.get(kind="outgoing").subject == "hooks"


def test_in_observer_nothing_is_looked_up_and_the_message_is_withheld_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[object] = []
    monkeypatch.setattr("evidence.sends.socket.getaddrinfo", lambda *args, **_: asked.append(args))
    destination("https://hooks.example.com/x")
    alert("lane 1")
    alert("lane 2")
    notifier.notify_all()
    assert asked == []
    assert set(Outgoing.objects.values_list("state", flat=True)) == {State.WITHHELD}
    assert sum(WithheldCount.objects.values_list("count", flat=True)) == 2
    refused = AuditEntry.objects.filter(act="external_send.refused", subject="notification to hooks.example.com")
    assert [entry.actor for entry in refused] == ["notifier"]


PRIVATE = [
    "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "::1", "fd00::1",
    "fe80::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "224.0.0.1",
]  # fmt: skip


@pytest.mark.parametrize("found", PRIVATE)
def test_a_name_that_leads_into_our_network_is_connected_to_by_nobody(
    monkeypatch: pytest.MonkeyPatch, found: str
) -> None:
    connected: list[object] = []
    allow_private(monkeypatch, allowed=False)
    monkeypatch.setattr(sends, "current_mode", lambda: Mode.PRODUCTION)
    public_and_private = [(2, 1, 6, "", ("93.184.215.14", 443)), (2, 1, 6, "", (found, 443))]
    monkeypatch.setattr("evidence.sends.socket.getaddrinfo", lambda *_, **__: public_and_private)
    target = destination("https://hooks.example.com/x")
    alert("lane 1")
    enter_notices()
    with monkeypatch.context() as patch:
        patch.setattr("evidence.publishing.exchange.socket.create_connection", lambda *a, **_: connected.append(a))
        notifier.send_next()
    assert connected == []
    assert Outgoing.objects.get(destination=target).state == State.DEAD


def test_public_addresses_are_public() -> None:
    assert is_public("93.184.215.14")
    assert is_public("2606:2800:21f:cb07:6820:80da:af6b:8b2c")


def test_a_name_that_changes_after_the_look_up_is_not_asked_again(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = ["127.0.0.1", "10.0.0.1"]
    monkeypatch.setattr(sends, "current_mode", lambda: Mode.PRODUCTION)
    monkeypatch.setattr("evidence.sends._addresses", lambda *_: [ip_address(answers.pop(0))])
    destination(f"http://hooks.example.com:{receiver.port}/hook")
    alert("lane 1")
    notifier.notify_all()
    assert receiver.taken == [("lane 1", "alert.opened")]
    assert answers == ["10.0.0.1"]


def test_the_secret_stands_neither_in_logs_nor_in_rows(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    secret = new_secret()
    destination(f"http://127.0.0.1:{receiver.port}/hook", secret=secret)
    receiver.failing = {"lane 1"}
    alert("lane 1")
    with caplog.at_level("DEBUG"):
        enter_notices()
        claim = claim_next()
        due_again()
        notifier.notify_all()
    told = caplog.text + repr([vars(each) for each in caplog.records]) + repr(claim)
    told += repr(list(Outgoing.objects.values()))
    assert "notification_attempt_failed" in told
    assert secret.removeprefix("whsec_") not in told
    assert key_of(secret)
