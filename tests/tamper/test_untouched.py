"""A history that nobody touched gives no finding, also while it grows."""

from __future__ import annotations

from tests.tamper.arena import Case
from tests.tamper.finders import FINDERS
from ingestion.models import *


def test_an_untouched_history_has_no_finding_by_anyone(case: Case) -> None:
    for m in (Event, DeadLetter, QuarantinedEvent, SuppressedDuplicate, AgedEvent, BatchLeaves, Batch, Delivery):
        print(m.__name__, m.objects.count(), m.objects.first() and {f.column: str(getattr(m.objects.first(), f.attname))[:60] for f in m._meta.local_fields})
    from evidence.models import Seal, AuditEntry
    print(Seal.objects.count(), AuditEntry.objects.count(), Batch.objects.exclude(bodies_aged_at=None).count(), Batch.objects.exclude(events_aged_at=None).count())
    for name, find in FINDERS.items():
        assert find(case) == [], name
