"""What the palette (Ctrl+K) finds: pages by name, events and dead letters by their whole id. Asks for permission."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.http import HttpRequest
from django.urls import reverse

from autocom.kernel.ids import last_event_id_of, request_id_of
from console.access import Permission
from console.navigation import SECTIONS
from ingestion.models import DeadLetter, Event, QuarantinedEvent

FOUND_LIMIT_COUNT = 20


@dataclass(frozen=True, slots=True)
class Found:
    """One line of the palette, named as the theme's template reads it."""

    title: str
    description: str
    link: str
    icon: str


def pages_found(request: HttpRequest, term: str) -> Sequence[Found]:
    """The pages whose name holds the term and that this user may open."""
    wanted = term.casefold()
    return [
        Found(item.title, section.title or "Console", reverse(item.url_name), item.icon)
        for section in SECTIONS
        for item in section.items
        if wanted in item.title.casefold() and item.is_open_to(request.user)
    ]


def ids_found(request: HttpRequest, term: str) -> Sequence[Found]:
    """Events and dead letters with this event id, or of the delivery with this request id."""
    try:
        first = UUID(term)
    except ValueError:
        return []
    last = last_event_id_of(first) if _is_request_id(first) else first
    found: list[Found] = []
    if request.user.has_perm(Permission.EVENT_READ):
        events = Event.objects.filter(pk__gte=first, pk__lte=last).only("id", "event_type", "message_id").order_by("pk")
        found += [
            Found(
                event.event_type, f"event {event.pk}", reverse("admin:ingestion_event_change", args=[event.pk]), "inbox"
            )
            for event in events[:FOUND_LIMIT_COUNT]
        ]
    if request.user.has_perm(Permission.DEAD_LETTER_READ):
        letters = DeadLetter.objects.filter(pk__gte=first, pk__lte=last).only("event_id", "event_type").order_by("pk")
        found += [
            Found(
                letter.event_type,
                f"dead letter {letter.pk}",
                reverse("admin:ingestion_deadletter_change", args=[letter.pk]),
                "report",
            )
            for letter in letters[:FOUND_LIMIT_COUNT]
        ]
    if request.user.has_perm(Permission.QUARANTINE_READ):
        quarantined = QuarantinedEvent.objects.filter(pk__gte=first, pk__lte=last).only("event_id", "event_type")
        found += [
            Found(
                row.event_type,
                f"quarantined event {row.pk}",
                reverse("admin:ingestion_quarantinedevent_change", args=[row.pk]),
                "gpp_maybe",
            )
            for row in quarantined.order_by("pk")[:FOUND_LIMIT_COUNT]
        ]
    return found


def _is_request_id(value: UUID) -> bool:
    return request_id_of(value) == value
