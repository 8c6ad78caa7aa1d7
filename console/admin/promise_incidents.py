"""Broken promises: events that a receipt promised and that were not there, or not as promised, a minute later."""

from collections.abc import Sequence
from typing import Any, ClassVar, override

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString

from console.admin.filters import ByColumn
from console.admin.read_only import KeysetAdmin
from console.shown import digest, moment, mono, short_id, whole_id
from evidence.models import PromiseIncident


class StateFilter(ByColumn):
    title = "state"
    parameter_name = "state"

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state.value, state.value.replace("_", " ")) for state in PromiseIncident.State]


@admin.register(PromiseIncident)
class PromiseIncidentAdmin(KeysetAdmin):
    empty_sentence = "No promise was broken, as far as the checker could see; the overview says when it last could."
    list_display = ("short", "told_state", "place", "accepted", "found", "detail")
    list_columns: ClassVar[Sequence[str]] = (
        *("event_id", "state", "lane", "epoch", "sequence", "accepted_at", "found_at", "settled_at", "detail"),
    )
    list_filter = (StateFilter,)
    fields = ("event", "told_state", "detail", "place", "epoch", "body_digest", "accepted", "found", "settled")

    @admin.display(description="Event")
    def short(self, incident: PromiseIncident) -> SafeString:
        return short_id(incident.event_id)

    @admin.display(description="Event id")
    def event(self, incident: PromiseIncident) -> SafeString:
        return whole_id(incident.event_id)

    @admin.display(description="State")
    def told_state(self, incident: PromiseIncident) -> str:
        return incident.state.replace("_", " ")

    @admin.display(description="Lane")
    def place(self, incident: PromiseIncident) -> SafeString:
        return mono(f"{incident.lane} / {incident.sequence:,}")

    @admin.display(description="Promised body SHA-256")
    def body_digest(self, incident: PromiseIncident) -> SafeString | str:
        return digest(incident.body_sha256)

    @admin.display(description="Promised")
    def accepted(self, incident: PromiseIncident) -> SafeString | str:
        return moment(incident.accepted_at)

    @admin.display(description="Found")
    def found(self, incident: PromiseIncident) -> SafeString | str:
        return moment(incident.found_at)

    @admin.display(description="Kept late")
    def settled(self, incident: PromiseIncident) -> SafeString | str:
        return moment(incident.settled_at)
