"""GO, the second person and the mode at the command line, with every refusal on record."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from console.roles import Role
from evidence.models import AuditEntry
from evidence.modes import Mode, current_mode
from evidence.store import open_artifact
from tests.support.gates import PASSWORD, bundle, frozen_gate, own_store, person

pytestmark = pytest.mark.django_db(transaction=True)
PLAN = ["--rollback-trigger", "any guardrail", "--rollback-steps", "mode set OBSERVER", "--rollback-owner", "ann"]


def manage(*words: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with pytest.raises(SystemExit) as ended, redirect_stdout(out):
        call_command(*words, stderr=err)
    return int(ended.value.code or 0), out.getvalue(), err.getvalue()


@pytest.fixture(autouse=True)
def store(tmp_path: Path) -> Any:
    with own_store(tmp_path):
        yield


@pytest.fixture
def password(tmp_path: Path) -> list[str]:
    path = tmp_path / "password"
    path.write_text(f"{PASSWORD}\n")
    return ["--password-file", str(path)]


@pytest.fixture
def people() -> None:
    person("ann", Role.DRI)
    person("bob", Role.LEADERSHIP)
    frozen_gate()
    assert manage("gate", "assign", "a", "ann", "--reason", "owns it", "--by", "bob")[0] == 0


def refusal() -> AuditEntry:
    return AuditEntry.objects.filter(act__in=["decision.refused", "mode.refused", "permission.refused"]).latest(
        "number"
    )


def test_go_by_two_people_up_and_down_again(people: None, password: list[str]) -> None:
    bundle()
    status, out, _ = manage(
        "gate", "decide", "a", "GO", "--reason", "all met", "--as", "ann", *password, *PLAN, "--json"
    )
    number = str(json.loads(out)["decision"])
    raise_it = ["mode", "set", "LIMITED", "--reason", "canary", "--share", "0.05", "--decision", number, "--as", "ann"]
    assert status == 0
    assert manage(*raise_it, *password)[0] == 1  # nobody approved it
    assert (refusal().act, current_mode()) == ("mode.refused", Mode.OBSERVER)
    assert manage("gate", "approve", number, "--as", "bob", *password)[0] == 0
    assert manage(*raise_it, *password)[:2] == (0, f"OBSERVER to LIMITED: audit entry {last_mode_entry()}\n")
    assert "share: 0.05" in manage("mode", "show")[1]
    assert manage("mode", "set", "OBSERVER", "--reason", "enough", "--by", "ops")[0] == 0
    assert json.loads(manage("mode", "show", "--json")[1])["by"] == "os:ops"
    assert manage("mode", "set", "OBSERVER", "--reason", "again")[0] == 1


def test_the_store_which_may_be_far_away_is_read_outside_of_any_transaction(
    people: None, password: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle()
    held: list[bool] = []

    def opened(sha256: str) -> Any:
        held.append(connection.in_atomic_block)
        return open_artifact(sha256)

    monkeypatch.setattr("evidence.decisions.binding.open_artifact", opened)
    _, out, _ = manage("gate", "decide", "a", "GO", "--reason", "x", "--as", "ann", *password, *PLAN, "--json")
    assert manage("gate", "approve", str(json.loads(out)["decision"]), "--as", "bob", *password)[0] == 0
    assert held == [False, False]


def last_mode_entry() -> int:
    return AuditEntry.objects.filter(act="mode.changed").latest("number").number


def test_a_fail_is_refused_with_its_criteria_and_on_record(people: None, password: list[str]) -> None:
    bundle("FAIL")
    status, _, err = manage("gate", "decide", "a", "GO", "--reason", "please", "--as", "ann", *password, *PLAN)
    assert (status, "ack P95" in err, "cannot be overridden" in err) == (1, True, True)
    assert (refusal().actor, refusal().facts["code"]) == ("ann", "gate_not_passed")
    assert manage("gate", "decide", "a", "NO-GO", "--reason", "it failed", "--as", "ann", *password)[0] == 0


def test_whoever_decides_says_who_they_are(people: None, tmp_path: Path) -> None:
    bundle()
    (tmp_path / "wrong").write_text("guess")
    words = ["gate", "decide", "a", "GO", "--reason", "x", "--as", "ann", *PLAN]
    status, _, err = manage(*words, "--password-file", str(tmp_path / "wrong"))
    assert (status, "password is wrong" in err, refusal().facts["code"]) == (1, True, "password_wrong")
    assert manage(*words, "--password-file", str(tmp_path / "nowhere"))[0] == 2
    assert manage(*words)[0] == 2  # nobody to ask


def test_others_neither_decide_nor_approve_nor_raise(people: None, password: list[str]) -> None:
    bundle()
    person("eve", Role.AUDITOR)
    status, _, err = manage("gate", "decide", "a", "GO", "--reason", "x", "--as", "eve", *password, *PLAN)
    assert (status, "only the DRI of gate a decides: that is ann" in err) == (1, True)
    _, out, _ = manage("gate", "decide", "a", "GO", "--reason", "x", "--as", "ann", *password, *PLAN, "--json")
    number = str(json.loads(out)["decision"])
    status, _, err = manage("gate", "approve", number, "--as", "eve", *password)
    assert (status, "evidence.approve_decision" in err) == (1, True)
    assert (refusal().act, refusal().actor) == ("permission.refused", "eve")
    assert manage("gate", "approve", number, "--as", "bob", *password)[0] == 0
    status, _, err = manage(
        "mode", "set", "PRODUCTION", "--reason", "x", "--decision", number, "--as", "bob", *password
    )
    assert (status, "evidence.raise_mode" in err) == (1, True)
    assert current_mode() is Mode.OBSERVER


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["mode", "set", "PRODUCTION", "--reason", "x"], "give the approved GO by --decision"),
        (["mode", "set", "LIMITED", "--reason", "x", "--decision", "99999"], "no decision has this audit entry"),
        (["gate", "approve", "99999", "--as", "bob"], "no decision has this audit entry"),
        (["gate", "assign", "z", "ann", "--reason", "x"], "known: a, smoke"),
    ],
)
def test_wrong_usage_says_what_a_right_value_is(words: list[str], complaint: str) -> None:
    status, _, err = manage(*words)
    assert (status, complaint in err) == (2, True), err


def test_a_dri_hands_over_and_another_ends_the_term(people: None, password: list[str]) -> None:
    person("dan", Role.DRI)
    assert manage("gate", "hand-over", "a", "dan", "--reason", "holiday", "--as", "ann", *password)[0] == 0
    assert manage("gate", "hand-over", "a", "ann", "--reason", "back", "--as", "ann", *password)[0] == 1
    assert manage("gate", "end", "a", "--reason", "launched")[:2] == (0, "dan is not the DRI of gate a any more\n")
    assert manage("gate", "assign", "a", "nobody", "--reason", "x")[0] == 1
