"""A bundle of a run, from its folder and the rows to the archive."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from autocom.kernel.signed_note import NoteSigner
from evidence.bundles.archive import pack
from evidence.bundles.bag import close, digest, write_info, write_payload_manifest
from evidence.bundles.collect import collect
from evidence.bundles.errors import BundleRefused
from evidence.bundles.notes import write_notes
from evidence.bundles.parts.faults import default_folder
from evidence.bundles.parts.files import copy, write, write_json
from evidence.bundles.report import write_report
from evidence.bundles.run import Run, read_run
from evidence.bundles.sealed import recorded_digests, wait_until_sealed
from evidence.bundles.statements import SPEC, VERDICT, write_statements
from evidence.gates.evaluate import GateVerdict, evaluate
from evidence.gates.facts import facts_of
from evidence.gates.spec import GateSpec, gate
from evidence.log.errors import NoSigningKey
from evidence.log.keys import known_keys, own_signers
from evidence.runs.finish import digests
from evidence.runs.folders import RunFolder

FORMAT = "autocom-bundle/1"
VERIFIER = Path(__file__).parent / "verify.py"
MADE = frozenset({SPEC, VERDICT})  # required or not, these are written here


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeBundle:
    """`archive` is a file; `sha256` is its digest, `sums_sha256` that of the SHA256SUMS inside."""

    archive: Path
    sha256: str
    sums_sha256: str
    run_id: str
    verdict: GateVerdict


def make(folder: RunFolder, *, gate_name: str = "a", faults: Path | None = None, into: Path) -> MadeBundle:
    """The bundle's archive in `into`; one of the same content is there already or replaced.

    Seals what is not sealed yet, so it must not be called in a transaction.
    Raises BundleRefused, GateUnknown, OSError, django.db.Error.
    """
    spec, run = gate(gate_name), read_run(folder)
    signer = _signer()
    wait_until_sealed(run)
    name = f"autocom-{spec.name}-{run.run_id}"
    bag = _empty(settings.AUTOCOM.evidence_root / "making" / name)
    try:
        absent = collect(run, bag, gate_name=spec.name, faults_folder=faults or default_folder())
        verdict = _judge(bag, run, spec, absent)
        write_payload_manifest(bag)
        _write_tags(bag, run, spec, verdict, absent)
        write_statements(bag, run, verdict, signer=signer)
        sums = close(bag, signer)
        into.mkdir(parents=True, exist_ok=True)
        archive = into / f"{name}.tar.gz"
        _pack(bag, archive, run)
    finally:
        shutil.rmtree(bag, ignore_errors=True)
    return MadeBundle(
        archive=archive, sha256=digest(archive), sums_sha256=sums.hex(), run_id=run.run_id, verdict=verdict
    )


def _signer() -> NoteSigner:
    try:
        return own_signers()[0]
    except NoSigningKey as error:
        raise BundleRefused("LOG_SIGNING_KEY is not set here: a bundle is signed where the log is") from error


def _empty(bag: Path) -> Path:
    shutil.rmtree(bag, ignore_errors=True)  # of one that died here
    bag.mkdir(mode=0o700, parents=True)
    return bag


def _judge(bag: Path, run: Run, spec: GateSpec, absent: Mapping[str, str]) -> GateVerdict:
    """`data/gate` and `data/missing.json` are written. The verdict counts every required file that is not there."""
    write(bag / SPEC, spec.text)
    missing = [path for path in spec.required_files if path not in MADE and not (bag / path).is_file()]
    doubts = [*run.summary["doubts"], *_doubts(run)]
    figures = {**run.summary, **facts_of(bag)}
    verdict = evaluate(spec, figures, missing=missing, doubts=doubts, ended_at=run.ended_at)
    write_json(bag / VERDICT, verdict.as_json())
    listed = sorted(set(missing) | set(absent))
    write_json(bag / "data/missing.json", [{"path": path, "why": why_missing(absent, path)} for path in listed])
    return verdict


def _doubts(run: Run) -> Sequence[str]:
    """What the audit log says of the run's files, which lie in a folder that anybody with a shell could write."""
    recorded, now = recorded_digests(run), digests(run.folder.path)
    changed = sorted(name for name in recorded if recorded[name] != now.get(name))
    return [f"{name} is not the file that the run's audit entry names" for name in changed]


def _write_tags(bag: Path, run: Run, spec: GateSpec, verdict: GateVerdict, absent: Mapping[str, str]) -> None:
    key = _signer().key
    write(bag / "keys/log.pub.pem", key.pem)
    write(bag / "keys/log.vkey", f"{key.vkey}\n")
    write(bag / "keys/earlier.vkeys", "".join(f"{each.vkey}\n" for each in known_keys() if each != key))
    copy(VERIFIER, bag / "verify.py")
    write_notes(bag, verdict, vkey=key.vkey)
    write_report(bag, run, spec, verdict, why={path: why_missing(absent, path) for path in verdict.missing})
    write_info(
        bag,
        {
            "Bagging-Date": run.ended_at.date().isoformat(),
            "Bundle-Format": FORMAT,
            "Commit": run.commit,
            "Gate": spec.name,
            "Gate-Version": str(spec.version),
            "Run-Id": run.run_id,
            "Verdict": verdict.outcome.value,
        },
    )


def why_missing(absent: Mapping[str, str], path: str) -> str:
    return absent.get(path, "nothing makes this file yet")


def _pack(bag: Path, archive: Path, run: Run) -> None:
    """Under another name until it is whole."""
    half = archive.with_name(f"{archive.name}.part")
    pack(bag, half, at=run.ended_at)
    half.rename(archive)
