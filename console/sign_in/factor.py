"""The second factor: codes of an authenticator app (TOTP, RFC 6238), and recovery codes for the day it is lost.

allauth.mfa keeps both and computes them. That a code is taken once, and how many may be wrong, is decided here under a
lock on the row: allauth remembers used codes in a cache, which a restart empties.
"""

from __future__ import annotations

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

FAILURE_LIMIT_COUNT = 10
FAILURE_WINDOW = timedelta(hours=1)


class Policy(StrEnum):
    """The setting SECOND_FACTOR. Whoever has a factor is asked for it under each of them."""

    OFF = "off"
    OPTIONAL = "optional"
    DECIDERS = "deciders"


class Means(StrEnum):
    """How somebody proved who they are."""

    PASSWORD = "password"  # noqa: S105  (the word itself)
    CODE = "password and code"
    RECOVERY_CODE = "password and recovery code"


class CodeRefused(AutocomError):
    """No code, a wrong one, or one that was used before."""

    code = "second_factor_wrong"


class TooManyCodes(CodeRefused):
    """Also the right code is refused now: whoever guesses has the password."""

    code = "second_factor_locked"


class EnrolmentRefused(AutocomError):
    """Second factors are off, there is one already, or the code does not fit what was scanned."""

    code = "second_factor_not_enrolled"


@dataclass(frozen=True, slots=True)
class Standing:
    """`codes_left_count`: recovery codes that were not used yet."""

    is_on: bool
    since: datetime | None = None
    last_used_at: datetime | None = None
    codes_left_count: int = 0


def new_secret() -> str:
    return str(generate_totp_secret())


def is_on(user: Any) -> bool:
    return bool(Authenticator.objects.filter(user_id=user.pk, type=Authenticator.Type.TOTP).exists())


def standing(user: Any) -> Standing:
    rows = {row.type: row for row in Authenticator.objects.filter(user_id=user.pk)}
    totp, codes = rows.get(Authenticator.Type.TOTP), rows.get(Authenticator.Type.RECOVERY_CODES)
    if totp is None:
        return Standing(is_on=False)
    left = len(RecoveryCodes(codes).get_unused_codes()) if codes else 0
    return Standing(is_on=True, since=totp.created_at, last_used_at=totp.last_used_at, codes_left_count=left)


def lacks(user: Any) -> bool:
    """True where the policy wants a factor of whoever decides, and this person has none."""
    return bool(settings.SECOND_FACTOR == Policy.DECIDERS and not is_on(user))


def take(user: Any, code: str) -> Means | None:
    """The code is used up afterwards, by whichever means; None for a wrong one, which is counted.

    In the caller's transaction, which has to end well for the count. Raises TooManyCodes.
    """
    row = _locked(user)
    if row is None:
        return None
    now = timezone.now()
    failures = _failures(row, now=now)
    if len(failures) >= FAILURE_LIMIT_COUNT:
        raise TooManyCodes(
            "too many wrong codes in an hour: somebody has the password and guesses. Change it, and ask an operator"
        )
    means = _means(row, code)
    row.data["failures"] = [] if means else [*failures, now.isoformat()]
    if means:
        row.last_used_at = now
    row.save(update_fields=["data", "last_used_at"])
    return means


def enrol(user: Any, *, secret: str, code: str) -> list[str]:
    """The recovery codes, which are told this once. In the caller's transaction. Raises EnrolmentRefused."""
    if settings.SECOND_FACTOR == Policy.OFF:
        raise EnrolmentRefused("second factors are off in this installation: SECOND_FACTOR turns them on")
    get_user_model().objects.select_for_update().get(pk=user.pk)  # of two enrolments at once one is second
    if is_on(user):
        raise EnrolmentRefused("there is a second factor already: remove it first")
    counter = _counter(secret, code)
    if counter is None:
        raise EnrolmentRefused("this is not the code that the app shows now: is its clock right?")
    row = TOTP.activate(user, secret).instance
    row.data["counter"] = counter  # the code that enrols does not sign in
    row.save(update_fields=["data"])
    return new_codes(user)


def new_codes(user: Any) -> list[str]:
    """Those before are worth nothing afterwards."""
    Authenticator.objects.filter(user_id=user.pk, type=Authenticator.Type.RECOVERY_CODES).delete()
    return [f"{code[:5]} {code[5:]}" for code in RecoveryCodes.activate(user).generate_codes()]


def remove(user: Any) -> bool:
    """Whether there was one."""
    count, _ = Authenticator.objects.filter(user_id=user.pk).delete()
    return bool(count)


def forget_failures(username: str) -> bool:
    """After it codes of whoever has the name are looked at again. Whether there was any wrong one."""
    row = _rows().filter(user__username=username).first()
    if row is None or not row.data.get("failures"):
        return False
    row.data["failures"] = []
    row.save(update_fields=["data"])
    return True


def _locked(user: Any) -> Any:
    return _rows().filter(user_id=user.pk).first()


def _rows() -> Any:
    return Authenticator.objects.select_for_update(of=("self",)).filter(type=Authenticator.Type.TOTP)


def _failures(row: Any, *, now: datetime) -> list[str]:
    return [at for at in row.data.get("failures", []) if now - datetime.fromisoformat(at) < FAILURE_WINDOW]


def _means(row: Any, code: str) -> Means | None:
    counter = _counter(decrypt(row.data["secret"]), code)
    if counter is not None and counter > row.data["counter"]:  # RFC 6238 5.2: of each period one code at most
        row.data["counter"] = counter
        return Means.CODE
    codes = Authenticator.objects.filter(user_id=row.user_id, type=Authenticator.Type.RECOVERY_CODES).first()
    return Means.RECOVERY_CODE if codes and RecoveryCodes(codes).validate_code(code) else None


def _counter(secret: str, code: str) -> int | None:
    """The newest period whose code this is."""
    for counter in sorted(yield_hotp_counters_from_time(), reverse=True):
        if compare_user_code(actual=code, expected=format_hotp_value(hotp_value(secret, counter))):
            return int(counter)
    return None
