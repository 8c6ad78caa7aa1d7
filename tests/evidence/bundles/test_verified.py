"""Bundles of real runs under the stand-alone verifier."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import pytest
from django.core.management import call_command

from evidence.bundles.verify import Key, verify_folder, verify_path
from evidence.log.keys import known_keys
from evidence.models import AuditEntry
from tests.evidence.bundles.conftest import Bundles
from tests.evidence.verify.sample import signer

pytestmark = pytest.mark.django_db


def keys() -> list[Key]:
    return [Key(key.name, key.public) for key in known_keys()]


def test_the_bundle_of_a_real_run_has_no_finding(bundles: Bundles) -> None:
    report = verify_path(bundles.made.archive, keys=keys())
    assert (report.findings, report.unknown, report.warnings) == ([], [], [])
    assert report.told["verdict"] == "FAIL"  # by its size
    assert report.told["archive_sha256"] == bundles.made.sha256


def test_the_bundle_of_a_refused_run_has_no_finding_and_says_fail(bundles: Bundles) -> None:
    report = verify_path(bundles.made_refused.archive, keys=keys())
    assert (report.findings, report.told["verdict"]) == ([], "FAIL")


def test_one_byte_of_each_file_of_a_real_bundle_is_found(bundles: Bundles, tmp_path: Path) -> None:
    bag = bundles.unpacked(tmp_path)
    for path in sorted(path for path in bag.rglob("*") if path.is_file() and path.stat().st_size):
        content = path.read_bytes()
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
        assert verify_folder(bag, keys=keys()).findings, path
        path.write_bytes(content)
    assert verify_folder(bag, keys=keys()).findings == []


def verify(*words: str) -> tuple[int, str]:
    """`manage.py evidence verify`: its exit status and what it printed."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out), pytest.raises(SystemExit) as ended:
        call_command("evidence", "verify", *words, stderr=out)
    return int(str(ended.value.code)), out.getvalue()


def test_the_command_says_what_is_wrong_and_is_on_record(bundles: Bundles, tmp_path: Path) -> None:
    status, told = verify(str(bundles.made.archive))
    assert (status, told.splitlines()[-1]) == (0, "OK: everything fits")
    bag = bundles.unpacked(tmp_path)
    (bag / "data/replay/summary.json").write_bytes(b"{}")
    status, told = verify(str(bag), "--json")
    faults = {one["fault"] for one in json.loads(told)["findings"]}
    assert status == 1
    assert {"changed", "invalid"} <= faults
    entries = list(AuditEntry.objects.filter(act="bundle.verified").order_by("number"))[-2:]
    assert [entry.facts["exit_status"] for entry in entries] == [0, 1]
    assert entries[1].facts["findings"]["changed"] >= 1


def test_the_command_takes_another_key_and_refuses_what_is_none(bundles: Bundles) -> None:
    status, told = verify(str(bundles.made.archive), "--key", signer(seed=9).key.vkey)
    assert status == 1
    assert "wrong_key" in told
    assert verify(str(bundles.made.archive), "--key", "nonsense")[0] == 2
    assert verify("nowhere.tar.gz")[0] == 2
    assert verify("0" * 64)[0] in (1, 2)
