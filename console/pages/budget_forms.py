"""Writing into the ledger: an incident beside the figures, or a correction that another person has to approve."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Any, ClassVar, override

from django import forms
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from autocom.kernel.errors import AutocomError
from console.access import Permission
from console.actions import budget
from console.actions.operator import Operator
from console.guards import GuardedPage
from evidence.budget.corrections import REASON_LENGTH_AT_LEAST, Category, Wanted
from evidence.budget.entries import account_of
from evidence.slo.shipped import objectives
from ingestion.redrive.discard import REASON_LIMIT_CHARS

BOX = {"class": "console-paste"}
COUNT_LIMIT = 10**15
KEPT = "It stays in the ledger and in the audit log, with your name."


class _Moment(forms.DateTimeField):
    """UTC to the minute, as the browser's own picker writes it."""

    def __init__(self, **named: Any) -> None:
        widget = forms.DateTimeInput(attrs={**BOX, "type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
        super().__init__(widget=widget, input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"], **named)


def _delta(label: str) -> forms.IntegerField:
    return forms.IntegerField(
        label=label,
        initial=0,
        min_value=-COUNT_LIMIT,
        max_value=COUNT_LIMIT,
        widget=forms.NumberInput(attrs=BOX),
    )


class IncidentForm(forms.Form):
    slo = forms.ChoiceField(label="Objective", widget=forms.Select(attrs=BOX))
    window_from = _Moment(label="From (UTC)")
    window_to = _Moment(label="To (UTC)", help_text="It has to have ended.")
    reason = forms.CharField(
        label="What happened",
        max_length=REASON_LIMIT_CHARS,
        widget=forms.Textarea(attrs={**BOX, "rows": 3}),
        help_text=KEPT,
    )

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        choices = [(slo.name, slo.title) for slo in objectives().slos.values()]
        self.fields["slo"].choices = choices  # type: ignore[attr-defined]

    @property
    def window(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name].astimezone(UTC) for name in ("window_from", "window_to")}


class CorrectionForm(IncidentForm):
    category = forms.ChoiceField(choices=Category.choices, widget=forms.Select(attrs=BOX))
    valid_delta = _delta("Change of what was valid")
    bad_delta = _delta("Change of what was bad")
    unknown_seconds_delta = _delta("Change of the unknown time, in seconds")

    field_order = ("slo", "window_from", "window_to", "category", "valid_delta", "bad_delta", "unknown_seconds_delta")

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.fields["reason"].label = "Why"
        self.fields["valid_delta"].help_text = "-40 here and below takes 40 failures out that were none."
        told = f"At least {REASON_LENGTH_AT_LEAST} characters. {KEPT}"
        self.fields["reason"].help_text = told


class _FormPage(GuardedPage):
    """A POST acts and leads to what came of it; refused, the form is shown again with what was written, and why."""

    template_name = "console/budget_form.html"
    http_method_names = ["get", "head", "options", "post"]
    site: AdminSite | None = None
    form_class: ClassVar[type[IncidentForm]]
    title: ClassVar[str]
    lead: ClassVar[str]
    button: ClassVar[str]

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        assert self.site is not None  # noqa: S101  (set by the site that routes here)
        self.request.current_app = self.site.name
        return {
            **self.site.each_context(self.request),
            "form": self.form_class(initial=_initial(self.request.GET)),
            **super().get_context_data(**kwargs),
            "title": self.title,
            "subtitle": None,
            "lead": self.lead,
            "button": self.button,
            "back": reverse("admin:budgets"),
        }

    def post(self, request: HttpRequest) -> HttpResponse:
        form, problem = self.form_class(request.POST), ""
        if form.is_valid():
            try:
                return HttpResponseRedirect(self.act(request, form))
            except AutocomError as error:
                problem = str(error)
        return self.render_to_response(self.get_context_data(form=form, problem=problem))

    def act(self, request: HttpRequest, form: Any) -> str:
        """Where it is shown. Raises AutocomError."""
        raise NotImplementedError


class AnnotatePage(_FormPage):
    permission = Permission.BUDGET_ANNOTATE
    form_class = IncidentForm
    title = "Enter an incident"
    lead = "An incident stands in the ledger beside the figures and changes none of them."
    button = "Enter the incident"

    @override
    def act(self, request: HttpRequest, form: IncidentForm) -> str:
        given = form.cleaned_data
        operator = Operator.signed_in(request.user)
        entry = budget.annotate(operator, given["slo"], **form.window, reason=given["reason"])
        messages.success(request, f"Ledger entry {entry.number}, audit entry {entry.audit_number}.")
        return reverse("admin:budget_entry", args=[entry.number])


class ProposePage(_FormPage):
    permission = Permission.BUDGET_PROPOSE
    form_class = CorrectionForm
    title = "Propose a correction"
    lead = (
        "It counts once another person approves it, and what was measured stays beside it. The account of a gate run"
        " is never corrected: repeat the run."
    )
    button = "Propose the correction"

    @override
    def act(self, request: HttpRequest, form: CorrectionForm) -> str:
        given = form.cleaned_data
        window = form.window
        wanted = Wanted(
            slo=given["slo"],
            account=request.POST.get("account", "") or account_of(window["window_from"]),
            **window,
            category=given["category"],
            valid_delta=given["valid_delta"],
            bad_delta=given["bad_delta"],
            unknown_seconds_delta=given["unknown_seconds_delta"],
            reason=given["reason"],
        )
        proposal = budget.propose_correction(Operator.signed_in(request.user), wanted)
        messages.success(request, f"Correction {proposal.pk} is proposed: another person decides it on this page.")
        return reverse("admin:budget_correction", args=[proposal.pk])


def _initial(given: Mapping[str, Any]) -> dict[str, str]:
    """What the address fills in."""
    return {name: str(given[name]) for name in ("slo", "window_from", "window_to") if given.get(name)}
