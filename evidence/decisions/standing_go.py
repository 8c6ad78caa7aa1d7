"""Whether a decision is a GO that holds now for the code that runs here."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from evidence.decisions.binding import UNKNOWN, digest_of_binding
from evidence.decisions.running import BOUND_TO_WHAT_RUNS, running
from evidence.models import Approval, Decision


def why_go_does_not_hold(decision: Decision, *, used_at: datetime) -> str:
    """Empty, or why it enables nothing in this process. `used_at`: when a mode was raised by it, or is to be."""
    approval = Approval.objects.filter(decision=decision).first()
    later = Decision.objects.filter(gate_id=decision.gate_id, pk__gt=decision.pk, kind=Decision.Kind.NO_GO)
    if later.exists():
        return "a later decision is NO-GO"
    return why_no_go(decision, approval=approval, running=running(), used_at=used_at)


def why_no_go(decision: Decision, *, approval: Approval | None, running: Mapping[str, str], used_at: datetime) -> str:
    """Of what is given alone. What is not known counts as different."""
    if decision.kind != Decision.Kind.GO or decision.verdict != "PASS":
        return "the decision is no GO on a PASS"
    if approval is None:
        return "no second person approved the GO"
    if approval.approver_id in (decision.dri_id, approval.dri_id) or approval.dri_id != decision.dri_id:
        return "the GO was not approved by a person other than its DRI"
    if decision.expires_at is None or not approval.approved_at <= decision.expires_at:
        return "the GO was not approved in time"
    if used_at >= decision.expires_at:
        return f"the GO expired at {decision.expires_at:%Y-%m-%d %H:%M:%S} UTC"
    if digest_of_binding(decision.binding) != decision.binding_sha256:
        return "the GO's binding is not the one that was decided"
    return why_another(decision.binding, running)


def why_another(bound: Mapping[str, str], running: Mapping[str, str]) -> str:
    """Empty, or what runs that the decision is not about."""
    for name in BOUND_TO_WHAT_RUNS:
        if bound.get(name, UNKNOWN) in ("", UNKNOWN) or bound[name] != running.get(name):
            return f"the GO is for another {name} than the one that runs"
    return ""
