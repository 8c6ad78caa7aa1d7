"""Who came and went, for the audit log. Django's signals are the only place that every way of signing in passes.

An entry that cannot be written fails the request, and with it the sign-in: nobody comes in unrecorded. Whoever fails to
sign in is named only where there is such a user: people type passwords into the wrong field.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db import transaction

from evidence.audit import Act, Actor, record

CONSOLE = Actor.process("console")
NOBODY_KNOWN = "a user that does not exist"


def connect() -> None:
    """Called once, when the apps are ready."""
    user_logged_in.connect(signed_in, dispatch_uid="audit.signed_in")
    user_logged_out.connect(signed_out, dispatch_uid="audit.signed_out")
    user_login_failed.connect(sign_in_failed, dispatch_uid="audit.sign_in_failed")


def signed_in(sender: object, *, user: AbstractBaseUser, **_: Any) -> None:  # noqa: ARG001  (a signal's arguments)
    with transaction.atomic():
        record(Act.SIGNED_IN, actor=Actor.person(user), subject=f"user {user.get_username()}")


def signed_out(sender: object, *, user: AbstractBaseUser | None, **_: Any) -> None:  # noqa: ARG001
    if user is None:  # the session had ended before
        return
    with transaction.atomic():
        record(Act.SIGNED_OUT, actor=Actor.person(user), subject=f"user {user.get_username()}")


def sign_in_failed(sender: object, *, credentials: dict[str, Any], **_: Any) -> None:  # noqa: ARG001
    given = credentials.get("username")
    known = get_user_model().objects.filter(username=given).exists()
    with transaction.atomic():
        record(Act.SIGN_IN_FAILED, actor=CONSOLE, subject=f"user {given}" if known else NOBODY_KNOWN)
