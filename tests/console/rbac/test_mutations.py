"""Each guard that the code has is opened to everybody: the matrix sees it, or it is known why no cell can."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.actions import operator
from console.rbac.personas import PERSONAS
from console.rbac.probe import asking
from console.rbac.routes import routes
from console.roles import sync_roles
from tests.console.rbac import mutations
from tests.console.rbac.guards import Guards, sites


@pytest.mark.django_db
def test_every_guard_of_the_code_is_missed_when_it_is_gone_and_the_page_tells_of_each() -> None:
    sync_roles()
    found = mutations.mutations()
    assert [each.guard for each in found if not each.is_explained] == []
    told = mutations.PAGE.read_text(encoding="utf-8").partition(mutations.BEGIN)[2].partition(mutations.END)[0]
    assert [line for line in mutations.table(found) if line not in told] == [], (
        "read the difference, then: python -m tests.console.rbac.mutations --write"
    )


def test_the_guards_are_found_in_the_code_and_each_has_a_name_of_its_own() -> None:
    names = [site.name for site in sites()]
    assert len(names) == len(set(names))
    text = Path(operator.__file__).read_text(encoding="utf-8")
    assert sum(name.startswith("actions/operator.py check: has") for name in names) == text.count("operator.has(")


@pytest.mark.django_db
def test_a_guard_is_opened_for_its_own_line_alone_and_only_while_it_is_installed() -> None:
    sync_roles()
    named = {route.name: route for route in routes()}
    guards = Guards(sites())
    personas = {persona.name: persona for persona in PERSONAS}
    bundles, gates = named["admin/bundles/"], named["admin/gates/<slug:gate>/"]
    with guards.installed(list(named.values())), asking() as ask:
        guards.open_ones = {"actions/bundles.py ask_for_bundle: check EVIDENCE_EXPORT"}
        assert ask(bundles, "POST", personas["Leadership"]).verdict == "MISMATCH"
        assert ask(gates, "POST", personas["Leadership"]).verdict == "match"
    with asking() as ask:
        assert ask(bundles, "POST", personas["Leadership"]).verdict == "match"


def test_nothing_is_excused_that_is_no_guard_any_more() -> None:
    known = {site.name for site in sites()}
    assert [name for name in mutations.UNSEEN if name not in known] == []


def test_every_reason_names_a_file_of_tests_and_no_guard_has_two() -> None:
    folder = Path(mutations.__file__).parents[1]
    assert [file for _, file in mutations.SHOWN_IN if not (folder / file).is_file()] == []
    assert sum(len(guards) for guards in mutations.SHOWN_IN.values()) == len(mutations.UNSEEN)
