"""The doctor's checks of this machine's disks, and of what waits on the lanes and for a person."""

from __future__ import annotations

import dataclasses
import os
import resource
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from autocom.doctor.finding import Level
from autocom.doctor.judgements import backlog as waiting
from autocom.doctor.judgements import disk as checks
from autocom.doctor.judgements.disk import Space, place_finding, space_finding
from autocom.doctor.readers import evidence_store, machine
from ingestion.accept import append_limits
from ingestion.buffer import keys
from ingestion.buffer.append import Code
from ingestion.buffer.store import LaneBuffer
from ingestion.models import DeadLetter, LaneIncident
from tests.doctor.kit import finding, findings
from tests.support.evidence import place_of, uploaded, use_store
from tests.support.lanes import LaneKit, delivery, event

GIB = 1 << 30


def space(*, free_gib: float = 500, total_gib: float = 1_000, inodes: float = 0.5) -> Space:
    return Space(
        free_bytes=int(free_gib * GIB),
        total_bytes=int(total_gib * GIB),
        free_inode_count=int(inodes * 1_000),
        total_inode_count=1_000,
    )


@pytest.mark.parametrize(
    ("room", "level"),
    [
        (space(), Level.FINE),
        (space(free_gib=50), Level.FINE),  # a twentieth, and plenty
        (space(free_gib=5), Level.WARNING),
        (space(free_gib=5, total_gib=20), Level.FINE),
        (space(free_gib=0.9, total_gib=2), Level.FAIL),
        (space(inodes=0.04), Level.WARNING),
        (space(inodes=0.005), Level.FAIL),
        (dataclasses.replace(space(), free_inode_count=0, total_inode_count=0), Level.FINE),  # made as needed
    ],
)
def test_room_on_a_disk(room: Space, level: Level) -> None:
    assert space_finding(checks.EVIDENCE, where="/x", space=room).level is level


def test_a_directory_that_a_service_cannot_write_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there, not_yet = machine.place(tmp_path), machine.place(tmp_path / "a" / "b")
    assert (there.is_writable, there.exists, not_yet.is_writable, not_yet.exists) == (True, True, True, False)
    (tmp_path / "file").write_text("")
    behind_a_file = machine.place(tmp_path / "file" / "below")
    assert place_finding(checks.EVIDENCE, behind_a_file).level is Level.FAIL
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    assert place_finding(checks.EVIDENCE, machine.place(tmp_path)).level is Level.FAIL


def test_a_root_for_evidence_that_cannot_be_made_fails(settings: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings.AUTOCOM = dataclasses.replace(settings.AUTOCOM, evidence_root=tmp_path / "file" / "evidence")
    found = finding(checks.EVIDENCE)
    assert (found.level, found.found) == (
        Level.FAIL,
        f"{tmp_path / 'file' / 'evidence'} does not exist and cannot be made",
    )


def test_a_data_directory_that_cannot_be_made_fails(settings: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings.AUTOCOM = dataclasses.replace(settings.AUTOCOM, data_dir=tmp_path / "file" / "data")
    assert finding(checks.DATA_DIR).level is Level.FAIL


def test_looking_makes_no_directory(settings: Any, tmp_path: Path) -> None:
    settings.AUTOCOM = dataclasses.replace(settings.AUTOCOM, evidence_root=tmp_path / "evidence")
    assert finding(checks.EVIDENCE).level is Level.FINE
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("limit", "level"), [(512, Level.FAIL), (4_096, Level.WARNING)])
def test_a_limit_of_open_files_below_the_connections_is_told(limit: int, level: Level) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        assert finding(checks.DESCRIPTORS).level is level
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    facts = dataclasses.replace(machine.read(), descriptor_limit_count=65_536)
    assert {found.check: found.level for found in checks.judge(facts)}[checks.DESCRIPTORS] is Level.FINE


def test_a_port_of_this_machine_does_not_prove_that_the_server_sees_its_disks() -> None:
    assert machine.is_here("/run/socket", pid=0, names=("postgres",))
    own = Path("/proc/self/comm")
    if own.exists():
        assert machine.is_here("127.0.0.1", pid=os.getpid(), names=(own.read_text().strip(),))
    assert not machine.is_here("127.0.0.1", pid=os.getpid(), names=("postgres",))
    assert not machine.is_here("db.example.com", pid=os.getpid(), names=("",))


@pytest.mark.django_db
def test_empty_lanes_and_nothing_for_a_person_are_fine(buffer: LaneBuffer) -> None:
    found = findings("backlog")
    assert {each.level for each in found.values()} == {Level.FINE}
    assert set(found) == {check.id for check in (*waiting.LANE_CHECKS, *waiting.PERSON_CHECKS)}


@pytest.mark.django_db
def test_an_entry_that_waits_longer_than_promised_is_a_warning(buffer: LaneBuffer) -> None:
    accepted_us = time.time_ns() // 1_000 - 90_000_000
    buffer.client.xadd(keys.stream(1), {"k": "E", "t": accepted_us, "m": "{}", "h": "h"}, id="1-0")
    found = finding(waiting.AGE)
    assert (found.level, found.found) == (Level.WARNING, "the oldest entry waits for 90 s")


@pytest.mark.django_db
def test_a_lane_on_its_way_to_its_bound_is_a_warning(buffer: LaneBuffer) -> None:
    buffer.client.hset(keys.state(2), "bytes", append_limits().lane_bound_bytes * 73 // 100 + 1)
    found = finding(waiting.FULL)
    assert (found.level, found.found) == (Level.WARNING, "the fullest lane is at 73% of its bound")


@pytest.mark.django_db(transaction=True)
def test_dead_letters_quarantine_and_incidents_are_warnings_with_their_numbers(buffer: LaneBuffer) -> None:
    lanes = LaneKit(buffer=buffer)
    lanes.receive("evt-1", payload=b'{"a": "\\u0000"}')
    lanes.receive("evt-2", payload=b'{"a": 1}')
    (rival,) = lanes.append(delivery(event("evt-2", payload=b'{"a": 2}')))
    assert rival.code is Code.QUARANTINED
    lanes.drain(0)
    LaneIncident.objects.create(
        lane=0, kind=LaneIncident.Kind.GAP, epoch=1, first_sequence=1, last_sequence=2, seen_at=datetime.now(UTC)
    )
    found = findings("backlog")
    told = {check.id: found[check.id].found for check in waiting.PERSON_CHECKS}
    assert told == {
        "backlog.dead_letters": "1 open",
        "backlog.quarantine": "1 in 7 days",
        "backlog.incidents": "1 in 7 days",
    }
    assert {found[check].level for check in told} == {Level.WARNING}
    DeadLetter.objects.update(state=DeadLetter.State.DISCARDED)
    assert finding(waiting.DEAD_LETTERS).level is Level.FINE


@pytest.mark.parametrize(
    ("stored_bytes", "quota_bytes", "level"),
    [(10**12, 0, Level.FINE), (89, 100, Level.FINE), (90, 100, Level.WARNING), (100, 100, Level.FAIL)],
)
def test_how_full_the_evidence_store_is(stored_bytes: int, quota_bytes: int, level: Level) -> None:
    facts = checks.StoreFacts(stored_bytes=stored_bytes, artifact_count=3, quota_bytes=quota_bytes, trouble="")
    assert [each.level for each in checks.judge_store(facts)] == [level, Level.FINE]


@pytest.mark.django_db
def test_an_artifact_that_is_not_at_its_place_is_found(settings: Any, tmp_path: Path) -> None:
    use_store(settings, tmp_path, evidence_quota_bytes=1_000)
    assert evidence_store.read() == checks.StoreFacts(stored_bytes=0, artifact_count=0, quota_bytes=1_000, trouble="")
    sha256 = uploaded(b"kept").upload.artifact_id
    assert (evidence_store.read().stored_bytes, evidence_store.read().trouble) == (4, "")
    place_of(tmp_path, sha256).unlink()
    trouble = checks.judge_store(evidence_store.read())
    assert [each.level for each in trouble] == [Level.FINE, Level.FAIL]
