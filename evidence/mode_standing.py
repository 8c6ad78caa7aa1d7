"""The mode that is in force, and why. A row enables something only if all of it holds:

its MAC is ours, it is the one that the audit log has last, its decision is an approved GO, used in time, of a
specification that grants the mode, and bound to the code, packages and settings of this very process.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation

from django.conf import settings
from django.db import Error

from autocom.kernel.canonical_json import canonical_json
from autocom.kernel.digest import derived_key, hmac_sha256, sha256
from autocom.kernel.errors import AutocomError
from evidence.audit import Act
from evidence.decisions.standing_go import why_go_does_not_hold
from evidence.gates.spec import GateSpec
from evidence.models import AuditEntry, ModeChange
from evidence.modes import Mode

MAC_PURPOSE = "autocom.mode-change.v1"
BUCKETS = 1 << 32

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeStanding:
    """`change` is the newest row, also where it does not hold; `why_not` says then why the mode is OBSERVER."""

    mode: Mode
    change: ModeChange | None = None
    why_not: str = ""
    scope: Mapping[str, object] = field(default_factory=dict)

    @property
    def since(self) -> datetime | None:
        return self.change.changed_at if self.change else None


def standing() -> ModeStanding:
    """Never raises: whatever cannot be read enables nothing."""
    try:
        change = ModeChange.objects.select_related("decision__spec").order_by("-pk").first()
        if change is None:
            return ModeStanding(mode=Mode.OBSERVER)
        why_not = _why_not(change)
    except (Error, AutocomError, ValueError, LookupError, TypeError, ArithmeticError) as error:
        log.error("mode_unknown", extra={"error": type(error).__name__})
        return ModeStanding(mode=Mode.OBSERVER, why_not=f"the mode cannot be read: {type(error).__name__}")
    if why_not or change.mode == Mode.OBSERVER:
        return ModeStanding(mode=Mode.OBSERVER, change=change, why_not=why_not)
    return ModeStanding(mode=Mode(change.mode), change=change, scope=change.scope)


def _why_not(change: ModeChange) -> str:
    if not hmac.compare_digest(bytes(change.mac), mac_of(change)):
        return "the change of the mode was not made by this service: its MAC is wrong"
    entries = AuditEntry.objects.filter(act=Act.MODE_CHANGED.value).order_by("-number")
    if entries.values_list("number", flat=True).first() != change.audit_number:
        return "the audit log has another last change of the mode"
    if change.mode == Mode.OBSERVER:
        return ""
    if change.decision is None or change.decision.spec is None:
        return "no decision raised the mode"
    if change.binding_sha256 != change.decision.binding_sha256:
        return "the change of the mode is bound to something else than its decision"
    if change.mode not in GateSpec.parse(change.decision.spec.text.encode()).grants:
        return f"a GO of gate {change.decision.gate_id} grants no {change.mode}"
    first = ModeChange.objects.filter(decision=change.decision).order_by("pk").values_list("changed_at", flat=True)
    return why_go_does_not_hold(change.decision, used_at=first[0])  # lowered later, it is still the GO of that moment


def mac_of(change: ModeChange) -> bytes:
    """Over every column but the MAC, under a key of this purpose alone."""
    told = {
        "mode": change.mode,
        "previous": change.previous,
        "scope": change.scope,
        "cause": str(change.cause),
        "decision": change.decision_id,
        "binding_sha256": change.binding_sha256,
        "actor_kind": change.actor_kind,
        "actor": change.actor,
        "reason": change.reason,
        "changed_at": change.changed_at.isoformat(),
        "audit_number": change.audit_number,
    }
    return hmac_sha256(derived_key(settings.SECRET_KEY, purpose=MAC_PURPOSE), canonical_json(told))


def passes_canary(*, provider: str, ordering_key: str) -> bool:
    """Whether an event may leave: all in PRODUCTION, those of the scope in LIMITED, none in OBSERVER."""
    now = standing()
    if now.mode is Mode.LIMITED:
        return is_in_scope(now.scope, provider=provider, ordering_key=ordering_key)
    return now.mode is Mode.PRODUCTION


def is_in_scope(scope: Mapping[str, object], *, provider: str, ordering_key: str) -> bool:
    """By lists of providers and keys, or a share of the keys: always the same ones, whichever process asks."""
    providers, keys = scope.get("providers"), scope.get("keys")
    if isinstance(providers, list) and provider in providers:
        return True
    if isinstance(keys, list) and ordering_key in keys:
        return True
    bucket = int.from_bytes(sha256(f"{provider}\x00{ordering_key}".encode())[:4], "big")
    return bucket < share_of(scope) * BUCKETS


def share_of(scope: Mapping[str, object]) -> Decimal:
    """From 0 to 1; 0 where none is stated, or it is none."""
    try:
        share = Decimal(str(scope.get("share", "0")))
    except InvalidOperation:
        return Decimal(0)
    return share if share.is_finite() and 0 <= share <= 1 else Decimal(0)
