"""A gate's run takes the newest matrix again only while a new one would say the same."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import transaction

from autocom.build import build
from console.actions.accounts import role_changed
from console.models import RbacRun
from console.rbac.still_true import TRUE_FOR, matrix_still_true
from console.roles import Role, sync_roles
from evidence.audit import Actor
from evidence.runs.environment import commit
from tests.support.gates import own_store

pytestmark = pytest.mark.django_db
TEXT = b"route,method\n"


@pytest.fixture(autouse=True)
def kept(tmp_path: Path) -> Any:
    sync_roles()
    with own_store(tmp_path):
        (tmp_path / "rbac").mkdir()
        (tmp_path / "rbac" / "matrix.csv").write_bytes(TEXT)
        yield tmp_path


def run(**others: Any) -> RbacRun:
    given: dict[str, Any] = {
        "at": datetime.now(UTC),
        "commit": commit()["commit"],
        "build": build(),
        "outcome": "PASS",
        "cell_count": 1,
        "match_count": 1,
        "mismatch_count": 0,
        "untested_count": 0,
        "seconds": 1.0,
        "asked_by": "ops",
        "matrix_sha256": hashlib.sha256(TEXT).hexdigest(),
        "personas": [],
        "lines": [],
    }
    return RbacRun.objects.create(**{**given, **others})


def test_a_pass_of_this_code_within_the_hour_is_taken_again() -> None:
    made = run()
    assert matrix_still_true(now=made.at + TRUE_FOR / 2) == made


@pytest.mark.parametrize(
    "others", [{"outcome": "FAIL"}, {"build": "another"}, {"commit": "another"}, {"matrix_sha256": "ab" * 32}]
)
def test_what_failed_is_of_other_code_or_is_not_what_lies_there_is_made_anew(others: dict[str, str]) -> None:
    made = run(**others)
    assert matrix_still_true(now=made.at) is None


def test_an_old_one_and_one_of_the_future_are_made_anew() -> None:
    made = run()
    assert matrix_still_true(now=made.at + TRUE_FOR) is None
    assert matrix_still_true(now=made.at - timedelta(seconds=1)) is None


def test_a_missing_file_is_made_anew(kept: Path) -> None:
    made = run()
    (kept / "rbac" / "matrix.csv").unlink()
    assert matrix_still_true(now=made.at) is None


def test_a_role_that_changed_since_makes_it_untrue() -> None:
    made = run()
    assert matrix_still_true(now=made.at) == made
    group = Group.objects.get(name=Role.AUDITOR.value)
    with transaction.atomic():
        group.permissions.add(Permission.objects.get(codename="decide_outgoing"))
        role_changed(group, actor=Actor.process("test"))
    assert matrix_still_true(now=datetime.now(UTC)) is None


def test_nobody_probed_yet() -> None:
    assert matrix_still_true(now=datetime.now(UTC)) is None
