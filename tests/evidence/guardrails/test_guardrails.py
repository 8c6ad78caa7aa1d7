"""A breach takes the service back to OBSERVER by itself; what is not known is never OK."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import Error, connections

from evidence.audit import Actor
from evidence.guardrails.check import check_rules
from evidence.guardrails.drill import DrillRefused, drill, keep
from evidence.guardrails.judge import Since, judge
from evidence.guardrails.readings import Reading
from evidence.guardrails.rules import SHIPPED, GuardrailsInvalid, Rule, parse_rules, shipped_rules
from evidence.mode_changes import change_mode
from evidence.mode_standing import standing
from evidence.models import Alert, AuditEntry, GuardrailState, ModeChange, RollbackDrill
from evidence.modes import Mode, current_mode
from ingestion.models import AckOutcome
from ingestion.problems import Problem
from tests.support.gates import TEST, approved_go, own_store
from tests.support.workers import running_command, running_worker

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2027, 1, 31, 8, tzinfo=UTC)
STATES = GuardrailState.Standing


@pytest.fixture(autouse=True)
def store(tmp_path: Path) -> Any:
    with own_store(tmp_path):
        yield


def rule(name: str) -> Rule:
    return next(each for each in shipped_rules() if each.name == name)


@pytest.fixture
def limited() -> None:
    go = approved_go()
    scope = {"share": "0.05"}
    actor = Actor.person(go.dri)
    change_mode(Mode.LIMITED, cause=ModeChange.Cause.DECISION, actor=actor, reason="go", decision=go, scope=scope)
    assert current_mode() is Mode.LIMITED


def reuse_tokens(count: int) -> None:
    """As an ingress counts deliveries with a token that was used before."""
    minute = datetime.now(UTC).replace(second=0, microsecond=0)
    AckOutcome.objects.create(
        minute=minute, process="p", provider="mailgun", code=Problem.TOKEN_REUSED, count=count, flush_number=1
    )


def test_a_breach_takes_the_mode_to_observer_with_an_entry_and_an_alert(limited: None) -> None:
    rules = [rule("tokens-reused"), rule("drill")]
    check_rules(rules)
    assert current_mode() is Mode.LIMITED
    reuse_tokens(3)
    check_rules(rules)
    found = standing()
    assert found.change is not None
    assert (found.mode, found.change.cause, found.change.actor) == (Mode.OBSERVER, "guardrail", "guardrails")
    acts = list(AuditEntry.objects.order_by("-number").values_list("act", flat=True)[:2])
    assert acts == ["mode.changed", "guardrail.breached"]
    alert = Alert.objects.get(subject="tokens-reused")
    assert (alert.kind, alert.closed_at) == ("authentication", None)


def test_a_breach_that_goes_on_is_one_entry_and_one_change(limited: None) -> None:
    reuse_tokens(3)
    entries = AuditEntry.objects.filter(act="guardrail.breached")
    before = entries.count()
    for _ in range(3):
        check_rules([rule("tokens-reused")])
    assert (entries.count() - before, ModeChange.objects.count()) == (1, 2)
    assert Alert.objects.get().seen_count == 3


def test_in_observer_a_breach_is_an_alert_and_closes_when_the_rule_holds_again() -> None:
    reuse_tokens(3)
    check_rules([rule("tokens-reused")])
    assert (Alert.objects.get().closed_at, ModeChange.objects.count()) == (None, 0)
    AckOutcome.objects.all().delete()
    check_rules([rule("tokens-reused")])
    assert Alert.objects.get().closed_at is not None


def test_two_looks_at_once_write_one_change(limited: None) -> None:
    reuse_tokens(3)
    start = threading.Barrier(2)

    def look() -> None:
        try:
            start.wait(10)
            check_rules([rule("tokens-reused")])
        finally:
            connections.close_all()

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert ModeChange.objects.filter(mode="OBSERVER").count() == 1


def test_every_shipped_rule_reads_a_figure_or_says_why_not() -> None:
    looks = check_rules()
    assert looks is not None
    assert [look.rule.name for look in looks] == [each.name for each in shipped_rules()]
    breached = {look.rule.name for look in looks if look.is_breached}
    assert breached <= {"sealing"}  # entries of earlier tests wait for a seal
    unknown = [look for look in looks if look.judgement.standing is STATES.UNKNOWN]
    assert all(look.judgement.why for look in unknown)
    states = {state.rule: state.standing for state in GuardrailState.objects.all()}
    assert (states["ack-p95"], states["dead-letters"]) == ("INSUFFICIENT_DATA", "OK")


def test_a_figure_that_cannot_be_read_is_unknown_and_too_long_unknown_is_a_breach(
    limited: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(_: timedelta) -> Reading:
        raise Error("down")

    monkeypatch.setitem(__import__("evidence.guardrails.readings", fromlist=["METRICS"]).METRICS, "missing_count", down)
    check_rules([rule("nothing-lost")])
    assert (GuardrailState.objects.get().standing, current_mode()) == ("UNKNOWN", Mode.LIMITED)
    GuardrailState.objects.update(unknown_since=datetime.now(UTC) - timedelta(seconds=61))
    check_rules([rule("nothing-lost")])
    assert current_mode() is Mode.OBSERVER


LAG = "lag"


@pytest.mark.parametrize(
    ("reading", "before", "mode", "found"),
    [
        (Reading(59.0), Since(), Mode.LIMITED, STATES.OK),
        (Reading(61.0), Since(), Mode.LIMITED, STATES.OK),  # not for long enough yet
        (Reading(61.0), Since(beyond=NOW - timedelta(seconds=5)), Mode.LIMITED, STATES.BREACHED),
        (Reading(None, why="down"), Since(), Mode.PRODUCTION, STATES.UNKNOWN),
        (Reading(None, why="down"), Since(unknown=NOW - timedelta(seconds=31)), Mode.PRODUCTION, STATES.BREACHED),
        (Reading(None, why="down"), Since(unknown=NOW - timedelta(days=1)), Mode.OBSERVER, STATES.UNKNOWN),
        (Reading(None), Since(), Mode.LIMITED, STATES.INSUFFICIENT_DATA),
    ],
)
def test_what_a_reading_means(reading: Reading, before: Since, mode: Mode, found: object) -> None:
    assert judge(rule(LAG), reading, before=before, mode=mode, now=NOW).standing is found


def test_too_few_samples_say_nothing() -> None:
    told = judge(rule("ack-p95"), Reading(900.0, 199), before=Since(), mode=Mode.LIMITED, now=NOW)
    assert told.standing is STATES.INSUFFICIENT_DATA
    long_ago = Since(beyond=NOW - timedelta(minutes=1))
    told = judge(rule("ack-p95"), Reading(900.0, 200), before=long_ago, mode=Mode.LIMITED, now=NOW)
    assert (told.standing, ": 900, more than 120 ms" in told.why) == (STATES.BREACHED, True)


TEXT = SHIPPED.read_text()


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("autocom-guardrails/1", "autocom-guardrails/9", "format"),
        ("metric: missing_count", "metric: found_count", "metric is one of"),
        ("threshold: 120", "threshold: fast", "threshold is a number"),
        ("window_seconds: 300", "window_seconds: -1", "a whole number from 0"),
        ("name: lag", "name: drill", "each name stands once"),
        ("action: alert", "action: ignore", "action is one of"),
        ("rules:", "rules: [", "no YAML"),
    ],
)
def test_rules_that_cannot_be_meant_are_refused_with_the_right_value(old: str, new: str, complaint: str) -> None:
    assert old in TEXT
    with pytest.raises(GuardrailsInvalid, match=complaint):
        parse_rules(TEXT.replace(old, new, 1))


def test_the_drill_measures_the_way_back_of_the_running_ops_worker(limited: None, tmp_path: Path) -> None:
    """In the worker's settings the GO does not hold (another EVIDENCE_ROOT): the answer must come all the same."""
    with running_command("cron"), running_worker(queue="ops"):
        told = drill(actor=TEST)
    assert (told.outcome, told.mode_before, current_mode()) == ("PASS", Mode.LIMITED, Mode.OBSERVER)
    assert [step.what.partition(" ")[0] for step in told.steps] == ["the", "a", "another"]
    assert standing().change == ModeChange.objects.get(cause="drill")
    left = json.loads(keep(told).read_bytes())
    assert (left["seconds"] <= 60, left["limit_seconds"], left["outcome"]) == (True, 60.0, "PASS")
    assert (tmp_path / "rollback/drill.json").is_file()
    assert AuditEntry.objects.latest("number").act == "rollback.drilled"


def test_a_drill_that_nobody_answers_knows_nothing_and_two_at_once_are_refused() -> None:
    told = drill(actor=TEST, give_up_seconds=0.3)
    assert (told.outcome, told.seconds, told.as_json()["seconds"]) == ("INCONCLUSIVE", None, None)
    assert "cron and the ops worker alive" in told.sentence
    RollbackDrill.objects.create(planted_at=NOW, planted_by="test", mode_before="OBSERVER")
    with pytest.raises(DrillRefused, match="under way"):
        drill(actor=TEST)


def test_a_slow_answer_fails() -> None:
    told = replace(drill(actor=TEST, give_up_seconds=0.0), seconds=60.1)
    assert (told.outcome, told.sentence) == ("FAIL", "FAIL: OBSERVER after 60.100 s, 60 s are allowed")
