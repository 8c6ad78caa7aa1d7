"""`/api/v1/budgets/`: how each error budget stands, and its ledger."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal, TypedDict

from django.http import HttpResponse
from rest_framework.request import Request

from console.access import Permission
from console.api.v1.errors import NotHere
from console.api.v1.events import iso_of
from console.api.v1.operation import BY_NUMBER, Operation, choice, paged, text
from console.api.v1.pages import listed
from console.api.v1.shapes import Address, Moment
from console.api.v1.view import ApiView, answered
from console.management.budget.show import asked_json, budget_json
from console.management.provider.printing import iso
from evidence.budget.arithmetic import State
from evidence.budget.selectors import budget_standing, budget_standings, open_proposals
from evidence.models import BudgetEntry
from evidence.slo.shipped import objectives


class BudgetJson(TypedDict):
    """Of the rolling window up to now. `raw_remaining_percent` is as it was measured, without corrections. Null is
    unknown. `unknown_seconds`: time of the window that nobody measured."""

    slo: str
    version: int
    target: float
    state: State
    window_from: Moment
    window_to: Moment
    valid: int
    bad: int
    unknown_seconds: int
    remaining_percent: float | None
    raw_remaining_percent: float | None
    burn_rates: dict[str, float | None]
    projected_exhaustion: Moment | None
    is_frozen: bool


class CorrectionJson(TypedDict):
    """What one person asked for and nobody has decided."""

    number: int
    slo: str
    account: str
    valid: int
    bad: int
    unknown_seconds: int
    category: str
    reason: str
    proposed_by: str
    proposed_at: Moment


class BudgetListJson(TypedDict):
    budgets: list[BudgetJson]
    corrections: list[CorrectionJson]


class LedgerEntryJson(TypedDict):
    """One movement of an account. `audit_entry` names the digest of what it was computed from."""

    number: int
    at: Moment
    slo: str
    slo_version: int
    account: str
    kind: Literal["OPEN", "BURN", "INCIDENT", "CORRECTION", "POLICY", "FREEZE_ON", "FREEZE_OFF", "CLOSE"]
    window_from: Moment
    window_to: Moment
    valid: int
    good: int
    bad: int
    unknown_seconds: int
    target: float
    budget_total: float
    consumed: int
    balance_after: float
    remaining_percent: float | None
    burn_1h: float | None
    burn_6h: float | None
    burn_1d: float | None
    burn_3d: float | None
    projected_exhaustion: Moment | None
    reason: str
    actor_kind: str
    actor: str
    approver: str
    evidence_sha256: str
    audit_entry: int


class LedgerPageJson(TypedDict):
    entries: list[LedgerEntryJson]
    next: Address | None
    searched_to: int | None


class BudgetList(ApiView):
    """Every objective, and the corrections that wait for a second person."""

    operations = {"GET": Operation(summary="Error budgets", permission=Permission.BUDGET_READ, answer=BudgetListJson)}

    def get(self, _: Request) -> HttpResponse:
        budgets = [budget_json(standing) for standing in budget_standings(objectives().names)]
        return answered({"budgets": budgets, "corrections": [asked_json(each) for each in open_proposals()]})


class BudgetItem(ApiView):
    """One objective."""

    operations = {
        "GET": Operation(
            summary="One error budget", permission=Permission.BUDGET_READ, answer=BudgetJson, codes=("not_found",)
        )
    }

    def get(self, _: Request, slo: str) -> HttpResponse:
        if slo not in objectives().names:
            raise NotHere(f"no objective is called {slo[:64]!r}: {', '.join(objectives().names)}")
        return answered(budget_json(budget_standing(slo)))


class Ledger(ApiView):
    """The entries of all budgets, the newest first."""

    operations = {
        "GET": Operation(
            summary="The ledger of error budgets",
            permission=Permission.BUDGET_READ,
            answer=LedgerPageJson,
            query=(
                text("slo", "Of this objective alone.", limit_chars=64),
                text("account", "Of this account alone, such as month:2027-01.", limit_chars=64),
                choice("kind", "Of this kind alone.", BudgetEntry.Kind.values),
                *paged(BY_NUMBER),
            ),
            tag="budgets",
        )
    }

    def get(self, request: Request) -> HttpResponse:
        given = {name: self.query[name] for name in ("slo", "account", "kind") if name in self.query}
        page = listed(request, BudgetEntry.objects.filter(**given), self.query, is_narrowed=bool(given))
        told = [_entry_json(row) for row in page.rows]
        searched_to = None if page.searched_to is None else int(page.searched_to)
        return answered({"entries": told, "next": page.next, "searched_to": searched_to})


def _entry_json(row: BudgetEntry) -> LedgerEntryJson:
    kind: Any = row.kind
    return {
        "number": row.number,
        "at": iso_of(row.at),
        "slo": row.slo,
        "slo_version": row.slo_version,
        "account": row.account,
        "kind": kind,
        "window_from": iso_of(row.window_from),
        "window_to": iso_of(row.window_to),
        "valid": row.valid,
        "good": row.good,
        "bad": row.bad,
        "unknown_seconds": row.unknown_seconds,
        "target": float(row.target),
        "budget_total": float(row.budget_total),
        "consumed": row.consumed,
        "balance_after": float(row.balance_after),
        "remaining_percent": _number(row.remaining_pct),
        "burn_1h": _number(row.burn_1h),
        "burn_6h": _number(row.burn_6h),
        "burn_1d": _number(row.burn_1d),
        "burn_3d": _number(row.burn_3d),
        "projected_exhaustion": iso(row.projected_exhaustion),
        "reason": row.reason,
        "actor_kind": row.actor_kind,
        "actor": row.actor,
        "approver": row.approver,
        "evidence_sha256": row.evidence_sha256,
        "audit_entry": row.audit_number,
    }


def _number(value: Decimal | None) -> float | None:
    return None if value is None else float(value)
