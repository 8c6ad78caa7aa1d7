"""What happened to this event? By event id, request id or message id: in the rows, on the lanes, or nowhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, override

from django.conf import settings
from django.contrib.admin import AdminSite
from django.urls import reverse
from django.utils.safestring import SafeString

from console.access import Permission
from console.guards import GuardedPage
from console.lineage import lineage_chart, steps_of
from console.shown import visible, whole_id
from ingestion.buffer.store import lane_buffer
from ingestion.lineage import IdInvalid, Lineage, lineage_of
from ingestion.traces import EventTrace, Fate

SHOWN_COUNT = 20
PAGES = {Fate.STORED: "event", Fate.DEAD_LETTER: "deadletter", Fate.QUARANTINED: "quarantinedevent"}
BAD = frozenset({Fate.UNKNOWN, Fate.DEAD_LETTER, Fate.QUARANTINED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    event_id: SafeString
    trace: EventTrace
    fate: str
    is_bad: bool
    what: str
    link: str
    chart: SafeString | str


class FollowPage(GuardedPage):
    permission = Permission.EVENT_READ
    template_name = "console/follow.html"
    site: AdminSite | None = None

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        assert self.site is not None  # noqa: S101  (set by the site that routes here)
        self.request.current_app = self.site.name
        asked = self.request.GET.get("id", "").strip()
        return {
            **self.site.each_context(self.request),
            **super().get_context_data(**kwargs),
            "title": "Follow an event",
            "subtitle": None,
            "asked": asked,
            "shown_count": SHOWN_COUNT,
            **(_found(asked) if asked else {}),
        }


def _found(asked: str) -> dict[str, Any]:
    try:
        lineage = lineage_of(asked, buffer=lane_buffer(), lane_count=settings.AUTOCOM.lanes)
    except IdInvalid as error:
        return {"problem": str(error)}
    traces = list(_asked_for(lineage))
    return {
        "is_found": lineage.is_found,
        "gaps": lineage.gaps,
        "events": [_followed(trace, number) for number, trace in enumerate(traces[:SHOWN_COUNT])],
        "has_more": len(traces) > SHOWN_COUNT,
    }


def _asked_for(lineage: Lineage) -> Iterator[EventTrace]:
    for delivery in lineage.deliveries:
        yield from (event for event in delivery.events if event.event_id in lineage.asked)


def _followed(trace: EventTrace, number: int) -> Followed:
    steps: Sequence[Any] = steps_of(trace)
    model = PAGES.get(trace.fate) if trace.batch is not None else None
    return Followed(
        event_id=whole_id(trace.event_id),
        trace=trace,
        fate=trace.fate.value.replace("_", " "),
        is_bad=trace.fate in BAD,
        what=visible(trace.what),
        link=reverse(f"admin:ingestion_{model}_change", args=[trace.event_id]) if model else "",
        chart=lineage_chart(steps, name=f"way-{number}") if steps else "",
    )
