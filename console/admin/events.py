"""Events: newest first, found by exact ids, types and keys; the detail shows the way from receipt to commit."""

from collections.abc import Sequence
from typing import Any, ClassVar, override
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.db.models.options import Options
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from autocom.kernel.clock import datetime_of
from autocom.kernel.ids import request_id_of
from autocom.kernel.trace_ids import trace_id
from console.admin.filters import ProviderFilter
from console.admin.revealing import Revealing
from console.lineage import lineage_chart, lineage_of
from console.originals import (
    aged_out,
    aged_sentence,
    duplicates_table,
    letter_link,
    no_longer_kept,
    quarantined_links,
)
from console.personal import Masked, listed_key, masked_note
from console.receipts import receipt_of, sealed_sentence
from console.search import QUALIFIERS, Matched, matched_events, suggestions
from console.shown import between, digest, moment, mono, short_id, whole_id
from ingestion.aged import aged_event
from ingestion.models import Delivery, Event

SEARCH_HELP = "id, message id, ordering key, type:…, key:…"


@admin.register(Event)
class EventAdmin(Revealing):
    """Read-only. Payloads are for the detail page: the list does not read them."""

    list_display = ("short", "event_type", "message_id", "provider", "key", "place", "to_commit", "received")
    list_columns: ClassVar[Sequence[str]] = (
        *("id", "event_type", "message_id", "provider", "ordering_key", "recipe", "lane", "sequence", "received_at"),
        "batch__committed_at",
    )
    list_filter = (ProviderFilter,)
    list_select_related = ("batch",)
    empty_sentence = "No events yet. Send one: manage.py up prints a signed curl command to paste."
    search_fields = ("id",)  # non-empty, so that the field is drawn; `matched` does the work
    search_help_text = SEARCH_HELP
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "event_id",
                    "request_id",
                    "trace",
                    "event_type",
                    "message_id",
                    "provider",
                    "whole_key",
                    "kind",
                    "occurred",
                )
            },
        ),
        ("Lineage", {"fields": ("lineage",)}),
        (
            "Receipt",
            {
                "fields": (
                    *("place", "body_digest", "content_digest", "identity_digest", "recipe", "batch_link"),
                    *("receipt_line", "sealed"),
                )
            },
        ),
        ("Came again", {"fields": ("duplicates", "quarantined", "stood_aside")}),
        ("Content", {"fields": ("payload_text", "delivery_headers", "marked")}),
    )

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Event]:
        return Event.objects.select_related("batch")

    @override
    def matched(self, term: str, queryset: QuerySet[Any], *, may_reveal: bool) -> Matched:
        return matched_events(term, queryset, may_reveal=may_reveal)

    @override
    def suggested(self, rows: Sequence[Any]) -> Sequence[str]:
        return suggestions(rows, QUALIFIERS)

    @override
    def told_key(self, key: object) -> str:
        return time_of(key) if isinstance(key, UUID) else super().told_key(key)

    @override
    def _get_obj_does_not_exist_redirect(
        self, request: HttpRequest, opts: "Options[Any]", object_id: str
    ) -> HttpResponseRedirect:
        """One that aged out is named; any other id may wait on a lane, or stand aside: the page that looks tells."""
        aged = aged_event(object_id)
        if aged is None:
            self.message_user(request, f"No event with the id {object_id[:64]} is stored.", messages.WARNING)
            return HttpResponseRedirect(f"{reverse('admin:follow')}?{urlencode({'id': object_id[:64]})}")
        self.message_user(request, format_html("Event {}: {}.", aged.pk, aged_sentence(aged)), messages.WARNING)
        return HttpResponseRedirect(reverse("admin:ingestion_event_changelist"))

    @admin.display(description="Event")
    def short(self, event: Event) -> SafeString:
        return short_id(event.pk)

    @admin.display(description="Lane")
    def place(self, event: Event) -> SafeString:
        return mono(f"{event.lane} / {event.sequence:,}")

    @admin.display(description="To commit")
    def to_commit(self, event: Event) -> str:
        return between(event.received_at, event.batch.committed_at)

    @admin.display(description="Received")
    def received(self, event: Event) -> SafeString | str:
        return moment(event.received_at)

    @admin.display(description="Occurred")
    def occurred(self, event: Event) -> SafeString | str:
        return "not said by the provider" if event.occurred_at is None else moment(event.occurred_at)

    @admin.display(description="Ordering key")
    def key(self, event: Event) -> str:
        return listed_key(event)

    @admin.display(description="Ordering key")
    def whole_key(self, event: Event) -> str:
        return Masked.of(event).ordering_key

    @admin.display(description="Event id")
    def event_id(self, event: Event) -> SafeString:
        return whole_id(event.pk)

    @admin.display(description="Request id")
    def request_id(self, event: Event) -> SafeString:
        request_id = request_id_of(event.pk)
        link = f"{reverse('admin:ingestion_event_changelist')}?q=request:{request_id}"
        return format_html(
            '{} <a class="console-link" href="{}">all events of the delivery</a>', whole_id(request_id), link
        )

    @admin.display(description="Trace id")
    def trace(self, event: Event) -> SafeString:
        """In log lines, Sentry and OpenTelemetry."""
        return whole_id(trace_id(request_id_of(event.pk)))

    @admin.display(description="Its way")
    def lineage(self, event: Event) -> SafeString:
        return lineage_chart(lineage_of(event, batch=event.batch))

    @admin.display(description="Body SHA-256")
    def body_digest(self, event: Event) -> SafeString | str:
        return digest(event.body_sha256)

    @admin.display(description="Content SHA-256")
    def content_digest(self, event: Event) -> SafeString | str:
        return digest(event.content_sha256)

    @admin.display(description="Identity")
    def identity_digest(self, event: Event) -> SafeString | str:
        return digest(event.identity)

    @admin.display(description="Batch")
    def batch_link(self, event: Event) -> SafeString:
        link = reverse("admin:ingestion_batch_change", args=[event.batch_id])
        return format_html('<a class="console-link" href="{}">batch {}</a>', link, event.batch_id)

    @admin.display(description="Receipt line")
    def receipt_line(self, event: Event) -> SafeString | str:
        return receipt_of(event)

    @admin.display(description="Sealed")
    def sealed(self, event: Event) -> SafeString | str:
        return sealed_sentence(event)

    @admin.display(description="Duplicates")
    def duplicates(self, event: Event) -> SafeString | str:
        return duplicates_table(event.pk)

    @admin.display(description="With another content")
    def quarantined(self, event: Event) -> SafeString | str:
        return quarantined_links(event.pk)

    @admin.display(description="Stood aside")
    def stood_aside(self, event: Event) -> SafeString | str:
        return letter_link(event)

    @admin.display(description="Payload")
    def payload_text(self, event: Event) -> SafeString | str:
        aged_at = event.batch.bodies_aged_at
        return Masked.of(event).payload() if aged_at is None else aged_out("payload", aged_at)

    @admin.display(description="Signed headers")
    def delivery_headers(self, event: Event) -> SafeString | str:
        delivery = Delivery.objects.only("headers").filter(pk=request_id_of(event.pk)).first()
        return no_longer_kept(event.pk) if delivery is None else Masked.of(event).headers(delivery.headers)

    @admin.display(description="Masked")
    def marked(self, event: Event) -> SafeString | str:
        return masked_note(Masked.of(event))


def time_of(key: UUID) -> str:
    """The time that a time-ordered id carries, to the second."""
    return f"{datetime_of(us=(key.int >> 80) * 1_000):%Y-%m-%d %H:%M:%S} UTC"
