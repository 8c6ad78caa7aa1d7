"""The verdict follows from a sealed bundle alone, whoever asks and whenever."""

from __future__ import annotations

import io
import json
import tarfile
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from django.core.management import call_command

from evidence.audit import Actor
from evidence.bundles.export import export
from evidence.gates.judge_bag import judged_bag
from tests.evidence.bundles.conftest import Bundles

pytestmark = pytest.mark.django_db


def gate(*words: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with pytest.raises(SystemExit) as ended, redirect_stdout(out):
        call_command("gate", *words, stderr=err)
    return int(ended.value.code or 0), out.getvalue(), err.getvalue()


def test_the_verdict_judged_from_the_sealed_bundle_alone_is_the_one_in_it(bundles: Bundles, tmp_path: Path) -> None:
    for made in (bundles.made, bundles.made_refused):
        bag = bundles.unpacked(tmp_path, made)
        stored = json.loads((bag / "data/gate/verdict.json").read_bytes())
        assert judged_bag(bag).as_json() == stored == made.verdict.as_json()


def test_the_command_judges_an_archive_or_the_newest_of_the_store(bundles: Bundles) -> None:
    status, out, _ = gate("evaluate", str(bundles.made.archive))
    assert (status, out.splitlines()[-1]) == (1, f"Gate A, version 3, run {bundles.whole.run_id}: FAIL")
    assert out.splitlines()[0].startswith("  FAIL          size of the run")
    export(bundles.refused, actor=Actor.process("test"))
    status, out, _ = gate("evaluate", "--json")
    assert (status, json.loads(out)["run_id"]) == (1, bundles.refused.run_id)


def test_a_bundle_with_another_verdict_in_it_is_refused(bundles: Bundles, tmp_path: Path) -> None:
    bag = bundles.unpacked(tmp_path)
    path = bag / "data/gate/verdict.json"
    path.write_text(path.read_text().replace('"verdict": "FAIL"', '"verdict": "PASS"'))
    with tarfile.open(tmp_path / "forged.tar.gz", "w:gz") as tar:
        tar.add(bag, arcname=bag.name)
    status, _, err = gate("evaluate", str(tmp_path / "forged.tar.gz"))
    assert status == 1
    assert "is not what follows from the bundle's files" in err


@pytest.mark.parametrize("content", [b"", b"no archive"])
def test_what_is_no_archive_is_wrong_usage(bundles: Bundles, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.tar.gz").write_bytes(content)
    assert gate("evaluate", str(tmp_path / "x.tar.gz"))[0] == 2
    assert gate("evaluate", str(tmp_path / "nowhere.tar.gz"))[0] == 2
