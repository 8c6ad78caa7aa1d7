"""Where we tell others something: whether it arrives, what was withheld, and adding, switching and removing them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, override

from django import forms
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.safestring import SafeString

from autocom.kernel.errors import AutocomError
from console.access import Permission
from console.actions import destinations as acts
from console.actions.operator import Operator, check
from console.alert_kinds import KINDS
from console.guards import GuardedPage
from console.offers import offer
from console.selectors import COUNTED_AT_MOST
from console.shown import moment
from evidence.mode_standing import standing
from evidence.models import Destination, Outgoing
from evidence.outgoing.claims import now as clock
from evidence.outgoing.errors import DestinationNotFound
from evidence.outgoing.selectors import NONE, StateCount, counts_by_state, newest_troubles, withheld_since
from ingestion.models import Provider
from ingestion.redrive.discard import REASON_LIMIT_CHARS

State = Outgoing.State
BOX = {"class": "console-paste"}
WITHHELD_SHOWN = timedelta(hours=48)
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationShown:
    row: Destination
    address: str
    takes: Sequence[str]
    counts: Mapping[str, str]
    open_count: int
    last_sent: SafeString | str
    trouble: Outgoing | None
    trouble_at: SafeString | str
    withheld: str


class DestinationsPage(GuardedPage):
    permission = Permission.DESTINATION_READ
    template_name = "console/destinations.html"
    site: AdminSite | None = None

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        now, user = clock(), self.request.user
        return {
            **_site(self).each_context(self.request),
            **super().get_context_data(**kwargs),
            "title": "Destinations",
            "subtitle": None,
            "read_at": moment(now, now=now),
            "mode": standing().mode.value,
            "destinations": _shown(list(Destination.objects.all()), now=now),
            "manage": offer(user, Permission.DESTINATION_MANAGE, act="Adding a destination"),
            "may_read_outgoing": user.has_perm(Permission.OUTGOING_READ),
        }


class DestinationPage(GuardedPage):
    """One of them. A POST switches or removes it: `act` says how."""

    permission = Permission.DESTINATION_READ
    template_name = "console/destination.html"
    http_method_names = ["get", "head", "options", "post"]
    site: AdminSite | None = None

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        now, user = clock(), self.request.user
        row = get_object_or_404(Destination, pk=kwargs["pk"])
        (shown,) = _shown([row], now=now)
        withheld = withheld_since(now - WITHHELD_SHOWN).filter(destination=row)
        return {
            **_site(self).each_context(self.request),
            **super().get_context_data(**kwargs),
            "title": f"Destination {row.name}",
            "subtitle": None,
            "shown": shown,
            "added": moment(row.created_at, now=now),
            "mode": standing().mode.value,
            "withheld": [(f"{each.hour:%Y-%m-%d %H:%M}", each.count) for each in withheld],
            "manage": offer(user, Permission.DESTINATION_MANAGE, act="Changing a destination"),
            "why_not_removed": _why_not_removed(shown),
            "may_read_outgoing": user.has_perm(Permission.OUTGOING_READ),
            "reason_limit": REASON_LIMIT_CHARS,
            "back": reverse("admin:destinations"),
        }

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        operator = Operator.signed_in(request.user)
        check(operator, Permission.DESTINATION_MANAGE, subject=f"destination number {pk}")
        name = get_object_or_404(Destination, pk=pk).name
        try:
            messages.success(request, _changed(operator, name, request))
        except AutocomError as error:
            messages.error(request, str(error))
        is_there = Destination.objects.filter(pk=pk).exists()
        return HttpResponseRedirect(
            reverse("admin:destination", args=[pk]) if is_there else reverse("admin:destinations")
        )


class DestinationForm(forms.Form):
    name = forms.CharField(
        max_length=acts.NAME_LIMIT_CHARS, widget=forms.TextInput(attrs=BOX), help_text="Such as on-call."
    )
    address = forms.CharField(
        max_length=2_000,
        widget=forms.TextInput(attrs={**BOX, "inputmode": "url"}),
        help_text="https://host/path, on the internet: private addresses are refused when a message is sent. "
        "Or mailto:ops@example.com: alerts by mail, by the server of EMAIL_URL.",
    )
    tells_alerts = forms.BooleanField(
        label="Tell it of alerts",
        required=False,
        initial=True,
        widget=forms.CheckboxInput(attrs={"class": "console-pick"}),
    )
    alert_kinds = forms.MultipleChoiceField(
        label="Of these kinds alone; none ticked: of every kind",
        required=False,
        choices=[(kind, f"{advice.title} ({kind})") for kind, advice in KINDS.items()],
        widget=forms.CheckboxSelectMultiple(attrs={"class": "console-pick"}),
    )
    forwards = forms.BooleanField(
        label="Forward accepted events to it",
        required=False,
        widget=forms.CheckboxInput(attrs={"class": "console-pick"}),
    )
    providers = forms.CharField(
        label="Of these providers alone, one a line",
        required=False,
        widget=forms.Textarea(attrs={**BOX, "rows": 2}),
        help_text="Empty: of every provider.",
    )
    event_types = forms.CharField(
        label="Of these event types alone, one a line",
        required=False,
        widget=forms.Textarea(attrs={**BOX, "rows": 2}),
        help_text="Empty: of every type.",
    )

    def clean_providers(self) -> list[str]:
        names = _lines(self.cleaned_data["providers"])
        unknown = set(names) - set(Provider.objects.filter(name__in=names).values_list("name", flat=True))
        if unknown:
            raise forms.ValidationError(f"There is no provider {', '.join(sorted(unknown))}.")
        return names

    def clean_event_types(self) -> list[str]:
        return _lines(self.cleaned_data["event_types"])

    @override
    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        if not given.get("tells_alerts") and not given.get("forwards"):
            raise forms.ValidationError("Tick what it is told: alerts, events or both.")
        if given.get("alert_kinds") and not given.get("tells_alerts"):
            self.add_error("alert_kinds", "Tick that it is told of alerts, or none of these.")
        if (given.get("providers") or given.get("event_types")) and not given.get("forwards"):
            self.add_error("forwards", "Providers and types choose what is forwarded: tick this too.")
        return given


class AddDestinationPage(GuardedPage):
    """The answer to the form is the only page that ever holds the secret."""

    permission = Permission.DESTINATION_MANAGE
    template_name = "console/destination_add.html"
    http_method_names = ["get", "head", "options", "post"]
    site: AdminSite | None = None

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return {
            **_site(self).each_context(self.request),
            "form": DestinationForm(),
            **super().get_context_data(**kwargs),
            "title": "Add a destination",
            "subtitle": None,
            "back": reverse("admin:destinations"),
        }

    def post(self, request: HttpRequest) -> HttpResponse:
        form = DestinationForm(request.POST)
        if form.is_valid():
            try:
                secret = _added(Operator.signed_in(request.user), form.cleaned_data)
            except AutocomError as error:
                form.add_error(None, str(error))
            else:
                name = form.cleaned_data["name"]
                if not secret:  # mail is not signed
                    messages.success(request, f"{name} is added.")
                    return HttpResponseRedirect(reverse("admin:destinations"))
                answer = self.render_to_response(self.get_context_data(form=None, secret=secret, name=name))
                answer["Cache-Control"] = "no-store"
                answer["Referrer-Policy"] = "no-referrer"
                return answer
        return self.render_to_response(self.get_context_data(form=form))


def _site(page: DestinationsPage | DestinationPage | AddDestinationPage) -> AdminSite:
    assert page.site is not None  # noqa: S101  (set by the site that routes here)
    page.request.current_app = page.site.name
    return page.site


def _added(operator: Operator, given: Mapping[str, Any]) -> str:
    """Its signing secret, empty for mail. Raises RefusalRecorded, AutocomError."""
    forward = (
        acts.Forward(providers=given["providers"], event_types=given["event_types"]) if given["forwards"] else None
    )
    kinds = given["alert_kinds"]
    if forward is not None and given["tells_alerts"]:
        kinds = kinds or list(KINDS)  # an action without kinds would leave alerts out where events are forwarded
    return acts.add(operator, name=given["name"], address=given["address"], alert_kinds=kinds, forward=forward)


def _changed(operator: Operator, name: str, request: HttpRequest) -> str:
    """Raises RefusalRecorded, AutocomError."""
    act, reason = request.POST.get("act", ""), request.POST.get("reason", "").strip()
    if act in ("enable", "disable"):
        changed = acts.switch(operator, name, enabled=act == "enable")
        return f"{name} {'is' if changed else 'was'} {act}d{'' if changed else ' already'}."
    if act != "remove":
        raise DestinationNotFound("this page knows enable, disable and remove")
    if not 1 <= len(reason) <= REASON_LIMIT_CHARS:
        raise DestinationNotFound(f"say why, in 1 to {REASON_LIMIT_CHARS} characters: it stays in the audit log")
    acts.remove(operator, name, reason=reason)
    return f"{name} is removed."


def _shown(rows: Sequence[Destination], *, now: datetime) -> Sequence[DestinationShown]:
    """Asks the database three times, however many there are."""
    counts, troubles = counts_by_state(), newest_troubles()
    withheld: dict[int, int] = {}
    for each in withheld_since(now - DAY):
        withheld[each.destination_id] = withheld.get(each.destination_id, 0) + each.count
    return [_one(row, counts.get(row.pk, {}), troubles.get(row.pk), withheld.get(row.pk, 0), now=now) for row in rows]


def _one(
    row: Destination, counts: Mapping[str, StateCount], trouble: Outgoing | None, withheld: int, *, now: datetime
) -> DestinationShown:
    return DestinationShown(
        row=row,
        address=reverse("admin:destination", args=[row.pk]),
        takes=_takes(row),
        counts={state.value: _counted(counts.get(state.value, NONE).count) for state in State},
        open_count=sum(counts.get(state.value, NONE).count for state in (State.WAITING, State.DEAD, State.WITHHELD)),
        last_sent=moment(counts.get(State.SENT.value, NONE).newest_at, now=now),
        trouble=trouble,
        trouble_at=_trouble_at(trouble, now=now),
        withheld=f"{withheld:,}",
    )


def _trouble_at(trouble: Outgoing | None, *, now: datetime) -> SafeString | str:
    if trouble is None:
        return ""
    return moment(trouble.settled_at or trouble.next_attempt_at, now=now)


def _takes(row: Destination) -> Sequence[str]:
    told = []
    if row.tells_alerts:
        told.append(f"alerts: {', '.join(row.alert_kinds) or 'every kind'}")
    if row.forwards:
        chosen = [", ".join(row.providers) or "every provider", ", ".join(row.event_types) or "every type"]
        told.append(f"events: {'; '.join(chosen)}")
    return told


def _why_not_removed(shown: DestinationShown) -> str:
    if not shown.open_count:
        return ""
    told = "1 message to it is" if shown.open_count == 1 else f"{_counted(shown.open_count)} messages to it are"
    return f"{told} not settled: disable it, then discard or send them"


def _counted(count: int) -> str:
    return f"{count:,}" if count <= COUNTED_AT_MOST else f"over {COUNTED_AT_MOST:,}"


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]
