"""Who failed too often is refused for a while, by name and address together. django-axes counts; here is what by.

Names are kept as keyed digests: people type passwords into the wrong field. They count alike whether there is such a
user or not, so that a lock tells nobody.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, override

from axes.backends import AxesStandaloneBackend
from axes.handlers.proxy import AxesProxyHandler
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db.models import Max, Sum
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import salted_hmac

NOWHERE = "0.0.0.0"  # noqa: S104  (no address that anybody listens on: axes cannot count where there is none)
NOBODY_KNOWN = "a user that does not exist"
IPV6_NETWORK_BITS = 64  # what one customer gets: a lock by single addresses would lock nobody
LOCKED_TOLD = (
    "Too many failed sign-ins with this name from your address. Nobody can sign in with it from there for an hour "
    "after the last one; an operator can lift the lock earlier."
)
WRONG_TOLD = (
    "Name or password is wrong, or the account may not use the console. After five failures a name is locked for an "
    "hour from the address that failed."
)


class LockingBackend(AxesStandaloneBackend):  # type: ignore[misc]  # axes has no types
    """First of the backends. Without a request it is a process of this machine that asks, which no lock is for."""

    @override
    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **more: Any
    ) -> None:
        if request is not None:
            super().authenticate(request, username=username, password=password, **more)


@dataclass(frozen=True, slots=True)
class Lock:
    """`username` is empty for a name that no user has."""

    digest: str
    username: str
    address: str
    failure_count: int
    until: datetime


def address_of(request: HttpRequest | None) -> str:
    """Where the browser is. X-Forwarded-For counts as far as CONSOLE_PROXIES of our own wrote it, from its end."""
    if request is None:
        return NOWHERE
    direct = str(request.META.get("REMOTE_ADDR") or "")
    hops = [hop.strip() for hop in str(request.META.get("HTTP_X_FORWARDED_FOR", "")).split(",") if hop.strip()]
    count = settings.CONSOLE_PROXIES
    return _address(hops[-count] if 0 < count <= len(hops) else direct)


def network_of(request: HttpRequest) -> str:
    """What a lock is by: the address, or the network of an IPv6 one."""
    address = ipaddress.ip_address(address_of(request))
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((address, IPV6_NETWORK_BITS), strict=False).network_address)


def name_digest(_request: HttpRequest | None, credentials: Mapping[str, Any] | None) -> str:
    return digest_of(str((credentials or {}).get("username") or ""))


def digest_of(username: str) -> str:
    return salted_hmac("console.sign_in.locks", username, algorithm="sha256").hexdigest()


def as_answered(_request: HttpRequest, response: HttpResponse, _credentials: Any = None) -> HttpResponse:
    """The page has said it already, in its own form."""
    return response


def is_locked(request: HttpRequest, username: str) -> bool:
    return not AxesProxyHandler.is_allowed(request, {"username": username})


def was_refused(request: HttpRequest | None) -> bool:
    """True where this request was locked out, or locked itself out."""
    return bool(getattr(request, "axes_locked_out", False))


def has_just_locked(request: HttpRequest | None) -> bool:
    """True for the failure that reached the limit; those after it are not counted any more."""
    return was_refused(request) and getattr(request, "axes_failures_since_start", None) is not None


def locks(*, now: datetime) -> list[Lock]:
    """Those that hold now, the newest first."""
    rows = (
        AccessAttempt.objects.filter(attempt_time__gte=now - settings.AXES_COOLOFF_TIME)
        .values("username", "ip_address")
        .annotate(failure_count=Sum("failures_since_start"), last=Max("attempt_time"))
        .filter(failure_count__gte=settings.AXES_FAILURE_LIMIT)
        .order_by("-last")
    )
    known = {digest_of(name): name for name in get_user_model().objects.values_list("username", flat=True)}
    return [
        Lock(
            digest=row["username"],
            username=known.get(row["username"], ""),
            address=row["ip_address"],
            failure_count=row["failure_count"],
            until=row["last"] + settings.AXES_COOLOFF_TIME,
        )
        for row in rows
    ]


def forget(*, digest: str, address: str | None) -> int:
    """Lifts a name's locks: at one address, or everywhere. How many counters were dropped."""
    found = AccessAttempt.objects.filter(username=digest)
    dropped, _ = (found if address is None else found.filter(ip_address=address)).delete()
    return int(dropped)


def _address(text: str) -> str:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return NOWHERE
    mapped = getattr(address, "ipv4_mapped", None)  # a server that listens on both sees IPv4 as this
    return str(mapped or address)
