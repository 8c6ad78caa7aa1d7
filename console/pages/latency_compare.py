"""Was it faster then? Two ranges of time, or two replay runs, against each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, override

from django.contrib.admin import AdminSite
from django.db import Error as DatabaseError
from django.http import HttpRequest

from console.access import Permission
from console.guards import GuardedPage
from console.pages.latency import asked_or_problem, now, sentence, unreadable_told
from console.pages.latency_asked import Asked, Unreadable, provider_choices, read_series, stage_choices
from console.pages.latency_comparison import runs_compared, stages_compared
from console.shown import UNKNOWN, moment, visible
from console.time_range import RangeInvalid, TimeRange, asked_range, frozen_address, time_range_context
from evidence.runs.folders import RunUnknown, runs
from evidence.runs.latencies import RunLatencies, run_latencies

VS = "vs_"
THE_DAY_BEFORE = ("now-25h", "now-24h")
RUNS_OFFERED = 50


class LatencyComparePage(GuardedPage):
    """Two ranges; the second one is in `vs_from` and `vs_to`."""

    permission = Permission.OVERVIEW_READ
    template_name = "console/latency_compare.html"
    site: AdminSite | None = None

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        assert self.site is not None  # noqa: S101  (set by the site that routes here)
        self.request.current_app = self.site.name
        at = now()
        first, asked, problem = asked_or_problem(self.request, at)
        second, vs_problem = _second(self.request, at)
        problems = [each for each in (problem, vs_problem) if each]
        return {
            **self.site.each_context(self.request),
            **super().get_context_data(**kwargs),
            "title": "Compare latencies",
            "subtitle": None,
            "range_a": time_range_context(self.request, first, now=at),
            "range_b": time_range_context(self.request, second, now=at, prefix=VS, default=THE_DAY_BEFORE),
            "providers": provider_choices(asked.provider),
            "stages": stage_choices(asked.stage),
            "kept": [
                (name, value)
                for name, value in self.request.GET.items()
                if name in ("from", "to", f"{VS}from", f"{VS}to")
            ],
            "problems": problems,
            **(self._figures(first, second, asked, at) if first and second and not problems else {}),
        }

    def _figures(self, first: TimeRange, second: TimeRange, asked: Asked, at: datetime) -> dict[str, Any]:
        found = {"frozen_address": frozen_address(self.request, {"": first, VS: second})}
        try:
            _, series_a = read_series(first, asked, now=at, charted=[])
            _, series_b = read_series(second, asked, now=at, charted=[])
        except (Unreadable, DatabaseError) as error:
            return {**found, "unreadable": unreadable_told(error)}
        return {**found, "comparisons": stages_compared(series_a, series_b)}


def _second(request: HttpRequest, at: datetime) -> tuple[TimeRange | None, str]:
    try:
        return asked_range(request.GET, now=at, prefix=VS, default=THE_DAY_BEFORE), ""
    except RangeInvalid as error:
        return None, sentence(f"B: {error}")


@dataclass(frozen=True, slots=True)
class RunFact:
    name: str
    first: str
    second: str


class LatencyRunsPage(GuardedPage):
    """Two replay runs, by their ids in `run` and `vs_run`; without any, the newest two."""

    permission = Permission.EVIDENCE_READ  # what is shown is read from the runs' evidence
    template_name = "console/latency_runs.html"
    site: AdminSite | None = None

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        assert self.site is not None  # noqa: S101  (set by the site that routes here)
        self.request.current_app = self.site.name
        offered = [run.run_id for run in runs()[:RUNS_OFFERED]]
        newest = [*offered[:2], "", ""]
        asked_a = self.request.GET.get("run", "").strip() or newest[1] or newest[0]
        asked_b = self.request.GET.get(f"{VS}run", "").strip() or newest[0]
        return {
            **self.site.each_context(self.request),
            **super().get_context_data(**kwargs),
            "title": "Compare runs",
            "subtitle": None,
            "offered": offered,
            "asked_a": asked_a,
            "asked_b": asked_b,
            **(_compared_runs(asked_a, asked_b) if asked_a and asked_b else {}),
        }


def _compared_runs(asked_a: str, asked_b: str) -> dict[str, Any]:
    try:
        first, second = run_latencies(asked_a), run_latencies(asked_b)
    except RunUnknown as error:
        return {"problems": [sentence(visible(str(error)))]}
    return {"facts": _facts(first, second), "comparisons": runs_compared(first, second)}


def _facts(first: RunLatencies, second: RunLatencies) -> Sequence[RunFact]:
    named = {
        "Began": [moment(each.run.began_at) for each in (first, second)],
        "Provider": [visible(str(each.run.provider)) for each in (first, second)],
        "Verdict": [visible(str(each.run.verdict)) for each in (first, second)],
        "Planned": [_number(each.summary.get("planned")) for each in (first, second)],
        "Accepted at once": [_number(each.summary.get("accepted")) for each in (first, second)],
        "Rate achieved": [_number(each.summary.get("rate_achieved"), "/s") for each in (first, second)],
    }
    return [RunFact(name, *both) for name, both in named.items()]


def _number(value: object, unit: str = "") -> str:
    return f"{value:,.0f}{unit}" if isinstance(value, int | float) else UNKNOWN
