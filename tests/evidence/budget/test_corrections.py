"""Corrections take two people, never touch what was measured, and are decided once."""

from __future__ import annotations

import json
from datetime import datetime
from fractions import Fraction
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import Error, transaction

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from console.actions import budget as acts
from console.actions.operator import Operator, RefusalRecorded
from console.roles import Role
from evidence.audit import Act, Actor
from evidence.budget.corrections import Category, Wanted, approve, propose, reject
from evidence.budget.enter import enter_budget
from evidence.budget.entries import account_of
from evidence.budget.errors import CorrectionRefused, ProposalUnknown
from evidence.budget.incidents import annotate
from evidence.budget.selectors import budget_standing
from evidence.budget.unknown import floor_hour
from evidence.models import AuditEntry, BudgetEntry, CorrectionProposal
from evidence.slo.errors import SloUnknown
from tests.evidence.budget.kit import HOUR, MINUTE, NOON, alive, measured
from tests.support.gates import PASSWORD, person

pytestmark = pytest.mark.django_db
SLO = "availability"
LATER = NOON + 2 * HOUR


@pytest.fixture
def ledger() -> None:
    """One hour: 1,000 valid, 40 of them bad."""
    alive(NOON, NOON + HOUR)
    measured(NOON, answers={"accepted": 960, "buffer_unavailable": 40})
    enter_budget(now=NOON + HOUR + 15 * MINUTE)


def wanted(**changes: Any) -> Wanted:
    given: dict[str, Any] = {
        "slo": SLO,
        "account": "month:2027-03",
        "window_from": NOON,
        "window_to": NOON + 5 * MINUTE,
        "category": Category.TEST_TRAFFIC.value,
        "valid_delta": -40,
        "bad_delta": -40,
        "reason": "a load test of ours, see run r20270310",
    }
    return Wanted(**(given | changes))


def actor(name: str, role: Role = Role.DRI) -> Actor:
    return Actor.person(person(name, role))


def test_a_correction_by_two_people_counts_and_stands_beside_what_was_measured(ledger: None) -> None:
    asked = propose(wanted(), actor=actor("one"), now=LATER)
    assert budget_standing(SLO, now=LATER).bad == 40
    entry = approve(asked.pk, actor=actor("two"), now=LATER)
    assert (entry.kind, entry.valid, entry.bad, entry.actor, entry.approver) == ("CORRECTION", -40, -40, "one", "two")
    assert (entry.raw["bad"], entry.corrected["bad"]) == (40, 0)
    assert (entry.raw["valid"], entry.corrected["valid"]) == (1000, 960)
    standing = budget_standing(SLO, now=LATER)
    assert (standing.bad, standing.raw.bad, standing.remaining_pct) == (0, 40, Fraction(100))
    audited = AuditEntry.objects.get(number=entry.audit_number)
    assert audited.facts["entries"] == [{"number": entry.number, "sha256": entry.evidence_sha256}]
    asked.refresh_from_db()
    assert (asked.decided_by, asked.is_approved, asked.entry_id) == ("two", True, entry.number)


def test_nobody_approves_or_rejects_what_they_proposed(ledger: None) -> None:
    one = actor("one")
    asked = propose(wanted(), actor=one, now=LATER)
    for decide in (
        lambda: approve(asked.pk, actor=one, now=LATER),
        lambda: reject(asked.pk, actor=one, now=LATER, reason="no"),
    ):
        with pytest.raises(CorrectionRefused, match="another person"):
            decide()
    assert not BudgetEntry.objects.filter(kind="CORRECTION").exists()


def test_the_database_refuses_a_correction_by_one_person_whoever_writes_it(ledger: None) -> None:
    asked = propose(wanted(), actor=actor("one"), now=LATER)
    with pytest.raises(Error), transaction.atomic():
        CorrectionProposal.objects.filter(pk=asked.pk).update(
            decided_by="one", decided_at=LATER, is_approved=False, decision_reason="mine"
        )
    newest = BudgetEntry.objects.order_by("-number").first()
    assert newest is not None
    newest.number, newest.kind, newest.actor, newest.approver, newest.reason = (
        newest.number + 1,
        "CORRECTION",
        "a",
        "a",
        "r",
    )
    with pytest.raises(Error), transaction.atomic():
        newest.save(force_insert=True)


def test_a_decided_correction_is_not_decided_again_and_never_changes(ledger: None) -> None:
    asked = propose(wanted(), actor=actor("one"), now=LATER)
    reject(asked.pk, actor=actor("two"), now=LATER, reason="that was real traffic")
    with pytest.raises(CorrectionRefused, match="rejected by two already"):
        approve(asked.pk, actor=actor("three"), now=LATER)
    for change in ({"is_approved": True}, {"reason": "better"}, {"valid_delta": -1}):
        with pytest.raises(Error), transaction.atomic():
            CorrectionProposal.objects.filter(pk=asked.pk).update(**change)
    with pytest.raises(Error), transaction.atomic():
        CorrectionProposal.objects.filter(pk=asked.pk).delete()
    assert AuditEntry.objects.filter(act=Act.BUDGET_CORRECTION_REJECTED.value, facts__proposal=asked.pk).exists()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"account": "run:r20270310"}, "gate run is never corrected"),
        ({"window_to": NOON}, "begin before it ends"),
        ({"window_to": LATER + HOUR}, "have ended"),
        ({"account": "month:2027-02"}, "month:2027-03"),
        ({"category": "because"}, "no category"),
        ({"valid_delta": 0, "bad_delta": 0}, "nothing would be counted otherwise"),
        ({"reason": " no "}, "say why"),
        ({"valid_delta": -5_000, "bad_delta": 0}, "below zero"),
        ({"valid_delta": 0, "bad_delta": -41}, "below zero"),
        ({"valid_delta": 0, "bad_delta": 961}, "no more may be bad than valid"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_would(ledger: None, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(CorrectionRefused, match=told):
        propose(wanted(**changes), actor=actor("one"), now=LATER)
    assert not CorrectionProposal.objects.exists()


def test_programs_and_strangers_correct_nothing(ledger: None) -> None:
    with pytest.raises(CorrectionRefused, match="two people"):
        propose(wanted(), actor=Actor.process("job"), now=LATER)
    with pytest.raises(SloUnknown):
        propose(wanted(slo="speed"), actor=actor("three"), now=LATER)
    with pytest.raises(ProposalUnknown):
        approve(4711, actor=actor("two"), now=LATER)


def test_an_incident_tells_its_share_of_the_budget_and_changes_no_figure(ledger: None) -> None:
    before = budget_standing(SLO, now=LATER)
    entry = annotate(
        SLO, window_from=NOON, window_to=NOON + HOUR, reason="Redis was full", actor=actor("one"), now=LATER
    )
    assert (entry.kind, entry.valid, entry.cause["bad"], entry.cause["needs_postmortem"]) == ("INCIDENT", 0, 40, True)
    assert entry.cause["share_of_budget_percent"] == "4000.000"  # 40 bad of a budget of one
    assert budget_standing(SLO, now=LATER).counts == before.counts


@pytest.mark.django_db(transaction=True)
def test_roles_say_who_proposes_and_who_approves() -> None:
    dri, ops, leader, auditor = (
        Operator.signed_in(person(role.name.lower(), role))
        for role in (Role.DRI, Role.PLATFORM_OPS, Role.LEADERSHIP, Role.AUDITOR)
    )
    at = _lived_hour()
    given = wanted(account=account_of(at), window_from=at, window_to=at + MINUTE, valid_delta=-1, bad_delta=-1)
    for operator in (leader, auditor):
        with pytest.raises(RefusalRecorded):
            acts.propose_correction(operator, given)
    asked = acts.propose_correction(ops, given)
    for operator in (dri, ops, auditor):
        with pytest.raises(RefusalRecorded):
            acts.approve_correction(operator, asked.pk)
    assert acts.approve_correction(leader, asked.pk).approver == leader.actor.name


@pytest.mark.django_db(transaction=True)
def test_the_command_shows_corrects_and_approves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    person("one", Role.DRI)
    person("two", Role.LEADERSHIP)
    at = _lived_hour()
    secret = tmp_path / "password"
    secret.write_text(PASSWORD)
    window = ["--from", at.isoformat(), "--to", (at + MINUTE).isoformat()]
    correct = ["--category", "maintenance", "--valid=-1", "--bad=-1", "--reason", "a planned restart of Redis"]
    one, two = (["--as", name, "--password-file", str(secret)] for name in ("one", "two"))
    assert _budget("correct", SLO, *window, *correct, *one) == 0
    shown = _shown(capsys)
    (asked,) = shown["corrections"]
    assert (asked["bad"], asked["proposed_by"]) == (-1, "one")
    assert _budget("approve", str(asked["number"]), *one) == 1
    assert _budget("approve", str(asked["number"]), *two) == 0
    after = next(each for each in _shown(capsys)["budgets"] if each["slo"] == SLO)
    assert (after["bad"], after["valid"]) == (4, 9)
    assert _budget("annotate", SLO, *window, "--reason", "a restart", *one) == 0


def _lived_hour() -> datetime:
    at = floor_hour(datetime_of(us=SYSTEM_CLOCK.now_us())) - 2 * HOUR
    alive(at, at + HOUR)
    measured(at, answers={"accepted": 5, "buffer_unavailable": 5})
    enter_budget(now=at + HOUR + 15 * MINUTE)
    return at


def _budget(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        call_command("budget", *arguments, stderr=StringIO())
    assert isinstance(ended.value.code, int)
    return ended.value.code


def _shown(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    _budget("show", "--json")
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found
