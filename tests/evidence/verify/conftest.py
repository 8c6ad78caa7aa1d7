"""A bundle of a run that kept its promises, made once, and a copy of it for whoever tampers."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from ingestion.replay.findings import Place, StoredRow
from ingestion.replay.history import Attempt, History, PlannedSend
from tests.evidence.verify.sample import Sample, build
from tests.replay.kit import answer, attempt, history, planned, row

MS = 1_000_000
COUNT = 220


def run_of(count: int = COUNT) -> tuple[History, list[StoredRow]]:
    """Two lanes, one repeated send, one refused, one dead letter. Acks take 2 to 11 ms."""
    sends: list[PlannedSend] = []
    attempts: list[Attempt] = []
    rows: list[StoredRow] = []
    for number in range(count):
        lane, sequence, ack_ns = number % 2, number // 2 + 1, number * MS + (2 + number % 10) * MS
        key = f"key{lane}"
        sends.append(planned(number, key=key)._replace(is_poison=number == 7))
        if number == 9:
            attempts.append(attempt(number, number * MS, ack_ns, '{"code":"busy"}', status=503))
            continue
        attempts.append(attempt(number, number * MS, ack_ns, answer(number, sequence, lane=lane)))
        place = Place.DEAD_LETTER if number == 7 else Place.EVENT
        batch = 1 + lane + 2 * (sequence // 20)
        rows.append(row(number, sequence, lane=lane, ordering_key=key, batch=batch, place=place))
    sends.append(planned(count, key="key0", event=0))
    told = answer(0, 1, lane=0, status="duplicate")
    attempts.append(attempt(count, count * MS, (count + 2) * MS, told))
    return history(sends, attempts), rows


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    told, rows = run_of()
    return build(tmp_path_factory.mktemp("original") / "bundle", told, rows)


@pytest.fixture
def sample(original: Sample, tmp_path: Path) -> Sample:
    """A copy to tamper with."""
    shutil.copytree(original.folder, tmp_path / "bundle")
    return replace(original, folder=tmp_path / "bundle", lines=list(original.lines))
