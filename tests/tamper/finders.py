"""Who looks, and what they say: every finding as (finder, fault, where and what)."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from evidence.log.check import check_logs
from evidence.selectors import audit_verification
try:
    from ingestion.check_batch import check_batches
except ImportError:
    check_batches = lambda batches: []
from ingestion.models import Batch, Delivery
from ingestion.verify_stored import Outcome, verify_stored
from tests.tamper.arena import Case

VERIFY, KEPT, STORED = "audit verify", "audit verify --kept", "provider verify-stored"


@dataclass(frozen=True, slots=True)
class Found:
    finder: str
    fault: str
    what: str


def audit_verify(case: Case) -> list[Found]:
    """As the command, without a head from elsewhere."""
    return _checked(VERIFY)


def audit_verify_kept(case: Case) -> list[Found]:
    return _checked(KEPT, kept=case.kept.notes)


def _checked(finder: str, *, kept: tuple[str, ...] = ()) -> list[Found]:
    logs = check_logs(kept=kept)
    found = [Found(finder, each.fault.value, f"{each.where}: {each.what}") for each in logs.findings]
    for row in check_batches(Batch.objects.order_by("number").iterator(chunk_size=500)):
        found.append(Found(finder, str(row.fault), f"{row.where}: {row.what}"))
    chain = audit_verification()
    return found + [Found(finder, each.fault.value, f"audit entry {each.number}: {each.what}") for each in chain.findings]


def verify_stored_all(case: Case) -> list[Found]:
    """Every delivery that is kept, its signature verified again."""
    ids: list[UUID] = list(Delivery.objects.values_list("pk", flat=True))
    verdicts = [verify_stored(each) for each in ids]
    return [
        Found(STORED, each.outcome.value, f"{each.request_id}: {each.why}")
        for each in verdicts
        if each.outcome is not Outcome.VERIFIED
    ]


FINDERS = {VERIFY: audit_verify, KEPT: audit_verify_kept, STORED: verify_stored_all}
