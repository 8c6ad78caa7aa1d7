"""A right on one row is given or taken away, with its audit entry. By commands alone: no page gives rights out."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Model
from guardian.shortcuts import assign_perm, remove_perm

from autocom.kernel.errors import AutocomError
from console.access import Permission
from console.row_rights import GRANTS
from evidence.audit import Act, Actor, record

GIVEN = frozenset({Permission.PROVIDER_READ, Permission.PROVIDER_CHANGE, Permission.BUNDLE_READ})

NEEDS = {Permission.PROVIDER_CHANGE: Permission.PROVIDER_READ}


class RightRefused(AutocomError):
    """Nothing was given or taken away, and why."""

    code = "right_refused"


def grant(*, actor: Actor, username: str, permission: Permission, row: Model, reason: str) -> bool:
    """With it what it needs: nobody changes what they cannot see. False where the user held it already.

    Raises RightRefused.
    """
    user = _person(username)
    with transaction.atomic():
        if _held(user, permission, row):
            return False
        for each in {permission, NEEDS.get(permission, permission)}:
            assign_perm(each, user, row)
        _record(Act.ACCESS_GRANTED, actor, username, permission, row, _given(reason))
    return True


def withdraw(*, actor: Actor, username: str, permission: Permission, row: Model, reason: str) -> bool:
    """With it what needs it. False where the user did not hold it. Raises RightRefused."""
    user = get_user_model().objects.filter(username=username).first()
    if user is None:
        raise RightRefused(f"{username[:150]!r}: there is no user with this name")
    with transaction.atomic():
        if not _held(user, permission, row):
            return False
        for each in {permission, *(one for one, needed in NEEDS.items() if needed == permission)}:
            remove_perm(each, user, row)
        _record(Act.ACCESS_WITHDRAWN, actor, username, permission, row, _given(reason))
    return True


def rights() -> list[tuple[str, str, str]]:
    """User, permission and row of every right on a provider or bundle, by user."""
    rows = [
        (grant.user.get_username(), str(_permission(grant)), _subject(grant.content_object))
        for model in GRANTS.values()
        for grant in model.objects.select_related("user", "permission__content_type", "content_object")
    ]
    return sorted(rows)


def _permission(grant: Any) -> Permission:
    return Permission(f"{grant.permission.content_type.app_label}.{grant.permission.codename}")


def _held(user: Any, permission: Permission, row: Model) -> bool:
    if permission not in GIVEN:
        raise RightRefused(f"{permission} is not given on single rows")
    codename = permission.partition(".")[2]
    return bool(GRANTS[type(row)].objects.filter(user=user, permission__codename=codename, content_object=row).exists())


def _person(username: str) -> Any:
    found = get_user_model().objects.filter(username=username, is_active=True, is_staff=True).first()
    if found is None:
        raise RightRefused(f"{username[:150]!r}: there is no active user of the console with this name")
    return found


def _given(reason: str) -> str:
    if not reason.strip():
        raise RightRefused("say why: the reason goes into the audit log")
    return reason.strip()


def _record(act: Act, actor: Actor, username: str, permission: Permission, row: Model, reason: str) -> None:
    facts = {"permission": permission.value, "row": _subject(row)}
    record(act, actor=actor, subject=f"user {username}", reason=reason, facts=facts)


def _subject(row: Any) -> str:
    return f"{row._meta.model_name} {getattr(row, 'artifact_id', None) or row.name}"
