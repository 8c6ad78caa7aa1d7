"""Samples into PostgreSQL: a ring of a few for each provider and reason."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from django.db import Error, transaction

from autocom.kernel.clock import datetime_of
from ingestion.models import RefusalSample
from ingestion.provider_book import KnownProvider
from ingestion.refusals import sample
from ingestion.refusals.causes import finding_of
from ingestion.refusals.record import Refusal

KEPT_COUNT = 20  # of one provider and reason

log = logging.getLogger(__name__)


def store_samples(refusals: Sequence[Refusal], *, others: Sequence[KnownProvider]) -> bool:
    """Looks at each and keeps its masked sample. False, and they are lost, when PostgreSQL is away."""
    if not refusals:
        return True
    rows = [_row(refusal, others=others) for refusal in refusals]
    try:
        with transaction.atomic():
            RefusalSample.objects.bulk_create(rows)
            for provider, reason in {(row.provider, row.reason) for row in rows}:
                _trim(provider, reason)
    except Error as error:
        log.warning("refusal_samples_lost", extra={"count": len(rows), "error": str(error)})
        return False
    return True


def _trim(provider: str, reason: str) -> None:
    kept = RefusalSample.objects.filter(provider=provider, reason=reason).order_by("-pk")
    oldest = kept.values_list("pk", flat=True)[KEPT_COUNT - 1 : KEPT_COUNT].first()
    if oldest is not None:
        RefusalSample.objects.filter(provider=provider, reason=reason, pk__lt=oldest).delete()


def _row(refusal: Refusal, *, others: Sequence[KnownProvider]) -> RefusalSample:
    provider, delivery, refused = refusal.provider, refusal.delivery, refusal.refused
    finding = finding_of(provider, delivery, refused, others=others)
    return RefusalSample(
        provider=provider.name,
        reason=refused.reason.value,
        detail=sample.detail(refused.detail),
        cause=finding.cause.value,
        cause_detail=sample.detail(finding.detail),
        request_id=refusal.request_id,
        received_at=datetime_of(us=delivery.received_us),
        header_names=sample.header_names(delivery.headers),
        signature_starts=sample.signature_starts(provider, delivery),
        content_type=sample.content_type(delivery),
        body_bytes=len(delivery.body),
        body_start=sample.body_start(delivery.body),
    )
