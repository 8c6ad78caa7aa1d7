"""Who is whom at the identity provider, and who came in by it or did not; each with its audit entry."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.http import HttpRequest

from autocom.kernel.errors import AutocomError
from console.models import IdentityLink
from console.sign_in import locks
from console.sign_in.openid.errors import OpenIdError
from console.sign_in.openid.id_token import SUBJECT_LIMIT_CHARS
from evidence.audit import Act, Actor, record

CONSOLE = Actor.process("console")
STEP = "openid"


class LinkRefused(AutocomError):
    """No issuer is named, or whoever it is is somebody else here already."""

    code = "identity_link_refused"


def link(user: Any, *, subject: str, actor: Actor, now: datetime) -> bool:
    """At the issuer of the settings. False where they were linked before. Raises LinkRefused."""
    issuer = settings.OIDC_ISSUER
    if not issuer:
        raise LinkRefused(
            "sign-in by OpenID Connect is off: OIDC_ISSUER, OIDC_CLIENT_ID and OIDC_CLIENT_SECRET set it up"
        )
    if not 0 < len(subject) <= SUBJECT_LIMIT_CHARS or not subject.isprintable():
        raise LinkRefused(f"a subject has 1 to {SUBJECT_LIMIT_CHARS} characters that can be printed")
    there = IdentityLink.objects.filter(issuer=issuer, subject=subject).select_related("user").first()
    if there is not None and there.user_id != user.pk:
        raise LinkRefused(f"this subject is {there.user.get_username()} here: unlink it first")
    if there is not None:
        return False
    try:
        with transaction.atomic():
            IdentityLink.objects.create(user=user, issuer=issuer, subject=subject, linked_at=now)
            _record(Act.IDENTITY_LINKED, user, actor=actor, issuer=issuer, subject=subject)
    except IntegrityError as error:
        raise LinkRefused("somebody else linked this subject just now: look again") from error
    return True


def unlink(user: Any, *, subject: str | None, actor: Actor) -> int:
    """One subject of a person, or all, of whichever issuer. How many there were. Sessions that run are not ended."""
    rows = IdentityLink.objects.filter(user=user)
    if subject is not None:
        rows = rows.filter(subject=subject)
    with transaction.atomic():
        found = list(rows.select_for_update())
        for row in found:
            _record(Act.IDENTITY_UNLINKED, user, actor=actor, issuer=row.issuer, subject=row.subject)
        rows.delete()
    return len(found)


def proved(user: Any, *, issuer: str, subject: str) -> None:
    """Somebody who is signed in showed once more who they are."""
    with transaction.atomic():
        _record(Act.IDENTITY_PROVEN, user, actor=Actor.person(user), issuer=issuer, subject=subject)


def refused(error: OpenIdError, *, request: HttpRequest, subject: str = "") -> None:
    """A failed sign-in. Not one that locks a name: nobody has named one, and there is nothing here to guess.

    `subject`: whom the issuer vouched for, where it did, so that an operator can link them.
    """
    row = IdentityLink.objects.filter(issuer=settings.OIDC_ISSUER, subject=subject).select_related("user").first()
    who = f"user {row.user.get_username()}" if row else locks.NOBODY_KNOWN
    facts = {"step": STEP, "code": error.code, "issuer": settings.OIDC_ISSUER, "address": locks.address_of(request)}
    if subject:
        facts["subject"] = subject
    with transaction.atomic():
        record(Act.SIGN_IN_FAILED, actor=CONSOLE, subject=who, reason=str(error)[:500], facts=facts)


def _record(act: Act, user: Any, *, actor: Actor, issuer: str, subject: str) -> None:
    facts = {"issuer": issuer, "subject": subject}
    record(act, actor=actor, subject=f"user {user.get_username()}", facts=facts)
