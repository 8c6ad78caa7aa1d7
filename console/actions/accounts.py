"""The audit entries of users and roles. Called inside the transaction that changes them; no password is ever a fact."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth.models import Group, User

from evidence.audit import Act, Actor, record


def user_added(user: User, *, actor: Actor) -> None:
    record(Act.USER_ADDED, actor=actor, subject=_user(user), facts=_state(user))


def user_changed(user: User, *, actor: Actor, fields: Iterable[str]) -> None:
    """`fields` as the form names them; the rest of the facts is how the user is now."""
    record(Act.USER_CHANGED, actor=actor, subject=_user(user), facts={"fields": sorted(fields), **_state(user)})


def user_deleted(user: User, *, actor: Actor) -> None:
    record(Act.USER_DELETED, actor=actor, subject=_user(user), facts=_state(user))


def role_changed(group: Group, *, actor: Actor) -> None:
    """Added or changed: the facts are the permissions that it has now."""
    record(Act.ROLE_CHANGED, actor=actor, subject=f"role {group.name}", facts=_permissions(group))


def role_deleted(group: Group, *, actor: Actor) -> None:
    record(Act.ROLE_DELETED, actor=actor, subject=f"role {group.name}", facts=_permissions(group))


def _user(user: User) -> str:
    return f"user {user.get_username()}"


def _state(user: User) -> dict[str, object]:
    return {
        "roles": sorted(user.groups.values_list("name", flat=True)),
        "permissions": _names(user.user_permissions.values_list("content_type__app_label", "codename")),
        "is_active": user.is_active,
        "is_staff": user.is_staff,
        "is_superuser": user.is_superuser,
    }


def _permissions(group: Group) -> dict[str, object]:
    return {"permissions": _names(group.permissions.values_list("content_type__app_label", "codename"))}


def _names(pairs: Iterable[tuple[str, str]]) -> list[str]:
    return sorted(f"{app_label}.{codename}" for app_label, codename in pairs)
