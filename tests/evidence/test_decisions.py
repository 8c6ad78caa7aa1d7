"""GO is said by the DRI about a PASS that holds, and by a second person; everything else is refused."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import Error, connection, connections, transaction

from console.roles import Role
from evidence.audit import Actor
from evidence.decisions.approve import approve
from evidence.decisions.decide import RollbackPlan, decide_go, decide_no_go
from evidence.decisions.dri import DECIDE, assign, current_dri, end, hand_over
from evidence.decisions.errors import DecisionRefused, DriRefused, NotPassed
from evidence.models import Approval, AuditEntry, Decision, Gate
from tests.support.gates import PLAN, TEST, bundle, frozen_gate, own_store, person

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def store(tmp_path: Path) -> Any:
    with own_store(tmp_path):
        yield


@pytest.fixture
def ann() -> Any:
    return person("ann", Role.DRI)


@pytest.fixture
def bob() -> Any:
    return person("bob", Role.LEADERSHIP)


@pytest.fixture
def gate(ann: Any, bob: Any) -> Gate:
    row = frozen_gate()
    assign(row, username="ann", actor=Actor.person(bob), reason="owns the launch")
    return row


def go(gate: Gate, user: Any, *, plan: RollbackPlan = PLAN, **of_bundle: Any) -> Decision:
    return decide_go(gate, bundle(**of_bundle), user=user, reason="all met", plan=plan)


def last_entry() -> AuditEntry:
    return AuditEntry.objects.latest("number")


def test_a_go_of_the_dri_and_a_second_person_is_on_record(gate: Gate, ann: Any, bob: Any) -> None:
    decision = go(gate, ann)
    assert (last_entry().act, last_entry().number) == ("decision.made", decision.audit_number)
    approval = approve(decision, user=bob, reason="looked at it")
    assert (last_entry().act, last_entry().actor, last_entry().number) == (
        "decision.approved",
        "bob",
        approval.audit_number,
    )
    assert last_entry().facts["binding_sha256"] == decision.binding_sha256


@pytest.mark.parametrize("verdict", ["FAIL", "INCONCLUSIVE"])
def test_what_did_not_pass_cannot_be_overridden_and_the_refusal_names_the_criteria(
    gate: Gate, ann: Any, verdict: str
) -> None:
    with pytest.raises(NotPassed, match=rf"verdict is {verdict}.*ack P95.*cannot be overridden"):
        go(gate, ann, verdict=verdict)
    assert not Decision.objects.exists()


def test_the_database_takes_no_go_without_a_pass(gate: Gate, ann: Any) -> None:
    decision = go(gate, ann)
    decision.pk, decision.verdict, decision.audit_number = None, "FAIL", 10**9
    with pytest.raises(Error, match="go_needs_a_pass"), transaction.atomic():
        decision.save(force_insert=True)


@pytest.mark.parametrize(
    ("of_bundle", "why"),
    [
        ({"spec": b'{"format":"autocom-gate/2"}'}, "judged by another text"),
        ({"ended": timedelta(hours=24, seconds=1)}, "the PASS expired"),
        ({"autocom": {"commit": "b" * 40, "is_changed": False, "build": "0" * 16}}, "another build"),
        ({"lock_file_sha256": "0" * 64}, "another lock_file"),
        ({"settings": {"debug": True}}, "another configuration"),
    ],
)
def test_a_pass_of_something_else_is_none(gate: Gate, ann: Any, of_bundle: dict[str, Any], why: str) -> None:
    with pytest.raises(DecisionRefused, match=why):
        go(gate, ann, **of_bundle)


def test_a_pass_of_another_gate_is_none(gate: Gate, ann: Any) -> None:
    with pytest.raises(DecisionRefused, match="the bundle is of gate smoke"):
        decide_go(gate, bundle(gate="smoke"), user=ann, reason="all met", plan=PLAN)


def test_changed_bytes_of_the_bundle_are_found(gate: Gate, ann: Any, tmp_path: Path) -> None:
    row = bundle()
    (path,) = [each for each in tmp_path.rglob("*") if each.is_file() and str(row.artifact_id)[-16:] in str(each)]
    path.chmod(0o600)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(DecisionRefused, match=r"changed|cannot be read"):
        decide_go(gate, row, user=ann, reason="all met", plan=PLAN)


@pytest.mark.parametrize(
    "changes", [{"trigger": " "}, {"steps": ""}, {"owner": ""}, {"limit_seconds": 61}, {"limit_seconds": 0}]
)
def test_a_rollback_plan_is_filled_in(gate: Gate, ann: Any, changes: dict[str, Any]) -> None:
    with pytest.raises(DecisionRefused, match="rollback plan"):
        go(gate, ann, plan=replace(PLAN, **changes))


def test_only_the_dri_decides_and_a_superuser_is_none(gate: Gate, bob: Any) -> None:
    root = person("root")
    root.is_superuser = True
    root.save()
    for other in (bob, root):
        with pytest.raises(DecisionRefused, match="only the DRI"):
            go(gate, other)
        with pytest.raises(DecisionRefused, match="only the DRI"):
            decide_no_go(gate, user=other, reason="no")


def test_a_no_go_needs_a_reason_and_no_second_person(gate: Gate, ann: Any, bob: Any) -> None:
    with pytest.raises(DecisionRefused, match="say why"):
        decide_no_go(gate, user=ann, reason=" ")
    decision = decide_no_go(gate, user=ann, reason="not today", bundle=bundle("FAIL"))
    assert (decision.kind, decision.verdict) == ("NO-GO", "FAIL")
    with pytest.raises(DecisionRefused, match="only a GO"):
        approve(decision, user=bob)


def test_the_dri_is_never_the_second_person_in_the_database_neither(gate: Gate, ann: Any) -> None:
    decision = go(gate, ann)
    with pytest.raises(DecisionRefused, match="DRI cannot be"):
        approve(decision, user=ann)
    with pytest.raises(Error, match="approver_is_another_person"), transaction.atomic():
        Approval.objects.create(
            decision=decision, dri=ann, approver=ann, approved_at=decision.decided_at, audit_number=10**9
        )


def test_a_second_approval_is_refused(gate: Gate, ann: Any, bob: Any) -> None:
    decision = go(gate, ann)
    approve(decision, user=bob)
    with pytest.raises(DecisionRefused, match="already"):
        approve(decision, user=person("cid", Role.LEADERSHIP))


@pytest.mark.django_db(transaction=True)
def test_of_two_approvals_at_once_one_stands(gate: Gate, ann: Any, bob: Any) -> None:
    decision, told = go(gate, ann), []
    start = threading.Barrier(2)

    def one(user: Any) -> None:
        try:
            start.wait(10)
            approve(decision, user=user)
            told.append("approved")
        except DecisionRefused:
            told.append("refused")
        finally:
            connections.close_all()

    threads = [threading.Thread(target=one, args=(each,)) for each in (bob, person("cid", Role.LEADERSHIP))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(told) == ["approved", "refused"]
    assert Approval.objects.count() == 1


def test_what_changes_while_a_go_waits_voids_it(
    gate: Gate, ann: Any, bob: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    decision = go(gate, ann)
    monkeypatch.setattr("evidence.decisions.approve.running", lambda: {"build": "0" * 16})
    with pytest.raises(DecisionRefused, match="another build"):
        approve(decision, user=bob)


def test_a_later_decision_and_another_dri_void_a_waiting_go(gate: Gate, ann: Any, bob: Any) -> None:
    first = go(gate, ann)
    decide_no_go(gate, user=ann, reason="wait")
    with pytest.raises(DecisionRefused, match="later decision"):
        approve(first, user=bob)
    second = go(gate, ann, ended=timedelta(minutes=1))
    hand_over(gate, username=person("dan", Role.DRI).username, actor=Actor.person(ann), reason="holiday")
    with pytest.raises(DecisionRefused, match="not the DRI any more"):
        approve(second, user=bob)


def test_one_dri_at_a_time_whose_right_begins_and_ends_with_the_term(gate: Gate, ann: Any, bob: Any) -> None:
    dan = person("dan", Role.DRI)
    with pytest.raises(DriRefused, match="ann is the DRI"):
        assign(gate, username="dan", actor=Actor.person(bob), reason="too")
    assert (ann.has_perm(DECIDE, gate), ann.has_perm(DECIDE), dan.has_perm(DECIDE, gate)) == (True, False, False)
    hand_over(gate, username="dan", actor=Actor.person(ann), reason="holiday")
    fresh = [type(ann).objects.get(pk=each.pk).has_perm(DECIDE, gate) for each in (ann, dan)]
    assert (fresh, current_dri(gate)) == ([False, True], dan)
    with pytest.raises(DecisionRefused, match="that is dan"):
        go(gate, ann)  # the same session: whatever the user object still remembers
    end(gate, actor=Actor.person(bob), reason="launched")
    assert current_dri(gate) is None
    acts = list(
        AuditEntry.objects.filter(subject="gate a", act__startswith="dri.")
        .order_by("number")
        .values_list("act", flat=True)
    )
    assert acts[-3:] == ["dri.assigned", "dri.handed_over", "dri.ended"]


def test_nobody_makes_themself_dri_and_only_the_dri_hands_over(gate: Gate, ann: Any, bob: Any) -> None:
    end(gate, actor=TEST, reason="anew")
    with pytest.raises(DriRefused, match="nobody makes themself"):
        assign(gate, username="ann", actor=Actor.person(ann), reason="me")
    with pytest.raises(DriRefused, match="nobody makes themself"):
        assign(gate, username="ann", actor=Actor.command_line("ann"), reason="me")
    with pytest.raises(DriRefused, match="only the DRI"):
        hand_over(gate, username="ann", actor=Actor.person(bob), reason="x")
    with pytest.raises(DriRefused, match="no active user"):
        assign(gate, username="nobody", actor=Actor.person(bob), reason="x")
    with pytest.raises(DriRefused, match="say why"):
        assign(gate, username="ann", actor=Actor.person(bob), reason=" ")


def test_what_was_decided_stays_as_it_is(gate: Gate, ann: Any) -> None:
    go(gate, ann)
    for sql in ("UPDATE evidence_decision SET kind = 'NO-GO'", "DELETE FROM evidence_decision"):
        with pytest.raises(Error), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(sql)
