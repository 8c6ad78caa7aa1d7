"""The commands of docs/verify.md do what they say, and fail where they should."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from evidence.log import names
from tests.evidence.verify.sample import NAME, Sample, finish, seal_log, signer
from tests.evidence.verify.test_log_and_proof import proof_text
from tests.replay.kit import receipt

ROOT = Path(names.__file__).parents[2]
BLOCKS = re.findall(r"```(sh|bash)\n(.*?)```", (ROOT / "docs/verify.md").read_text(), re.DOTALL)
RECEIPT = receipt(6, 4)


def run(number: int, sample: Sample, *, at: Path, told: str = RECEIPT) -> subprocess.CompletedProcess[str]:
    shell, block = BLOCKS[number]
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "KEY": signer().key.vkey,
        "LOG": str(sample.folder.parent / "log"),
        "PROOF": str(sample.folder.parent / "proof.txt"),
        "RECEIPT": told,
        "LC_ALL": "C.UTF-8",
    }
    return subprocess.run([shell, "-ec", block], cwd=at, env=environment, capture_output=True, text=True)


@pytest.fixture
def desk(sample: Sample) -> Path:
    """What an auditor has beside the bundle: key, verifier, log, proof."""
    folder = sample.folder.parent
    (folder / "key.pem").write_bytes(signer().key.pem)
    shutil.copy(ROOT / "evidence/bundles/verify.py", folder / "verify.py")
    (folder / "proof.txt").write_text(proof_text(sample))
    seal_log(sample, "../log", origin=f"{NAME}/events/a1b2c3d4", ends=[len(sample.lines)])
    return folder


def test_all_blocks_are_under_test() -> None:
    assert [shell for shell, _ in BLOCKS] == ["sh", "sh", "sh", "sh", "sh", "bash"]


@pytest.mark.parametrize("number", range(6))
def test_each_block_passes_for_what_is_sound(desk: Path, sample: Sample, number: int) -> None:
    if number == 2:  # the bundle's own copy is the same file
        done = run(number, sample, at=with_verifier(sample))
    else:
        done = run(number, sample, at=sample.folder if number < 2 else desk)
    assert done.returncode == 0, done.stdout + done.stderr


def with_verifier(sample: Sample) -> Path:
    shutil.copy(ROOT / "evidence/bundles/verify.py", sample.folder / "verify.py")
    finish(sample)
    return sample.folder


def test_each_block_fails_for_what_is_not(desk: Path, sample: Sample) -> None:
    other = receipt(6, 5)
    assert run(4, sample, at=desk, told=other).returncode == 1
    assert run(5, sample, at=desk, told=other).returncode == 1
    proof = desk / "proof.txt"
    size = len(sample.lines)
    smaller = (f"\n{size}\n", f"\n{size - 1}\n")
    for old, new in (("email.delivered", "email.opened"), ("acb1\t1\t", "acb1\t2\t"), smaller):
        text = proof_text(sample)
        assert old in text
        proof.write_text(text.replace(old, new))
        assert run(5, sample, at=desk).returncode != 0
    proof.write_text(proof_text(sample))
    assert run(5, sample, at=desk).returncode == 0
    (desk / "log/segments/00000001.txt").write_text("nothing\n")
    assert run(3, sample, at=desk).returncode == 1
    (sample.folder / "more.txt").write_text("more")
    assert run(0, sample, at=sample.folder).returncode == 1
    (sample.folder / "more.txt").unlink()
    (desk / "key.pem").write_bytes(signer(seed=2).key.pem)
    assert run(0, sample, at=sample.folder).returncode == 1
    assert run(1, sample, at=sample.folder).returncode == 1
