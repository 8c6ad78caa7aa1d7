"""Whether a decision is a GO that holds now for the code that runs here."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from evidence.models import Approval, Decision

BOUND_TO_THE_CODE = ("commit", "lock_file_sha256")
UNKNOWN = "unknown"


def valid_go(decision: Decision, *, running: Mapping[str, str]) -> str:
    """Empty, or why it enables nothing. `running` has the commit and the lock file's digest of this process."""
    approval = Approval.objects.filter(decision=decision).first()
    return why_no_go(decision, approval=approval, running=running, now=datetime_of(us=SYSTEM_CLOCK.now_us()))


def why_no_go(decision: Decision, *, approval: Approval | None, running: Mapping[str, str], now: datetime) -> str:
    """As `valid_go`, of what is given alone. What is not known counts as different."""
    if decision.kind != Decision.Kind.GO or decision.verdict != "PASS":
        return "the decision is no GO on a PASS"
    if approval is None:
        return "no second person approved the GO"
    if approval.approver_id in (decision.dri_id, approval.dri_id) or approval.dri_id != decision.dri_id:
        return "the GO was not approved by a person other than its DRI"
    if decision.expires_at is None or not approval.approved_at <= decision.expires_at:
        return "the GO was not approved in time"
    if now >= decision.expires_at:
        return f"the GO expired at {decision.expires_at:%Y-%m-%d %H:%M:%S} UTC"
    return _other_code(decision.binding, running)


def _other_code(bound: Mapping[str, str], running: Mapping[str, str]) -> str:
    for name in BOUND_TO_THE_CODE:
        if bound.get(name, UNKNOWN) in ("", UNKNOWN) or bound[name] != running.get(name):
            return f"the GO is for another {name} than the one that runs"
    return ""
