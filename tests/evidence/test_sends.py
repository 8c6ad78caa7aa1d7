"""Nothing leaves this machine in OBSERVER mode, and an address is looked at before anything goes there."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from evidence import sends
from evidence.audit import Act, Actor, ActorKind
from evidence.models import AuditEntry
from evidence.modes import Mode, current_mode
from evidence.sends import (
    DestinationInvalid,
    DestinationUnknown,
    ExternalSendForbidden,
    guard_external_send,
    resolve,
)

pytestmark = pytest.mark.django_db

SOMEBODY = Actor(ActorKind.PERSON, "dri")
LOOPBACK = ["http://127.0.0.1:1/x", "http://localhost", "https://[::1]:8443/x", "http://127.9.8.7", "http://LOCALHOST."]
ELSEWHERE = [
    "https://evidence.example.com/x",
    "http://127.0.0.1.example.com",
    "http://0x7f000001/",
    "http://2130706433/",
    "http://127.1/",
    "http://0.0.0.0/",
    "http://10.0.0.1/",
    "http://localhost.example.com/",
    "http://[::ffff:10.0.0.1]/",
]
WRONG = [
    "ftp://localhost",
    "localhost",
    "https://",
    "http://user:hunter2hunter2@localhost/",
    "http://localhost/?token=hunter2hunter2",
    "http://localhost/#x",
    "http://localhost:99999/",
    "http://localhost/\r\nHost: hunter2hunter2",
    "http://local host/",
    "http://exämple.com/",
    "http://[::1",
]


def refusals() -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(act=Act.EXTERNAL_SEND_REFUSED).order_by("number"))


@pytest.fixture
def asked_names(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every name that a resolver was asked for."""
    names: list[str] = []

    def asked(host: str, *rest: Any, **more: Any) -> Any:
        names.append(host)
        raise OSError("no resolver in tests")

    monkeypatch.setattr(socket, "getaddrinfo", asked)
    return names


def test_the_mode_is_observer() -> None:
    assert current_mode() is Mode.OBSERVER


@pytest.mark.parametrize("url", LOOPBACK)
def test_this_machine_may_be_sent_to(url: str) -> None:
    guard_external_send(url, purpose="test", actor=SOMEBODY)
    assert refusals() == []


@pytest.mark.parametrize("url", ELSEWHERE)
def test_everybody_else_is_refused_and_recorded_without_asking_a_resolver(url: str, asked_names: list[str]) -> None:
    with pytest.raises(ExternalSendForbidden, match="the mode is OBSERVER"):
        guard_external_send(url, purpose="test", actor=SOMEBODY)
    (entry,) = refusals()
    assert (entry.actor, entry.actor_kind, entry.facts["purpose"]) == ("dri", "person", "test")
    assert entry.facts["host"] in url
    assert asked_names == []


@pytest.mark.parametrize("url", WRONG)
def test_what_is_no_address_is_refused_without_being_repeated(url: str) -> None:
    for look in (lambda: guard_external_send(url, purpose="test", actor=SOMEBODY), lambda: resolve(url)):
        with pytest.raises(DestinationInvalid) as refused:
            look()
        assert "hunter2hunter2" not in str(refused.value)
    assert refusals() == []


def test_a_refusal_that_repeats_within_an_hour_is_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(url: str, *, purpose: str = "test", actor: Actor = SOMEBODY) -> None:
        with pytest.raises(ExternalSendForbidden):
            guard_external_send(url, purpose=purpose, actor=actor)

    for _ in range(3):
        refused("https://a.example.com/x")
    assert len(refusals()) == 1
    refused("https://b.example.com/x")
    refused("https://a.example.com/x", purpose="other")
    refused("https://a.example.com/x", actor=Actor.process("other"))
    assert len(refusals()) == 4
    monkeypatch.setattr(sends, "RECORDED_AGAIN_AFTER", -sends.RECORDED_AGAIN_AFTER)
    refused("https://a.example.com/x")
    assert len(refusals()) == 5


def test_another_mode_lets_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sends, "current_mode", lambda: Mode.PRODUCTION)
    guard_external_send("https://evidence.example.com", purpose="test", actor=SOMEBODY)
    assert refusals() == []


def resolving_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    found = [(0, 0, 0, "", (address, 0)) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)


@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1", "224.0.0.1", "0.0.0.0", "::ffff:169.254.169.254"])
def test_a_name_that_leads_to_credentials_or_nowhere_is_refused(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    resolving_to(monkeypatch, "192.0.2.1", address)
    with pytest.raises(DestinationInvalid, match=r"evidence\.example\.com is at"):
        resolve("https://evidence.example.com")


def test_a_localhost_that_is_elsewhere_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving_to(monkeypatch, "192.0.2.1")
    with pytest.raises(DestinationInvalid, match="not this machine"):
        resolve("http://localhost")


def test_a_destination_has_the_addresses_that_were_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving_to(monkeypatch, "10.0.0.1", "2001:db8::1")
    found = resolve("https://evidence.example.com:8443/x/y")
    assert (found.addresses, found.authority, found.path) == (
        ("10.0.0.1", "2001:db8::1"),
        "evidence.example.com:8443",
        "/x/y",
    )


def test_a_name_that_cannot_be_resolved_may_be_tried_again(asked_names: list[str]) -> None:
    with pytest.raises(DestinationUnknown) as refused:
        resolve("https://evidence.example.com")
    assert refused.value.retryable
    assert asked_names == ["evidence.example.com"]
