"""`manage.py audit`: what it says, its exit status, and that an export needs no database."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from evidence.audit import Act, Actor, record

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Done:
    status: int
    out: str
    err: str


def audit(*words: str) -> Done:
    out, err = StringIO(), StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("audit", *words, stdout=out, stderr=err)
    return Done(int(ended.value.code or 0), out.getvalue(), err.getvalue())


EMPTY = """
TRUNCATE evidence_auditentry;
UPDATE evidence_audithead SET number = 0, entry_sha256 = decode(repeat('00', 32), 'hex');
"""


def as_superuser(sql: str) -> None:
    """With the triggers off: taken back at the end of the test."""
    tables = ("evidence_auditentry", "evidence_audithead")
    off, on = ([f"ALTER TABLE {table} {how} TRIGGER USER" for table in tables] for how in ("DISABLE", "ENABLE"))
    with connection.cursor() as cursor:
        for statement in (*off, sql, *on):
            cursor.execute(statement)


@pytest.fixture
def empty_log(db: None) -> None:
    as_superuser(EMPTY)


@pytest.fixture
def three(empty_log: None) -> None:
    for name in ("a", "b", "c"):
        record(Act.PROVIDER_ADDED, actor=Actor.process("test"), subject=name)


@pytest.mark.usefixtures("empty_log")
def test_an_empty_log_is_inconclusive(tmp_path: Path) -> None:
    done = audit("verify")
    assert (done.status, done.out) == (3, "INCONCLUSIVE: the audit log is empty\n")
    assert json.loads(audit("verify", "--json").out)["verdict"] == "INCONCLUSIVE"
    assert audit("export", "--out", str(tmp_path / "log")).status == 3


@pytest.mark.usefixtures("three")
def test_a_sound_log_passes_and_its_head_is_printed_to_be_kept() -> None:
    done = audit("verify")
    assert done.status == 0
    assert "PASS: 3 entries read, 0 findings" in done.out
    (head,) = (line.removeprefix("head ") for line in done.out.splitlines() if line.startswith("head "))
    assert audit("verify", "--kept", head).status == 0
    record(Act.PROVIDER_ADDED, actor=Actor.process("test"), subject="d")
    assert audit("verify", "--kept", head).status == 0
    other = audit("verify", "--kept", f"3:{'0' * 64}")
    assert (other.status, "entry 3 is not the one whose digest was kept outside" in other.out) == (1, True)


@pytest.mark.usefixtures("three")
def test_a_tail_cut_off_with_its_head_is_found_only_with_a_kept_head() -> None:
    head = json.loads(audit("verify", "--json").out)["head"]
    as_superuser(
        "DELETE FROM evidence_auditentry WHERE number = 3; UPDATE evidence_audithead SET number = 2, entry_sha256 ="
        " (SELECT entry_sha256 FROM evidence_auditentry WHERE number = 2)"
    )
    assert audit("verify").status == 0
    done = audit("verify", "--kept", f"{head['number']}:{head['entry_sha256']}")
    assert (done.status, "! entry 3 is missing: the head kept outside names them" in done.out) == (1, True)


@pytest.mark.usefixtures("three")
def test_a_changed_entry_fails_with_its_number() -> None:
    as_superuser("UPDATE evidence_auditentry SET subject = 'x' WHERE number = 2")
    done = audit("verify")
    assert (done.status, "! entry 2 was changed" in done.out) == (1, True)
    found = json.loads(audit("verify", "--json").out)
    assert (found["verdict"], [(each["fault"], each["number"]) for each in found["findings"]]) == (
        "FAIL",
        [("changed", 2)],
    )


@pytest.mark.usefixtures("three")
def test_an_export_is_verified_without_a_database_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    done = audit("export", "--out", str(path))
    assert (done.status, hashlib.sha256(path.read_bytes()).hexdigest() in done.out) == (0, True)
    assert path.stat().st_mode & 0o077 == 0  # names of people
    again = audit("export", "--out", str(path))
    assert (again.status, again.err) == (2, f"audit export: {path}: File exists\n")
    assert offline("verify", "--file", str(path)).returncode == 0
    path.write_bytes(path.read_bytes().replace(b'"subject":"b"', b'"subject":"x"'))
    failed = offline("verify", "--file", str(path))
    assert (failed.returncode, b"entry 2 was changed" in failed.stdout) == (1, True)


@pytest.mark.usefixtures("three")
def test_what_cannot_be_exported_leaves_no_half_of_a_file(tmp_path: Path) -> None:
    as_superuser("UPDATE evidence_auditentry SET facts = '{\"a\": 0.5}' WHERE number = 2")
    path = tmp_path / "audit.jsonl"
    done = audit("export", "--out", str(path))
    assert (done.status, "an entry was changed" in done.err, path.exists()) == (1, True, False)


def offline(*words: str) -> Any:
    """In a process whose database is nowhere."""
    environ = {**os.environ, "DB_URL": "postgresql://127.0.0.1:1/none", "REDIS_URL": "redis://127.0.0.1:1/0"}
    return subprocess.run(
        [sys.executable, "manage.py", "audit", *words], cwd=PROJECT, env=environ, capture_output=True, timeout=60
    )


def test_a_database_that_is_away_is_inconclusive() -> None:
    done = offline("verify")
    assert (done.returncode, b"PostgreSQL cannot be asked" in done.stderr) == (3, True)


def test_wrong_usage_is_told_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("nonsense\n")
    for words, says in (
        (("verify", "--file", str(tmp_path / "none")), b"No such file"),
        (("verify", "--file", str(file)), b"names no head"),
        (("verify", "--kept", "12"), b"is no head"),
        (("nonsense",), b"invalid choice"),
    ):
        done = offline(*words)
        assert (done.returncode, says in done.stderr, b"Traceback" in done.stderr) == (2, True, False), words
