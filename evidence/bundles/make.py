"""A bundle of a run, from its folder and the rows to the archive."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
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
from evidence.bundles.sealed import wait_until_sealed
from evidence.bundles.statements import SPEC, VERDICT, write_statements
from evidence.gates.evaluate import GateVerdict
from evidence.gates.judge_bag import judged_bag
from evidence.gates.spec import GateSpec, gate
from evidence.log.errors import NoSigningKey
from evidence.log.keys import known_keys, own_signers
from evidence.orders.steps import no_step
from evidence.runs.folders import RunFolder

FORMAT = "autocom-bundle/1"
VERIFIER = Path(__file__).parent / "verify.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeBundle:
    """`archive` is a file; `sha256` is its digest, `sums_sha256` that of the SHA256SUMS inside."""

    archive: Path
    sha256: str
    sums_sha256: str
    run_id: str
    verdict: GateVerdict


def make(
    folder: RunFolder,
    *,
    gate_name: str = "a",
    faults: Path | None = None,
    into: Path,
    on_step: Callable[[str], None] = no_step,
) -> MadeBundle:
    """The bundle's archive in `into`; one of the same content is there already or replaced.

    Seals what is not sealed yet, so it must not be called in a transaction. `on_step` is told what comes next.
    Raises what `on_step` raises, BundleRefused, GateUnknown, OSError, django.db.Error.
    """
    spec, run = gate(gate_name), read_run(folder)
    signer = _signer()
    on_step("sealing the batches of the run")
    wait_until_sealed(run)
    name = f"autocom-{spec.name}-{run.run_id}"
    bag = _empty(settings.AUTOCOM.evidence_root / "making" / name)
    try:
        absent = collect(run, bag, gate_name=spec.name, faults_folder=faults or default_folder(), on_step=on_step)
        on_step("judging what was collected")
        verdict = _judge(bag, spec, absent)
        write_payload_manifest(bag)
        _write_tags(bag, run, spec, verdict, absent)
        write_statements(bag, run, verdict, signer=signer)
        sums = close(bag, signer)
        on_step("packing the archive")
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


def _judge(bag: Path, spec: GateSpec, absent: Mapping[str, str]) -> GateVerdict:
    """`data/gate` and `data/missing.json` are written. The verdict counts every required file that is not there."""
    write(bag / SPEC, spec.text)
    verdict = judged_bag(bag)
    write_json(bag / VERDICT, verdict.as_json())
    listed = sorted({*verdict.missing, *absent})
    write_json(bag / "data/missing.json", [{"path": path, "why": why_missing(absent, path)} for path in listed])
    return verdict


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
