"""Make, rotate and revoke tokens. Called by the recorded action alone."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from autocom.kernel.digest import sha256
from console.models import ServiceToken
from console.service_tokens.check import PREFIX
from console.service_tokens.errors import TokenSettingWrong
from console.service_tokens.scopes import Scope

LIFE_LIMIT = timedelta(days=90)
OVERLAP = timedelta(hours=24)
OVERLAP_LIMIT = timedelta(days=7)
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class MadeToken:
    """The only place that ever holds the whole token."""

    token: ServiceToken
    text: str = field(repr=False)


def make_token(*, name: str, scopes: Iterable[Scope], life: timedelta, created_by: str, now: datetime) -> MadeToken:
    """Raises TokenSettingWrong."""
    wanted = sorted({scope.value for scope in scopes})
    _check(name, wanted, life)
    return _made(name=name, scopes=wanted, life=life, created_by=created_by, now=now)


def rotate_token(*, name: str, overlap: timedelta, life: timedelta, created_by: str, now: datetime) -> MadeToken:
    """Another secret with the same name and scopes. The one before is good for the overlap, and not beyond its own end.

    Raises TokenSettingWrong, for a token that was revoked too.
    """
    _check_life(life)
    if not timedelta(0) <= overlap <= OVERLAP_LIMIT:
        raise TokenSettingWrong(f"an overlap is up to {OVERLAP_LIMIT.days} days, such as 24h, or 0")
    before = _newest(name)
    if before.revoked_at is not None:
        raise TokenSettingWrong(f"{name!r} was revoked and stays so: create a token with another name")
    before.replaced_at, before.expires_at = now, min(before.expires_at, now + overlap)
    before.save(update_fields=["replaced_at", "expires_at"])
    return _made(name=name, scopes=before.scopes, life=life, created_by=created_by, now=now)


def _made(*, name: str, scopes: list[str], life: timedelta, created_by: str, now: datetime) -> MadeToken:
    token_id, secret = secrets.token_hex(6), secrets.token_hex(32)
    token = ServiceToken.objects.create(
        token_id=token_id,
        name=name,
        # 256 random bits: a slow hash, which guards guessable passwords, would guard nothing
        secret_sha256=sha256(secret.encode()),
        scopes=scopes,
        created_by=created_by,
        created_at=now,
        expires_at=now + life,
    )
    return MadeToken(token, f"{PREFIX}_{token_id}_{secret}")


def revoke_token(*, name: str, now: datetime) -> ServiceToken | None:
    """With every secret that a rotation left good. None where it was revoked already. Raises TokenSettingWrong for an
    unknown name."""
    token = _newest(name)
    if token.revoked_at is not None:
        return None
    ServiceToken.objects.filter(name=name, revoked_at=None).update(revoked_at=now)
    token.revoked_at = now
    return token


def _newest(name: str) -> ServiceToken:
    token = ServiceToken.objects.select_for_update().filter(name=name, replaced_at=None).first()
    if token is None:
        raise TokenSettingWrong(f"no token is called {name!r}: `manage.py service_token list` names them")
    return token


def _check(name: str, scopes: list[str], life: timedelta) -> None:
    if not _NAME.fullmatch(name):
        raise TokenSettingWrong(f"{name!r} is no name: 1 to 64 of a-z, 0-9, dot, - and _, such as ci-evidence")
    if not scopes:
        raise TokenSettingWrong(f"a token without a scope can do nothing: give one or more of {', '.join(Scope)}")
    _check_life(life)
    if ServiceToken.objects.filter(name=name).exists():
        raise TokenSettingWrong(f"{name!r} was given before, and the audit log knows it: choose another name")


def _check_life(life: timedelta) -> None:
    if not timedelta(0) < life <= LIFE_LIMIT:
        raise TokenSettingWrong(f"a token lives for up to {LIFE_LIMIT.days} days, such as 30d")
