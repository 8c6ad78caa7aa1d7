"""Whose turn it is, and what became of it. An attempt that is never settled counts as lost after its lease."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from evidence.alerts import raise_alert
from evidence.models import Alert, Outgoing, WithheldCount

LEASE = timedelta(minutes=2)  # longer than an attempt may take
WAITING = Outgoing.State.WAITING


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One attempt at one message."""

    outgoing_id: int
    destination_id: int
    destination: str
    message_id: str
    address: str
    body: bytes
    attempt: int
    ordering_key: str = ""
    provider: str = ""
    event_id: UUID | None = None
    secret_ciphertext: bytes = field(repr=False)


def claim_next() -> Claim | None:
    """The oldest that is due and first of its key. Nobody else has it before its lease ends."""
    with transaction.atomic(durable=True):
        row = _due().select_related("destination").select_for_update(of=("self",), skip_locked=True).first()
        if row is None:
            return None
        row.attempt_count += 1
        row.next_attempt_at = now() + LEASE
        row.save(update_fields=["attempt_count", "next_attempt_at"])
    return _claim(row)


def sent(claim: Claim) -> bool:
    return _settle(claim, state=Outgoing.State.SENT, error="", settled_at=now())


def rests(claim: Claim, *, why: str, rest: timedelta) -> bool:
    return _settle(claim, error=why, next_attempt_at=now() + rest)


def dead(claim: Claim, *, why: str) -> bool:
    """It is kept for a person to retry or discard; an alert tells of it, but not to the destination itself."""
    with transaction.atomic():
        if not _settle(claim, state=Outgoing.State.DEAD, error=why, settled_at=now()):
            return False
        summary = f"A message to {claim.destination} was given up after {claim.attempt} attempts: {why}"
        raise_alert("outgoing", claim.destination, severity=Alert.Severity.TICKET, summary=summary)
    return True


def withheld(claim: Claim, *, why: str) -> bool:
    with transaction.atomic():
        if not _settle(claim, state=Outgoing.State.WITHHELD, error=why, settled_at=now()):
            return False
        hour = now().replace(minute=0, second=0, microsecond=0)
        WithheldCount.objects.get_or_create(destination_id=claim.destination_id, hour=hour)
        WithheldCount.objects.filter(destination_id=claim.destination_id, hour=hour).update(count=F("count") + 1)
    return True


def now() -> datetime:
    return datetime_of(us=SYSTEM_CLOCK.now_us())


def _due() -> QuerySet[Outgoing]:
    earlier = Outgoing.objects.filter(
        destination=OuterRef("destination"), ordering_key=OuterRef("ordering_key"), state=WAITING, pk__lt=OuterRef("pk")
    )
    return Outgoing.objects.filter(
        ~Exists(earlier), state=WAITING, next_attempt_at__lte=now(), destination__enabled=True
    ).order_by("pk")


def _claim(row: Outgoing) -> Claim:
    return Claim(
        outgoing_id=row.pk,
        destination_id=row.destination_id,
        destination=row.destination.name,
        message_id=row.message_id,
        address=row.destination.address,
        body=row.body.encode(),
        attempt=row.attempt_count,
        ordering_key=row.ordering_key,
        provider=row.provider,
        event_id=row.event_id,
        secret_ciphertext=bytes(row.destination.secret_ciphertext),
    )


def _settle(claim: Claim, **changes: object) -> bool:
    """False where another attempt was begun since: it has the word."""
    rows = Outgoing.objects.filter(pk=claim.outgoing_id, state=WAITING, attempt_count=claim.attempt)
    return bool(rows.update(**changes))
