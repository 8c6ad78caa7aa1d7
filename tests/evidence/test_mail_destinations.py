"""Alerts by mail: once, as plain text, never in OBSERVER, and nothing in an alert becomes a header."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.core.management import call_command
from django.db import transaction
from django.utils import timezone

from autocom.mail_server import mail_server_of
from evidence import sends
from evidence.alerts import close_alert, raise_alert
from evidence.models import Alert, AuditEntry, Destination, Outgoing, WithheldCount
from evidence.modes import Mode
from evidence.outgoing import notifier
from evidence.outgoing.mail import recipient_of
from evidence.outgoing.rekey import rekey_destinations
from evidence.sends import DestinationInvalid
from tests.support.smtp import MailBox, SignIn, mail_server
from tests.support.tls import certificate, server_context

pytestmark = pytest.mark.django_db(transaction=True)
State = Outgoing.State
HOST, PASSWORD = "mail.example.com", "p@ss:w/rd of the post"


@pytest.fixture
def box(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[MailBox]:
    """A mail server that the settings name, in PRODUCTION."""
    monkeypatch.setattr(sends, "current_mode", lambda: Mode.PRODUCTION)
    with mail_server(MailBox()) as box:
        use(settings, f"smtp://127.0.0.1:{box.port}?from=autocom@example.com")
        yield box


def use(settings: Any, url: str) -> None:
    settings.AUTOCOM = dataclasses.replace(settings.AUTOCOM, email_url=url, app_base_url="https://autocom.example.com")
    if url:
        server = mail_server_of(url, base_url="")
        settings.EMAIL_HOST, settings.EMAIL_PORT = server.host, server.port
        settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = server.user, server.password
        settings.EMAIL_USE_SSL, settings.EMAIL_USE_TLS = server.is_tls, server.starts_tls
        settings.DEFAULT_FROM_EMAIL = server.sender


def add(address: str = "mailto:ops@example.com", *more: str) -> int:
    with pytest.raises(SystemExit) as ended:
        call_command("destination", "add", "mail", address, *more)
    return int(ended.value.code or 0)


def alert(summary: str = "lane 1 is late", *, subject: str = "lane 1") -> Alert:
    return raise_alert("lag", subject, severity=Alert.Severity.PAGE, summary=summary)


def notify_again() -> None:
    Outgoing.objects.filter(state=State.WAITING).update(next_attempt_at=timezone.now())
    notifier.notify_all()


def test_an_alert_is_mailed_once_when_it_opens_and_once_when_it_closes(box: MailBox) -> None:
    assert add() == 0
    opened_at = alert().opened_at
    notifier.notify_all()
    notifier.notify_all()
    (mail,) = box.taken
    assert (mail["From"], mail["To"], box.recipients) == (
        "autocom@example.com",
        "ops@example.com",
        ["ops@example.com"],
    )
    assert mail["Subject"] == "[autocom] lane 1 is late"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_content_type() == "text/plain"
    assert mail.get_content().splitlines() == [
        "lane 1 is late",
        "",
        "Kind: lag",
        "Subject: lane 1",
        "Severity: page",
        f"Since: {opened_at.isoformat()}",
        "What to do: https://autocom.example.com/admin/alerts/",
    ]
    close_alert("lag", "lane 1")
    notifier.notify_all()
    over = box.taken[1]
    assert over["Subject"] == "[autocom] over: lane 1 is late"
    assert over["Message-ID"] != mail["Message-ID"]
    assert set(Outgoing.objects.values_list("state", flat=True)) == {State.SENT}


def test_in_observer_no_mail_server_is_connected_to_not_even_one_of_this_machine(
    box: MailBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sends, "current_mode", lambda: Mode.OBSERVER)
    add()
    alert()
    alert(subject="lane 2")
    notifier.notify_all()
    assert box.connection_count == 0
    assert set(Outgoing.objects.values_list("state", flat=True)) == {State.WITHHELD}
    assert sum(WithheldCount.objects.values_list("count", flat=True)) == 2
    refused = AuditEntry.objects.filter(act="external_send.refused", subject="notification to example.com")
    assert [entry.actor for entry in refused] == ["notifier"]


@pytest.mark.parametrize(("verb", "what"), [("RCPT", "recipient"), ("MAIL", "sender"), ("END", "message")])
def test_what_the_server_will_never_take_is_dead_at_once_without_its_words(box: MailBox, verb: str, what: str) -> None:
    add()
    box.answers = {verb: "550 5.1.1 nobody of the name hunter2hunter2"}
    alert()
    notifier.notify_all()
    row = Outgoing.objects.get()
    assert (row.state, row.attempt_count) == (State.DEAD, 1)
    assert row.error == f"the mail server of EMAIL_URL refused the {what} with 550"
    assert Alert.objects.get(kind="outgoing").subject == "mail"
    notify_again()
    assert box.connection_count == 1  # of its own trouble it is not told


@pytest.mark.parametrize("verb", ["RCPT", "MAIL", "DATA", "END"])
def test_what_is_refused_for_now_is_tried_up_to_the_limit(box: MailBox, verb: str) -> None:
    add()
    box.answers = {verb: "451 later"}
    alert()
    for _ in range(notifier.ATTEMPT_LIMIT_COUNT + 2):
        notify_again()
    assert box.connection_count == notifier.ATTEMPT_LIMIT_COUNT
    assert Outgoing.objects.get().state == State.DEAD


def test_while_the_server_is_away_mail_waits_in_order_and_comes_with_the_same_id_at_each_attempt(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sends, "current_mode", lambda: Mode.PRODUCTION)
    box = MailBox()
    with mail_server(box):
        use(settings, f"smtp://127.0.0.1:{box.port}?from=autocom@example.com")
        add()
        box.answers = {"END": "451 later"}
        alert()
        close_alert("lag", "lane 1")
        notifier.notify_all()
    notify_again()  # nobody listens
    first, second = Outgoing.objects.order_by("pk")
    assert (first.state, first.attempt_count) == (State.WAITING, 2)
    assert "ConnectionRefusedError" in first.error
    assert second.attempt_count == 0
    box.answers = {}
    with mail_server(box):
        notify_again()
    assert [mail["Subject"] for mail in box.taken] == ["[autocom] lane 1 is late", "[autocom] over: lane 1 is late"]
    assert len(box.seen) == 3
    assert box.seen[0]["Message-ID"] == box.seen[1]["Message-ID"] != box.seen[2]["Message-ID"]


def test_mail_that_was_taken_is_not_sent_again_for_a_bad_goodbye(box: MailBox) -> None:
    add()
    box.answers = {"QUIT": "2" * 9_000}  # more than a reply may have
    alert()
    notifier.notify_all()
    notify_again()
    assert len(box.taken) == 1
    assert Outgoing.objects.get().state == State.SENT


@pytest.fixture
def elsewhere(settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., MailBox]]:
    """Starts HOST's mail server, which has a certificate, is named in the settings and stands on this machine."""
    monkeypatch.setattr(sends, "current_mode", lambda: Mode.PRODUCTION)
    connect = socket.create_connection
    monkeypatch.setattr(
        socket, "create_connection", lambda to, *more, **named: connect(("127.0.0.1", to[1]), *more, **named)
    )
    tls = certificate(tmp_path, HOST)
    with ExitStack() as running:

        def started(scheme: str, *, is_trusted: bool = True, host: str = HOST, has_tls: bool = True) -> MailBox:
            if is_trusted:
                monkeypatch.setenv("SSL_CERT_FILE", str(tls))
            context = server_context(tls) if has_tls else None
            box = running.enter_context(mail_server(MailBox(tls=context, is_tls_at_once=scheme == "smtps")))
            use(settings, f"{scheme}://postman:{quote(PASSWORD, safe='')}@{host}:{box.port}?from=autocom@example.com")
            return box

        yield started


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_another_machine_gets_password_and_mail_encrypted(elsewhere: Callable[..., MailBox], scheme: str) -> None:
    box = elsewhere(scheme)
    assert add() == 0
    alert()
    notifier.notify_all()
    assert box.sign_ins == [SignIn("postman", PASSWORD, is_encrypted=True)]
    assert [mail["Subject"] for mail in box.taken] == ["[autocom] lane 1 is late"]
    assert Outgoing.objects.get().state == State.SENT


@pytest.mark.parametrize(
    ("scheme", "server"),
    [
        ("smtp", {"has_tls": False}),
        ("smtp", {"is_trusted": False}),
        ("smtps", {"is_trusted": False}),
        ("smtp", {"host": "other.example.com"}),
        ("smtps", {"host": "other.example.com"}),
    ],
)
def test_a_server_that_may_be_another_gets_neither_password_nor_mail(
    elsewhere: Callable[..., MailBox], scheme: str, server: dict[str, Any]
) -> None:
    box = elsewhere(scheme, **server)
    add()
    alert()
    notifier.notify_all()
    assert box.connection_count == 1
    assert (box.sign_ins, box.seen, box.recipients) == ([], [], [])
    row = Outgoing.objects.get()
    assert row.state == State.WAITING
    assert row.error.startswith("the mail server of EMAIL_URL took nothing: ")


def test_a_sign_in_that_the_mail_server_refuses_is_tried_again_and_tells_no_password(
    elsewhere: Callable[..., MailBox],
) -> None:
    box = elsewhere("smtp")
    box.answers = {"AUTH": f"535 not {PASSWORD}"}
    add()
    alert()
    notifier.notify_all()
    row = Outgoing.objects.get()
    assert (row.state, box.seen) == (State.WAITING, [])
    assert row.error == "the mail server of EMAIL_URL took nothing: SMTPAuthenticationError 535"
    box.answers = {}
    notify_again()
    assert Outgoing.objects.get().state == State.SENT


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\v", "\f", "\x1c", "\x85", "\u2028"])
@pytest.mark.parametrize("word", ["late", "späte"])
def test_nothing_in_an_alert_becomes_a_header_a_recipient_or_a_line(box: MailBox, end: str, word: str) -> None:
    add()
    hostile = f"{word}{end}Bcc: eve@example.com{end}{end}.{end}RCPT TO:<eve@example.com>"
    alert(hostile, subject=f"lane{end}What to do: https://evil.example.com")
    notifier.notify_all()
    (mail,) = box.taken
    assert box.recipients == ["ops@example.com"]
    assert mail["Bcc"] is None
    assert mail["Subject"].strip() == f"[autocom] {word} Bcc: eve@example.com . RCPT TO:<eve@example.com>"
    told = mail.get_content().splitlines()
    assert told[0] == f"{word} Bcc: eve@example.com . RCPT TO:<eve@example.com>"
    assert [line for line in told if line.startswith("What to do")] == [
        "What to do: https://autocom.example.com/admin/alerts/"
    ]


@pytest.mark.parametrize(
    "address",
    [
        "mailto:", "mailto:ops", "mailto:ops@example.com,eve@example.com", "mailto:ops@example.com?cc=eve@example.com",
        "mailto:ops@example.com?cc=x", "mailto:ops@example.com\n", "mailto:Ops <ops@example.com>",
        "mailto:öps@example.com", 'mailto:"a b"@example.com', "mailto:ops@localhost", "mailto:ops@[127.0.0.1]",
        "mailto:ops%0a@example.com",
        "ops@example.com", f"mailto:{'a' * 60}@{'b.' * 120}example.com",
    ],
)  # fmt: skip
def test_what_is_not_exactly_one_address_is_refused(box: MailBox, address: str) -> None:
    with pytest.raises(DestinationInvalid):
        recipient_of(address)
    assert add(address) == 2
    assert not Destination.objects.exists()


def test_mail_takes_no_events(box: MailBox, capsys: pytest.CaptureFixture[str]) -> None:
    assert add("mailto:ops@example.com", "--forward") == 2
    assert "mail takes alerts alone" in capsys.readouterr().err
    assert not Destination.objects.exists()


def test_without_a_mail_server_no_mail_destination_is_added_and_one_that_is_there_waits(
    box: MailBox, settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    add()
    use(settings, "")
    alert()
    notifier.notify_all()
    assert box.connection_count == 0
    row = Outgoing.objects.get()
    assert (row.state, row.error) == (State.WAITING, "EMAIL_URL is not set any more: name the mail server there")
    Outgoing.objects.all().delete()
    Destination.objects.all().delete()
    assert add() == 2
    assert "EMAIL_URL is not set" in capsys.readouterr().err
    assert not Destination.objects.exists()


def test_a_mail_destination_has_no_secret_to_show_or_to_lose(box: MailBox, capsys: pytest.CaptureFixture[str]) -> None:
    assert add() == 0
    assert "mail is not signed" in capsys.readouterr().out
    assert Destination.objects.get().secret_fingerprint == ""
    with transaction.atomic():
        assert rekey_destinations().unreadable == ()
    assert AuditEntry.objects.filter(act="destination.added").latest("number").facts["secret"] == ""
