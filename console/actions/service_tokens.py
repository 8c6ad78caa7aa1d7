"""Service tokens, each act with its audit entry. The entries name a token; neither its secret nor a part of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import transaction

from console.access import Permission
from console.actions.operator import Operator, check
from console.models import ServiceToken
from console.service_tokens.make import MadeToken, make_token, revoke_token, rotate_token
from console.service_tokens.scopes import PERMISSIONS_BY_SCOPE, Scope
from evidence.audit import Act, Actor, record


def may_manage(operator: Operator, *, name: str, scopes: Iterable[Scope] = ()) -> None:
    """For whoever is not at the shell: nobody hands a program what they do not hold. Raises RefusalRecorded."""
    check(operator, Permission.TOKEN_MANAGE, subject=_subject(name))
    for scope in scopes:
        for permission in sorted(PERMISSIONS_BY_SCOPE[scope]):
            check(operator, permission, subject=f"{_subject(name)} with {scope}")


def create(*, actor: Actor, name: str, scopes: Iterable[Scope], life: timedelta, now: datetime) -> MadeToken:
    """As `make_token`."""
    with transaction.atomic():
        made = make_token(name=name, scopes=scopes, life=life, created_by=actor.name, now=now)
        facts = {"scopes": made.token.scopes, "expires_at": f"{made.token.expires_at:%Y-%m-%dT%H:%M:%SZ}"}
        record(Act.SERVICE_TOKEN_CREATED, actor=actor, subject=_subject(name), facts=facts)
    return made


def rotate(*, actor: Actor, name: str, overlap: timedelta, life: timedelta, now: datetime) -> MadeToken:
    """As `rotate_token`."""
    with transaction.atomic():
        made = rotate_token(name=name, overlap=overlap, life=life, created_by=actor.name, now=now)
        facts = {
            "scopes": made.token.scopes,
            "expires_at": f"{made.token.expires_at:%Y-%m-%dT%H:%M:%SZ}",
            "overlap_seconds": int(overlap.total_seconds()),
        }
        record(Act.SERVICE_TOKEN_ROTATED, actor=actor, subject=_subject(name), facts=facts)
    return made


def revoke(*, actor: Actor, name: str, now: datetime) -> ServiceToken | None:
    """As `revoke_token`. What was revoked already is no act."""
    with transaction.atomic():
        if revoked := revoke_token(name=name, now=now):
            record(Act.SERVICE_TOKEN_REVOKED, actor=actor, subject=_subject(name))
    return revoked


def _subject(name: str) -> str:
    return f"service token {name}"
