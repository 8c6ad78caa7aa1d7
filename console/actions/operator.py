"""Who acts, and what they may."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Model

from console.access import Permission
from console.service_tokens.check import ServiceAccount
from evidence.audit import Act, Actor, ActorKind, record


class RefusalRecorded(PermissionDenied):
    """The audit log has this refusal already: whoever answers it must not enter it again."""


@dataclass(frozen=True, slots=True)
class Operator:
    """Whose name goes into the audit log. `has` tells whether they hold a permission."""

    actor: Actor
    has: Callable[..., bool]  # of a permission; and where a row is given too, of a right on that row

    @classmethod
    def signed_in(cls, user: Any) -> Self:
        return cls(actor=Actor.person(user), has=user.has_perm)

    @classmethod
    def as_now(cls, actor: Actor) -> Self:
        """Whoever asked for long work, with the rights that they hold by now: none once they are gone."""
        if actor.kind is ActorKind.PERSON and actor.name.startswith("os:"):
            return cls.command_line(actor.name.removeprefix("os:"))
        is_person = actor.kind is ActorKind.PERSON
        user = User.objects.filter(username=actor.name, is_active=True, is_staff=True).first() if is_person else None
        return cls(actor=actor, has=user.has_perm if user is not None else lambda *_: False)

    @classmethod
    def service(cls, account: ServiceAccount) -> Self:
        """A program with its token: its scopes say what it may."""
        return cls(actor=account.actor, has=account.has_perm)

    @classmethod
    def command_line(cls, name: str | None) -> Self:
        """The named person, or whoever runs this process. May do everything: who can run commands here can also read
        the keys and write the database."""
        return cls(actor=Actor.command_line(name), has=lambda *_: True)


def check(
    operator: Operator,
    permission: Permission,
    *,
    subject: str,
    row: Model | None = None,
    on_row: Permission | None = None,
) -> None:
    """Passes those who hold the permission, or `on_row` (default: the same one) on the row. Raises RefusalRecorded."""
    if operator.has(permission):
        return
    if row is not None and operator.has(on_row or permission, row):
        return
    with transaction.atomic(durable=True):  # what is raised below must not take the entry with it
        record(Act.PERMISSION_REFUSED, actor=operator.actor, subject=subject, facts={"permission": permission.value})
    raise RefusalRecorded(permission.value)
