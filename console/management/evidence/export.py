from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

from console.management.errors import UsageWrong
from console.management.provider.printing import say, say_json
from evidence.audit import Actor
from evidence.bundles.export import ExportedBundle, export
from evidence.bundles.orders import settle
from evidence.errors import EvidenceError
from evidence.gates.spec import GateUnknown
from evidence.models import BundleOrder
from evidence.runs.folders import LATEST, RunUnknown, run_folder
from ingestion.replay.verdict import Outcome

HELP = "Make the evidence bundle of a replay run. Exit 0: made. 1: failed. 2: wrong usage. 3: made, INCONCLUSIVE."
MADE, FAILED, INCONCLUSIVE = 0, 1, 3


class DiskRefused(EvidenceError):
    """The disk does not take the bundle; nothing was registered."""

    code = "bundle_disk_refused"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--run", default=LATEST, dest="asked", metavar="RUN_ID|FOLDER", help="default: the latest one")
    parser.add_argument("--gate", default="a", help="whose criteria and required files")
    parser.add_argument("--faults", type=Path, help="folder of the fault suite's result; default: EVIDENCE_ROOT/faults")
    parser.add_argument("--out", type=Path, help="put a copy of the archive into this folder")
    parser.add_argument("--by", metavar="NAME", help="who asks, for the audit log; default: who runs this")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    parser.add_argument("--order", type=int, metavar="NUMBER", help="make what the console's order of this number asks")


def run(
    *,
    asked: str,
    gate: str,
    faults: Path | None,
    out: Path | None,
    by: str | None,
    json: bool,
    order: int | None,
    **_: object,
) -> int:
    if order is not None:
        return _settled(order)
    try:
        actor = Actor.command_line(by)
        done = export(run_folder(asked), actor=actor, gate_name=gate, faults=faults, into=out)
    except (RunUnknown, GateUnknown) as error:
        raise UsageWrong(str(error)) from error
    except OSError as error:
        raise DiskRefused(f"{error.strerror} ({error.filename})") from error
    if json:
        say_json(_told(done))
    else:
        say(*_lines(done, out))
    return INCONCLUSIVE if done.made.verdict.outcome is Outcome.INCONCLUSIVE else MADE


def _settled(number: int) -> int:
    try:
        settled = settle(number)
    except BundleOrder.DoesNotExist as error:
        raise UsageWrong(f"--order {number}: there is no such order") from error
    return MADE if settled.state == BundleOrder.State.DONE else FAILED


def _told(done: ExportedBundle) -> dict[str, object]:
    verdict = done.made.verdict
    return {
        "run_id": done.made.run_id,
        "gate": verdict.gate,
        "gate_version": verdict.version,
        "verdict": verdict.outcome.value,
        "missing": list(verdict.missing),
        "doubts": list(verdict.doubts),
        "archive": done.made.archive.name,
        "sha256": done.made.sha256,
        "sums_sha256": done.made.sums_sha256,
        "is_new": done.is_new,
    }


def _lines(done: ExportedBundle, out: Path | None) -> list[str]:
    verdict = done.made.verdict
    where = f", and in {out}" if out else ""
    return [
        f"{done.made.archive.name}, SHA-256 {done.made.sha256}",
        f"in the evidence store{where}{'' if done.is_new else '; the same bytes were there already'}",
        *(f"  missing: {path}" for path in verdict.missing),
        *(f"  doubt: {doubt}" for doubt in verdict.doubts),
        f"Gate {verdict.gate.upper()}, version {verdict.version}: {verdict.outcome.value}",
    ]
