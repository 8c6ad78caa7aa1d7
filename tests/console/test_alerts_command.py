"""`manage.py alerts`: what is open, what to do, and what became of telling others."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.management import call_command

from console.alert_kinds import KINDS
from evidence.alerts import close_alert
from evidence.models import Outgoing
from tests.console.test_alerts_page import raised
from tests.console.test_destination_pages import destination, message

pytestmark = pytest.mark.django_db


def run(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    with pytest.raises(SystemExit) as ended:
        call_command("alerts", *words)
    assert int(ended.value.code or 0) == code
    printed = capsys.readouterr()
    return printed.err if code else printed.out


def subjects(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    found: list[dict[str, Any]] = json.loads(run(capsys, "list", *words, "--json"))["alerts"]
    return [each["subject"] for each in found]


def test_open_alerts_are_listed_the_newest_first_and_others_on_demand(capsys: pytest.CaptureFixture[str]) -> None:
    raised(subject="first")
    close_alert("lag", "first")
    raised(subject="second")
    raised("burn", "third")
    assert subjects(capsys) == ["third", "second"]
    assert subjects(capsys, "--state", "closed") == ["first"]
    assert subjects(capsys, "--state", "all", "--kind", "lag") == ["second", "first"]
    assert subjects(capsys, "--state", "all", "--limit", "1") == ["third"]
    assert "page  burn  third  since " in run(capsys, "list")
    assert run(capsys, "list", "--state", "open", "--kind", "promise") == "no open alerts\n"


def test_one_alert_says_what_to_do_and_who_was_told(capsys: pytest.CaptureFixture[str]) -> None:
    alert = raised(facts={"oldest_ms": 75_000, "error": "\x1b[2Jaway"})
    message(Outgoing.State.SENT, destination("pager"), alert=alert)
    shown = run(capsys, "show", str(alert.pk))
    assert "oldest ms: 75000" in shown
    assert "\x1b" not in shown, "it would steer the terminal"
    assert f"do: {KINDS['lag'].next_step}" in shown
    assert "pager: sent " in shown
    found = json.loads(run(capsys, "show", str(alert.pk), "--json"))
    assert (found["number"], found["facts"]) == (alert.pk, alert.facts)
    assert [(each["destination"], each["state"]) for each in found["told"]] == [("pager", "sent")]


def test_an_alert_that_is_not_there_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no alert 999999999" in run(capsys, "show", "999999999", code=2)
