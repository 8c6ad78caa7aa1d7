"""`python -m tests.console.rbac.mutations`: opens each guard to everybody, and prints whether the matrix sees it.

`--write` puts the table into docs/rbac.md. Exit 0: each guard was seen, alone or with the guard that stands behind it.

First a few cells of each route are asked with every guard as it is: those that somebody is to be refused in. What said
no in which cell is noted. Then each guard is opened in the cells that it said no in, until one is a MISMATCH. Where
another guard behind it still refuses, that one is opened too: the two are seen together.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import django
from django.apps import apps

import tests.support.servers  # noqa: F401  (starts the servers, before Django reads its settings)

if not apps.ready:
    django.setup()

from django.core.management import call_command

from console.rbac.personas import PERSONAS, Persona
from console.rbac.policy import POLICY
from console.rbac.probe import Cell, Verdict, asking
from console.rbac.routes import Route, routes
from console.rbac.rules import Kind, Outcome, Rule
from console.roles import sync_roles
from tests.console.rbac.guards import Guards, sites

PAGE = Path(__file__).resolve().parents[3] / "docs" / "rbac.md"
BEGIN, END = "<!-- mutations: begin -->", "<!-- mutations: end -->"
CELLS_TRIED_COUNT = 4
BEHIND_COUNT = 4
ASKED = ("GET", "POST", "PUT")
ACTS_HERE = (
    "actions/budget.py annotate: check BUDGET_ANNOTATE",
    "actions/budget.py propose_correction: check BUDGET_PROPOSE",
    "actions/budget.py approve_correction: check BUDGET_APPROVE",
    "actions/budget.py reject_correction: check BUDGET_APPROVE",
    "actions/destinations.py add: check DESTINATION_MANAGE",
    "actions/destinations.py switch: check DESTINATION_MANAGE",
    "actions/destinations.py remove: check DESTINATION_MANAGE",
    "actions/lanes.py _checked: check",
    "actions/letter_orders.py order_letters: check",
    "actions/letter_orders.py cancel_letters: check",
    "actions/letter_orders.py order_rest: check",
    "actions/outgoing.py _decide: check OUTGOING_DECIDE",
    "actions/replays.py start_replay: check REPLAY_START",
    "actions/replays.py cancel_replay: check REPLAY_START",
    "actions/reveal_personal.py reveal_personal: check",
    "actions/sign_in.py end_sessions: check SIGN_IN_MANAGE",
    "actions/sign_in.py lift_lock: check SIGN_IN_MANAGE",
    "actions/verifications.py _check: check AUDIT_READ",
    "actions/verifications.py _check: check EVIDENCE_READ or BUNDLE_READ",
    "actions/verify_bundle.py verify_file: check EVIDENCE_READ",
    "actions/discard_set_aside.py discard_set_aside: check",
    "actions/retry_set_aside.py retry_set_aside: check",
    "actions/evidence_store.py download: check EVIDENCE_READ or BUNDLE_READ",
    "actions/verify_bundle.py verify_artifact: check EVIDENCE_READ or BUNDLE_READ",
)
DRAWN = "it draws or hides a link or a button; what it leads to asks again"
ROWS = "which rows are shown, or found by a search"
TOLD = "what is told of a row"
# Guards that no cell shows: what each does, and the file of tests that shows it.
SHOWN_IN: Mapping[tuple[str, str], tuple[str, ...]] = {
    (DRAWN, "test_alerts_page.py"): (
        "pages/alerts.py _page: has_perm",
        "pages/alerts.py get_context_data: has_perm DESTINATION_READ",
    ),
    (DRAWN, "test_budget_pages.py"): (
        "budgets.py causes_of: has_perm",
        "pages/budget_correction.py _why_not: has_perm BUDGET_APPROVE",
    ),
    (DRAWN, "test_bundle_pages.py"): ("pages/bundles.py _orders: has_perm EVIDENCE_EXPORT",),
    (DRAWN, "test_deciding.py"): ("admin/set_aside.py offered: has_perm",),
    (DRAWN, "test_destination_pages.py"): ("offers.py offer: has_perm",),
    (DRAWN, "test_letter_orders.py"): ("pages/letter_orders.py _entries: has_perm AUDIT_READ",),
    ("whether whoever asked may see it still", "test_verification_orders.py"): (
        "verifications.py _verify: check AUDIT_READ",
    ),
    (DRAWN, "test_mode_banner.py"): ("site.py each_context: has_perm MODE_READ",),
    (DRAWN, "test_personal_pages.py"): ("admin/revealing.py _offer: has_perm",),
    (DRAWN, "test_publications.py"): ("publications.py publication_panel: has_perm EVIDENCE_PUBLISH",),
    ("the list of an app asks has_view_permission too, so both hide the link", "rbac/test_drawn.py"): (
        "admin/publications.py has_module_permission: has_perm EVIDENCE_READ",
    ),
    (DRAWN, "test_replay_pages.py"): ("pages/replays.py _may_start: has_perm REPLAY_START",),
    (DRAWN, "test_access.py"): ("navigation.py is_open_to: has_perm",),
    (DRAWN, "rbac/test_drawn.py"): (
        "admin/artifacts.py changelist_view: has_perm EVIDENCE_UPLOAD",
        "pages/budget_entry.py get_context_data: has_perm AUDIT_READ",
        "pages/destinations.py get_context_data: has_perm OUTGOING_READ",
        "pages/destinations.py get_context_data: has_perm OUTGOING_READ (2)",
        "pages/gates.py get_context_data: has_perm DECISION_APPROVE",
        "pages/gates.py get_context_data: has_perm DRI_ASSIGN",
        "pages/gates.py get_context_data: has_perm GATE_FREEZE",
        "pages/mode.py get_context_data: has_perm MODE_LOWER",
        "pages/mode.py get_context_data: has_perm MODE_RAISE",
        "pages/outgoing.py get_context_data: has_perm EVENT_READ",
        "pages/pipeline.py get_context_data: has_perm",
        "pages/service_tokens.py get_context_data: has_perm TOKEN_MANAGE",
        "set_aside/outcome.py _entry_link: has_perm AUDIT_READ",
    ),
    (DRAWN, "rbac/test_orders.py"): ("pages/rbac.py get_context_data: has_perm RBAC_RUN",),
    (DRAWN, "rbac/test_row_rights.py"): ("navigation.py is_open_to: holds_somewhere",),
    (DRAWN, "rbac/test_escalation.py"): ("pages/status.py get_context_data: has_perm EVIDENCE_READ",),
    (ROWS, "rbac/test_escalation.py"): (
        "palette.py ids_found: has_perm EVENT_READ",
        "palette.py ids_found: has_perm DEAD_LETTER_READ",
        "palette.py ids_found: has_perm QUARANTINE_READ",
        "api/v1/events.py may_reveal: has PERSONAL_REVEAL",
    ),
    (ROWS, "rbac/test_row_rights.py"): (
        "admin/providers.py get_queryset: visible PROVIDER_READ",
        "pages/bundles.py get_context_data: visible",
        "pages/bundles.py get_context_data: has_perm",
        "api/v1/bundles.py get: visible EVIDENCE_READ or BUNDLE_READ",
        "api/v1/bundles.py get: has EVIDENCE_READ",
        "api/v1/operations.py get: has",
        "api/v1/operations.py get: visible",
    ),
    (ROWS, "test_personal_pages.py"): ("admin/read_only.py get_queryset: has_perm PERSONAL_REVEAL",),
    (TOLD, "test_alerts_page.py"): ("pages/alerts.py _shown: has_perm OUTGOING_READ",),
    ("who may has it by a role or as the DRI", "rbac/test_escalation.py"): (
        "actions/gates.py end_dri: check DRI_ASSIGN",
    ),
    ("which scopes a token may be given", "rbac/test_escalation.py"): ("actions/service_tokens.py may_manage: check",),
    ("no route leads there, or its page asks before it", "rbac/test_acts.py"): ACTS_HERE,
}
UNSEEN: Mapping[str, str] = {
    guard: f"{what}: tests/console/{file}" for (what, file), guards in SHOWN_IN.items() for guard in guards
}


type Key = tuple[Route, str, Persona]
type Ask = Callable[[Route, str, Persona], Cell]


@dataclass(frozen=True, slots=True)
class Mutation:
    """`cell`: where it was seen, empty where nowhere. `behind`: opened too, because they still refused."""

    guard: str
    cell: str
    behind: tuple[str, ...] = ()

    @property
    def is_explained(self) -> bool:
        return bool(self.cell) or self.guard in UNSEEN


def mutations() -> list[Mutation]:
    """Of every guard. Needs the roles in the database."""
    found, guards = routes(), Guards(sites())
    with guards.installed(found), asking() as ask:
        refused: dict[str, list[tuple[int, Key]]] = defaultdict(list)
        for key in _cells(found):
            guards.said_no.clear()
            cell = ask(*key)
            if cell.verdict is not Verdict.MATCH:
                raise AssertionError(f"no cell may differ before a guard is opened: {cell}")
            for name in guards.said_no:
                refused[name].append((len(guards.said_no), key))
        return [_opened(guards, ask, name, _telling(refused[name])) for name in dict.fromkeys(guards.names)]


def _telling(keys: Sequence[tuple[int, Key]]) -> list[Key]:
    """Those cells first in which hardly anything else said no."""
    return [key for _, key in sorted(keys, key=lambda each: each[0])[:CELLS_TRIED_COUNT]]


def _cells(found: Sequence[Route]) -> Iterator[Key]:
    """For each rule of a route one persona of each kind that it refuses."""
    for route in found:
        seen: set[object] = set()
        to_see = POLICY[route.path].rule("GET")
        for method in route.methods:
            rule = POLICY[route.name].rule(method)
            if method not in ASKED or rule is None or rule.kind is Kind.PUBLIC:
                continue
            for persona in PERSONAS:
                kind = (rule, _kind(rule, persona), to_see is None or to_see.permissions <= persona.held)
                if kind not in seen and rule.expected(persona) is not Outcome.ALLOW:
                    seen.add(kind)
                    yield route, method, persona


def _kind(rule: Rule, persona: Persona) -> tuple[object, ...]:
    held = rule.permissions & persona.held
    return (held, persona.here, persona.elsewhere, persona.is_user, persona.is_staff, persona.is_known, persona.scope)


def _opened(guards: Guards, ask: Ask, name: str, keys: Sequence[Key]) -> Mutation:
    """Alone in each of its cells first; then with what stands behind it."""
    for is_alone in (True,) if name in UNSEEN else (True, False):
        for key in keys:
            if found := _seen(guards, ask, name, key, behind_count=0 if is_alone else BEHIND_COUNT):
                return found
    return Mutation(name, "")


def _seen(guards: Guards, ask: Ask, name: str, key: Key, *, behind_count: int) -> Mutation | None:
    opened = [name]
    try:
        for _ in range(behind_count + 1):
            guards.open_ones = set(opened)
            guards.said_no.clear()
            cell = ask(*key)
            if cell.verdict is not Verdict.MATCH:
                told = f"{cell.verdict} `{cell.method} /{cell.route}, {cell.persona}`"
                return Mutation(name, told, tuple(opened[1:]))
            opened += sorted(guards.said_no - set(opened))
    finally:
        guards.open_ones = set()
    return None


def table(found: Sequence[Mutation]) -> list[str]:
    alone = sum(bool(each.cell) and not each.behind for each in found)
    paired = sum(bool(each.cell and each.behind) for each in found)
    kept = sum(not each.cell for each in found)
    return [
        f"{len(found)} guards: {alone} seen alone, {paired} with what stands behind them, {kept} that no cell shows.",
        "",
        "| guard | opened to everybody |",
        "|---|---|",
        *(f"| {each.guard} | {_told(each)} |" for each in found),
    ]


def _told(each: Mutation) -> str:
    if not each.cell:
        return f"no cell shows it: {UNSEEN.get(each.guard, 'NOBODY KNOWS WHY')}"
    return each.cell if not each.behind else f"refused still by {', '.join(each.behind)}; with it {each.cell}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the table into docs/rbac.md")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    call_command("migrate", verbosity=0)
    sync_roles()
    found = mutations()
    lines = table(found)
    if options.write:
        text = PAGE.read_text(encoding="utf-8")
        before, after = text.partition(BEGIN)[0], text.partition(END)[2]
        PAGE.write_text("\n".join([f"{before}{BEGIN}", *lines, f"{END}{after}"]), encoding="utf-8")
    print("\n".join(lines))
    return 0 if all(each.is_explained for each in found) else 1


if __name__ == "__main__":
    sys.exit(main())
