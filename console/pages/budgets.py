"""How much of what was promised may still fail, what spent it, and how fast; the ledger beneath, and as a file."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Any, override

from django.contrib.admin import AdminSite
from django.core.paginator import Page, Paginator
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from autocom.kernel.errors import AutocomError
from console.access import Permission
from console.budgets import BAD, FIRING, ICONS, Causes, causes_of, percent, seconds, times, title_of
from console.charts.burn_down import BurnDown, burn_down
from console.filter_links import Choice, Filters
from console.guards import GuardedPage
from console.offers import offer
from console.shown import age, moment
from evidence.budget.arithmetic import AlertRule, Firing, State
from evidence.budget.ledger import LedgerFilter, Sort, entries, ledger_filter
from evidence.budget.selectors import BudgetStanding, budget_standings, open_proposals
from evidence.budget.windows import ROLLING, Spending, months, spendings
from evidence.models import BudgetEntry
from evidence.slo.objective import Slo
from evidence.slo.shipped import objectives

PAGE_SIZE_COUNT = 50
MONTHS_OFFERED_COUNT = 13
FILTERS = ("slo", "kind", "window", "sort")


@dataclass(frozen=True, slots=True)
class RuleShown:
    windows: str
    factor: str
    threshold: str
    long: str
    short: str
    state: str
    icon: str
    is_bad: bool


@dataclass(frozen=True, slots=True)
class StepShown:
    begin: str
    end: str
    valid: str
    bad: str
    unknown: str
    is_unknown: bool
    left: str
    raw_left: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetShown:
    """One objective in the chosen window."""

    slo: Slo
    spending: Spending
    objective: str
    actual: str
    counted: str
    left: str
    raw_left: str
    is_spent: bool
    is_corrected: bool
    unknown: str
    state: State
    icon: str
    is_bad: bool
    is_frozen: bool
    rules: Sequence[RuleShown]
    exhaustion: SafeString | str
    chart: BurnDown | None
    steps: Sequence[StepShown]


@dataclass(frozen=True, slots=True)
class EntryShown:
    entry: BudgetEntry
    title: str
    address: str
    when: SafeString | str
    window: str
    valid: str
    bad: str
    unknown: str
    left: str
    raw_left: str
    causes: Causes


class BudgetsPage(GuardedPage):
    permission = Permission.BUDGET_READ
    template_name = "console/budgets.html"
    site: AdminSite | None = None

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        assert self.site is not None  # noqa: S101  (set by the site that routes here)
        self.request.current_app = self.site.name
        now = _now()
        wanted, problem = _wanted(self.request, now=now)
        filters, user = _filters(wanted), self.request.user
        page = Paginator(entries(wanted, now=now), PAGE_SIZE_COUNT).get_page(self.request.GET.get("page"))
        return {
            **self.site.each_context(self.request),
            **super().get_context_data(**kwargs),
            "title": "Error budgets",
            "subtitle": None,
            "problem": problem,
            "read_at": moment(now, now=now),
            "wanted": wanted,
            "window": window_words(wanted.window),
            "budgets": _shown_all(_slos(wanted), wanted.window, now=now),
            "invariants": list(objectives().invariants.values()),
            "proposals": [
                (each, title_of(each.slo), moment(each.proposed_at), _proposal(each.pk)) for each in open_proposals()
            ],
            "entries": entries_shown(list(page.object_list), user, now=now),
            "page": page,
            "pages": _pages(filters, page),
            "filters": _choices(filters, now=now),
            "is_filtered": bool(wanted.slo or wanted.kind),
            "csv_address": f"{reverse('admin:budget_ledger')}{filters.address()}",
            "annotate": offer(user, Permission.BUDGET_ANNOTATE, act="Entering an incident"),
            "propose": offer(user, Permission.BUDGET_PROPOSE, act="Proposing a correction"),
            "prefill": urlencode({"slo": wanted.slo}) if wanted.slo else "",
        }


class LedgerFile(GuardedPage):
    """Every entry that the filter finds, as CSV."""

    permission = Permission.BUDGET_READ

    @override
    def get(self, request: HttpRequest, *_: Any, **__: Any) -> HttpResponseBase:  # type: ignore[override]  # a stream is no HttpResponse
        now = _now()
        try:
            wanted = _filter_of(request, now=now)
        except AutocomError as error:
            return HttpResponse(f"{error}\n", status=400, content_type="text/plain; charset=utf-8")
        writer = csv.writer(_Echo(), lineterminator="\n")
        lines = (writer.writerow(row) for row in _csv_rows(wanted, now=now))
        answer = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
        name = "-".join(part for part in ("ledger", wanted.slo, wanted.kind.lower(), wanted.window) if part)
        answer["Content-Disposition"] = f'attachment; filename="{name}.csv"'
        answer["Cache-Control"] = "private, no-store"
        return answer


class _Echo:
    def write(self, text: str) -> str:
        return text


COLUMNS = (
    *("number", "at", "slo", "slo_version", "account", "kind", "part", "window_from", "window_to", "valid", "good"),
    *("bad", "unknown_seconds", "target", "budget_total", "consumed", "balance_after", "remaining_pct", "burn_1h"),
    *("burn_6h", "burn_1d", "burn_3d", "projected_exhaustion", "raw_valid", "raw_bad", "corrected_valid"),
    *("corrected_bad", "reason", "actor", "approver", "evidence_sha256", "audit_number"),
)


def _csv_rows(wanted: LedgerFilter, *, now: datetime) -> Iterator[Sequence[object]]:
    yield (f"# ledger of error budgets: {wanted}; read {now.isoformat(timespec='seconds')}",)
    yield COLUMNS
    for entry in entries(wanted, now=now).iterator():
        beside = {
            f"{name}_{part}": getattr(entry, name).get(part)
            for name in ("raw", "corrected")
            for part in ("valid", "bad")
        }
        yield [_cell(beside[name] if name in beside else getattr(entry, name)) for name in COLUMNS]


def _cell(value: object) -> object:
    """What a person wrote must not be a formula to whoever opens the file with a spreadsheet."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return "" if value is None else value


def entries_shown(rows: Sequence[BudgetEntry], user: Any, *, now: datetime) -> Sequence[EntryShown]:
    causes = causes_of(rows, user)
    return [
        EntryShown(
            entry=row,
            title=title_of(row.slo),
            address=reverse("admin:budget_entry", args=[row.number]),
            when=moment(row.at, now=now),
            window=_between(row.window_from, row.window_to),
            valid=f"{row.valid:,}",
            bad=f"{row.bad:,}",
            unknown=seconds(row.unknown_seconds),
            left=percent(row.remaining_pct),
            raw_left=_raw_left(row),
            causes=causes[row.number],
        )
        for row in rows
    ]


def window_words(window: str) -> str:
    return "last 28 days" if window == ROLLING else f"month {window}"


def _raw_left(row: BudgetEntry) -> str:
    """Empty where nothing of the account was corrected."""
    if row.raw == row.corrected:
        return ""
    total = (1 - row.target) * row.raw["valid"]
    return percent(100 * (total - row.raw["bad"]) / total if total else None)


def _wanted(request: HttpRequest, *, now: datetime) -> tuple[LedgerFilter, str]:
    """The filter of the address, or everything and why it is not that."""
    try:
        return _filter_of(request, now=now), ""
    except AutocomError as error:
        return LedgerFilter(), str(error)


def _filter_of(request: HttpRequest, *, now: datetime) -> LedgerFilter:
    return ledger_filter(**{name: request.GET.get(name, "") for name in FILTERS}, now=now)


def _slos(wanted: LedgerFilter) -> Sequence[Slo]:
    known = objectives().slos
    return [known[wanted.slo]] if wanted.slo else list(known.values())


def _shown_all(slos: Sequence[Slo], window: str, *, now: datetime) -> Sequence[BudgetShown]:
    standings = budget_standings([slo.name for slo in slos], now=now)
    spent = spendings(slos, window, now=now)
    return [_shown(*each, window=window, now=now) for each in zip(standings, spent, strict=True)]


def _shown(standing: BudgetStanding, spent: Spending, *, window: str, now: datetime) -> BudgetShown:
    slo = spent.slo
    left, raw_left = spent.remaining_pct, spent.raw_remaining_pct
    return BudgetShown(
        slo=slo,
        spending=spent,
        objective=percent(100 * slo.target, places=3),
        actual=percent(spent.actual_pct, places=3),
        counted=f"{spent.counts.bad:,} bad of {spent.counts.valid:,} valid",
        left=percent(left),
        raw_left=percent(raw_left),
        is_spent=left is not None and left < 0,
        is_corrected=spent.raw != spent.counts,
        unknown=seconds(spent.counts.unknown_seconds),
        state=standing.state,
        icon=ICONS[standing.state],
        is_bad=standing.state in BAD,
        is_frozen=standing.is_frozen,
        rules=[_rule(standing, rule, firing) for rule, firing in standing.firings.items()],
        exhaustion=_exhaustion(standing, now=now),
        chart=burn_down(
            spent,
            name=f"burn-{slo.name}",
            title=f"{slo.title}: budget left, {window_words(window)}",
            description=_told(spent),
        ),
        steps=_steps(spent),
    )


def _rule(standing: BudgetStanding, rule: AlertRule, firing: Firing) -> RuleShown:
    allowed = 1 - Fraction(standing.slo.target)
    word, icon = FIRING[firing]
    return RuleShown(
        windows=f"{age(rule.long)} and {age(rule.short)}",
        factor=f"{float(rule.factor):g} x",
        threshold=f"{float(100 * rule.factor * allowed):.4g} %",
        long=_burning(standing.burn_rates[rule.long], allowed),
        short=_burning(standing.burn_rates[rule.short], allowed),
        state=word,
        icon=icon,
        is_bad=firing is Firing.YES,
    )


def _burning(rate: Fraction | None, allowed: Fraction) -> str:
    """The error ratio, and how many times the budget's own that is."""
    return times(None) if rate is None else f"{float(100 * rate * allowed):.4g} % ({times(rate)})"


def _exhaustion(standing: BudgetStanding, *, now: datetime) -> SafeString | str:
    if standing.remaining_pct is None:
        return "UNKNOWN: nothing valid was measured"
    if standing.remaining_pct <= 0:
        return "spent already"
    if standing.projected_exhaustion is None:
        return "never, if the last hour goes on"
    return moment(standing.projected_exhaustion, now=now)


def _told(spent: Spending) -> str:
    counts = spent.counts
    told = f"{percent(spent.remaining_pct)} left after {counts.bad:,} bad of {counts.valid:,} valid"
    if spent.raw != counts:
        told += f"; as measured {percent(spent.raw_remaining_pct)}, dashed"
    if counts.unknown_seconds > 0:
        told += f"; {seconds(counts.unknown_seconds)} unknown, hatched: that time may have been bad"
    return told + "."


def _steps(spent: Spending) -> Sequence[StepShown]:
    nothing = [None] * len(spent.steps)
    left, raw = spent.left_pct() or nothing, spent.left_pct(raw=True) or nothing
    rows = zip(spent.steps, left, raw, strict=True)
    return [
        StepShown(
            begin=f"{step.begin:%Y-%m-%d %H:%M}",
            end=f"{step.end:%Y-%m-%d %H:%M}",
            valid=f"{step.own.valid:,}",
            bad=f"{step.own.bad:,}",
            unknown=seconds(step.own.unknown_seconds),
            is_unknown=step.is_unknown,
            left=percent(after),
            raw_left=percent(measured) if measured != after else "",
        )
        for step, after, measured in rows
    ]


def _between(begin: datetime, end: datetime) -> str:
    """One moment, or from one to the other without its day where that is the same."""
    if begin == end:
        return f"{begin:%Y-%m-%d %H:%M}"
    return f"{begin:%Y-%m-%d %H:%M} to {end:{'%H:%M' if end.date() == begin.date() else '%Y-%m-%d %H:%M'}}"


def _proposal(number: int) -> str:
    return reverse("admin:budget_correction", args=[number])


def _filters(wanted: LedgerFilter) -> Filters:
    given = {name: str(getattr(wanted, name)) for name in FILTERS}
    return Filters(given, plain={"window": ROLLING, "sort": Sort.NEWEST.value})


def _choices(filters: Filters, *, now: datetime) -> Mapping[str, Sequence[Choice]]:
    windows = [(ROLLING, "last 28 days"), *((each, each) for each in months(now=now)[:MONTHS_OFFERED_COUNT])]
    slos = [("", "all"), *((slo.name, slo.title) for slo in objectives().slos.values())]
    kinds = [("", "all"), *((kind, kind) for kind in BudgetEntry.Kind.values)]
    orders = [(Sort.NEWEST.value, "newest first"), (Sort.WORST.value, "worst first")]
    return {
        "Window": filters.choices("window", windows),
        "Objective": filters.choices("slo", slos),
        "Entries": filters.choices("kind", kinds),
        "Order": filters.choices("sort", orders),
    }


def _pages(filters: Filters, page: Page[BudgetEntry]) -> Sequence[tuple[str, str]]:
    pages = []
    if page.has_previous():
        pages.append(("Page before", f"{filters.address(page=page.previous_page_number())}#ledger"))
    if page.has_next():
        pages.append(("Next page", f"{filters.address(page=page.next_page_number())}#ledger"))
    return pages


def _now() -> datetime:
    return datetime_of(us=SYSTEM_CLOCK.now_us())
