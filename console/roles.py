"""The roles of the people who run autocom, and what each may do. A role is a Django group of the same name."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from django.contrib.auth.models import Group
from django.contrib.auth.models import Permission as StoredPermission
from django.db import transaction
from django.db.models import Q

from autocom.kernel.errors import ConfigurationError
from console.access import Permission
from console.actions.accounts import role_changed
from evidence.audit import Actor

SYNC = Actor.process("sync_roles")


class Role(StrEnum):
    DRI = "DRI"
    PLATFORM_OPS = "Platform Ops"
    LEADERSHIP = "Leadership"
    AUDITOR = "Auditor"


FIGURES = frozenset(
    {Permission.OVERVIEW_READ, Permission.LANE_READ, Permission.LANE_INCIDENT_READ, Permission.BATCH_READ}
)
ACTS = frozenset({Permission.AUDIT_READ, Permission.RBAC_READ})
PROOFS = frozenset({Permission.LOG_READ, Permission.PROMISE_READ, Permission.EVIDENCE_READ})
MAKE_EVIDENCE = frozenset({Permission.EVIDENCE_UPLOAD, Permission.EVIDENCE_EXPORT, Permission.REPLAY_START})
GATES = frozenset({Permission.GATE_READ, Permission.MODE_READ, Permission.ALERT_READ, Permission.BUDGET_READ})
CONTENTS = frozenset(
    {Permission.EVENT_READ, Permission.DEAD_LETTER_READ, Permission.DUPLICATE_READ, Permission.QUARANTINE_READ}
)
BUDGETS = frozenset({Permission.BUDGET_PROPOSE, Permission.BUDGET_ANNOTATE})
DECISIONS = frozenset({Permission.SET_ASIDE_RETRY, Permission.SET_ASIDE_DISCARD})
# auditors check that promises were kept, which takes no recipients; leadership reads no events
HANDS_ON = frozenset({Permission.PERSONAL_REVEAL, Permission.LANE_OPERATE})
OPERATIONS = (
    FIGURES | GATES | CONTENTS | {Permission.PROVIDER_READ, Permission.DESTINATION_READ, Permission.OUTGOING_READ}
)

# Leadership decides on figures and needs no payloads, which hold personal data. Only superusers change accounts.
PERMISSIONS_BY_ROLE: Mapping[Role, frozenset[Permission]] = {
    Role.DRI: OPERATIONS
    | ACTS
    | PROOFS
    | MAKE_EVIDENCE
    | {Permission.EVIDENCE_PUBLISH}
    | DECISIONS
    | HANDS_ON
    | BUDGETS
    | {Permission.OUTGOING_DECIDE, Permission.GATE_FREEZE, Permission.MODE_LOWER, Permission.MODE_RAISE},
    Role.PLATFORM_OPS: OPERATIONS
    | ACTS
    | PROOFS
    | MAKE_EVIDENCE
    | {Permission.EVIDENCE_PUBLISH}
    | DECISIONS
    | HANDS_ON
    | BUDGETS
    | {Permission.DESTINATION_MANAGE, Permission.OUTGOING_DECIDE, Permission.SIGN_IN_MANAGE}
    | {Permission.PROVIDER_ADD, Permission.PROVIDER_CHANGE, Permission.GATE_FREEZE, Permission.MODE_LOWER}
    | {Permission.RBAC_RUN, Permission.TOKEN_READ, Permission.TOKEN_MANAGE},
    Role.LEADERSHIP: FIGURES
    | ACTS
    | PROOFS
    | GATES
    | {Permission.PROVIDER_READ, Permission.DECISION_APPROVE, Permission.DRI_ASSIGN, Permission.BUDGET_APPROVE},
    Role.AUDITOR: OPERATIONS
    | ACTS
    | PROOFS
    | {Permission.EVIDENCE_EXPORT}
    | {Permission.USER_READ, Permission.GROUP_READ, Permission.TOKEN_READ},
}


@dataclass(frozen=True, slots=True)
class SyncedRole:
    role: Role
    created: bool
    added_count: int
    removed_count: int


def sync_roles(*, actor: Actor = SYNC) -> list[SyncedRole]:
    """Each role's group exists afterwards with exactly its permissions; other groups are left alone.

    Raises ConfigurationError when a permission is not in the database yet.
    """
    stored = _stored_permissions()
    with transaction.atomic():
        return [
            _sync(role, {stored[permission].pk for permission in wanted}, actor=actor)
            for role, wanted in PERMISSIONS_BY_ROLE.items()
        ]


def _sync(role: Role, wanted: set[int], *, actor: Actor) -> SyncedRole:
    group, created = Group.objects.get_or_create(name=role.value)
    present = set(group.permissions.values_list("pk", flat=True))
    group.permissions.add(*(wanted - present))
    group.permissions.remove(*(present - wanted))
    if created or present != wanted:
        role_changed(group, actor=actor)
    return SyncedRole(role, created, added_count=len(wanted - present), removed_count=len(present - wanted))


def _stored_permissions() -> dict[Permission, StoredPermission]:
    any_of = Q()
    for permission in Permission:
        app_label, codename = permission.split(".")
        any_of |= Q(content_type__app_label=app_label, codename=codename)
    rows = StoredPermission.objects.filter(any_of).select_related("content_type")
    stored = {Permission(f"{row.content_type.app_label}.{row.codename}"): row for row in rows}
    if missing := sorted(set(Permission) - set(stored)):
        raise ConfigurationError(
            f"permissions {', '.join(missing)} are not in the database: run `manage.py migrate` first"
        )
    return stored
