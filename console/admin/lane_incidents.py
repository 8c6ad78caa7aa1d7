"""What the lanes' sequences prove: missing entries, lost Redis data, reused sequences."""

from collections.abc import Sequence
from typing import ClassVar

from django.contrib import admin
from django.utils.safestring import SafeString

from console.admin.read_only import KeysetAdmin
from console.shown import folded, moment, mono
from ingestion.models import LaneIncident


@admin.register(LaneIncident)
class LaneIncidentAdmin(KeysetAdmin):
    empty_sentence = "No incident: every lane is without a gap."
    list_display = ("id", "kind", "lane", "epoch", "sequences", "seen")
    list_columns: ClassVar[Sequence[str]] = (
        "id",
        "kind",
        "lane",
        "epoch",
        "first_sequence",
        "last_sequence",
        "seen_at",
    )
    fields = ("kind", "lane", "epoch", "sequences", "seen", "detail_text")

    @admin.display(description="Sequences")
    def sequences(self, incident: LaneIncident) -> SafeString:
        return mono(f"{incident.first_sequence:,} to {incident.last_sequence:,}")

    @admin.display(description="Seen")
    def seen(self, incident: LaneIncident) -> SafeString | str:
        return moment(incident.seen_at)

    @admin.display(description="Detail")
    def detail_text(self, incident: LaneIncident) -> SafeString | str:
        return folded("Show detail", incident.detail) if incident.detail else "none"
