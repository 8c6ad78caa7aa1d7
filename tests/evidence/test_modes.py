"""The mode is OBSERVER unless every condition for another holds; down it goes always."""

from __future__ import annotations

from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, Error, connection, transaction
from django.test import override_settings

from evidence.audit import Act, Actor, record
from evidence.decisions.decide import decide_no_go
from evidence.mode_changes import ModeNotRaised, ModeUnchanged, change_mode
from evidence.mode_standing import is_in_scope, mac_of, passes_canary, standing
from evidence.models import AuditEntry, Decision, ModeChange
from evidence.modes import Mode, current_mode
from evidence.sends import ExternalSendForbidden, guard_external_send
from tests.support.gates import TEST, approved_go, own_store

pytestmark = pytest.mark.django_db
CAUSE = ModeChange.Cause
ELSEWHERE = "https://evidence.example.com/x"


@pytest.fixture(autouse=True)
def store(tmp_path: Path) -> Any:
    with own_store(tmp_path):
        yield


@pytest.fixture
def go() -> Decision:
    return approved_go()


def raised(decision: Decision, to: Mode = Mode.PRODUCTION, **scope: object) -> ModeChange:
    actor = Actor.person(decision.dri)
    return change_mode(to, cause=CAUSE.DECISION, actor=actor, reason="go", decision=decision, scope=scope or None)


def assert_observer(why: str) -> None:
    """In the standing and at the guard: 0 sends."""
    found = standing()
    assert (found.mode, current_mode()) == (Mode.OBSERVER, Mode.OBSERVER)
    assert why in found.why_not
    with pytest.raises(ExternalSendForbidden):
        guard_external_send(ELSEWHERE, purpose="test", actor=TEST)


def test_without_any_change_it_is_observer() -> None:
    assert standing() == type(standing())(mode=Mode.OBSERVER)
    assert current_mode() is Mode.OBSERVER


def test_an_approved_go_raises_the_mode_on_record_and_sends_may_leave(go: Decision) -> None:
    change = raised(go)
    assert (current_mode(), standing().change) == (Mode.PRODUCTION, change)
    guard_external_send(ELSEWHERE, purpose="test", actor=TEST)
    entry = AuditEntry.objects.get(number=change.audit_number)
    told = (entry.act, entry.facts["from"], entry.facts["to"], entry.facts["decision_entry"])
    assert told == ("mode.changed", "OBSERVER", "PRODUCTION", go.audit_number)


def test_down_goes_always_without_a_decision(go: Decision) -> None:
    raised(go)
    change_mode(Mode.OBSERVER, cause=CAUSE.GUARDRAIL, actor=TEST, reason="lag")
    assert (standing().mode, standing().why_not) == (Mode.OBSERVER, "")
    with pytest.raises(ModeUnchanged):
        change_mode(Mode.OBSERVER, cause=CAUSE.GUARDRAIL, actor=TEST, reason="lag")


def test_from_production_to_limited_needs_no_new_decision_and_lasts_beyond_its_day(
    go: Decision, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised(go)
    monkeypatch.setattr("evidence.mode_changes.SYSTEM_CLOCK", _Later())
    change_mode(Mode.LIMITED, cause=CAUSE.PERSON, actor=TEST, reason="careful", scope={"share": "0.1"})
    assert (standing().mode, standing().why_not, standing().scope) == (Mode.LIMITED, "", {"share": "0.1"})
    with pytest.raises(ModeNotRaised, match="expired"):
        raised(go)


class _Later:
    def now_us(self) -> int:
        from autocom.kernel.clock import SYSTEM_CLOCK

        return SYSTEM_CLOCK.now_us() + 25 * 3_600 * 1_000_000


@pytest.mark.parametrize(
    ("to", "scope", "why"),
    [
        (Mode.LIMITED, {}, "needs a scope"),
        (Mode.LIMITED, {"share": "1.5"}, "share is a number"),
        (Mode.LIMITED, {"share": "x"}, "share is a number"),
        (Mode.LIMITED, {"share": "0"}, "share is a number"),
        (Mode.LIMITED, {"keys": "abc"}, "keys is a list"),
        (Mode.LIMITED, {"everybody": True}, "and no everybody"),
    ],
)
def test_a_scope_that_says_nothing_raises_nothing(go: Decision, to: Mode, scope: dict[str, Any], why: str) -> None:
    with pytest.raises(ModeNotRaised, match=why):
        change_mode(to, cause=CAUSE.DECISION, actor=TEST, reason="go", decision=go, scope=scope)
    assert not ModeChange.objects.exists()


def test_nothing_is_raised_without_a_go_that_holds(go: Decision, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModeNotRaised, match="needs an approved GO"):
        change_mode(Mode.LIMITED, cause=CAUSE.PERSON, actor=TEST, reason="go", scope={"share": "0.1"})
    with pytest.raises(ModeNotRaised, match="say why"):
        change_mode(Mode.PRODUCTION, cause=CAUSE.DECISION, actor=TEST, reason=" ", decision=go)
    no_go = decide_no_go(go.gate, user=go.dri, reason="wait", bundle=go.bundle)
    no_go.spec, no_go.rollback_plan = go.spec, go.rollback_plan
    with pytest.raises(ModeNotRaised, match="NO-GO"):
        raised(go)
    with pytest.raises(ModeNotRaised, match="no GO"):
        raised(no_go)


def test_a_gate_that_grants_no_mode_raises_none() -> None:
    decision = approved_go(gate="smoke")
    with pytest.raises(ModeNotRaised, match="grants no PRODUCTION"):
        raised(decision)


# F25: each of these gives OBSERVER and 0 sends


def test_a_forged_row_enables_nothing(go: Decision) -> None:
    change = raised(go, Mode.LIMITED, share="0.1")
    forged = ModeChange.objects.get(pk=change.pk)
    forged.pk, forged.mode, forged.scope = None, "PRODUCTION", {}
    with connection.cursor() as cursor:  # the number may stand but once: whoever forges takes the next one
        cursor.execute("SELECT max(audit_number) + 1 FROM evidence_modechange")
        (forged.audit_number,) = cursor.fetchone()
    forged.save(force_insert=True)
    assert_observer("MAC is wrong")


def test_a_row_with_the_mac_of_another_is_forged(go: Decision) -> None:
    change = raised(go)
    change.pk, change.reason, change.audit_number = None, "another", change.audit_number + 1
    change.save(force_insert=True)
    assert_observer("MAC is wrong")


def test_a_row_that_the_audit_log_does_not_know_enables_nothing(go: Decision) -> None:
    raised(go)
    with transaction.atomic():
        record(Act.MODE_CHANGED, actor=TEST, subject="OBSERVER", reason="its row was taken away", facts={})
    assert_observer("the audit log has another last change")


def test_with_another_secret_key_nothing_holds(go: Decision) -> None:
    raised(go)
    with override_settings(SECRET_KEY="x" * 64):
        assert_observer("MAC is wrong")


@pytest.mark.parametrize("name", ["build", "lock_file_sha256", "configuration_sha256"])
def test_other_code_packages_or_settings_are_in_observer(
    go: Decision, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    raised(go)
    changed = dict(go.binding) | {name: "0" * 16}
    monkeypatch.setattr("evidence.decisions.standing_go.running", lambda: changed)
    assert_observer(f"another {name}")


def test_a_later_no_go_ends_the_mode(go: Decision) -> None:
    raised(go)
    decide_no_go(go.gate, user=go.dri, reason="stop")
    assert_observer("NO-GO")


def test_a_go_that_nobody_approved_enables_nothing(go: Decision) -> None:
    change = raised(go)
    other = Decision.objects.get(pk=go.pk)
    other.pk, other.audit_number = None, 10**9
    other.save(force_insert=True)
    change.pk, change.decision, change.audit_number = None, other, _next_mode_entry()
    change.mac = mac_of(change)
    change.save(force_insert=True)
    assert_observer("no second person")


def test_a_go_used_after_its_day_enables_nothing(go: Decision) -> None:
    change = raised(go)
    change_mode(Mode.OBSERVER, cause=CAUSE.PERSON, actor=TEST, reason="down")
    late = approved_go(suffix="2", ended=timedelta(hours=23), gate="smoke")  # approved in time
    change.pk, change.decision, change.audit_number = None, late, _next_mode_entry()
    change.binding_sha256, change.changed_at = late.binding_sha256, change.changed_at + timedelta(hours=2)
    change.mac = mac_of(change)
    change.save(force_insert=True)
    assert_observer("grants no PRODUCTION")  # and were it granted, it is late


def test_a_change_that_is_bound_to_something_else_than_its_decision_enables_nothing(go: Decision) -> None:
    change = raised(go)
    change.pk, change.binding_sha256, change.audit_number = None, "0" * 64, _next_mode_entry()
    change.mac = mac_of(change)
    change.save(force_insert=True)
    assert_observer("bound to something else")


def _next_mode_entry() -> int:
    with transaction.atomic():
        return record(Act.MODE_CHANGED, actor=TEST, subject="PRODUCTION", reason="forged", facts={}).number


def test_a_database_that_does_not_answer_is_observer(go: Decision, monkeypatch: pytest.MonkeyPatch) -> None:
    raised(go)

    def down(*_: object) -> None:
        raise DatabaseError("down")

    monkeypatch.setattr(ModeChange.objects, "select_related", down)
    assert (current_mode(), standing().why_not) == (Mode.OBSERVER, "the mode cannot be read: DatabaseError")


def test_what_was_changed_stays_as_it_is(go: Decision) -> None:
    raised(go)
    for sql in ("UPDATE evidence_modechange SET mode = 'LIMITED'", "DELETE FROM evidence_modechange"):
        with pytest.raises(Error), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(sql)


def test_the_canary_is_the_same_share_of_keys_for_whoever_asks(go: Decision) -> None:
    assert not passes_canary(provider="stripe", ordering_key="k1")
    raised(go, Mode.LIMITED, share="0.1", keys=["vip"], providers=["github"])
    keys = [f"key{number}" for number in range(5_000)]
    passing = list(islice((key for key in keys if passes_canary(provider="stripe", ordering_key=key)), 2))
    of_all = {key for key in keys if is_in_scope({"share": "0.1"}, provider="stripe", ordering_key=key)}
    assert 400 < len(of_all) < 600
    assert set(passing) <= of_all
    assert of_all < {key for key in keys if is_in_scope({"share": "0.2"}, provider="stripe", ordering_key=key)}
    assert passes_canary(provider="stripe", ordering_key="vip")
    assert passes_canary(provider="github", ordering_key="any")
    assert not is_in_scope({"share": "NaN"}, provider="stripe", ordering_key="k")
