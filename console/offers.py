"""What is offered to whom: a button that one may not press says what it takes, and who has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from console.access import Permission
from console.roles import PERMISSIONS_BY_ROLE


@dataclass(frozen=True, slots=True)
class Offer:
    """`why_not` is empty where it is permitted."""

    why_not: str

    @property
    def is_permitted(self) -> bool:
        return not self.why_not


def offer(user: Any, permission: Permission, *, act: str) -> Offer:
    """`act` as a noun or verb that begins the sentence."""
    return Offer("" if user.has_perm(permission) else missing(permission, act=act))


def missing(permission: Permission, *, act: str) -> str:
    holders = [role.value for role, held in PERMISSIONS_BY_ROLE.items() if permission in held]
    have = "has" if len(holders) == 1 else "have"
    return f"{act} takes the permission {permission.value}: {' and '.join(holders)} {have} it"
