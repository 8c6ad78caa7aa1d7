"""Lanes: the committed end of each, which PostgreSQL knows, beside what Redis says of it now."""

from datetime import UTC, datetime
from typing import Any, override

from django.contrib import admin
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from unfold.views import ChangeList

from console.admin.read_only import ReadOnlyAdmin
from console.lane_rest import rest_of
from console.shown import UNKNOWN, moment
from ingestion.buffer.store import BufferUnavailable
from ingestion.models import Lane
from ingestion.selectors import LaneState, lane_state, lane_states


class LaneList(ChangeList):  # type: ignore[misc]  # the theme has no types
    """Redis is asked once for the page, not once a row: a silent one costs one timeout."""

    @override
    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        try:
            states = {state.lane: state for state in lane_states()}
        except BufferUnavailable:
            states = {}
        for lane in self.result_list:
            lane.now_in_redis = states.get(lane.number)


@admin.register(Lane)
class LaneAdmin(ReadOnlyAdmin):
    list_display = ("number", "now", "rest", "epoch", "cursor", "fence", "updated")
    fields = list_display

    @override
    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[LaneList]:
        return LaneList

    @admin.display(description="Now")
    def now(self, lane: Lane) -> str:
        state = _state(lane)
        return UNKNOWN if state is None else f"{state.state.replace('_', ' ')}, {state.depth_count:,} waiting"

    @admin.display(description="Rest after trouble")
    def rest(self, lane: Lane) -> SafeString | str:
        state = _state(lane)
        if state is None:
            return "Redis cannot be asked"
        rest = rest_of(state, now=datetime.now(UTC))
        return "none" if rest is None else render_to_string("console/_lane_rest.html", {"rest": rest})

    @admin.display(description="Last commit")
    def updated(self, lane: Lane) -> SafeString | str:
        return moment(lane.updated_at)


def _state(lane: Lane) -> LaneState | None:
    """None where Redis cannot be asked. The list has asked for all of its rows."""
    if not hasattr(lane, "now_in_redis"):
        try:
            lane.now_in_redis = lane_state(lane=lane.number)  # type: ignore[attr-defined]
        except BufferUnavailable:
            lane.now_in_redis = None  # type: ignore[attr-defined]
    return lane.now_in_redis  # type: ignore[attr-defined,no-any-return]
