"""Messages to destinations that wait for a person: dead ones to retry, withheld ones to release, either to discard."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, override

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.safestring import SafeString

from autocom.kernel.errors import AutocomError
from console.access import Permission
from console.actions import outgoing as acts
from console.actions.operator import Operator, check
from console.filter_links import Choice, Filters, cursor_of
from console.guards import GuardedPage
from console.keyset import keyset_page
from console.offers import offer
from console.shown import moment
from evidence.mode_standing import standing
from evidence.models import Destination, Outgoing
from evidence.outgoing.claims import now as clock
from evidence.outgoing.errors import OutgoingNotThere
from evidence.outgoing.selectors import NEEDS_A_PERSON
from evidence.outgoing.selectors import messages as messages_of
from ingestion.redrive.discard import REASON_LIMIT_CHARS

PAGE_SIZE_COUNT = 50
ALL = "all"
NUMBER_LIMIT_CHARS = 18
State = Outgoing.State
ACTS: Mapping[str, tuple[Callable[..., int], str]] = {
    "retry": (acts.retry, "due again"),
    "release": (acts.release, "due; the mode is asked again at the attempt"),
    "discard": (acts.discard, "discarded"),
}


@dataclass(frozen=True, slots=True)
class MessageShown:
    row: Outgoing
    is_open: bool
    about: str
    address: str
    created: SafeString | str
    settled: SafeString | str


class OutgoingPage(GuardedPage):
    """A POST decides over what was ticked: `act` says how."""

    permission = Permission.OUTGOING_READ
    template_name = "console/outgoing.html"
    http_method_names = ["get", "head", "options", "post"]
    site: AdminSite | None = None

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        assert self.site is not None  # noqa: S101  (set by the site that routes here)
        self.request.current_app = self.site.name
        now, user = clock(), self.request.user
        filters, problem = _filters(self.request)
        cursor, trouble = cursor_of(self.request, Outgoing)
        wanted = filters.wanted
        found = messages_of(states=_states(wanted["state"]), destination=wanted["destination"])
        page = keyset_page(found, cursor=cursor, size_count=PAGE_SIZE_COUNT, is_indexed=True)
        may_read_events = user.has_perm(Permission.EVENT_READ)
        return {
            **self.site.each_context(self.request),
            **super().get_context_data(**kwargs),
            "title": "Outgoing",
            "subtitle": None,
            "read_at": moment(now, now=now),
            "problem": problem or trouble,
            "mode": standing().mode.value,
            "rows": [_shown(row, now=now, may_read_events=may_read_events) for row in page.rows],
            "filters": _choices(filters),
            "is_filtered": bool(wanted["state"] or wanted["destination"]),
            "is_newest": cursor.is_newest,
            "pages": filters.keyset_links(cursor, page),
            "here": filters.address(),
            "decide": offer(user, Permission.OUTGOING_DECIDE, act="Deciding over messages"),
            "reason_limit": REASON_LIMIT_CHARS,
        }

    def post(self, request: HttpRequest) -> HttpResponse:
        operator = Operator.signed_in(request.user)
        check(operator, Permission.OUTGOING_DECIDE, subject="outgoing messages")
        try:
            messages.success(request, _decided(operator, request))
        except AutocomError as error:
            messages.error(request, str(error))
        query = request.GET.urlencode()
        return HttpResponseRedirect(reverse("admin:outgoing") + (f"?{query}" if query else ""))


def _decided(operator: Operator, request: HttpRequest) -> str:
    """Raises RefusalRecorded, OutgoingNotThere."""
    act, done = ACTS.get(request.POST.get("act", ""), (None, ""))
    reason, ticked = request.POST.get("reason", "").strip(), request.POST.getlist("pick")
    if act is None:
        raise OutgoingNotThere(f"this page knows {', '.join(ACTS)}")
    if not ticked:
        raise OutgoingNotThere("nothing was ticked, so nothing was done")
    if len(ticked) > PAGE_SIZE_COUNT:
        raise OutgoingNotThere(f"{len(ticked)} messages at once are too many: {PAGE_SIZE_COUNT} at most")
    if not 1 <= len(reason) <= REASON_LIMIT_CHARS:
        raise OutgoingNotThere(f"say why, in 1 to {REASON_LIMIT_CHARS} characters: it stays in the audit log")
    count = act(operator, [_number(text) for text in ticked], reason=reason)
    return f"{count} message{'' if count == 1 else 's'} {done}."


def _number(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= NUMBER_LIMIT_CHARS:
        return int(text)
    raise OutgoingNotThere(f"{text[:20]!r} is no number of a message: nothing was done")


def _filters(request: HttpRequest) -> tuple[Filters, str]:
    """State and destination, and what of the address made no sense."""
    wanted = {name: request.GET.get(name, "") for name in ("state", "destination")}
    problem = ""
    if wanted["state"] and wanted["state"] not in (ALL, *State.values):
        problem = f"{wanted['state'][:20]!r} is no state: {', '.join(State.values)}"
        wanted["state"] = ""
    return Filters(wanted, plain={}), problem


def _states(wanted: str) -> tuple[str, ...]:
    if wanted == ALL:
        return ()
    return (wanted,) if wanted else NEEDS_A_PERSON


def _shown(row: Outgoing, *, now: datetime, may_read_events: bool) -> MessageShown:
    return MessageShown(
        row=row,
        is_open=row.state in NEEDS_A_PERSON,
        about=f"alert {row.alert.kind}: {row.alert.subject}" if row.alert else f"event\u00a0…{str(row.event_id)[-8:]}",
        address=reverse("admin:ingestion_event_change", args=[row.event_id])
        if row.event_id and may_read_events
        else "",
        created=moment(row.created_at, now=now),
        settled=moment(row.settled_at, now=now) if row.settled_at else moment(row.next_attempt_at, now=now),
    )


def _choices(filters: Filters) -> Mapping[str, Sequence[Choice]]:
    names = Destination.objects.values_list("name", flat=True)
    states = [("", "dead and withheld"), *((each, each) for each in State.values), (ALL, ALL)]
    return {
        "State": filters.choices("state", states),
        "Destination": filters.choices("destination", [("", ALL), *((name, name) for name in names)]),
    }
