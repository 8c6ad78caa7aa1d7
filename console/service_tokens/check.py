"""Whose token is it?"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from autocom.kernel.digest import sha256
from console.access import Permission
from console.models import ServiceToken
from console.service_tokens.errors import TokenRefused
from console.service_tokens.scopes import PERMISSIONS_BY_SCOPE, Scope
from evidence.audit import Actor, ActorKind

PREFIX = "acst"
_FORM = re.compile(rf"{PREFIX}_([0-9a-f]{{12}})_([0-9a-f]{{64}})")
_NOBODYS = sha256(b"nobody's secret")


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """The program that acts. No user of Django's: it never gets a session, a page or a role."""

    name: str
    scopes: frozenset[Scope]
    is_authenticated: ClassVar[bool] = True

    def has(self, scope: Scope) -> bool:
        return scope in self.scopes

    def has_perm(self, permission: Permission, row: object | None = None) -> bool:
        """By its scopes. No program holds a right on a row."""
        return row is None and any(permission in PERMISSIONS_BY_SCOPE[scope] for scope in self.scopes)

    @property
    def actor(self) -> Actor:
        return Actor(ActorKind.TOKEN, self.name)


def account_of(text: str, *, now: datetime) -> ServiceAccount:
    """Whom the token stands for; its use is noted. Raises TokenRefused, for an unknown id and a wrong secret alike."""
    found = _FORM.fullmatch(text)
    token = ServiceToken.objects.filter(pk=found[1]).first() if found else None
    kept = bytes(token.secret_sha256) if token else _NOBODYS
    fits = hmac.compare_digest(kept, sha256(found[2].encode() if found else b""))
    if token is None or not fits or token.revoked_at is not None or token.expires_at <= now:
        raise TokenRefused
    _note_use(token, now=now)
    known = set(Scope)
    return ServiceAccount(token.name, frozenset(Scope(scope) for scope in token.scopes if scope in known))


def _note_use(token: ServiceToken, *, now: datetime) -> None:
    """By the day: a write for each request would be one for nothing."""
    if token.last_used_at is None or token.last_used_at.date() < now.date():
        ServiceToken.objects.filter(pk=token.pk).update(last_used_at=now)
