"""Suppressed duplicates: events that came again, each with the way to the one that was stored."""

from collections.abc import Sequence
from typing import Any, ClassVar, override
from uuid import UUID

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.decorators import display

from autocom.kernel.ids import request_id_of
from console.admin.events import time_of
from console.admin.filters import ProviderFilter
from console.admin.read_only import KeysetAdmin
from console.originals import original_link, original_of
from console.search import QUALIFIERS, Matched, Qualifier, matched_events, suggestions
from console.shown import between, moment, short_id, whole_id
from ingestion.models import SuppressedDuplicate

ORIGINAL = Qualifier("original_event_id", "original event", is_indexed=True, is_id=True)
DUPLICATE_QUALIFIERS = {
    "original": ORIGINAL,
    **{name: QUALIFIERS[name] for name in ("message", "type", "provider")},
}
SEARCH_HELP = "id, original's id, message id, original:…, provider:…"


@admin.register(SuppressedDuplicate)
class SuppressedDuplicateAdmin(KeysetAdmin):
    """Read-only: nothing was stored of these but where they lead."""

    list_display = ("short", "event_type", "message_id", "provider", "original", "found_by", "received")
    list_columns: ClassVar[Sequence[str]] = (
        *("event_id", "event_type", "message_id", "provider", "original_event_id", "late", "received_at"),
    )
    list_filter = (ProviderFilter,)
    empty_sentence = "Nothing has come twice yet."
    search_fields = ("event_id",)
    search_help_text = SEARCH_HELP
    fieldsets = (
        (None, {"fields": ("whole", "request_id", "event_type", "message_id", "provider", "received", "found_by")}),
        ("Original", {"fields": ("whole_original", "fate", "apart")}),
    )

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[SuppressedDuplicate]:
        return SuppressedDuplicate.objects.all()

    @override
    def matched(self, term: str, queryset: QuerySet[Any], *, may_reveal: bool) -> Matched:
        return matched_events(term, queryset, qualifiers=DUPLICATE_QUALIFIERS, may_reveal=may_reveal)

    @override
    def suggested(self, rows: Sequence[Any]) -> Sequence[str]:
        return suggestions(rows, DUPLICATE_QUALIFIERS)

    @override
    def told_key(self, key: object) -> str:
        return time_of(key) if isinstance(key, UUID) else super().told_key(key)

    @admin.display(description="Duplicate")
    def short(self, duplicate: SuppressedDuplicate) -> SafeString:
        return short_id(duplicate.pk)

    @admin.display(description="Original")
    def original(self, duplicate: SuppressedDuplicate) -> SafeString:
        return original_link(duplicate.original_event_id)

    @display(description="Found by", label={"Redis": "default", "PostgreSQL, late": "warning"})  # type: ignore[untyped-decorator]
    def found_by(self, duplicate: SuppressedDuplicate) -> str:
        return "PostgreSQL, late" if duplicate.late else "Redis"

    @admin.display(description="Received")
    def received(self, duplicate: SuppressedDuplicate) -> SafeString | str:
        return moment(duplicate.received_at)

    @admin.display(description="Id it would have had")
    def whole(self, duplicate: SuppressedDuplicate) -> SafeString:
        return whole_id(duplicate.pk)

    @admin.display(description="Request id")
    def request_id(self, duplicate: SuppressedDuplicate) -> SafeString:
        return whole_id(request_id_of(duplicate.pk))

    @admin.display(description="Event id")
    def whole_original(self, duplicate: SuppressedDuplicate) -> SafeString:
        return whole_id(duplicate.original_event_id)

    @admin.display(description="Stored as")
    def fate(self, duplicate: SuppressedDuplicate) -> SafeString | str:
        return original_of(duplicate.original_event_id).link

    @admin.display(description="Came again after")
    def apart(self, duplicate: SuppressedDuplicate) -> str:
        original = original_of(duplicate.original_event_id).row
        return "not known" if original is None else between(original.received_at, duplicate.received_at)
