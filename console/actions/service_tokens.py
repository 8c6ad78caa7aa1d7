"""Service tokens, each act with its audit entry. The entries name a token; neither its secret nor a part of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import transaction

from console.models import ServiceToken
from console.service_tokens.make import MadeToken, make_token, revoke_token
from console.service_tokens.scopes import Scope
from evidence.audit import Act, Actor, record


def create(*, actor: Actor, name: str, scopes: Iterable[Scope], life: timedelta, now: datetime) -> MadeToken:
    """As `make_token`."""
    with transaction.atomic():
        made = make_token(name=name, scopes=scopes, life=life, created_by=actor.name, now=now)
        facts = {"scopes": made.token.scopes, "expires_at": f"{made.token.expires_at:%Y-%m-%dT%H:%M:%SZ}"}
        record(Act.SERVICE_TOKEN_CREATED, actor=actor, subject=_subject(name), facts=facts)
    return made


def revoke(*, actor: Actor, name: str, now: datetime) -> ServiceToken | None:
    """As `revoke_token`. What was revoked already is no act."""
    with transaction.atomic():
        if revoked := revoke_token(name=name, now=now):
            record(Act.SERVICE_TOKEN_REVOKED, actor=actor, subject=_subject(name))
    return revoked


def _subject(name: str) -> str:
    return f"service token {name}"
