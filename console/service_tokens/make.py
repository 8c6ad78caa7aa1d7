"""Make and revoke tokens. Called by the recorded action alone."""

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
    token_id, secret = secrets.token_hex(6), secrets.token_hex(32)
    token = ServiceToken.objects.create(
        token_id=token_id,
        name=name,
        # 256 random bits: a slow hash, which guards guessable passwords, would guard nothing
        secret_sha256=sha256(secret.encode()),
        scopes=wanted,
        created_by=created_by,
        created_at=now,
        expires_at=now + life,
    )
    return MadeToken(token, f"{PREFIX}_{token_id}_{secret}")


def revoke_token(*, name: str, now: datetime) -> ServiceToken | None:
    """None where it was revoked already. Raises TokenSettingWrong for an unknown name."""
    token = ServiceToken.objects.select_for_update().filter(name=name).first()
    if token is None:
        raise TokenSettingWrong(f"no token is called {name!r}: `manage.py service_token list` names them")
    if token.revoked_at is not None:
        return None
    token.revoked_at = now
    token.save(update_fields=["revoked_at"])
    return token


def _check(name: str, scopes: list[str], life: timedelta) -> None:
    if not _NAME.fullmatch(name):
        raise TokenSettingWrong(f"{name!r} is no name: 1 to 64 of a-z, 0-9, dot, - and _, such as ci-evidence")
    if not scopes:
        raise TokenSettingWrong(f"a token without a scope can do nothing: give one or more of {', '.join(Scope)}")
    if not timedelta(0) < life <= LIFE_LIMIT:
        raise TokenSettingWrong(f"a token lives for up to {LIFE_LIMIT.days} days, such as 30d")
    if ServiceToken.objects.filter(name=name).exists():
        raise TokenSettingWrong(f"{name!r} was given before, and the audit log knows it: choose another name")
