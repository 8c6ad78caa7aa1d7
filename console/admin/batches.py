"""Batches: one transaction of one drain each."""

from collections.abc import Sequence
from typing import ClassVar

from django.contrib import admin
from django.utils.html import format_html
from django.utils.safestring import SafeString

from console.admin.read_only import KeysetAdmin
from console.shown import between, digest, moment, mono
from ingestion.models import Batch


@admin.register(Batch)
class BatchAdmin(KeysetAdmin):
    empty_sentence = "No batch was committed yet."
    list_display = (
        *("number", "lane", "sequences", "event_count", "duplicate_count", "quarantined_count", "dead_count"),
        *("took", "worker", "committed"),
    )
    list_columns: ClassVar[Sequence[str]] = (
        *("number", "lane", "first_sequence", "last_sequence", "event_count", "duplicate_count", "quarantined_count"),
        *("dead_count", "worker", "claimed_at", "committed_at"),
    )
    fieldsets = (
        (None, {"fields": ("number", "lane", "epoch", "sequences", "worker", "fence")}),
        ("Counts", {"fields": ("event_count", "duplicate_count", "quarantined_count", "dead_count")}),
        ("Times", {"fields": ("claimed", "committed", "took", "bodies", "rows")}),
        ("Proof", {"fields": ("root",)}),
    )

    @admin.display(description="Sequences")
    def sequences(self, batch: Batch) -> SafeString:
        return mono(f"{batch.first_sequence:,} to {batch.last_sequence:,}")

    @admin.display(description="Took")
    def took(self, batch: Batch) -> str:
        return between(batch.claimed_at, batch.committed_at)

    @admin.display(description="Claimed")
    def claimed(self, batch: Batch) -> SafeString | str:
        return moment(batch.claimed_at)

    @admin.display(description="Committed")
    def committed(self, batch: Batch) -> SafeString | str:
        return moment(batch.committed_at)

    @admin.display(description="Bodies")
    def bodies(self, batch: Batch) -> SafeString | str:
        return "kept" if batch.bodies_aged_at is None else format_html("aged out {}", moment(batch.bodies_aged_at))

    @admin.display(description="Event rows")
    def rows(self, batch: Batch) -> SafeString | str:
        if batch.events_aged_at is None:
            return "kept"
        return format_html("aged out {}; their leaves are kept", moment(batch.events_aged_at))

    @admin.display(description="Merkle root (RFC 6962)")
    def root(self, batch: Batch) -> SafeString | str:
        return digest(batch.merkle_root)
