"""A load with poison and conflicts: the plan knows each of them, and the same seed makes the same."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ingestion.poison import why_unstorable
from ingestion.replay.config import GeneratorConfig
from ingestion.replay.errors import ReplayUsageError
from ingestion.replay.requests import Prepared, prepare
from tests.replay.kit import config


def prepared(folder: Path, **changes: object) -> tuple[GeneratorConfig, Prepared]:
    given = config("http://127.0.0.1:1", folder, count=400, duplicates=0.1, **changes)
    return given, prepare(given)


def body_of(plan: Prepared, n: int) -> bytes:
    return plan.write(n)[0].partition(b"\r\n\r\n")[2]


def test_every_poison_event_is_planned_as_such_and_cannot_be_stored_and_no_other(tmp_path: Path) -> None:
    _, plan = prepared(tmp_path, poison=0.2)
    marked = [send.is_poison for send in plan.sends]
    assert marked == [why_unstorable(body_of(plan, send.n)) is not None for send in plan.sends]
    assert 40 < sum(marked) < 130
    reasons = {why_unstorable(body_of(plan, send.n)) for send in plan.sends if send.is_poison}
    assert len(reasons) >= 4, reasons


def test_a_conflict_has_the_identity_of_an_earlier_send_and_another_body(tmp_path: Path) -> None:
    _, plan = prepared(tmp_path, conflicts=0.1)
    repeats = [send for send in plan.sends if send.duplicate_of is not None]
    conflicts = [send for send in repeats if send.body_sha256 != plan.sends[send.duplicate_of or 0].body_sha256]
    assert len(repeats) == 80
    assert 20 < len(conflicts) < 60
    for send in conflicts:
        original, other = (json.loads(body_of(plan, n)) for n in (send.duplicate_of or 0, send.n))
        assert (original["id"], original["type"]) == (other["id"], other["type"])
        assert original != other


def test_the_same_seed_makes_the_same_trouble(tmp_path: Path) -> None:
    given, plan = prepared(tmp_path, poison=0.1, conflicts=0.1)
    assert prepare(given).sends == plan.sends
    assert prepare(replace(given, seed=4)).sends != plan.sends


def test_trouble_is_refused_for_recorded_webhooks(tmp_path: Path) -> None:
    with pytest.raises(ReplayUsageError, match="--poison"):
        prepared(tmp_path, poison=0.1, input_path=tmp_path / "recorded.ndjson")
