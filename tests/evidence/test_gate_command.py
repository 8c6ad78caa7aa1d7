"""`manage.py gate`: what is frozen, what is refused, and that no run begins without."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout

import pytest
from django.core.management import call_command
from django.db import Error, connection, transaction

from evidence.gates.freeze import sha256_of
from evidence.gates.spec import gate as spec_of
from evidence.models import AuditEntry, FrozenSpec

pytestmark = pytest.mark.django_db(transaction=True)


def gate(*words: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with pytest.raises(SystemExit) as ended, redirect_stdout(out):
        call_command("gate", *words, stderr=err)
    return int(ended.value.code or 0), out.getvalue(), err.getvalue()


def test_a_freeze_is_an_entry_with_the_digest_of_the_text() -> None:
    status, out, _ = gate("freeze", "a", "--reason", "the run of today", "--by", "ann", "--json")
    entry = AuditEntry.objects.filter(act="gate.spec_frozen").latest("number")
    assert (status, json.loads(out)["audit_entry"]) == (0, entry.number)
    assert (entry.actor, entry.reason, entry.facts["sha256"]) == ("os:ann", "the run of today", sha256_of(spec_of("a")))


def test_a_version_is_frozen_once_and_another_text_needs_another_version() -> None:
    gate("freeze", "a", "--reason", "first")
    entries = AuditEntry.objects.filter(act="gate.spec_frozen")
    before = entries.count()
    status, _, err = gate("freeze", "a", "--reason", "again")
    assert (status, "was frozen at" in err) == (1, True)
    assert (FrozenSpec.objects.count(), entries.count()) == (1, before)


def test_what_was_frozen_stays_as_it_is() -> None:
    gate("freeze", "smoke", "--reason", "first")
    for sql in ("UPDATE evidence_frozenspec SET text = ''", "DELETE FROM evidence_frozenspec"):
        with pytest.raises(Error), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(sql)
    assert FrozenSpec.objects.get().text == spec_of("smoke").text.decode()


@pytest.mark.parametrize(
    ("words", "status", "complaint"),
    [
        (["freeze", "z", "--reason", "x"], 2, "known: a, smoke"),
        (["freeze", "a", "--reason", " "], 2, "say why"),
        (["show", "z"], 2, "known: a, smoke"),
        (["run", "z"], 2, "known: a, smoke"),
        (["run", "a"], 2, "is not frozen, and must be before the run"),
        (["evaluate"], 2, "no bundle in the evidence store"),
    ],
)
def test_wrong_usage_says_what_a_right_value_is(words: list[str], status: int, complaint: str) -> None:
    done = gate(*words)
    assert (done[0], complaint in done[2]) == (status, True), done[2]


def test_every_gate_is_shown_with_what_is_known_of_it() -> None:
    status, out, _ = gate("show")
    assert (status, out.count("not frozen")) == (0, 2)
    assert "its verdict is UNKNOWN" in out
    gate("freeze", "a", "--reason", "first")
    status, out, _ = gate("show", "a", "--json")
    (told,) = json.loads(out)["gates"]
    assert (told["frozen"]["version"], told["grants"]) == (3, ["LIMITED", "PRODUCTION"])
    assert "frozen" in gate("show", "a")[1]


def test_a_changed_text_of_a_frozen_version_is_told_and_no_run_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    gate("freeze", "a", "--reason", "first")
    changed = spec_of("a").text.replace(b"120.0", b"500.0")
    softer = type(spec_of("a")).parse(changed)
    for place in ("console.management.gate.show", "console.management.gate.run", "evidence.gates.freeze"):
        monkeypatch.setattr(f"{place}.gate", lambda _: softer)
    assert "here is another and is not frozen" in gate("show", "a")[1]
    assert gate("run", "a")[0] == 2
    status, _, err = gate("freeze", "a", "--reason", "softer")
    assert (status, "give the changed one a new version" in err) == (1, True)
