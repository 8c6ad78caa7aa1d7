"""Who calls: everybody that the matrix has a column for."""

from __future__ import annotations

from dataclasses import dataclass

from console.access import Permission
from console.roles import PERMISSIONS_BY_ROLE, Role
from console.service_tokens.scopes import PERMISSIONS_BY_SCOPE, Scope

EVERY_PERMISSION = frozenset(Permission)


@dataclass(frozen=True, slots=True, kw_only=True)
class Persona:
    """`held` is declared by roles and scopes. `is_known`: autocom takes the credentials that they show."""

    name: str
    held: frozenset[Permission] = frozenset()
    here: frozenset[Permission] = frozenset()  # on the rows that the probe asks for
    elsewhere: frozenset[Permission] = frozenset()  # on other rows of the same kinds
    role: Role | None = None
    scope: Scope | None = None
    is_user: bool = False
    is_staff: bool = False
    is_superuser: bool = False
    is_known: bool = True
    is_provider: bool = False

    @property
    def opens_console(self) -> bool:
        return self.is_user and self.is_staff and self.is_known

    @property
    def opens_api(self) -> bool:
        return self.opens_console or (self.scope is not None and self.is_known)


def _role(role: Role, name: str = "", **rights: frozenset[Permission]) -> Persona:
    held = PERMISSIONS_BY_ROLE[role]
    return Persona(name=name or role.value, role=role, held=held, is_user=True, is_staff=True, **rights)  # type: ignore[arg-type]


def _token(scope: Scope) -> Persona:
    return Persona(name=f"token {scope.value}", scope=scope, held=PERMISSIONS_BY_SCOPE[scope])


ROW_RIGHTS = frozenset({Permission.PROVIDER_READ, Permission.PROVIDER_CHANGE, Permission.BUNDLE_READ})
DECIDES = frozenset({Permission.GATE_DECIDE})
DRI_HERE = _role(Role.DRI, "DRI of this gate", here=DECIDES)
DRI_ELSEWHERE = _role(Role.DRI, "DRI of another gate", elsewhere=DECIDES)
GUEST_HERE = Persona(name="rights on this row", here=ROW_RIGHTS, is_user=True, is_staff=True)
GUEST_ELSEWHERE = Persona(name="rights on another row", elsewhere=ROW_RIGHTS, is_user=True, is_staff=True)
ANONYMOUS = Persona(name="anonymous")
REVOKED = Persona(name="revoked token", scope=Scope.EVIDENCE_READ, is_known=False)
EXPIRED = Persona(name="expired token", scope=Scope.EVIDENCE_READ, is_known=False)
PERSONAS = (
    ANONYMOUS,
    Persona(name="not staff", is_user=True),
    Persona(name="no role", is_user=True, is_staff=True),
    *(_role(role) for role in Role),
    DRI_HERE,
    DRI_ELSEWHERE,
    GUEST_HERE,
    GUEST_ELSEWHERE,
    Persona(name="superuser", held=EVERY_PERMISSION, is_user=True, is_staff=True, is_superuser=True),
    Persona(name="inactive", role=Role.PLATFORM_OPS, is_user=True, is_staff=True, is_known=False),
    *(_token(scope) for scope in Scope),
    REVOKED,
    EXPIRED,
    Persona(name="provider", is_provider=True),
)
