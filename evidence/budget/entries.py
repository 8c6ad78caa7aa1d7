"""How an entry comes into the ledger: numbered without a gap, with the account as it stands after it.

All that one act enters has one audit entry, which names the digest of each; the audit log is sealed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.models import Max

from autocom.kernel.canonical_json import canonical_json
from autocom.kernel.digest import sha256
from evidence.audit import Act, Actor, record
from evidence.budget.arithmetic import Counts
from evidence.models import AuditEntry, BudgetEntry
from evidence.slo.objective import Slo

LOCK = 0x0A07_0C0E  # of PostgreSQL's advisory locks: one writer of the ledger at a time
MONTH = "month:"
NO_COUNTS = Counts()
BURN_COLUMNS = ("burn_1h", "burn_6h", "burn_1d", "burn_3d")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEntry:
    """What is to be entered. `rates` are those of BURN_COLUMNS."""

    slo: Slo
    account: str
    kind: BudgetEntry.Kind
    window_from: datetime
    window_to: datetime
    counts: Counts = NO_COUNTS
    part: int = 0
    cause: Mapping[str, Any] = field(default_factory=dict)
    rates: Sequence[Decimal | None] = (None, None, None, None)
    projected_exhaustion: datetime | None = None
    reason: str = ""
    approver: str = ""


def account_of(moment: datetime) -> str:
    """The calendar month, in UTC."""
    return f"{MONTH}{moment:%Y-%m}"


def lock_ledger() -> None:
    """Until the transaction ends, nobody else enters anything. Raises django.db.Error."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])


def enter(
    new: Sequence[NewEntry], *, actor: Actor, at: datetime, act: Act = Act.BUDGET_ENTERED, reason: str = ""
) -> Sequence[BudgetEntry]:
    """All of it or nothing, in the order given. The caller holds the ledger's lock and the transaction."""
    if not new:
        return []
    number = BudgetEntry.objects.aggregate(newest=Max("number"))["newest"] or 0
    latest: dict[tuple[str, str], BudgetEntry] = {}
    entries = []
    for each in new:
        number += 1
        before = latest.get((each.slo.name, each.account)) or _latest(each)
        entry = _after(before, each, number=number, at=at, actor=actor)
        latest[each.slo.name, each.account] = entry
        entries.append(entry)
    audited = _audit(entries, actor=actor, act=act, reason=reason)
    for entry in entries:
        entry.audit_number = audited.number
    return BudgetEntry.objects.bulk_create(entries)


def _latest(each: NewEntry) -> BudgetEntry | None:
    return BudgetEntry.objects.filter(slo=each.slo.name, account=each.account).order_by("-number").first()


def _after(before: BudgetEntry | None, new: NewEntry, *, number: int, at: datetime, actor: Actor) -> BudgetEntry:
    own, target = new.counts, new.slo.target
    total = (before.budget_total if before else Decimal(0)) + (1 - target) * own.valid
    consumed = (before.consumed if before else 0) + own.bad
    is_raw = new.kind is not BudgetEntry.Kind.CORRECTION
    entry = BudgetEntry(
        number=number,
        at=at,
        slo=new.slo.name,
        slo_version=new.slo.version,
        account=new.account,
        kind=new.kind,
        part=new.part,
        window_from=new.window_from,
        window_to=new.window_to,
        valid=own.valid,
        good=own.good,
        bad=own.bad,
        unknown_seconds=own.unknown_seconds,
        target=target,
        budget_total=total,
        consumed=consumed,
        balance_after=total - consumed,
        remaining_pct=(100 * (total - consumed) / total).quantize(Decimal("0.000001")) if total > 0 else None,
        **dict(zip(BURN_COLUMNS, new.rates, strict=True)),
        projected_exhaustion=new.projected_exhaustion,
        raw=_sum(before.raw if before else {}, own if is_raw else NO_COUNTS),
        corrected=_sum(before.corrected if before else {}, own),
        cause=dict(new.cause),
        reason=new.reason,
        actor_kind=actor.kind.value,
        actor=actor.name,
        approver=new.approver,
    )
    entry.evidence_sha256 = sha256(canonical_json(inputs_of(entry))).hex()
    return entry


def _sum(before: Mapping[str, int], own: Counts) -> dict[str, int]:
    told = {"valid": own.valid, "bad": own.bad, "unknown_seconds": own.unknown_seconds}
    return {name: before.get(name, 0) + value for name, value in told.items()}


def inputs_of(entry: BudgetEntry) -> dict[str, Any]:
    """What an entry is computed from, and its place: what `evidence_sha256` is over."""
    return {
        "number": entry.number,
        "slo": entry.slo,
        "slo_version": entry.slo_version,
        "account": entry.account,
        "kind": str(entry.kind),
        "part": entry.part,
        "window_from": entry.window_from.isoformat(),
        "window_to": entry.window_to.isoformat(),
        "valid": entry.valid,
        "bad": entry.bad,
        "unknown_seconds": entry.unknown_seconds,
        "target": f"{entry.target:.6f}",
        "balance_after": f"{entry.balance_after:.6f}",
        "cause": entry.cause,
        "reason": entry.reason,
        "actor": entry.actor,
        "approver": entry.approver,
    }


def _audit(entries: Sequence[BudgetEntry], *, actor: Actor, act: Act, reason: str) -> AuditEntry:
    facts = {"entries": [{"number": each.number, "sha256": each.evidence_sha256} for each in entries]}
    first, last = entries[0], entries[-1]
    subject = f"budget entry {first.number}" if first is last else f"budget entries {first.number} to {last.number}"
    return record(act, actor=actor, subject=subject, reason=reason, facts=facts)
