"""The way out: whether something may be sent to another host, and to which address it then goes.

Every send of ours to another host asks here first. While the mode is OBSERVER only this machine may be sent to.
"""

from __future__ import annotations

import logging
import socket
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import ClassVar
from urllib.parse import SplitResult, urlsplit

from django.db import transaction

from autocom.kernel.addresses import is_loopback
from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from evidence.audit import Act, Actor, record
from evidence.errors import EvidenceError
from evidence.models import AuditEntry
from evidence.modes import Mode, current_mode

RECORDED_AGAIN_AFTER = timedelta(hours=1)
DEFAULT_PORTS = {"http": 80, "https": 443}

log = logging.getLogger(__name__)


class DestinationInvalid(EvidenceError):
    """The address is none that we send to; the message says which it should be. It is not repeated there, as it may
    hold a password."""

    code = "destination_invalid"


class DestinationUnknown(EvidenceError):
    """The host's name could not be resolved just now."""

    code = "destination_unknown"
    retryable: ClassVar[bool] = True


class ExternalSendForbidden(EvidenceError):
    """The mode forbids to send to this host. Nothing was sent, not even a question for its address."""

    code = "external_send_forbidden"

    def __init__(self, *, host: str, mode: Mode) -> None:
        super().__init__(
            f"the mode is {mode}: nothing is sent to {host}, only to this machine (localhost, 127.0.0.0/8, ::1)"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A host, resolved once. Whoever connects, connects to `addresses`: a second look-up could name another machine."""

    scheme: str
    host: str
    port: int
    addresses: tuple[str, ...]
    path: str

    @property
    def authority(self) -> str:
        """As the Host header has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def guard_external_send(url: str, *, purpose: str, actor: Actor) -> None:
    """Passes what may be sent. Raises ExternalSendForbidden, and DestinationInvalid for what is no address.

    A refusal is an audit entry of its own, at once: the caller has no transaction open. Once an hour for the same
    purpose and host, however often it is tried; the log has a line for each.
    """
    host = _host(_parts(url))
    if not is_loopback(host):
        _refuse_in_observer(host, purpose=purpose, actor=actor)


def guard_external_mail(recipient: str, *, purpose: str, actor: Actor) -> None:
    """As guard_external_send, of mail: a mail server on this machine would pass it on, so no host is excepted."""
    _refuse_in_observer(recipient.rpartition("@")[2], purpose=purpose, actor=actor)


def _refuse_in_observer(host: str, *, purpose: str, actor: Actor) -> None:
    mode = current_mode()
    if mode is not Mode.OBSERVER:
        return
    log.warning("external_send_refused", extra={"purpose": purpose, "host": host, "mode": mode.value})
    _record_refusal(purpose=purpose, host=host, mode=mode, actor=actor)
    raise ExternalSendForbidden(host=host, mode=mode)


def check_address(url: str) -> None:
    """Passes what is written as an address that we send to; nothing is looked up. Raises DestinationInvalid."""
    _parts(url)


def resolve(url: str) -> Destination:
    """Where the url's host is now. Raises DestinationInvalid and DestinationUnknown.

    Private networks are taken, as a central endpoint may well be in one; link-local addresses are not, where clouds
    hand out credentials to whoever asks.
    """
    parts = _parts(url)
    host, port = _host(parts), parts.port or DEFAULT_PORTS[parts.scheme]
    addresses = _addresses(host, port)
    for address in addresses:
        if address.is_link_local or address.is_multicast or address.is_unspecified:
            raise DestinationInvalid(f"{host} is at {address}, where nothing is sent: give the address of a server")
        if is_loopback(host) and not address.is_loopback:
            raise DestinationInvalid(f"{host} is at {address}, which is not this machine: correct the name service")
    told = tuple(str(address) for address in addresses)
    return Destination(scheme=parts.scheme, host=host, port=port, addresses=told, path=parts.path)


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        wrong = parts.scheme not in DEFAULT_PORTS or not parts.hostname or parts.port == 0 or not url.isprintable()
    except ValueError:
        wrong = True
    if wrong or not url.isascii() or " " in url:
        raise DestinationInvalid("this is no address to send to: write it as https://evidence.example.com/path")
    if "@" in parts.netloc:
        raise DestinationInvalid("the address holds a user or password: give it without, and the token by its setting")
    if parts.query or parts.fragment:
        raise DestinationInvalid("the address holds a query or fragment: give scheme, host and path alone")
    return parts


def _host(parts: SplitResult) -> str:
    return (parts.hostname or "").removesuffix(".")


def _addresses(host: str, port: int) -> list[IPv4Address | IPv6Address]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return [_unmapped(str(sockaddr[0])) for *_, sockaddr in found]
    except (OSError, UnicodeError, ValueError) as error:
        raise DestinationUnknown(f"the address of {host} is not known: {type(error).__name__}") from error


def _unmapped(text: str) -> IPv4Address | IPv6Address:
    address = ip_address(text)
    return (address.ipv4_mapped if isinstance(address, IPv6Address) else None) or address


def _record_refusal(*, purpose: str, host: str, mode: Mode, actor: Actor) -> None:
    subject = f"{purpose} to {host}"
    since = datetime_of(us=SYSTEM_CLOCK.now_us()) - RECORDED_AGAIN_AFTER
    alike = AuditEntry.objects.filter(subject=subject, act=Act.EXTERNAL_SEND_REFUSED.value, actor=actor.name)
    with transaction.atomic(durable=True):  # what is raised afterwards must not take the entry with it
        if not alike.filter(at__gte=since).exists():
            facts = {"purpose": purpose, "host": host, "mode": mode.value}
            record(Act.EXTERNAL_SEND_REFUSED, actor=actor, subject=subject, facts=facts)
