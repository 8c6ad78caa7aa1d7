"""Quarantine: events whose identity was stored before with another content. Both contents, side by side."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import admin
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from console.admin.duplicates import ORIGINAL
from console.admin.filters import AgeFilter, ProviderFilter, StateFilter
from console.admin.set_aside import SetAsideAdmin
from console.differences import PATHS_LIMIT_COUNT, readable
from console.originals import no_longer_kept, original_link, original_of
from console.personal import Masked, differing
from console.search import QUALIFIERS, Qualifier
from console.shown import digest, moment, mono
from ingestion.models import Event, QuarantinedEvent
from ingestion.redrive.place import SetAside

QUARANTINE_QUALIFIERS = {
    "original": ORIGINAL,
    **QUALIFIERS,
    "key": Qualifier("ordering_key", "ordering key", is_indexed=False),
}


@admin.register(QuarantinedEvent)
class QuarantinedEventAdmin(SetAsideAdmin):
    """What came with another content than before: both contents, and a person's decision."""

    set_aside = SetAside.QUARANTINE
    qualifiers = QUARANTINE_QUALIFIERS
    list_display = (
        "pick",
        "short",
        "state_label",
        "event_type",
        "message_id",
        "provider",
        "original",
        "recipe",
        "received",
    )
    list_columns: ClassVar[Sequence[str]] = (
        *("event_id", "state", "event_type", "message_id", "provider", "original_event_id", "recipe", "received_at"),
    )
    list_filter = (StateFilter, ProviderFilter, AgeFilter)
    empty_sentence = "No event has come with another content than before."
    search_fields = ("event_id",)
    search_help_text = "id, original's id, message id, original:…, provider:…"
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "whole",
                    "request_id",
                    "state_label",
                    "event_type",
                    "message_id",
                    "provider",
                    "whole_key",
                )
            },
        ),
        ("Why", {"fields": ("why", "fate", "differs", "contents")}),
        ("Attempts", {"fields": ("attempts", "discarded")}),
        ("Lineage", {"fields": ("lineage",)}),
        ("Receipt", {"fields": ("place", "identity_digest", "recipe", "body_digest", "batch_link")}),
        ("Content", {"fields": ("bytes_text", "delivery_headers", "marked")}),
    )

    @admin.display(description="Original")
    def original(self, quarantined: QuarantinedEvent) -> SafeString | str:
        original_id = quarantined.original_event_id
        return "not known" if original_id is None else original_link(original_id)

    @admin.display(description="Received")
    def received(self, quarantined: QuarantinedEvent) -> SafeString | str:
        return moment(quarantined.received_at)

    @admin.display(description="Why it is here")
    def why(self, quarantined: QuarantinedEvent) -> str:
        return (
            f"Recipe {quarantined.recipe} takes it for an event that had come before, but its content has another"
            " digest. Nothing was overwritten: both are kept."
        )

    @admin.display(description="The original")
    def fate(self, quarantined: QuarantinedEvent) -> SafeString | str:
        return original_of(quarantined.original_event_id).link

    @admin.display(description="Differs at")
    def differs(self, quarantined: QuarantinedEvent) -> SafeString | str:
        try:
            here = readable(bytes(quarantined.payload_bytes))
            there = _content(quarantined)
        except ValueError as error:
            return f"not compared: {error}"
        paths = differing(there, here, recipe=quarantined.recipe)
        told = f" and more: the first {PATHS_LIMIT_COUNT} are shown" if len(paths) == PATHS_LIMIT_COUNT else ""
        shown = format_html_join(", ", "{}", ((mono(path),) for path in paths))
        return format_html("{}{}", shown, told) if paths else "nothing that is stored of the original's content"

    @admin.display(description="Both contents")
    def contents(self, quarantined: QuarantinedEvent) -> SafeString:
        found = original_of(quarantined.original_event_id)
        stored = _shown(found.row) if found.row is not None else "not stored"
        return format_html(
            '<div class="console-pair"><section><h3>Original</h3><p>{}</p><p>Content SHA-256 {}</p>{}</section>'
            "<section><h3>Quarantined</h3><p>{}</p><p>Content SHA-256 {}</p>{}</section></div>",
            "not known" if found.row is None else moment(found.row.received_at),
            digest(quarantined.original_content_sha256),
            stored,
            moment(quarantined.received_at),
            digest(quarantined.content_sha256),
            Masked.of(quarantined).payload(sort_keys=True),
        )

    @admin.display(description="Identity")
    def identity_digest(self, quarantined: QuarantinedEvent) -> SafeString | str:
        return digest(quarantined.identity)


def _content(quarantined: QuarantinedEvent) -> object:
    """What the original says. Raises ValueError where that cannot be read."""
    row = original_of(quarantined.original_event_id).row
    if row is None:
        raise ValueError("the original is not stored")
    if isinstance(row, Event) and row.payload is None:
        raise ValueError("the original's payload is no longer kept")
    return row.payload if isinstance(row, Event) else readable(bytes(row.payload_bytes))


def _shown(row: Any) -> SafeString | str:
    if isinstance(row, Event) and row.payload is None:
        return no_longer_kept(row.pk)
    return Masked.of(row).payload(sort_keys=True)
