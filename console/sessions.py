"""Who came and went, for the audit log. Django's signals are the only place that every way of signing in passes.

An entry that cannot be written fails the request, and with it the sign-in: nobody comes in unrecorded. Whoever fails to
sign in is named only where there is such a user: people type passwords into the wrong field.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db import transaction
from django.http import HttpRequest

from console.sign_in import locks
from console.sign_in.factor import Means
from console.sign_in.store import ABOUT, SessionStore, about
from evidence.audit import Act, Actor, record

CONSOLE = Actor.process("console")
NAME_LIMIT_CHARS = 150  # of a username
BY_ISSUER = "OpenID Connect"  # in place of the password, in the word for how somebody came in


def connect() -> None:
    """Called once, when the apps are ready."""
    user_logged_in.connect(signed_in, dispatch_uid="audit.signed_in")
    user_logged_out.connect(signed_out, dispatch_uid="audit.signed_out")
    user_login_failed.connect(sign_in_failed, dispatch_uid="audit.sign_in_failed")


def signed_in(sender: object, *, user: AbstractBaseUser, request: HttpRequest, **_: Any) -> None:  # noqa: ARG001  (a signal's arguments)
    told = about(request, factor=means_of(request))
    request.session[ABOUT] = told
    SessionStore.clear_expired()  # here, where they come from: nothing else would ever delete them
    facts = {"address": told["address"], "by": told["factor"], **identity_of(request)}
    with transaction.atomic():
        record(Act.SIGNED_IN, actor=Actor.person(user), subject=f"user {user.get_username()}", facts=facts)


def signed_out(sender: object, *, user: AbstractBaseUser | None, **_: Any) -> None:  # noqa: ARG001
    if user is None:  # the session had ended before
        return
    with transaction.atomic():
        record(Act.SIGNED_OUT, actor=Actor.person(user), subject=f"user {user.get_username()}")


def sign_in_failed(
    sender: object,  # noqa: ARG001
    *,
    credentials: dict[str, Any],
    request: HttpRequest | None = None,
    **_: Any,
) -> None:
    """Also of a wrong code, which is the second step; also of what was refused because of earlier failures."""
    given = str(credentials.get("username") or "")[:NAME_LIMIT_CHARS]
    known = get_user_model().objects.filter(username=given).exists()
    subject = f"user {given}" if known else locks.NOBODY_KNOWN
    facts: dict[str, object] = {"step": credentials.get("step", "password"), "locked": locks.was_refused(request)}
    if request is not None:
        facts["address"] = locks.address_of(request)
    with transaction.atomic():
        record(Act.SIGN_IN_FAILED, actor=CONSOLE, subject=subject, facts=facts)
        if request is not None and locks.has_just_locked(request):
            network = {"address": locks.network_of(request)}
            record(Act.SIGN_IN_LOCKED, actor=CONSOLE, subject=subject, facts=network)


def means_of(request: HttpRequest) -> str:
    """How the one who signs in now proved who they are: the code's page leaves a word on its request."""
    means = str(getattr(request, "sign_in_means", Means.PASSWORD))
    return means.replace(Means.PASSWORD, BY_ISSUER, 1) if identity_of(request) else means


def identity_of(request: HttpRequest) -> Mapping[str, str]:
    """Issuer and subject, where the issuer vouched for whoever signs in now: its page leaves them on the request."""
    return getattr(request, "sign_in_identity", None) or {}
