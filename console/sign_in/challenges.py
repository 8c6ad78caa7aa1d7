"""What a passkey is to sign: random bytes in the session of whoever asked for them, gone with the first answer."""

from __future__ import annotations

import ipaddress
from base64 import b64decode, b64encode
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from secrets import token_bytes
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest

from autocom.kernel.clock import SYSTEM_CLOCK

KEPT = "console.passkey."  # and the purpose: their place in the session
SIZE_BYTES = 32
LIFETIME = timedelta(minutes=5)
HERE = "localhost"  # the one host that browsers trust without TLS, and that has a name: an address has no passkeys
DEFAULT_PORTS = {"https": 443, "http": 80}


class Purpose(StrEnum):
    ENROL = "enrol"
    PROVE = "prove"


@dataclass(frozen=True, slots=True)
class Place:
    """Whose passkeys they are. `origin`: the only one that an answer may come from, as browsers write it."""

    rp_id: str
    origin: str


@dataclass(frozen=True, slots=True)
class Asked:
    """`note`: what was asked along with it."""

    challenge: bytes
    place: Place
    note: str = ""


def place_of(request: HttpRequest) -> Place:
    """APP_BASE_URL's host. Without one, or where it is an address, this machine's own name at the port of the request.

    Never the host that a request names: where there is no APP_BASE_URL, it could be any.
    """
    base = urlsplit(settings.AUTOCOM.app_base_url)
    if base.hostname and not _is_address(base.hostname):
        return Place(base.hostname, _origin(base.scheme, base.hostname, base.port))
    return Place(HERE, _origin("http", HERE, urlsplit(f"//{request.get_host()}").port))


def ask(request: HttpRequest, purpose: Purpose, *, user: Any, note: str = "") -> Asked:
    """One that was asked before for the same purpose is worth nothing afterwards."""
    challenge = token_bytes(SIZE_BYTES)
    request.session[KEPT + purpose] = {
        "challenge": b64encode(challenge).decode(),
        "user": user.pk,
        "at_us": SYSTEM_CLOCK.now_us(),
        "note": note,
    }
    return Asked(challenge, place_of(request), note)


def waiting(request: HttpRequest, purpose: Purpose, *, user: Any) -> Asked | None:
    """What this person was asked in this session, while it may still be answered."""
    return _asked(request, request.session.get(KEPT + purpose), user)


def take(request: HttpRequest, purpose: Purpose, *, user: Any) -> Asked | None:
    """As `waiting`, and gone afterwards, whatever the answer is worth."""
    return _asked(request, request.session.pop(KEPT + purpose, None), user)


def _asked(request: HttpRequest, told: Any, user: Any) -> Asked | None:
    if told is None or told["user"] != user.pk:
        return None
    age = timedelta(microseconds=SYSTEM_CLOCK.now_us() - told["at_us"])
    if not timedelta() <= age <= LIFETIME:
        return None
    return Asked(b64decode(told["challenge"]), place_of(request), told["note"])


def _origin(scheme: str, host: str, port: int | None) -> str:
    return f"{scheme}://{host}" if port in (None, DEFAULT_PORTS.get(scheme)) else f"{scheme}://{host}:{port}"


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
