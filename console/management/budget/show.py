from __future__ import annotations

from argparse import ArgumentParser
from datetime import timedelta
from fractions import Fraction

from console.management.provider.printing import iso, say, say_json, told
from evidence.budget.arithmetic import State
from evidence.budget.selectors import BudgetStanding, budget_standings, open_proposals
from evidence.models import CorrectionProposal
from evidence.slo.shipped import objectives

HELP = "How each budget stands, and which corrections wait for a second person. Exit 1: one is spent."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")


def run(*, json: bool, **_: object) -> int:
    standings = budget_standings(objectives().names)
    proposals = open_proposals()
    if json:
        say_json(
            {
                "budgets": [budget_json(each) for each in standings],
                "corrections": [asked_json(each) for each in proposals],
            }
        )
    else:
        say(*(line for each in standings for line in _lines(each)), *(_asked_line(each) for each in proposals))
    return int(any(each.state is State.BREACHED for each in standings))


def budget_json(standing: BudgetStanding) -> dict[str, object]:
    return {
        "slo": standing.slo.name,
        "version": standing.slo.version,
        "target": float(standing.slo.target),
        "state": standing.state.value,
        "window_from": iso(standing.window_from),
        "window_to": iso(standing.window_to),
        "valid": standing.valid,
        "bad": standing.bad,
        "unknown_seconds": standing.unknown_seconds,
        "remaining_percent": _number(standing.remaining_pct),
        "raw_remaining_percent": _number(standing.raw_remaining_pct),
        "burn_rates": {_window(window): _number(rate) for window, rate in standing.burn_rates.items()},
        "projected_exhaustion": iso(standing.projected_exhaustion),
        "is_frozen": standing.is_frozen,
    }


def _lines(standing: BudgetStanding) -> list[str]:
    left = "UNKNOWN" if standing.remaining_pct is None else f"{float(standing.remaining_pct):.2f} %"
    burn = ", ".join(
        f"{_window(window)} {'UNKNOWN' if rate is None else f'{float(rate):.2f}'}"
        for window, rate in standing.burn_rates.items()
    )
    lines = [
        f"{standing.slo.name}  {standing.state}  {left} of the budget is left",
        f"  {standing.bad} bad of {standing.valid} since {told(standing.window_from, none='')}, target"
        f" {100 * standing.slo.target:f} %; nothing known of {standing.unknown_seconds} s",
        f"  burn rate: {burn}",
    ]
    if standing.projected_exhaustion:
        lines.append(f"  spent at {told(standing.projected_exhaustion, none='')} if the last hour goes on")
    if standing.raw != standing.counts:
        lines.append(f"  as measured, without corrections: {standing.raw.bad} bad of {standing.raw.valid}")
    if standing.is_frozen:
        lines.append("  the budget is spent: only repairs and security changes go out")
    return lines


def asked_json(proposal: CorrectionProposal) -> dict[str, object]:
    return {
        "number": proposal.pk,
        "slo": proposal.slo,
        "account": proposal.account,
        "valid": proposal.valid_delta,
        "bad": proposal.bad_delta,
        "unknown_seconds": proposal.unknown_seconds_delta,
        "category": proposal.category,
        "reason": proposal.reason,
        "proposed_by": proposal.proposed_by,
        "proposed_at": iso(proposal.proposed_at),
    }


def _asked_line(proposal: CorrectionProposal) -> str:
    return (
        f"correction {proposal.pk} of {proposal.slo} waits for a second person: {proposal.valid_delta:+d} valid,"
        f" {proposal.bad_delta:+d} bad, proposed by {proposal.proposed_by}: {proposal.reason}"
    )


def _number(value: Fraction | None) -> float | None:
    return None if value is None else round(float(value), 6)


def _window(window: timedelta) -> str:
    minutes = int(window.total_seconds() // 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 24 * 60 else f"{minutes // (24 * 60)} d"
