"""A log's folder and the proof of one event, as an auditor holds them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import pytest

from autocom.kernel.merkle import inclusion_path, leaf_hash
from evidence.bundles.verify import CLEAN, UNKNOWN, Report, key_of, main, verify_log, verify_proof
from tests.evidence.verify.sample import NAME, Sample, leaf_of, seal_log, signer
from tests.replay.kit import receipt

KEYS = [key_of(signer().key.vkey)]


@pytest.fixture
def log(sample: Sample) -> Path:
    """A seal for every three leaves."""
    ends = [*range(3, len(sample.lines), 3), len(sample.lines)]
    seal_log(sample, "log", origin=f"{NAME}/events/a1b2c3d4", ends=ends)
    return sample.folder / "log"


def faults(report: Report) -> set[str]:
    return {one.fault for one in report.findings}


def test_a_log_as_it_was_written_has_no_finding(log: Path, sample: Sample) -> None:
    report = verify_log(log, keys=KEYS)
    assert (report.findings, report.told["leaves"]) == ([], len(sample.lines))


def edit(path: Path, old: bytes, new: bytes) -> None:
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))


def swap(one: Path, other: Path) -> None:
    one.rename(one.with_suffix(".aside"))
    other.rename(one)
    one.with_suffix(".aside").rename(other)


def swap_seals(log: Path) -> None:
    for part in ("seals", "segments"):
        swap(log / part / "00000002.txt", log / part / "00000003.txt")


def remove_seal(log: Path) -> None:
    (log / "seals/00000002.txt").unlink()
    (log / "segments/00000002.txt").unlink()


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a line changed": (lambda log: edit(log / "segments/00000002.txt", b"acb1\t", b"acb2\t"), "changed"),
    "a segment gone": (lambda log: (log / "segments/00000002.txt").unlink(), "missing"),
    "a seal and its segment gone": (remove_seal, "gap"),
    "two seals swapped": (swap_seals, "invalid"),
    "the end cut off, the checkpoint left": (lambda log: max((log / "seals").iterdir()).unlink(), "gap"),
    "a seal's link changed": (lambda log: edit(log / "seals/00000002.txt", b"sha256 ", b"sha256 0"), "invalid"),
    "the checkpoint's signature": (lambda log: edit(log / "checkpoint", b"\n13\n", b"\n14\n"), "unsigned"),
    "a stranger": (lambda log: (log / "segments/notes.txt").write_text("?"), "unlisted"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_each_damage_of_a_log_has_its_finding(log: Path, name: str) -> None:
    damage, fault = DAMAGES[name]
    damage(log)
    assert fault in faults(verify_log(log, keys=KEYS))


def test_a_log_sealed_anew_without_a_batch_shows_the_gap_and_is_no_continuation(log: Path, sample: Sample) -> None:
    kept = (log / "seals/00000002.txt").read_text().partition("\n\n")[2]
    assert verify_log(log, keys=KEYS, kept=[kept]).exit_status == CLEAN
    sample.lines.pop(4)
    seal_log(sample, "forged", origin=f"{NAME}/events/a1b2c3d4", ends=[len(sample.lines)])
    forged = verify_log(sample.folder / "forged", keys=KEYS, kept=[kept])
    assert faults(forged) == {"gap", "rewritten"}
    assert "of lane" in next(one.what for one in forged.findings if one.fault == "gap")


def test_a_log_cut_back_to_an_earlier_state_is_known_by_a_later_checkpoint_only(log: Path, sample: Sample) -> None:
    later = (log / "checkpoint").read_text()
    seal_log(sample, "earlier", origin=f"{NAME}/events/a1b2c3d4", ends=[3])
    assert verify_log(sample.folder / "earlier", keys=KEYS).exit_status == CLEAN
    assert verify_log(sample.folder / "earlier", keys=KEYS, kept=[later]).exit_status == UNKNOWN


def proof_text(sample: Sample) -> str:
    """Of the fourth leaf of batch 1, whose number is 6."""
    rows = sorted((row for row in sample.rows if row.batch == 1), key=lambda row: row.sequence)
    hashes, lines = [leaf_hash(leaf_of(row)) for row in rows], [leaf_hash(line) for line in sample.lines]
    log_path = [base64.b64encode(one).decode() for one in inclusion_path(lines, position=1)]
    return "\n".join(
        [
            "autocom-proof/1",
            f"leaf {leaf_of(rows[3]).decode()}",
            "position 3",
            f"leaf_count {len(hashes)}",
            " ".join(["path", *(one.hex() for one in inclusion_path(hashes, position=3))]),
            f"batch {sample.lines[1].decode()}",
            "c2sp.org/tlog-proof@v1",
            "index 1",
            *log_path,
            "",
            (sample.folder / "data/log/checkpoint").read_text(),
        ]
    )


def test_the_proof_of_an_event_holds_and_is_of_its_receipt(original: Sample) -> None:
    report = verify_proof(proof_text(original), keys=KEYS, receipt=receipt(6, 4))
    assert (report.findings, report.told["batch"]) == ([], 1)
    other = verify_proof(proof_text(original), keys=KEYS, receipt=receipt(6, 5))
    assert [(one.fault, one.what) for one in other.findings] == [
        ("recomputed", "sequence is 5 here, and 4 when recomputed")
    ]


def test_every_changed_character_of_a_proof_is_found(original: Sample) -> None:
    text = proof_text(original)
    for at in range(0, len(text), 7):
        changed = text[:at] + ("x" if text[at] != "x" else "y") + text[at + 1 :]
        assert verify_proof(changed, keys=KEYS).findings, text[max(0, at - 20) : at + 20]


def test_a_log_and_a_proof_need_a_key_from_elsewhere(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["log", str(log)]) == 2
    assert "--key" in capsys.readouterr().err
    assert main(["log", str(log), "--key", signer().key.vkey]) == 0
