"""What somebody should know now, and what was lately: since when, what to do, and who was told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, override

from django.contrib.admin import AdminSite
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from console.access import Permission
from console.alert_kinds import KINDS, Advice
from console.filter_links import Choice, Filters, cursor_of
from console.guards import GuardedPage
from console.keyset import keyset_page
from console.shown import between, moment
from evidence.alert_reads import ShownState, alerts, open_count, told_of
from evidence.models import Alert, Destination, Outgoing

PAGE_SIZE_COUNT = 50


@dataclass(frozen=True, slots=True)
class Told:
    """What became of telling one destination. `name` is empty for those who may not read messages."""

    name: str
    sentence: str
    when: SafeString | str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertShown:
    row: Alert
    title: str
    is_open: bool
    opened: SafeString | str
    seen: SafeString | str
    closed: SafeString | str
    lasted: str
    facts: Sequence[tuple[str, str]]
    next_step: str
    guide: str
    page: str
    address: str
    told: Sequence[Told]


class AlertsPage(GuardedPage):
    permission = Permission.ALERT_READ
    template_name = "console/alerts.html"
    site: AdminSite | None = None

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        assert self.site is not None  # noqa: S101  (set by the site that routes here)
        self.request.current_app = self.site.name
        now, user = datetime_of(us=SYSTEM_CLOCK.now_us()), self.request.user
        filters, problem = _filters(self.request)
        cursor, trouble = cursor_of(self.request, Alert)
        wanted = filters.wanted
        found = alerts(state=ShownState(wanted["state"]), kind=wanted["kind"])
        page = keyset_page(found, cursor=cursor, size_count=PAGE_SIZE_COUNT, is_indexed=True)
        return {
            **self.site.each_context(self.request),
            **super().get_context_data(**kwargs),
            "title": "Alerts",
            "subtitle": None,
            "read_at": moment(now, now=now),
            "problem": problem or trouble,
            "alerts": _shown(page.rows, user, now=now),
            "open_count": open_count(),
            "has_listeners": Destination.objects.filter(enabled=True, tells_alerts=True).exists(),
            "may_read_destinations": user.has_perm(Permission.DESTINATION_READ),
            "filters": _choices(filters),
            "state": wanted["state"],
            "is_filtered": bool(wanted["kind"]),
            "pages": filters.keyset_links(cursor, page),
        }


def _filters(request: HttpRequest) -> tuple[Filters, str]:
    """State and kind, and what of the address made no sense."""
    wanted = {"state": request.GET.get("state", ShownState.OPEN.value), "kind": request.GET.get("kind", "")}
    problem = ""
    if wanted["state"] not in set(ShownState):
        problem = f"{wanted['state'][:20]!r} is no state: {', '.join(ShownState)}"
        wanted["state"] = ShownState.OPEN.value
    if wanted["kind"] and wanted["kind"] not in KINDS:
        problem = f"{wanted['kind'][:20]!r} is no kind of alert: {', '.join(KINDS)}"
        wanted["kind"] = ""
    return Filters(wanted, plain={"state": ShownState.OPEN.value}), problem


def _shown(rows: Sequence[Alert], user: Any, *, now: datetime) -> Sequence[AlertShown]:
    may_read_messages = user.has_perm(Permission.OUTGOING_READ)
    told: dict[int, list[Told]] = defaultdict(list)
    for message in told_of(rows):
        if message.alert_id is not None:
            told[message.alert_id].append(_told(message, may_read=may_read_messages, now=now))
    pages = {kind: _page(advice, user) for kind, advice in KINDS.items()}
    return [_one(row, told[row.pk], pages, now=now) for row in rows]


def _one(row: Alert, told: Sequence[Told], pages: Mapping[str, str], *, now: datetime) -> AlertShown:
    advice = KINDS.get(row.kind)
    return AlertShown(
        row=row,
        title=advice.title if advice else row.kind,
        is_open=row.closed_at is None,
        opened=moment(row.opened_at, now=now),
        seen=moment(row.last_seen_at, now=now),
        closed=moment(row.closed_at, now=now) if row.closed_at else "",
        lasted=between(row.opened_at, row.closed_at) if row.closed_at else "",
        facts=[(name.replace("_", " "), str(value)) for name, value in row.facts.items()],
        next_step=advice.next_step if advice else "This version does not know this kind of alert.",
        guide=advice.guide if advice else "",
        page=advice.page if advice else "",
        address=pages.get(row.kind, ""),
        told=told,
    )


def _page(advice: Advice, user: Any) -> str:
    """Empty for those who may not open it."""
    return reverse(advice.url_name) if user.has_perm(advice.permission) else ""


SENTENCES: Mapping[str, str] = {
    Outgoing.State.SENT: "was told",
    Outgoing.State.WAITING: "is not told yet",
    Outgoing.State.WITHHELD: "was not told: the mode forbids it",
    Outgoing.State.DEAD: "was not told: given up",
    Outgoing.State.DISCARDED: "was not told: discarded",
}


def _told(message: Outgoing, *, may_read: bool, now: datetime) -> Told:
    what = "that it closed" if message.message_id.endswith("-closed") else "that it opened"
    name = message.destination.name if may_read else "a destination"
    sentence = (
        f"{SENTENCES[message.state]} {what}" if message.state == Outgoing.State.SENT else SENTENCES[message.state]
    )
    return Told(name, sentence, moment(message.settled_at, now=now) if message.settled_at else "")


def _choices(filters: Filters) -> Mapping[str, Sequence[Choice]]:
    return {
        "State": filters.choices("state", [(state.value, state.value) for state in ShownState]),
        "Kind": filters.choices("kind", [("", "all"), *((kind, advice.title) for kind, advice in KINDS.items())]),
    }
