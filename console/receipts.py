"""An event's receipt as its sender has it, and where the event is sealed, for the page of the event."""

from __future__ import annotations

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from autocom.kernel.clock import us_of
from console.shown import moment, whole_id
from evidence.promises.answer import sealed_at
from ingestion.accept import receipt_keys
from ingestion.models import DeadLetter, Event, EventFields, QuarantinedEvent
from ingestion.receipts import Receipt


def receipt_of(event: Event) -> SafeString | str:
    line = receipt_line(event)
    return "its sender has it: the letter with its first place has aged out" if line is None else whole_id(line)


def receipt_line(event: Event) -> str | None:
    """Made again of the row with the receipt's own key. Of a retried event its letter has the promised place: None
    where that has aged out."""
    row: EventFields | None = event if event.redriven_at is None else _first(event)
    if row is None:
        return None
    key = receipt_keys()[0]
    receipt = Receipt(
        event_id=event.pk,
        lane=row.lane,
        epoch=row.epoch,
        sequence=row.sequence,
        body_sha256=bytes(row.body_sha256),
        accepted_us=us_of(row.accepted_at),
        key_id=key.id,
    )
    return receipt.line(key)


def sealed_sentence(event: Event) -> SafeString | str:
    found = sealed_at(event.batch_id)
    if found is None:
        return "not yet"
    return format_html(
        'leaf {} of <span class="console-mono">{}</span>, checkpoint of {} leaves, {} '
        '<a class="console-link" href="{}">Download the proof</a>',
        found.index,
        found.seal.incarnation.origin,
        found.seal.tree_size,
        moment(found.seal.sealed_at),
        reverse("admin:receipt_proof", args=[event.pk]),
    )


def _first(event: Event) -> DeadLetter | QuarantinedEvent | None:
    return DeadLetter.objects.filter(pk=event.pk).first() or QuarantinedEvent.objects.filter(pk=event.pk).first()
