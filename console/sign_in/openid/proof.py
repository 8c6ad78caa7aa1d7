"""In place of a password, for whoever has none: they signed in at the issuer just now, and at nothing older.

It is good for one act within minutes, in the session that asked for it. The code of a second factor is asked for all
the same.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of

KEPT_AS = "console.openid.proof"
GOOD_FOR = timedelta(minutes=5)


def keep(request: HttpRequest, user: Any) -> None:
    request.session[KEPT_AS] = {"user": user.pk, "at_us": SYSTEM_CLOCK.now_us()}


def good_until(request: HttpRequest) -> datetime | None:
    """None where there is none of whoever is signed in here."""
    kept = request.session.get(KEPT_AS)
    if kept is None or not settings.OIDC_ISSUER or kept["user"] != request.user.pk:
        return None
    until = datetime_of(us=kept["at_us"]) + GOOD_FOR
    return until if until - GOOD_FOR <= datetime_of(us=SYSTEM_CLOCK.now_us()) <= until else None


def take(request: HttpRequest) -> bool:
    """True once for each proof."""
    is_good = good_until(request) is not None
    if request.session.pop(KEPT_AS, None) is not None:
        request.session.save()  # now: another request must not find it again
    return is_good
