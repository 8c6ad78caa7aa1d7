"""A GO enables something only while it is approved by another person, in time, for the code that runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from evidence.decisions.binding import digest_of_binding
from evidence.decisions.standing_go import why_no_go
from evidence.models import Approval, Decision

NOW = datetime(2027, 1, 31, 8, tzinfo=UTC)
RUNNING = {"build": "a" * 16, "lock_file_sha256": "b" * 64, "configuration_sha256": "c" * 64}
GO: dict[str, Any] = {
    "kind": "GO",
    "verdict": "PASS",
    "dri_id": 1,
    "binding": RUNNING,
    "binding_sha256": digest_of_binding(RUNNING),
    "expires_at": NOW + timedelta(hours=1),
}


def bound_to(binding: dict[str, str]) -> dict[str, Any]:
    return {"binding": binding, "binding_sha256": digest_of_binding(binding)}


def told(*, approver: int | None = 2, approved_at: datetime = NOW, **changes: Any) -> str:
    approval = None if approver is None else Approval(dri_id=1, approver_id=approver, approved_at=approved_at)
    return why_no_go(Decision(**GO | changes), approval=approval, running=RUNNING, used_at=NOW)


def test_an_approved_go_in_time_for_the_running_code_holds() -> None:
    assert told() == ""


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"kind": "NO-GO"}, "no GO"),
        ({"verdict": "FAIL"}, "no GO"),
        ({"approver": None}, "no second person"),
        ({"approver": 1}, "other than its DRI"),
        ({"dri_id": 2}, "other than its DRI"),
        ({"dri_id": 3}, "other than its DRI"),
        ({"expires_at": None}, "in time"),
        ({"approved_at": NOW + timedelta(hours=2)}, "in time"),
        ({"expires_at": NOW}, "expired"),
        ({"binding": RUNNING | {"build": "d" * 16}}, "not the one that was decided"),
        (bound_to({}), "another build"),
        (bound_to(RUNNING | {"build": "d" * 16}), "another build"),
        (bound_to(RUNNING | {"lock_file_sha256": "unknown"}), "another lock_file"),
        (bound_to(RUNNING | {"configuration_sha256": ""}), "another configuration"),
    ],
)
def test_any_other_go_enables_nothing(changes: dict[str, Any], why: str) -> None:
    assert why in told(**changes)
