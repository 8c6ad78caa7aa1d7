"""A bundle that is as it was made verifies; whatever is done to it is found, by whom it may be done."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evidence.bundles.verify import (
    CLEAN,
    UNKNOWN,
    Bag,
    Report,
    check_lists,
    check_signature,
    key_of,
    take_stock,
    verify_folder,
    verify_path,
)
from tests.evidence.verify.conftest import run_of
from tests.evidence.verify.sample import Sample, build, finish, pack, signer

SMALL_BYTES = 200
PROGRAM = Path(__file__).parents[3] / "evidence/bundles/verify.py"


def faults(report: Report) -> set[str]:
    return {one.fault for one in report.findings}


def files_report(folder: Path) -> Report:
    """The first part of a verification: files and their signature. The whole finds all that this finds."""
    bag = Bag(folder, Report())
    take_stock(bag)
    check_lists(bag)
    check_signature(bag, [key_of(signer().key.vkey)])
    return bag.report


def edited(sample: Sample, name: str, edit: Callable[[Any], None]) -> None:
    path = sample.folder / name
    told = json.loads(path.read_bytes())
    edit(told)
    path.write_text(json.dumps(told))


def of_no_commit(sample: Sample) -> None:
    """The run and the trials alike: nobody can tell what either ran on."""
    for name in ("environment/environment", "faults/faults"):
        edited(sample, f"data/{name}.json", lambda told: told.get("autocom", told).update(commit="unknown"))


def replaced(sample: Sample, name: str, old: bytes, new: bytes) -> None:
    path = sample.folder / name
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))


def test_a_bundle_as_it_was_made_has_no_finding(original: Sample) -> None:
    report = verify_folder(original.folder, keys=[key_of(signer().key.vkey)])
    assert (report.findings, report.unknown, report.warnings) == ([], [], [])
    assert report.told["verdict"] == "INCONCLUSIVE"
    assert report.told["missing"] == ["data/budget/ledger.csv"]


def test_without_a_key_from_elsewhere_the_reader_is_told_to_compare_it(original: Sample) -> None:
    report = verify_folder(original.folder)
    assert report.exit_status == CLEAN
    assert "--key" in report.warnings[0]
    assert report.told["key"] == signer().key.vkey


def test_the_bundle_of_a_failed_run_verifies_and_says_fail(tmp_path: Path) -> None:
    told, rows = run_of()
    report = verify_folder(build(tmp_path / "bundle", told, rows[1:]).folder)
    assert report.findings == []
    assert report.told["verdict"] == "FAIL"


def test_its_archive_verifies_as_its_folder_does(original: Sample, tmp_path: Path) -> None:
    pack(original.folder, tmp_path / "bundle.tar.gz")
    report = verify_path(tmp_path / "bundle.tar.gz")
    assert report.findings == []
    assert report.told["run"] == original.history.run_id


def test_who_watches_is_told_of_every_byte_and_may_end_it(original: Sample, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    pack(original.folder, tmp_path / "bundle.tar.gz")
    verify_path(tmp_path / "bundle.tar.gz", tell=lambda *each: told.append(each))
    sizes = [path.stat().st_size for path in original.folder.rglob("*") if path.is_file()]
    read = [done for step, done, _ in told if step == "reading each file"]
    assert (len(read), read[-1], sorted(read)) == (len(sizes), sum(sizes), read)
    assert {total for _, _, total in told} == {sum(sizes)}
    assert [step for step, *_ in told][-1] == "recomputing every figure"
    for ended_at in dict.fromkeys(step for step, *_ in told):

        def end(step: str, *_: int, at: str = ended_at) -> None:
            if step == at:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            verify_folder(original.folder, tell=end)


@pytest.mark.parametrize("change", ["flip", "add", "remove"])
def test_one_byte_of_any_file_is_found_by_us_and_by_sha256sum_and_openssl(sample: Sample, change: str) -> None:
    rng = random.Random(change)
    for name in sample.files():
        path = sample.folder / name
        content = path.read_bytes()
        places = {0, max(0, len(content) - 1), rng.randrange(len(content) or 1)}
        for at in sorted(places) if content else ([] if change != "add" else [0]):
            path.write_bytes(with_byte(content, at, change, rng))
            assert files_report(sample.folder).findings, f"{name} at {at}: {change}"
        if content or change == "add":
            assert not is_fine_by_hand(sample.folder), name
        path.write_bytes(content)
    assert is_fine_by_hand(sample.folder)
    assert verify_folder(sample.folder).findings == []


def test_no_damage_stops_the_verification(sample: Sample) -> None:
    """Whatever a file holds, the rest is checked and the file is told of."""
    rng = random.Random(2)
    for name in sample.files():
        path = sample.folder / name
        content = path.read_bytes()
        changed = with_byte(content, rng.randrange(len(content)), "flip", rng) if content else b"\xff"
        for damage in (changed, content[: len(content) // 2] if content else b"x", b'{"a":[1', b"\x00"):
            path.write_bytes(damage)
            told = {one.where for one in verify_folder(sample.folder).findings}
            assert name in told or name == "SHA256SUMS", (name, told)
        path.write_bytes(content)


def with_byte(content: bytes, at: int, change: str, rng: random.Random) -> bytes:
    if change == "remove":
        return content[:at] + content[at + 1 :]
    if change == "add":
        return content[:at] + rng.randbytes(1) + content[at:]
    return content[:at] + bytes([content[at] ^ (1 << rng.randrange(8))]) + content[at + 1 :]


def test_every_byte_of_the_small_files_counts(sample: Sample) -> None:
    rng = random.Random(1)
    for name in sample.files():
        path = sample.folder / name
        content = path.read_bytes()
        for at in range(len(content)) if len(content) <= SMALL_BYTES else ():
            path.write_bytes(with_byte(content, at, "flip", rng))
            assert files_report(sample.folder).findings, f"{name} at {at}"
        path.write_bytes(content)


def is_fine_by_hand(folder: Path) -> bool:
    """What docs/verify.md tells to do, without our software. The key is the one got elsewhere."""
    key = folder.parent / "trusted.pem"
    key.write_bytes(signer().key.pem)
    verify = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", str(key), "-rawin", "-in", "SHA256SUMS"]
    commands = ([*verify, "-sigfile", "SHA256SUMS.sig"], ["sha256sum", "--strict", "--quiet", "-c", "SHA256SUMS"])
    return all(subprocess.run(each, cwd=folder, capture_output=True).returncode == 0 for each in commands)


def test_a_file_added_removed_renamed_or_swapped_is_found(sample: Sample) -> None:
    folder, names = sample.folder, sample.files()
    (folder / "data/more.txt").write_text("more")
    assert ("unlisted", "data/more.txt") in {one[:2] for one in files_report(folder).findings}
    (folder / "data/more.txt").unlink()
    for name, other in zip(names, [*names[1:], names[0]], strict=True):
        path = folder / name
        path.rename(folder / "aside")
        assert {"missing", "unlisted"} <= faults(files_report(folder)) or name in {"SHA256SUMS", "keys/log.vkey"}, name
        (folder / "aside").rename(folder.parent / "aside")
        assert "missing" in faults(files_report(folder)) or name == "keys/log.vkey", name
        if (folder / other).read_bytes() != (folder.parent / "aside").read_bytes():
            shutil.copy(folder / other, path)
            assert files_report(folder).findings, f"{other} in the place of {name}"
        shutil.move(folder.parent / "aside", path)
    assert files_report(folder).findings == []


def test_a_link_in_the_folder_is_found(sample: Sample) -> None:
    target = sample.folder / "data/gate/spec.json"
    target.rename(sample.folder.parent / "spec.json")
    target.symlink_to(sample.folder.parent / "spec.json")
    assert "invalid" in faults(files_report(sample.folder))


def test_whoever_cannot_sign_changes_nothing_unnoticed(sample: Sample) -> None:
    """All digests are made anew, the old signatures are put back."""
    kept = {name: (sample.folder / name).read_bytes() for name in ("SHA256SUMS.sig", "statements/replay.dsse.json")}
    edited(sample, "data/replay/summary.json", lambda told: told.update(lost=0, accepted=220))
    finish(sample)
    for name, content in kept.items():
        (sample.folder / name).write_bytes(content)
    assert {"unsigned", "changed"} <= faults(verify_folder(sample.folder))


def test_a_bundle_signed_anew_with_another_key_is_of_the_wrong_key(sample: Sample) -> None:
    sample.signer = signer(seed=2)
    finish(sample)
    report = verify_folder(sample.folder, keys=[key_of(signer().key.vkey)])
    assert "wrong_key" in faults(report)
    assert sample.signer.key.vkey in next(one.what for one in report.findings if one.where == "SHA256SUMS.sig")


def slower(told: dict[str, Any]) -> None:
    told["ack_ms"]["p95"] += 1


def passing(told: dict[str, Any]) -> None:
    told.update(verdict="PASS", missing=[], doubts=[])


def no_doubt(told: dict[str, Any]) -> None:
    told["criteria"][1].update(outcome="FAIL")


def softer(told: dict[str, Any]) -> None:
    told["criteria"][1]["threshold"] = 500.0


# what is done, and by whoever holds the key: then every digest and every signature is made anew
FORGERIES: dict[str, tuple[Callable[[Sample], object], str, str]] = {
    "p95 + 1": (lambda s: edited(s, "data/replay/summary.json", slower), "recomputed", "ack_ms"),
    "lost": (lambda s: edited(s, "data/replay/summary.json", lambda t: t.update(lost=1)), "recomputed", "lost"),
    "pass": (lambda s: edited(s, "data/gate/verdict.json", passing), "recomputed", "verdict"),
    "outcome": (lambda s: edited(s, "data/gate/verdict.json", no_doubt), "recomputed", "outcome"),
    "threshold": (lambda s: edited(s, "data/gate/spec.json", softer), "recomputed", "criteria"),
    "the run's verdict": (
        lambda s: edited(s, "data/replay/summary.json", lambda t: t.update(verdict="PASS")),
        "recomputed",
        "verdict",
    ),
    "no word of what is missing": (lambda s: s.write("data/missing.json", "[]\n"), "missing", "ledger"),
    "an ack earlier": (
        lambda s: replaced(s, "data/replay/journal.jsonl", b'"ack_ns":11000000', b'"ack_ns":10000000'),
        "recomputed",
        "samples",
    ),
    "a sample": (lambda s: replaced(s, "data/replay/samples.csv", b",True,", b",False,"), "recomputed", "row"),
    "no leaf": (lambda s: cut_line(s, "data/lineage/leaves.tsv", 3), "gap", "leaves"),
    "a bare leaf": (lambda s: bare_leaf(s), "recomputed", "lost"),
    "another event": (lambda s: replaced(s, "data/lineage/leaves.tsv", b"key1", b"key9"), "proof", "hash"),
    "another root": (lambda s: replaced(s, "data/lineage/batches.tsv", b"acb1\t1\t", b"acb1\t9\t"), "proof", "root"),
    "a path": (lambda s: cut_line(s, "data/lineage/proofs.tsv", 0), "missing", "path"),
    "a row": (lambda s: cut_line(s, "data/lineage/extra.tsv", 0), "missing", "row"),
    "a segment": (lambda s: replaced(s, "data/log/segments/00000002.txt", b"acb1\t1", b"acb1\t7"), "changed", "seal"),
    "a seal": (lambda s: (s.folder / "data/log/seals/00000002.txt").unlink(), "gap", "seal"),
    "the log's checkpoint": (lambda s: replaced(s, "data/log/checkpoint", b"\n13\n", b"\n12\n"), "unsigned", "fit"),
    "an audit entry": (
        lambda s: replaced(s, "data/audit/entries.jsonl", b'"os:ann"', b'"os:bob"'),
        "changed",
        "digest",
    ),
    "no audit entry": (lambda s: cut_line(s, "data/audit/entries.jsonl", 1), "gap", "entry"),
    "the last audit entry": (lambda s: cut_line(s, "data/audit/entries.jsonl", 4), "missing", "run"),
    "a cell of the matrix": (
        lambda s: replaced(s, "data/rbac/matrix.csv", b"POST,anonymous,match", b"POST,anonymous,MISMATCH"),
        "recomputed",
        "rbac.mismatches",
    ),
    "no cell of the matrix": (lambda s: s.write("data/rbac/matrix.csv", ""), "recomputed", "rbac.cells"),
    "an old drill": (
        lambda s: edited(s, "data/rollback/drill.json", lambda t: t.update(at="1969-12-30T00:00:00+00:00")),
        "recomputed",
        "rollback.seconds: age",
    ),
    "a slow drill": (
        lambda s: edited(s, "data/rollback/drill.json", lambda t: t.update(seconds=61)),
        "recomputed",
        "rollback.seconds: outcome",
    ),
    "a trial that failed": (
        lambda s: edited(s, "data/faults/faults.json", lambda t: t["cells"][0].update(outcome="FAIL")),
        "recomputed",
        "faults.not_passed",
    ),
    "a matrix of other code": (
        lambda s: edited(s, "data/rbac/summary.json", lambda t: t.update(build="d" * 16)),
        "recomputed",
        "rbac.cells",
    ),
    "a drill of another commit": (
        lambda s: edited(s, "data/rollback/drill.json", lambda t: t.update(commit="d" * 40)),
        "recomputed",
        "rollback.seconds",
    ),
    "a run of no known commit": (lambda s: of_no_commit(s), "recomputed", "faults.kinds"),
    "trials of another commit": (
        lambda s: edited(s, "data/faults/faults.json", lambda t: t.update(commit="d" * 40)),
        "recomputed",
        "faults.kinds",
    ),
    "trials of a changed tree": (
        lambda s: edited(s, "data/faults/faults.json", lambda t: t.update(is_changed=True)),
        "recomputed",
        "faults.kinds",
    ),
    "a fault left out": (
        lambda s: edited(s, "data/faults/faults.json", lambda t: t.update(cells=t["cells"][:2])),
        "recomputed",
        "faults.kinds",
    ),
    "a seed left out": (
        lambda s: edited(s, "data/faults/faults.json", lambda t: t.update(cells=t["cells"][:3])),
        "recomputed",
        "faults.fewest_seeds",
    ),
    "a seed twice": (
        lambda s: edited(s, "data/faults/faults.json", lambda t: t["cells"][0].update(seed=2)),
        "recomputed",
        "faults.fewest_seeds",
    ),
    "a shorter trial": (
        lambda s: edited(s, "data/faults/faults.json", lambda t: t["cells"][0].update(planned_count=4_999)),
        "recomputed",
        "faults.fewest_events",
    ),
    "planted bugs left out": (
        lambda s: edited(s, "data/faults/faults.json", lambda t: t.update(planted_bugs=[])),
        "recomputed",
        "faults.bugs_caught",
    ),
    "a smoke run's figure": (
        lambda s: edited(s, "data/smoke/summary.json", lambda t: t.update(accepted=1)),
        "recomputed",
        "accepted",
    ),
    "another smoke run": (
        lambda s: replaced(s, "data/smoke/journal.jsonl", b'"ack_ns":11000000', b'"ack_ns":10000000'),
        "changed",
        "smoke/journal",
    ),
    "a failed run left out": (lambda s: cut_line(s, "data/gate/runs.csv", 1), "recomputed", "runs.csv"),
    "a specification frozen with another text": (
        lambda s: edited(s, "data/gate/spec.json", lambda t: t.update(title="Another")),
        "recomputed",
        "freeze.entry",
    ),
    "confidence": (
        lambda s: edited(s, "data/gate/verdict.json", lambda t: t["criteria"][1]["at_95"].update(limit=999)),
        "recomputed",
        "at_95",
    ),
    "a consumer's latency": (
        lambda s: replaced(s, "data/latency/consumer.csv", b"2501,12,12\n", b"2501,12,13\n"),
        "recomputed",
        "row",
    ),
    "acks of another run": (
        lambda s: shutil.copy(s.folder / "data/latency/consumer.hlog", s.folder / "data/replay/ack.hlog"),
        "recomputed",
        "histogram",
    ),
}


def cut_line(sample: Sample, name: str, number: int) -> None:
    lines = (sample.folder / name).read_bytes().splitlines(keepends=True)
    (sample.folder / name).write_bytes(b"".join(lines[:number] + lines[number + 1 :]))


def bare_leaf(sample: Sample) -> None:
    """An event is told as one of another run: its hash stays, its line and its row go."""
    path = sample.folder / "data/lineage/leaves.tsv"
    lines = path.read_bytes().splitlines(keepends=True)
    event_id = lines[0].split(b"\t")[-1].strip()
    lines[0] = b"\t".join([*lines[0].split(b"\t")[:3], b"-\n"])
    path.write_bytes(b"".join(lines))
    extra = sample.folder / "data/lineage/extra.tsv"
    extra.write_bytes(b"".join(one for one in extra.read_bytes().splitlines(keepends=True) if event_id not in one))


@pytest.mark.parametrize("name", FORGERIES)
def test_whoever_has_the_key_cannot_change_what_follows_from_the_raw_files(sample: Sample, name: str) -> None:
    forge, fault, word = FORGERIES[name]
    forge(sample)
    finish(sample)
    assert is_fine_by_hand(sample.folder)  # digests and signatures are all as they should be
    findings = verify_folder(sample.folder, keys=[key_of(signer().key.vkey)]).findings
    assert [one for one in findings if one.fault == fault and word in f"{one.where} {one.what}"], findings


def test_a_checkpoint_kept_elsewhere_is_compared(original: Sample, tmp_path: Path) -> None:
    kept = (original.folder / "data/log/checkpoint").read_text()
    report = verify_folder(original.folder, kept=[kept, (original.folder / "data/audit/checkpoint").read_text()])
    assert (report.exit_status, len(report.told["kept"])) == (CLEAN, 2)
    told, rows = run_of()
    other = build(tmp_path / "other", told, rows[:-2])
    assert faults(verify_folder(other.folder, kept=[kept])) == {"rewritten"}
    foreign = kept.replace("events/a1b2c3d4", "events/ffffffff")
    assert verify_folder(original.folder, kept=[foreign]).exit_status == UNKNOWN


@pytest.mark.parametrize("python", ["/usr/bin/python3", shutil.which("python3") or "python3"])
def test_the_file_alone_verifies_in_an_empty_folder_with_an_empty_environment(
    original: Sample, tmp_path: Path, python: str
) -> None:
    if not Path(python).exists():
        pytest.skip(f"{python} is not on this machine")
    shutil.copy(PROGRAM, tmp_path / "verify.py")
    command = [python, "-I", "verify.py", str(original.folder), "--key", signer().key.vkey]
    done = subprocess.run(command, env={}, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("OK: everything fits\n")
    wrong = subprocess.run(
        [*command[:-1], signer(seed=2).key.vkey, "--json"], env={}, cwd=tmp_path, capture_output=True
    )
    assert wrong.returncode == 1
    assert json.loads(wrong.stdout)["findings"][0]["fault"] == "wrong_key"
    assert subprocess.run([*command[:3], "nowhere"], env={}, cwd=tmp_path, capture_output=True).returncode == 2
