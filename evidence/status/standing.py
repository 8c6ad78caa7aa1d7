"""Everything that the report is made of, read at one moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import Group

from autocom.build import build
from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from evidence.mode_standing import ModeStanding, standing
from evidence.models import Alert
from evidence.promises.incidents import open_incident_count
from evidence.selectors import newest_number
from evidence.status.asked import Asked, ask
from evidence.status.budgets import Budget, budgets
from evidence.status.dependencies import Dependency, dependencies
from evidence.status.gate_status import GateStatus, gate_statuses
from ingestion.models import DeadLetter

FREEZE, APPROVE, ASSIGN = "freeze_gate", "approve_decision", "assign_dri"
RAISE, LOWER, RETRY = "raise_mode", "lower_mode", "retry_set_aside"
ASKED = (FREEZE, APPROVE, ASSIGN, RAISE, LOWER, RETRY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """`roles`: by permission, the groups that hold it. A person who owns something is named instead of a role."""

    at: datetime
    build: str
    mode: ModeStanding
    gates: Asked[Sequence[GateStatus]]
    alerts: Asked[Sequence[Alert]]
    open_dead_letters: Asked[int]
    broken_promises: Asked[int]
    audit_entries: Asked[int]
    budgets: Asked[Sequence[Budget]]
    dependencies: Sequence[Dependency]
    roles: Asked[Mapping[str, str]]

    def holders(self, permission: str) -> str:
        """Whom to ask; UNKNOWN roles and roles that nobody synchronised are said to be so."""
        if self.roles.value is None:
            return f"UNKNOWN ({self.roles.why})"
        return self.roles.value[permission] or f"nobody: no role may {permission.replace('_', ' ')}"


def read_standing(*, now: datetime | None = None) -> Standing:
    """Never raises for a source that is down."""
    at = now or datetime_of(us=SYSTEM_CLOCK.now_us())
    return Standing(
        at=at,
        build=build(),
        mode=standing(),
        gates=ask(lambda: gate_statuses(now=at)),
        alerts=ask(lambda: list(Alert.objects.filter(closed_at=None).order_by("opened_at"))),
        open_dead_letters=ask(lambda: DeadLetter.objects.filter(state=DeadLetter.State.OPEN).order_by().count()),
        broken_promises=ask(open_incident_count),
        audit_entries=ask(newest_number),
        budgets=ask(budgets),
        dependencies=dependencies(now=at),
        roles=ask(_roles),
    )


def _roles() -> Mapping[str, str]:
    held = Group.objects.filter(permissions__codename__in=ASKED).order_by("name")
    names: dict[str, list[str]] = {codename: [] for codename in ASKED}
    for codename, name in held.values_list("permissions__codename", "name").distinct():
        names[codename].append(name)
    return {codename: " or ".join(each) for codename, each in names.items()}
