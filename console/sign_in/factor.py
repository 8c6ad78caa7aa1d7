"""The second factor: an authenticator app (TOTP, RFC 6238), passkeys, and recovery codes for the day both are lost.

allauth.mfa keeps them. That an answer is taken once, and how many may be wrong, is decided here under a lock on the
person's rows: allauth remembers used codes in a cache, which a restart empties.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from allauth.core.internal.cryptokit import compare_user_code
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import (
    TOTP,
    format_hotp_value,
    generate_totp_secret,
    hotp_value,
    yield_hotp_counters_from_time,
)
from allauth.mfa.utils import decrypt
from django.conf import settings
from django.contrib.auth import get_user_model
from django.utils import timezone

from autocom.kernel.errors import AutocomError
from console.sign_in import passkeys
from console.sign_in.challenges import Asked
from console.sign_in.passkeys import NAME_LIMIT_CHARS, PASSKEY_LIMIT_COUNT, CounterWentBack, Passkey, PasskeyRefused

FAILURE_LIMIT_COUNT = 10
FAILURE_WINDOW = timedelta(hours=1)
APP, PASSKEY = Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN
KINDS = (APP, PASSKEY)  # recovery codes are no factor by themselves: they come and go with these


class Policy(StrEnum):
    """The setting SECOND_FACTOR. Whoever has a factor is asked for it under each of them."""

    OFF = "off"
    OPTIONAL = "optional"
    DECIDERS = "deciders"


class Means(StrEnum):
    """How somebody proved who they are."""

    PASSWORD = "password"  # noqa: S105  (the word itself)
    CODE = "password and code"
    PASSKEY = "password and passkey"
    RECOVERY_CODE = "password and recovery code"


class CodeRefused(AutocomError):
    """No code and no passkey, a wrong one, or one that was used before."""

    code = "second_factor_wrong"


class TooManyCodes(CodeRefused):
    """Also the right code is refused now: whoever guesses has the password."""

    code = "second_factor_locked"


class EnrolmentRefused(AutocomError):
    """Second factors are off, there is one already, or the answer does not fit what was asked."""

    code = "second_factor_not_enrolled"


@dataclass(frozen=True, slots=True)
class Standing:
    """`since`, `last_used_at`: of the app. `codes_left_count`: recovery codes that were not used yet."""

    is_on: bool
    has_app: bool = False
    since: datetime | None = None
    last_used_at: datetime | None = None
    passkeys: tuple[Passkey, ...] = ()
    codes_left_count: int = 0


@dataclass(frozen=True, slots=True)
class PasskeyTaken:
    """The passkey's name; or why its answer was refused. `copied`: its counter went back."""

    name: str = ""
    refusal: str = ""
    copied: CounterWentBack | None = None


def new_secret() -> str:
    return str(generate_totp_secret())


def kinds(user: Any) -> set[str]:
    """Which this person has: APP, PASSKEY."""
    return set(Authenticator.objects.filter(user_id=user.pk, type__in=KINDS).values_list("type", flat=True))


def is_on(user: Any) -> bool:
    return bool(kinds(user))


def standing(user: Any) -> Standing:
    rows = list(Authenticator.objects.filter(user_id=user.pk).order_by("pk"))
    if not _factors(rows):
        return Standing(is_on=False)
    app, codes = _one(rows, APP), _one(rows, Authenticator.Type.RECOVERY_CODES)
    return Standing(
        is_on=True,
        has_app=app is not None,
        since=app.created_at if app else None,
        last_used_at=app.last_used_at if app else None,
        passkeys=passkeys.listed(_passkeys(rows)),
        codes_left_count=len(RecoveryCodes(codes).get_unused_codes()) if codes else 0,
    )


def lacks(user: Any) -> bool:
    """True where the policy wants a factor of whoever decides, and this person has none."""
    return bool(settings.SECOND_FACTOR == Policy.DECIDERS and not is_on(user))


def passkey_rows(user: Any) -> list[Authenticator]:
    return list(Authenticator.objects.filter(user_id=user.pk, type=PASSKEY).order_by("pk"))


def take(user: Any, code: str) -> Means | None:
    """The code is used up afterwards, by whichever means; None for a wrong one, which is counted.

    In the caller's transaction, which has to end well for the count. Raises TooManyCodes.
    """
    rows = _locked(user)
    if not _factors(rows):
        return None
    _refuse_guesses(rows)
    means = _means(rows, code)
    _count(rows, is_right=means is not None)
    return means


def take_passkey(user: Any, answer: str, *, asked: Asked | None) -> PasskeyTaken:
    """What was asked is answered afterwards, once; a wrong answer is counted.

    In the caller's transaction, which has to end well for the count. Raises TooManyCodes.
    """
    rows = _locked(user)
    if not _factors(rows):
        return PasskeyTaken(refusal="you have no passkey")
    _refuse_guesses(rows)
    try:
        if asked is None:
            raise PasskeyRefused("this answer is too late, or to an older question: use the passkey once more")
        row = passkeys.answered_by(_passkeys(rows), answer=answer, asked=asked)
    except PasskeyRefused as error:
        _count(rows, is_right=False)
        return PasskeyTaken(refusal=str(error), copied=error if isinstance(error, CounterWentBack) else None)
    _used(row)
    _count(rows, is_right=True)
    return PasskeyTaken(name=row.data["name"])


def enrol(user: Any, *, secret: str, code: str) -> list[str]:
    """The recovery codes of a first factor, which are told this once; else those that there are stay, and none is told.

    In the caller's transaction. Raises EnrolmentRefused.
    """
    refuse_where_off()
    _lock_person(user)
    had = kinds(user)
    if APP in had:
        raise EnrolmentRefused("there is a second factor already: remove it first")
    counter = _counter(secret, code)
    if counter is None:
        raise EnrolmentRefused("this is not the code that the app shows now: is its clock right?")
    row = TOTP.activate(user, secret).instance
    row.data["counter"] = counter  # the code that enrols does not sign in
    row.save(update_fields=["data"])
    return [] if had else new_codes(user)


def add_passkey(user: Any, answer: str, *, asked: Asked | None) -> tuple[str, list[str]]:
    """As `enrol`, of a passkey that was made for `asked`, whose note is its name: that comes first."""
    refuse_where_off()
    _lock_person(user)
    had = kinds(user)
    if asked is None:
        raise EnrolmentRefused("begin again: the passkey was made too late, or for an older question")
    refuse_name(user, asked.note)
    try:
        row = passkeys.made(user, answer=answer, asked=asked)
    except PasskeyRefused as error:
        raise EnrolmentRefused(str(error)) from error
    if Authenticator.objects.filter(type=PASSKEY, data__credential__id=row.data["credential"]["id"]).exists():
        raise EnrolmentRefused("this passkey is enrolled already")
    row.save()
    return asked.note, [] if had else new_codes(user)


def refuse_where_off() -> None:
    """Raises EnrolmentRefused."""
    if settings.SECOND_FACTOR == Policy.OFF:
        raise EnrolmentRefused("second factors are off in this installation: SECOND_FACTOR turns them on")


def refuse_name(user: Any, name: str) -> None:
    """For a passkey that is to be added. Raises EnrolmentRefused."""
    if not name or len(name) > NAME_LIMIT_CHARS or not name.isprintable():
        raise EnrolmentRefused(f"name the passkey, in {NAME_LIMIT_CHARS} characters at most")
    rows = passkey_rows(user)
    if any(row.data["name"] == name for row in rows):
        raise EnrolmentRefused(f"you have a passkey {name} already: choose another name")
    if len(rows) >= PASSKEY_LIMIT_COUNT:
        raise EnrolmentRefused(f"you have {PASSKEY_LIMIT_COUNT} passkeys: remove one first")


def new_codes(user: Any) -> list[str]:
    """Those before are worth nothing afterwards."""
    Authenticator.objects.filter(user_id=user.pk, type=Authenticator.Type.RECOVERY_CODES).delete()
    return [f"{code[:5]} {code[5:]}" for code in RecoveryCodes.activate(user).generate_codes()]


def remove(user: Any) -> set[str]:
    """Everything, recovery codes too. The kinds that there were."""
    _lock_person(user)
    had = kinds(user)
    Authenticator.objects.filter(user_id=user.pk).delete()
    return had


def remove_one(user: Any, *, pk: int | None) -> str | None:
    """A passkey by its number, or the app; with the last one the recovery codes. Its name; None where there was none.

    In the caller's transaction.
    """
    _lock_person(user)
    found = Authenticator.objects.filter(user_id=user.pk)
    row = (found.filter(type=APP) if pk is None else found.filter(type=PASSKEY, pk=pk)).first()
    if row is None:
        return None
    name = row.data["name"] if row.type == PASSKEY else "the authenticator app"
    row.delete()
    if not is_on(user):
        found.delete()
    return str(name)


def forget_failures(username: str) -> bool:
    """After it answers of whoever has the name are looked at again. Whether there was any wrong one."""
    rows = _rows().filter(user__username=username, type__in=KINDS)
    failed = [row for row in rows if row.data.get("failures")]
    _forget(failed)
    return bool(failed)


def _lock_person(user: Any) -> None:
    """Of two changes at once one is second."""
    get_user_model().objects.select_for_update().get(pk=user.pk)


def _locked(user: Any) -> list[Authenticator]:
    return list(_rows().filter(user_id=user.pk))


def _rows() -> Any:
    return Authenticator.objects.select_for_update(of=("self",)).order_by("pk")


def _factors(rows: Sequence[Authenticator]) -> list[Authenticator]:
    return [row for row in rows if row.type in KINDS]


def _passkeys(rows: Sequence[Authenticator]) -> list[Authenticator]:
    return [row for row in rows if row.type == PASSKEY]


def _one(rows: Sequence[Authenticator], kind: str) -> Authenticator | None:
    return next((row for row in rows if row.type == kind), None)


def _refuse_guesses(rows: Sequence[Authenticator]) -> None:
    """Raises TooManyCodes."""
    if len(_failures(rows)) >= FAILURE_LIMIT_COUNT:
        raise TooManyCodes(
            "too many wrong codes in an hour: somebody has the password and guesses. Change it, and ask an operator"
        )


def _failures(rows: Sequence[Authenticator]) -> list[str]:
    """Of all kinds together: whoever guesses at one must not begin anew at the other."""
    now = timezone.now()
    found = [at for row in _factors(rows) for at in row.data.get("failures", [])]
    return [at for at in found if now - datetime.fromisoformat(at) < FAILURE_WINDOW]


def _count(rows: Sequence[Authenticator], *, is_right: bool) -> None:
    """A wrong answer is kept with the person's oldest factor; a right one makes all of them forgotten."""
    factors = _factors(rows)
    if is_right:
        _forget([row for row in factors if row.data.get("failures")])
        return
    first, failures = factors[0], _failures(rows)
    _forget([row for row in factors[1:] if row.data.get("failures")])
    first.data["failures"] = [*failures, timezone.now().isoformat()]
    first.save(update_fields=["data"])


def _forget(rows: Sequence[Authenticator]) -> None:
    for row in rows:
        row.data["failures"] = []
        row.save(update_fields=["data"])


def _used(row: Authenticator) -> None:
    row.last_used_at = timezone.now()
    row.save(update_fields=["data", "last_used_at"])


def _means(rows: Sequence[Authenticator], code: str) -> Means | None:
    app, codes = _one(rows, APP), _one(rows, Authenticator.Type.RECOVERY_CODES)
    counter = _counter(decrypt(app.data["secret"]), code) if app else None
    if app and counter is not None and counter > app.data["counter"]:  # RFC 6238 5.2: of each period one code at most
        app.data["counter"] = counter
        _used(app)
        return Means.CODE
    return Means.RECOVERY_CODE if codes and RecoveryCodes(codes).validate_code(code) else None


def _counter(secret: str, code: str) -> int | None:
    """The newest period whose code this is."""
    for counter in sorted(yield_hotp_counters_from_time(), reverse=True):
        if compare_user_code(actual=code, expected=format_hotp_value(hotp_value(secret, counter))):
            return int(counter)
    return None
