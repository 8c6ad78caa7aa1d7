"""People who sign in, from somewhere, and the codes that their apps would show."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.test import Client
from django.urls import reverse

from console.sign_in import factor
from console.sign_in.openid.issuer import DISCOVERED
from evidence.models import AuditEntry
from tests.support.gates import PASSWORD
from tests.support.identity_provider import CLIENT_ID, CLIENT_SECRET, IdentityProvider, identity_provider

LOGIN = "/admin/login/"
CODE = "/admin/login/code/"
BEGIN, BACK = "/admin/login/openid/", "/admin/login/openid/back/"
HOME, ELSEWHERE = "203.0.113.7", "198.51.100.9"
PERIOD_SECONDS = 30
GUESS = "a guess"


def try_password(client: Client, username: str, password: str = GUESS, *, address: str = HOME, **headers: str) -> Any:
    form = {"username": username, "password": password}
    return client.post(LOGIN, form, REMOTE_ADDR=address, **headers)  # type: ignore[arg-type]


def fail(username: str, count: int = 5, *, address: str = HOME, **headers: str) -> Any:
    """Wrong passwords, each by a browser of its own; the last answer."""
    for _ in range(count):
        answer = try_password(Client(), username, address=address, **headers)
    return answer


def is_in(client: Client) -> bool:
    return client.get(reverse("admin:my_sessions")).status_code == 200


def code_of(secret: str, *, ahead: int = 0) -> str:
    """What the app shows now; `ahead`: periods later, as far as the server takes it."""
    return str(format_hotp_value(hotp_value(secret, int(time.time()) // PERIOD_SECONDS + ahead)))


def enrolled(user: Any) -> tuple[str, list[str]]:
    """Secret and recovery codes. The code of the period before is the one that is used up."""
    secret = factor.new_secret()
    return secret, factor.enrol(user, secret=secret, code=code_of(secret, ahead=-1))


def by_password(username: str, *, address: str = HOME) -> Client:
    """A browser that gave the right password."""
    client = Client()
    assert try_password(client, username, PASSWORD, address=address).status_code == 302
    return client


def give_code(client: Client, code: str, *, address: str = HOME) -> Any:
    return client.post(CODE, {"code": code}, REMOTE_ADDR=address)


@contextmanager
def set_up_provider(settings: Any, *, base: str) -> Iterator[IdentityProvider]:
    """An issuer on loopback that the console at `base` trusts."""
    with identity_provider(back_to=f"{base}{BACK}") as found:
        settings.OIDC_ISSUER = found.issuer
        settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET = CLIENT_ID, CLIENT_SECRET
        settings.OIDC_NAME, settings.OIDC_BACK_TO = "Example ID", base
        DISCOVERED.forget()
        yield found
    DISCOVERED.forget()


def text_of(answer: Any) -> str:
    return re.sub(r"\s+", " ", answer.content.decode())


def acts(*names: str) -> list[tuple[str, str, str]]:
    """Entries of these acts: act, actor, subject."""
    rows = AuditEntry.objects.filter(act__in=names).order_by("number")
    return [(row.act, row.actor, row.subject) for row in rows]
