"""A bundle of a real run: complete, signed, the same every time, and checkable with tools that are not ours."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from evidence.bundles.make import make
from evidence.gates.spec import gate
from evidence.models import AuditEntry
from evidence.runs.finish import digests
from ingestion.models import DeadLetter, Event
from ingestion.replay.verdict import Outcome
from tests.evidence.bundles.conftest import Bundles, code_of

pytestmark = pytest.mark.django_db
FAULT_FACTS = {"kinds": 2, "fewest_seeds": 1, "fewest_events": 800, "not_passed": 0, "bugs_missed": 1, "bugs_caught": 1}
TO_COME = ["data/faults/faults.json", "data/faults/faults.md"]


@pytest.fixture
def bag(bundles: Bundles, tmp_path: Path) -> Path:
    return bundles.unpacked(tmp_path)


def paths_of(bag: Path) -> set[str]:
    return {path.relative_to(bag).as_posix() for path in bag.rglob("*") if path.is_file()}


def named_in(manifest: Path) -> set[str]:
    return {line.partition("  ")[2] for line in manifest.read_text().splitlines()}


def test_everything_of_the_run_is_in_it_and_what_is_not_is_listed_with_a_reason(bundles: Bundles, bag: Path) -> None:
    there = paths_of(bag)
    required = set(gate("a").required_files)
    assert sorted(required - there) == TO_COME == list(bundles.made.verdict.missing)
    listed = {each["path"]: each["why"] for each in json.loads((bag / "data/missing.json").read_bytes())}
    assert sorted(listed) == TO_COME
    assert all(listed.values())
    assert not [
        path
        for path in there
        if path != "keys/earlier.vkeys" and not (bag / path).stat().st_size and "aliases" not in path
    ]
    assert bundles.made.verdict.outcome is Outcome.FAIL
    assert json.loads((bag / "data/gate/verdict.json").read_bytes())["verdict"] == "FAIL"


def test_a_short_run_fails_by_its_size_alone_and_every_fact_is_known_but_that_of_the_faults(bundles: Bundles) -> None:
    criteria = bundles.made.verdict.criteria
    timed = {"accepted_ratio", "ack_ms.p95", "smoke.accepted_ratio", "smoke.ack_ms.p95"}  # a busy machine's answer
    failed = {each.metric for each in criteria if each.outcome is Outcome.FAIL}
    assert failed - timed == {"planned", "smoke.planned"}
    unknown = {each.metric for each in criteria if each.outcome is Outcome.INCONCLUSIVE}
    assert unknown - timed == {each.metric for each in gate("a").criteria if each.metric.startswith("faults.")}
    aged = {each.metric: each.age for each in criteria if each.age is not None}
    assert {"smoke.ack_ms.p95", "rbac.mismatches", "rollback.seconds"} <= set(aged)
    assert max(aged.values()) < timedelta(hours=1)
    at_95 = {each.metric: each.at_95.holds for each in criteria if each.at_95 is not None}
    assert at_95 == {"accepted_ratio": False, "ack_ms.p95": True}  # none of 400 refused: too few for 99.9%


def test_every_run_since_the_freeze_is_listed(bundles: Bundles, bag: Path) -> None:
    (head, *rows) = (bag / "data/gate/runs.csv").read_text().splitlines()
    assert head.startswith("entry,at,run_id,verdict")
    assert [bundles.whole.run_id in row for row in rows] == [True, False]
    assert bundles.refused.run_id in rows[1]


def test_with_all_required_files_nothing_of_the_proof_is_unknown(bundles: Bundles, tmp_path: Path) -> None:
    made = make(bundles.whole, gate_name="smoke", into=tmp_path)
    assert list(made.verdict.missing) == []
    assert list(made.verdict.doubts) == []
    proved = [each for each in made.verdict.criteria if each.operator == "=="]
    assert [(each.actual, each.outcome) for each in proved] == [(0, Outcome.PASS)] * 7


def test_a_criterion_that_is_not_met_fails_the_bundle(bundles: Bundles, tmp_path: Path) -> None:
    assert bundles.made_refused.verdict.outcome is Outcome.FAIL
    bag = bundles.unpacked(tmp_path, bundles.made_refused)
    assert "Verdict: FAIL\n" in (bag / "bag-info.txt").read_text()
    assert json.loads((bag / "data/missing.json").read_bytes())
    assert "data/lineage/leaves.tsv" not in paths_of(bag)


def test_every_event_of_the_run_has_its_leaf(bundles: Bundles, bag: Path) -> None:
    rows = [line.split("\t", 3) for line in (bag / "data/lineage/leaves.tsv").read_text().splitlines()]
    lines = [row[3].split("\t") for row in rows if row[3] != "-"]
    prefix = bundles.whole.run_id
    stored = {("P", str(pk)) for pk in Event.objects.filter(message_id__startswith=prefix).values_list("pk", flat=True)}
    dead = {
        ("D", str(pk)) for pk in DeadLetter.objects.filter(message_id__startswith=prefix).values_list("pk", flat=True)
    }
    assert dead
    assert {(line[1], line[-1]) for line in lines} == stored | dead


def test_the_container_is_bagit_and_each_file_is_named_once(bag: Path) -> None:
    there = paths_of(bag)
    assert (bag / "bagit.txt").read_text() == "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
    payload = {path for path in there if path.startswith("data/")}
    assert named_in(bag / "manifest-sha256.txt") == payload
    unsigned = {"SHA256SUMS", "SHA256SUMS.sig"}
    assert named_in(bag / "tagmanifest-sha256.txt") == there - payload - unsigned - {"tagmanifest-sha256.txt"}
    assert named_in(bag / "SHA256SUMS") == there - unsigned
    sizes = sum((bag / path).stat().st_size for path in payload)
    assert f"Payload-Oxum: {sizes}.{len(payload)}\n" in (bag / "bag-info.txt").read_text()


def test_the_same_run_gives_the_same_bytes(bundles: Bundles, tmp_path: Path) -> None:
    os.utime(bundles.whole.path / "journal.jsonl")
    again = make(bundles.whole, into=tmp_path)
    assert again.archive.read_bytes() == bundles.made.archive.read_bytes()
    assert (again.sha256, again.sums_sha256) == (bundles.made.sha256, bundles.made.sums_sha256)


def test_the_commands_of_its_audit_notes_say_that_it_is_sound(bag: Path) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", (bag / "AUDIT.md").read_text(), re.DOTALL)
    assert len(blocks) == 4
    told = [run_shell(block, bag) for block in blocks]
    assert [done.returncode for done in told] == [0, 0, 0, 0], [done.stdout + done.stderr for done in told]
    assert told[0].stdout == "files match\n"
    assert [done.stdout.count("Signature Verified Successfully") for done in told[1:3]] == [1, 2]


def run_shell(block: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """With nothing of this project in reach but the interpreter."""
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    return subprocess.run(
        ["sh", "-ec", block], cwd=folder, env={"PATH": path}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", ["data/replay/summary.json", "data/lineage/leaves.tsv", "report.html"])
def test_an_edited_file_is_found_with_sha256sum_alone(bag: Path, name: str) -> None:
    (bag / name).write_bytes((bag / name).read_bytes() + b" ")
    done = run_shell("sha256sum --check --strict --quiet SHA256SUMS", bag)
    assert done.returncode == 1
    assert name in done.stdout


def test_a_run_whose_files_were_edited_since_is_doubted(bundles: Bundles, tmp_path: Path) -> None:
    path = bundles.whole.path / "samples.csv"
    before = path.read_bytes()
    try:
        path.write_bytes(before + b"\n")
        made = make(bundles.whole, gate_name="smoke", into=tmp_path)
    finally:
        path.write_bytes(before)
    assert list(made.verdict.doubts) == ["samples.csv is not the file that the run's audit entry names"]
    assert made.verdict.outcome is Outcome.INCONCLUSIVE


def test_no_secret_of_the_environment_is_in_any_byte(bundles: Bundles, bag: Path) -> None:
    environment = settings.AUTOCOM
    secrets = {
        getattr(environment, each.name)
        for each in fields(environment)
        if each.name in ("secret_key", "webhook_bearer_key", "webhook_hmac_secret", "log_signing_key")
    }
    pem_body = environment.log_signing_key.splitlines()[1]
    assert all(secrets)
    content = b"".join((bag / path).read_bytes() for path in sorted(paths_of(bag)))
    content += b"".join(path.read_bytes() for path in bundles.whole.path.iterdir())
    for secret in {*secrets, pem_body}:
        assert secret.encode() not in content
    assert b"BEGIN PRIVATE KEY" not in content
    assert settings.BASE_DIR.as_posix().encode() not in content


def test_a_fault_suite_of_another_commit_does_not_count(bundles: Bundles, tmp_path: Path) -> None:
    folder = faults_of(tmp_path / "faults", {**code_of(bundles.whole), "commit": "0" * 40})
    made = make(bundles.whole, faults=folder, into=tmp_path)
    assert "data/faults/faults.json" in made.verdict.missing


def test_a_fault_suite_of_changes_that_no_commit_has_does_not_count(bundles: Bundles, tmp_path: Path) -> None:
    code = code_of(bundles.whole)
    folder = faults_of(tmp_path / "faults", {**code, "is_changed": not code["is_changed"]})
    made = make(bundles.whole, faults=folder, into=tmp_path)
    assert "data/faults/faults.json" in made.verdict.missing
    missing = json.loads((bundles.unpacked(tmp_path, made) / "data/missing.json").read_bytes())
    (why,) = [each["why"] for each in missing if each["path"] == "data/faults/faults.json"]
    assert "did not run on the same code" in why


def test_a_fault_suite_of_this_commit_is_in_it_and_attested(bundles: Bundles, tmp_path: Path) -> None:
    made = make(bundles.whole, faults=faults_of(tmp_path / "faults", code_of(bundles.whole)), into=tmp_path)
    assert list(made.verdict.missing) == []
    facts = {each.metric: each.actual for each in made.verdict.criteria}
    assert {name: facts[f"faults.{name}"] for name in FAULT_FACTS} == FAULT_FACTS
    bag = bundles.unpacked(tmp_path, made)
    assert (bag / "statements/faults.dsse.json").is_file()
    done = subprocess.run(
        [sys.executable, "-I", "verify.py", "."], cwd=bag, env={}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def faults_of(folder: Path, code: dict[str, Any]) -> Path:
    folder.mkdir()
    trials = [("redis-killed", 1, 5_000), ("redis-killed", 2, 5_000), ("redis-killed", 2, 5_000), ("poison", 1, 800)]
    cells = [{"fault": fault, "seed": seed, "planned_count": count, "outcome": "PASS"} for fault, seed, count in trials]
    bugs = [{"bug": "ack before append", "is_caught": False}, {"bug": "no sweeper", "is_caught": True}]
    at = datetime.now(UTC).isoformat()
    told = {**code, "outcome": "PASS", "cells": cells, "planted_bugs": bugs, "started_at": at}
    (folder / "faults.json").write_text(json.dumps(told))
    (folder / "faults.md").write_text("# Fault suite: PASS\n")
    return folder


def test_the_audit_log_names_the_run_with_the_digest_of_each_file(bundles: Bundles) -> None:
    entry = AuditEntry.objects.get(act="replay.run", subject=f"run {bundles.whole.run_id}")
    assert entry.facts["files"] == digests(bundles.whole.path)
    assert set(entry.facts["files"]) == {
        *("journal.jsonl", "samples.csv", "ack.hlog", "summary.json", "environment.json", "receiver.hlog"),
    }
    assert entry.facts["counts"]["lost"] == 0
