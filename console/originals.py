"""From a duplicate, or from a quarantined event, to the event that came first; and from an event to what came after."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from autocom.kernel.ids import request_id_of
from console.shown import moment, mono
from ingestion.aged import body_aged_at
from ingestion.models import AgedEvent, DeadLetter, Event, QuarantinedEvent, SuppressedDuplicate

SHOWN_COUNT = 20


@dataclass(frozen=True, slots=True)
class Original:
    """What became of the first event; `row` is None while it is neither stored nor a dead letter."""

    row: Event | DeadLetter | None
    link: SafeString | str


def original_of(event_id: UUID | None) -> Original:
    if event_id is None:
        return Original(None, "not known: its receipt could not be read")
    event = Event.objects.filter(pk=event_id).first()
    if event is not None:
        return Original(event, original_link(event_id, text="the stored event"))
    letter = DeadLetter.objects.filter(pk=event_id).first()
    if letter is not None:
        link = reverse("admin:ingestion_deadletter_change", args=[event_id])
        return Original(letter, format_html('<a class="console-link" href="{}">a dead letter</a>', link))
    aged = AgedEvent.objects.filter(pk=event_id).first()
    if aged is not None:
        return Original(None, aged_sentence(aged))
    return Original(None, "not stored: it may wait on its lane, or was removed since")


def aged_sentence(aged: AgedEvent) -> SafeString:
    """What is left of an event that retention removed."""
    link = reverse("admin:ingestion_batch_change", args=[aged.batch_id])
    return format_html(
        'removed by retention on {}; its identity and its leaf in <a class="console-link" href="{}">batch {}</a>'
        " are kept",
        f"{aged.aged_at:%Y-%m-%d}",
        link,
        aged.batch_id,
    )


def original_link(event_id: UUID, *, text: str = "") -> SafeString:
    link = reverse("admin:ingestion_event_change", args=[event_id])
    shown: object = text or mono(f"…{str(event_id)[-8:]}")
    return format_html('<a class="console-link" href="{}" title="{}">{}</a>', link, event_id, shown)


def duplicates_table(event_id: UUID) -> SafeString | str:
    """The newest of an event's duplicates; the list has them all."""
    rows = list(SuppressedDuplicate.objects.filter(original_event_id=event_id).order_by("-pk")[: SHOWN_COUNT + 1])
    if not rows:
        return "none: it came once"
    return format_html(
        '<div class="console-scroll" tabindex="0" role="region" aria-label="Duplicates"><table class="console-table">'
        '<thead><tr><th scope="col">Received</th><th scope="col">Found by</th>'
        '<th scope="col">Duplicate</th></tr></thead>'
        "<tbody>{}</tbody></table></div>{}",
        format_html_join("", "<tr><td>{}</td><td>{}</td><td>{}</td></tr>", map(_duplicate_cells, rows[:SHOWN_COUNT])),
        _all_of("ingestion_suppressedduplicate", event_id, text="all duplicates of this event")
        if len(rows) > SHOWN_COUNT
        else "",
    )


def _duplicate_cells(row: SuppressedDuplicate) -> Sequence[object]:
    link = reverse("admin:ingestion_suppressedduplicate_change", args=[row.pk])
    shown = format_html('<a class="console-link console-mono" href="{}">{}</a>', link, row.pk)
    return moment(row.received_at), "PostgreSQL, late" if row.late else "Redis", shown


def quarantined_links(event_id: UUID) -> SafeString | str:
    """Events of the same identity that said something else."""
    rows = list(QuarantinedEvent.objects.filter(original_event_id=event_id).only("event_id")[: SHOWN_COUNT + 1])
    if not rows:
        return "none"
    links = [(reverse("admin:ingestion_quarantinedevent_change", args=[row.pk]), row.pk) for row in rows[:SHOWN_COUNT]]
    return format_html(
        "{} {}",
        format_html_join(" ", '<a class="console-link console-mono" href="{}">{}</a>', links),
        _all_of("ingestion_quarantinedevent", event_id, text="all of them") if len(rows) > SHOWN_COUNT else "",
    )


def letter_link(event: Event) -> SafeString | str:
    """To the letter that a redriven event was, which tells its attempts."""
    if event.redriven_at is None:
        return "no"
    for model, name in ((DeadLetter, "dead letter"), (QuarantinedEvent, "quarantined event")):
        if model._default_manager.filter(pk=event.pk).exists():
            link = reverse(f"admin:ingestion_{model._meta.model_name}_change", args=[event.pk])
            return format_html('as a <a class="console-link" href="{}">{}</a>, until it was retried', link, name)
    return "yes, until it was retried; its letter is not kept any more"


def _all_of(model: str, event_id: UUID, *, text: str) -> SafeString:
    link = f"{reverse(f'admin:{model}_changelist')}?q=original:{event_id}"
    return format_html('<a class="console-link" href="{}">{}</a>', link, text)


def aged_out(what: str, aged_at: datetime) -> str:
    return f"the {what} is no longer kept: it aged out on {aged_at:%Y-%m-%d}"


def no_longer_kept(event_id: UUID) -> str:
    """Why there is no body and no header of an event's delivery."""
    aged_at = body_aged_at(request_id_of(event_id))
    return "the delivery is not kept any more" if aged_at is None else aged_out("body", aged_at)
