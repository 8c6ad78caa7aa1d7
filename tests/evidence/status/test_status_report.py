"""The status report says what is on record: verdicts from the bundle's bytes, owners by name, UNKNOWN where unasked."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import OperationalError, connection

from console.roles import Role
from evidence.alerts import raise_alert
from evidence.audit import Actor
from evidence.decisions import decide, dri
from evidence.decisions.approve import approve
from evidence.models import Alert, ModeChange
from evidence.status.dependencies import Health
from evidence.status.gate_status import GateStatus
from evidence.status.standing import Standing, read_standing
from evidence.status.write import as_html, as_json, as_markdown
from tests.support.gates import PLAN, approved_go, bundle, frozen_gate, own_store, person

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def store(tmp_path: Path) -> Any:
    with own_store(tmp_path / "evidence"):
        yield


def gate_a(standing: Standing) -> GateStatus:
    return next(each for each in standing.gates.value or () if each.spec.name == "a")


def next_of_a() -> tuple[str, str]:
    """What is next for gate A, and who does it; its DRI aside."""
    told = [each for each in as_json(read_standing())["steps"] if each["gate"] == "a" and "DRI" not in each["command"]]
    steps = [(each["what"], each["owner"]) for each in told if not each["what"].startswith("name its DRI")]
    return steps[0] if steps else ("", "")


def test_nothing_on_record_is_unknown_and_never_green() -> None:
    report = as_markdown(read_standing())
    assert "Gate a: UNKNOWN (no bundle was made); nothing was decided." in report
    assert "UNKNOWN: no bundle tells of any criterion." in report
    assert "The mode is OBSERVER. No change of it is on record." in report
    assert "PASS" not in report


def test_each_step_from_the_freeze_to_the_mode_is_asked_of_whoever_can_take_it() -> None:
    ann, bob = person("ann", Role.DRI), person("bob", Role.LEADERSHIP)
    assert next_of_a() == ("freeze version 3 of its specification", "DRI or Platform Ops")
    gate = frozen_gate()
    assert next_of_a()[1] == "nobody: a has no DRI (Leadership can name one)"
    dri.assign(gate, username="ann", actor=Actor.person(bob), reason="owns the launch")
    assert next_of_a() == ("run it: no bundle was made", "ann")
    row = bundle()
    assert next_of_a()[0].startswith(f"GO or NO-GO on the PASS of run {row.run_id}")
    decision = decide.decide_go(gate, row, user=ann, reason="all met", plan=PLAN)
    what, owner = next_of_a()
    assert what.startswith(f"a second person for the GO on run {row.run_id}, other than ann")
    assert owner == "Leadership"
    approve(decision, user=bob, reason="looked at it")
    what, owner = next_of_a()
    assert (what.partition(" by ")[0], owner) == ("raise the mode to LIMITED or PRODUCTION", "DRI")


def test_after_a_no_go_or_when_the_pass_is_old_the_gate_is_to_be_run_again() -> None:
    ann, bob = person("ann", Role.DRI), person("bob", Role.LEADERSHIP)
    gate = frozen_gate()
    dri.assign(gate, username="ann", actor=Actor.person(bob), reason="owns the launch")
    bundle(ended=timedelta(hours=25))
    assert "was worth something until" in next_of_a()[0]
    decide.decide_no_go(gate, user=ann, reason="too slow", bundle=bundle())
    assert next_of_a()[0] == "run it again: NO-GO was said, too slow"


def test_a_failed_criterion_is_a_blocker_of_the_dri_with_its_name() -> None:
    frozen_gate()
    ann, bob = person("ann", Role.DRI), person("bob", Role.LEADERSHIP)
    dri.assign(frozen_gate(), username=ann.username, actor=Actor.person(bob), reason="owns the launch")
    row = bundle("FAIL", failing="lost")
    told = as_json(read_standing())
    assert {"about": "gate a", "what": "criterion lost is FAIL", "owner": "ann"} in told["blockers"]
    assert f"run {row.run_id} is FAIL" in next_of_a()[0]
    assert f"Gate a: FAIL (run {row.run_id})" in as_markdown(read_standing())


def test_a_bundle_whose_bytes_changed_in_the_store_has_no_verdict() -> None:
    approved_go()
    assert gate_a(read_standing()).verdict.value is not None
    (stored,) = [path for path in settings.AUTOCOM.evidence_root.rglob("*") if path.is_file() and path.stat().st_size]
    stored.chmod(0o600)
    stored.write_bytes(stored.read_bytes()[:-1] + b"\xff")
    told = as_json(read_standing())
    (gate,) = [each for each in told["gates"] if each["gate"] == "a"]
    assert (gate["verdict"], gate["criteria"]) == ("UNKNOWN", [])
    assert any("cannot be read" in each["what"] for each in told["blockers"])


def test_a_forged_mode_is_told_as_observer_with_the_reason() -> None:
    decision = approved_go()
    ModeChange.objects.create(
        mode="PRODUCTION",
        previous="OBSERVER",
        cause="decision",
        decision=decision,
        actor_kind="person",
        actor="mallory",
        reason="because",
        changed_at=decision.decided_at,
        audit_number=decision.audit_number,
        mac=b"\0" * 32,
    )
    report = as_markdown(read_standing())
    assert "The mode is OBSERVER, because the change of the mode was not made by this service" in report
    assert "| mode |" in report  # a blocker


def test_an_open_alert_is_a_blocker_and_a_closed_one_is_not() -> None:
    raise_alert("lag", "lane 3", severity=Alert.Severity.PAGE, summary="lane 3 is a minute behind")
    assert "lane 3 is a minute behind" in as_markdown(read_standing())
    Alert.objects.update(closed_at=read_standing().at)
    assert "lane 3 is a minute behind" not in as_markdown(read_standing())


def test_what_postgresql_cannot_tell_is_unknown_with_the_reason_and_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_: object, **__: object) -> None:
        raise OperationalError("down")

    monkeypatch.setattr(connection, "cursor", down)
    standing = read_standing()
    told = as_json(standing)
    assert told["gates"] is told["open_dead_letters"] is told["open_alerts"] is told["audit_entries"] is None
    (postgresql,) = [each for each in standing.dependencies if each.name == "PostgreSQL"]
    assert postgresql.health is Health.UNKNOWN
    report = as_markdown(standing)
    assert "The gates are UNKNOWN: PostgreSQL cannot be asked: OperationalError." in report
    assert "The audit log has UNKNOWN" in report


def test_words_of_people_are_no_markup_in_either_format() -> None:
    raise_alert("lag", "x", severity=Alert.Severity.PAGE, summary="a | b\n## Forged <script>alert(1)</script>")
    standing = read_standing()
    assert "<script>" not in as_markdown(standing) + as_html(standing)
    assert "\n## Forged" not in as_markdown(standing)
    assert "a \\| b ## Forged" in as_markdown(standing)


def test_the_command_writes_each_format_and_overwrites_nothing(tmp_path: Path) -> None:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out):
        call_command("status_report", "--json")
    assert json.loads(out.getvalue())["format"] == "autocom-status/1"
    page, text = tmp_path / "status.html", tmp_path / "status.md"
    call_command("status_report", "--format", "html", "--out", str(page))
    call_command("status_report", "--out", str(text))
    assert page.read_text().startswith("<!doctype html>")
    assert text.read_text().startswith("# Status report, ")
    titles = [line[3:] for line in text.read_text().splitlines() if line.startswith("## ")]
    assert titles[:2] == ["Summary", "Status and mode"]
    assert all(f"<h2>{title}</h2>" in page.read_text() for title in titles)
    with pytest.raises(SystemExit) as ended:
        call_command("status_report", "--out", str(text), stderr=err)
    assert ended.value.code == 2
    assert "File exists" in err.getvalue()


def test_a_budget_of_which_nothing_was_measured_is_unknown_and_not_full() -> None:
    standing = read_standing()
    assert standing.budgets.value
    assert {each.remaining_pct for each in standing.budgets.value} == {None}
    lines = [line for line in as_markdown(standing).splitlines() if line.startswith("| availability")]
    assert len(lines) == 1
    assert "| UNKNOWN |" in lines[0]
    assert "100.0 %" not in lines[0]
