"""Sessions ended, locks lifted, second factors made, used and removed; each with its audit entry."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.signals import user_login_failed
from django.db import transaction
from django.http import HttpRequest

from console.access import Permission
from console.actions.operator import Operator, check
from console.models import ConsoleSession
from console.sign_in import challenges, factor, locks, sessions
from console.sign_in.challenges import Purpose
from console.sign_in.factor import CodeRefused, Means
from evidence.audit import Act, Actor, record


def end_own_sessions(
    user: Any, *, now: datetime, public_id: UUID | None = None, but: UUID | None = None
) -> Sequence[ConsoleSession]:
    """One of somebody's own sessions, or all but one."""
    with transaction.atomic():
        ended = sessions.end(now=now, user=user, public_id=public_id, but=but)
        _record_ended(ended, actor=Actor.person(user))
    return ended


def end_sessions(
    operator: Operator, *, now: datetime, user: Any = None, public_id: UUID | None = None
) -> Sequence[ConsoleSession]:
    """Somebody's sessions, or one. Raises RefusalRecorded."""
    check(operator, Permission.SIGN_IN_MANAGE, subject="sessions")
    with transaction.atomic():
        ended = sessions.end(now=now, user=user, public_id=public_id)
        _record_ended(ended, actor=operator.actor)
    return ended


def lift_lock(operator: Operator, *, digest: str, username: str, address: str | None) -> bool:
    """Of a name at one address, or everywhere, and of the codes of whoever has it. Raises RefusalRecorded.

    `username`: empty where no user has the name. False where there was nothing to lift.
    """
    subject = f"user {username}" if username else locks.NOBODY_KNOWN
    check(operator, Permission.SIGN_IN_MANAGE, subject=subject)
    with transaction.atomic():
        lifted = locks.forget(digest=digest, address=address) > 0
        lifted |= bool(username) and factor.forget_failures(username)
        if lifted:
            facts = {"address": address or "all"}
            record(Act.SIGN_IN_LOCK_LIFTED, actor=operator.actor, subject=subject, facts=facts)
    return lifted


def prove(user: Any, code: str, *, passkey: str = "", request: HttpRequest | None) -> Means:
    """By which means the code proves it, or the passkey's answer, which comes before a code.

    A wrong one counts as a failed sign-in. Raises CodeRefused, TooManyCodes.
    """
    try:
        return _by_passkey(user, passkey, request=request) if passkey and request else _by_code(user, code)
    except CodeRefused:
        credentials = {"username": user.get_username(), "step": "passkey" if passkey else "code"}
        user_login_failed.send(sender=__name__, credentials=credentials, request=request)
        raise


def _by_code(user: Any, code: str) -> Means:
    with transaction.atomic():
        means = factor.take(user, code)
        if means is Means.RECOVERY_CODE:
            left = factor.standing(user).codes_left_count
            record(Act.RECOVERY_CODE_USED, actor=Actor.person(user), subject=_subject(user), facts={"left": left})
    if means is None:
        raise CodeRefused("the code is wrong, or was used before: wait for the next one")
    return means


def _by_passkey(user: Any, answer: str, *, request: HttpRequest) -> Means:
    asked = challenges.take(request, Purpose.PROVE, user=user)
    with transaction.atomic():
        taken = factor.take_passkey(user, answer, asked=asked)
        if taken.copied is not None:
            facts = taken.copied.facts
            record(Act.PASSKEY_COUNTER_WENT_BACK, actor=Actor.person(user), subject=_subject(user), facts=facts)
        elif not taken.refusal:
            facts = {"passkey": taken.name}
            record(Act.PASSKEY_USED, actor=Actor.person(user), subject=_subject(user), facts=facts)
    if taken.refusal:
        raise CodeRefused(taken.refusal)
    return Means.PASSKEY


def enrol(user: Any, *, secret: str, code: str) -> list[str]:
    """The recovery codes, told this once; none where a passkey brought them before. Raises EnrolmentRefused."""
    with transaction.atomic():
        codes = factor.enrol(user, secret=secret, code=code)
        record(Act.SECOND_FACTOR_ENROLLED, actor=Actor.person(user), subject=_subject(user), facts={"kind": "totp"})
    return codes


def add_passkey(user: Any, answer: str, *, request: HttpRequest) -> list[str]:
    """The recovery codes, told this once; none where another factor brought them before. Raises EnrolmentRefused."""
    asked = challenges.take(request, Purpose.ENROL, user=user)
    with transaction.atomic():
        name, codes = factor.add_passkey(user, answer, asked=asked)
        facts = {"kind": "passkey", "passkey": name}
        record(Act.SECOND_FACTOR_ENROLLED, actor=Actor.person(user), subject=_subject(user), facts=facts)
    return codes


def make_codes(user: Any) -> list[str]:
    """Recovery codes in place of those before, told this once."""
    with transaction.atomic():
        codes = factor.new_codes(user)
        record(Act.RECOVERY_CODES_MADE, actor=Actor.person(user), subject=_subject(user), facts={"count": len(codes)})
    return codes


def remove_factor(user: Any, *, actor: Actor) -> bool:
    """App, passkeys and recovery codes. False where there was none."""
    with transaction.atomic():
        removed = sorted(factor.remove(user))
        if removed:
            record(Act.SECOND_FACTOR_REMOVED, actor=actor, subject=_subject(user), facts={"kinds": removed})
    return bool(removed)


def remove_one_factor(user: Any, *, passkey: int | None) -> str:
    """A passkey by its number, or the app; with the last one the recovery codes. Its name; empty where none was."""
    with transaction.atomic():
        name = factor.remove_one(user, pk=passkey)
        if name is not None:
            facts = {"kind": "totp"} if passkey is None else {"kind": "passkey", "passkey": name}
            record(Act.SECOND_FACTOR_REMOVED, actor=Actor.person(user), subject=_subject(user), facts=facts)
    return name or ""


def _record_ended(ended: Sequence[ConsoleSession], *, actor: Actor) -> None:
    """One entry for each person, with where and since when."""
    for name in sorted({_name(row) for row in ended}):
        mine = [row for row in ended if _name(row) == name]
        facts = {"sessions": [{"id": str(row.public_id), "address": row.address, "since": _when(row)} for row in mine]}
        record(Act.SESSION_REVOKED, actor=actor, subject=f"user {name}", facts=facts)


def _name(row: ConsoleSession) -> str:
    return str(row.user.get_username()) if row.user else ""


def _when(row: ConsoleSession) -> str:
    return f"{row.since:%Y-%m-%dT%H:%M:%SZ}" if row.since else ""


def _subject(user: Any) -> str:
    return f"user {user.get_username()}"
