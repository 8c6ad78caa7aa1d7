"""How budgets are told to a person: shares that never round towards the good side, and the causes of an entry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_FLOOR, Decimal
from fractions import Fraction
from typing import Any, cast

from django.urls import reverse
from django.utils.http import urlencode

from console.access import Permission
from console.selectors import earliest_id
from console.shown import UNKNOWN, age
from evidence.budget.arithmetic import Firing, State
from evidence.models import BudgetEntry, Bundle
from evidence.slo.shipped import objectives
from ingestion.models import Provider

MINUTE = timedelta(minutes=1)
ICONS: Mapping[State, str] = {
    State.OK: "check_circle",
    State.WARNING: "local_fire_department",
    State.BREACHED: "error",
    State.INSUFFICIENT_DATA: "hourglass_empty",
    State.UNKNOWN: "help",
}
FIRING: Mapping[Firing, tuple[str, str]] = {
    Firing.YES: ("FIRING", "local_fire_department"),
    Firing.NO: ("not firing", "check_circle"),
    Firing.INSUFFICIENT_DATA: ("INSUFFICIENT_DATA", "hourglass_empty"),
    Firing.UNKNOWN: (UNKNOWN, "help"),
}
BAD = (State.WARNING, State.BREACHED)


@dataclass(frozen=True, slots=True)
class Link:
    """Text alone where the reader may not open what it is about."""

    text: str
    address: str = ""


@dataclass(frozen=True, slots=True)
class Causes:
    """`said` is what is told in words; the rest leads to what it names."""

    said: Sequence[str] = ()
    minutes: Sequence[Link] = field(default=())
    providers: Sequence[Link] = field(default=())
    runs: Sequence[Link] = field(default=())


def percent(value: Fraction | Decimal | None, *, places: int = 2) -> str:
    """Rounded down, so that only what is whole says 100 %. UNKNOWN for None."""
    if value is None:
        return UNKNOWN
    exact = value if isinstance(value, Decimal) else Decimal(value.numerator) / Decimal(value.denominator)
    return f"{exact.quantize(Decimal(1).scaleb(-places), rounding=ROUND_FLOOR).normalize():,f} %"


def times(value: Fraction | None) -> str:
    return UNKNOWN if value is None else f"{float(value):,.2f} x"


def seconds(count: int) -> str:
    return age(timedelta(seconds=count)) if count > 0 else ("none" if not count else f"{count:,} s")


def title_of(slo: str) -> str:
    """Of an objective that this version may no longer have: then its name."""
    known = objectives().slos.get(slo)
    return known.title if known else slo


def causes_of(entries: Iterable[BudgetEntry], user: Any) -> Mapping[int, Causes]:
    """By the entry's number; the worst minute first. Asks the database twice, however many entries there are."""
    rows = list(entries)
    bundles = _bundles({run for row in rows for run in row.cause.get("runs", ())})
    providers = _providers({name for row in rows for name in row.cause.get("providers", ())})
    may = {each: user.has_perm(each) for each in MAY}
    return {row.number: _causes(row, bundles, providers, may) for row in rows}


MAY = (Permission.EVENT_READ, Permission.PROVIDER_READ, Permission.EVIDENCE_READ)


def _causes(
    row: BudgetEntry,
    bundles: Mapping[str, str],
    providers: Mapping[str, int],
    may: Mapping[Permission, bool],
) -> Causes:
    cause = row.cause
    return Causes(
        said=_said(row),
        minutes=[
            _minute(at, bad, may=may[Permission.EVENT_READ])
            for at, bad in sorted(cause.get("minutes", {}).items(), key=lambda each: (-each[1], each[0]))
        ],
        providers=[
            _provider(name, codes, providers.get(name), may=may[Permission.PROVIDER_READ])
            for name, codes in cause.get("providers", {}).items()
        ],
        runs=[
            Link(run, bundles.get(run, "") if may[Permission.EVIDENCE_READ] else "") for run in cause.get("runs", ())
        ],
    )


def _said(row: BudgetEntry) -> Sequence[str]:
    cause = row.cause
    if row.kind == BudgetEntry.Kind.CORRECTION:
        return (f"{cause.get('category', '')}, approved by {row.approver}",)
    if row.kind == BudgetEntry.Kind.INCIDENT:
        share = cause.get("share_of_budget_percent")
        told = f"{cause.get('bad', 0):,} bad of {cause.get('valid', 0):,}"
        told += f", {share} % of the budget" if share else ", its share of the budget is UNKNOWN"
        return (told + (": write a postmortem" if cause.get("needs_postmortem") else ""),)
    return ()


def _minute(at: str, bad: int, *, may: bool) -> Link:
    """To the events that were received up to the end of the minute, the newest first."""
    begin = datetime.fromisoformat(at)
    text = f"{begin:%Y-%m-%d %H:%M}: {bad:,} bad"
    if not may:
        return Link(text)
    query = urlencode({"before": str(earliest_id(begin + MINUTE))})
    return Link(text, f"{reverse('admin:ingestion_event_changelist')}?{query}")


def _provider(name: str, codes: Mapping[str, int], pk: int | None, *, may: bool) -> Link:
    told = ", ".join(f"{count:,} {code}" for code, count in codes.items())
    address = reverse("admin:ingestion_provider_change", args=[pk]) if pk is not None and may else ""
    return Link(f"{name or 'no provider'}: {told}", address)


def _bundles(runs: set[str]) -> Mapping[str, str]:
    """Where each run is shown: its newest bundle, or the page of runs."""
    of_runs = reverse("admin:bundles")
    found = Bundle.objects.filter(run_id__in=runs).order_by("made_at").values_list("run_id", "artifact_id")
    pages = {run: reverse("admin:bundle", args=[artifact]) for run, artifact in found}
    return {run: pages.get(run, of_runs) for run in runs}


def _providers(names: set[str]) -> Mapping[str, int]:
    return dict(cast("Iterable[tuple[str, int]]", Provider.objects.filter(name__in=names).values_list("name", "pk")))
