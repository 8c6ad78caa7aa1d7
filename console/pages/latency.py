"""Do we acknowledge in 120 ms, and when not? Distributions, percentiles over time and a map of both, of a range."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, override

from django.contrib.admin import AdminSite
from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.http import content_disposition_header, urlencode

from console.access import Permission
from console.guards import GuardedPage
from console.pages.latency_asked import Asked, Unreadable, provider_choices, read_series, stage_choices
from console.pages.latency_csv import csv_of
from console.pages.latency_figures import heat_part, length_told, stage_part, time_part
from console.pages.overview_figures import STAGE_TITLES
from console.pages.overview_snapshot import DATABASE_SILENT
from console.shown import moment
from console.time_range import RangeInvalid, TimeRange, asked_range, frozen_address, time_range_context
from ingestion.latency import Stage
from ingestion.latency_series import Grid, StageSeries, last_measured

EVERYTHING = Asked(provider=None, stage=None)


def now() -> datetime:
    return datetime.now(UTC)


class LatencyPage(GuardedPage):
    """Everything on one page, whole without script."""

    permission = Permission.OVERVIEW_READ
    template_name = "console/latency.html"
    site: AdminSite | None = None

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        assert self.site is not None  # noqa: S101  (set by the site that routes here)
        self.request.current_app = self.site.name
        at = now()
        found, asked, problem = asked_or_problem(self.request, at)
        return {
            **self.site.each_context(self.request),
            **super().get_context_data(**kwargs),
            "title": "Latency",
            "subtitle": None,
            "read_at": moment(at, now=at),
            "time_range": time_range_context(self.request, found, now=at),
            "providers": provider_choices(asked.provider),
            "stages": stage_choices(asked.stage),
            "kept": [(name, value) for name, value in self.request.GET.items() if name in ("from", "to")],
            "problem": problem,
            "is_filtered": asked != EVERYTHING,
            **(self._figures(found, asked, at) if found and not problem else {}),
        }

    def _figures(self, found: TimeRange, asked: Asked, at: datetime) -> dict[str, Any]:
        links = {
            "frozen_address": frozen_address(self.request, {"": found}),
            "export_address": f"{reverse('admin:latency_export')}?{urlencode(parameters_of(found, asked))}",
            "compare_address": f"{reverse('admin:latency_compare')}?{urlencode(parameters_of(found, asked))}",
        }
        try:
            grid, series = read_series(found, asked, now=at, charted=[asked.charted])
            nothing = {} if any(each.count for each in series.values()) else _nothing(asked, at)
        except (Unreadable, DatabaseError) as error:
            return {**links, "unreadable": unreadable_told(error)}
        return {**links, **nothing, **_content(grid, series, asked, at)}


class LatencyExport(GuardedPage):
    """What the page shows, as one CSV file that says what it was asked for."""

    permission = Permission.OVERVIEW_READ
    site: AdminSite | None = None

    @override
    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        at = now()
        found, asked, problem = asked_or_problem(request, at)
        if problem or found is None:
            return HttpResponse(problem, status=400, content_type="text/plain; charset=utf-8")
        try:
            grid, series = read_series(found, asked, now=at, charted=[asked.charted])
        except (Unreadable, DatabaseError) as error:
            return HttpResponse(unreadable_told(error), status=503, content_type="text/plain; charset=utf-8")
        name = f"latency-{asked.provider or 'all'}-{asked.stage or 'all'}-{grid.since:%Y%m%dT%H%M}.csv"
        return HttpResponse(
            csv_of(grid, series, asked=asked, found=found, read_at=at),
            content_type="text/csv; charset=utf-8",
            headers={
                "Content-Disposition": content_disposition_header(True, name) or "attachment",
                "Cache-Control": "no-store",
            },
        )


def asked_or_problem(request: HttpRequest, at: datetime) -> tuple[TimeRange | None, Asked, str]:
    """The range, the filters, and what a person should know where one of them is wrong."""
    try:
        asked = Asked.of(request.GET)
    except RangeInvalid as error:
        return None, EVERYTHING, sentence(str(error))
    try:
        return asked_range(request.GET, now=at), asked, ""
    except RangeInvalid as error:
        return None, asked, sentence(str(error))


def sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:].rstrip('.')}."


def unreadable_told(error: Exception) -> str:
    return str(error) if isinstance(error, Unreadable) else f"Latency is UNKNOWN: {DATABASE_SILENT}. Reload the page."


def parameters_of(found: TimeRange, asked: Asked) -> dict[str, str]:
    filters = {"provider": asked.provider or "", "stage": asked.stage.value if asked.stage else ""}
    return {**found.parameters, **{name: value for name, value in filters.items() if value}}


def _content(grid: Grid, series: Mapping[Stage, StageSeries], asked: Asked, at: datetime) -> dict[str, Any]:
    charted = series[asked.charted]
    form = "%H:%M" if grid.until - grid.since <= timedelta(days=1) else "%d %b %H:%M"
    return {
        "parts": [stage_part(each) for each in series.values()],
        "over_time": time_part(charted, grid=grid, written=lambda moment: moment.strftime(form)),
        "heat": heat_part(charted, grid=grid),
        "charted_title": STAGE_TITLES[asked.charted],
        "read_from": moment(grid.since, now=at),
        "read_to": moment(grid.until, now=at),
        "cell_length": length_told(grid.step),
    }


def _nothing(asked: Asked, at: datetime) -> dict[str, Any]:
    """What to do where the range is empty: look at the newest hour that has figures, or send a first event."""
    last = last_measured(before=at, provider=asked.provider)
    if last is None:
        return {"is_empty": True, "last": None}
    begin, end = last - timedelta(minutes=59), last + timedelta(minutes=1)
    hour = TimeRange.of(begin.isoformat(), end.isoformat(), now=at)
    address = f"{reverse('admin:latency')}?{urlencode({**parameters_of(hour, asked), **hour.frozen})}"
    return {"is_empty": True, "last": moment(last, now=at), "last_address": address}
