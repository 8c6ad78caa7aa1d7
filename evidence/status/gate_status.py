"""One gate as it stands: what is frozen, who answers for it, what its newest bundle says, what was decided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from evidence.audit import Act
from evidence.decisions.binding import decidable
from evidence.decisions.decide import go_until
from evidence.decisions.dri import open_term
from evidence.decisions.standing_go import why_go_does_not_hold
from evidence.gates.freeze import frozen, sha256_of
from evidence.gates.spec import GateSpec, gate, gate_names
from evidence.models import Approval, AuditEntry, Bundle, Decision, FrozenSpec, Gate
from evidence.status.asked import Asked, ask


@dataclass(frozen=True, slots=True, kw_only=True)
class GateStatus:
    """`verdict` is the newest bundle's own verdict.json, read from its stored bytes. `why_go_fails`: of the newest
    decision where it is a GO; empty where it holds. `runs_since`: verdicts of all runs since the freeze, counted.
    """

    spec: GateSpec
    dri: str
    frozen: FrozenSpec | None
    bundle: Bundle | None
    verdict: Asked[Mapping[str, Any]]
    pass_until: datetime | None
    runs_since: Mapping[str, int]
    decision: Decision | None
    approver: str
    why_go_fails: str

    @property
    def is_frozen(self) -> bool:
        return self.frozen is not None and self.frozen.sha256 == sha256_of(self.spec)

    @property
    def is_decided(self) -> bool:
        """Whether the newest decision is about the newest bundle."""
        return bool(self.decision and self.bundle and self.decision.bundle_id == self.bundle.pk)

    @property
    def is_go(self) -> bool:
        return self.decision is not None and self.decision.kind == Decision.Kind.GO

    @property
    def criteria(self) -> Sequence[Mapping[str, Any]]:
        return self.verdict.value["criteria"] if self.verdict.value else ()


def gate_statuses(*, now: datetime) -> list[GateStatus]:
    """Of every gate that the code ships. Raises django.db.Error."""
    return [gate_status(gate(name), now=now) for name in gate_names()]


def gate_status(spec: GateSpec, *, now: datetime) -> GateStatus:
    """Raises django.db.Error."""
    row = Gate.objects.filter(name=spec.name).first()
    term = open_term(row) if row else None
    found = frozen(spec.name)
    bundle = Bundle.objects.filter(gate=spec.name).select_related("artifact").order_by("-made_at").first()
    decision = Decision.objects.filter(gate=row).order_by("-pk").first() if row else None
    approval = Approval.objects.filter(decision=decision).select_related("approver").first() if decision else None
    is_go = decision is not None and decision.kind == Decision.Kind.GO
    return GateStatus(
        spec=spec,
        dri=term.user.get_username() if term else "",
        frozen=found,
        bundle=bundle,
        verdict=ask(lambda: decidable(bundle).verdict) if bundle else Asked(),
        pass_until=ask(lambda: go_until(bundle, found)).value if bundle and found else None,
        runs_since=_runs_since(found),
        decision=decision,
        approver=approval.approver.get_username() if approval else "",
        why_go_fails=why_go_does_not_hold(decision, used_at=now) if decision and is_go else "",
    )


def _runs_since(found: FrozenSpec | None) -> Mapping[str, int]:
    if found is None:
        return {}
    runs = AuditEntry.objects.filter(act=Act.REPLAY_RUN.value, number__gt=found.audit_number)
    facts = runs.order_by("number").values_list("facts", flat=True)
    return Counter(str(each["verdict"]) for each in facts if each["gate"] == found.gate.name)
