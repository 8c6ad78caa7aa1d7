from __future__ import annotations

import re
import shutil
import tarfile
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from console.management.errors import UsageWrong
from console.management.provider.printing import say, say_json
from evidence.bundles.parts.files import json_text
from evidence.errors import EvidenceError
from evidence.gates.evaluate import GateCriterion, GateVerdict
from evidence.gates.judge_bag import VERDICT, judged_bag
from evidence.models import Bundle
from evidence.store import open_artifact
from ingestion.replay.verdict import Outcome

HELP = (
    "Judge a bundle again, from its files alone. Exit 0: PASS. 1: FAIL, or another verdict than the one in it. "
    "2: wrong usage. 3: INCONCLUSIVE."
)
EXIT = {Outcome.PASS: 0, Outcome.FAIL: 1, Outcome.INCONCLUSIVE: 3}


class VerdictDiffers(EvidenceError):
    """The verdict that is kept in a bundle is not the one that follows from its files."""

    code = "verdict_differs"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "bundle", nargs="?", metavar="ARCHIVE|SHA256", help="default: the newest bundle in the evidence store"
    )
    parser.add_argument("--json", action="store_true", help="print the verdict as one JSON object")


def run(*, bundle: str | None, json: bool, **_: object) -> int:
    with TemporaryDirectory(prefix="autocom-gate-") as scratch:
        verdict = _judged(_unpacked(bundle, Path(scratch)))
    if json:
        say_json(verdict.as_json())
    else:
        say(*verdict_lines(verdict))
    return EXIT[verdict.outcome]


def _judged(bag: Path) -> GateVerdict:
    verdict = judged_bag(bag)
    if (bag / VERDICT).read_text(encoding="utf-8") != json_text(verdict.as_json()):
        raise VerdictDiffers(
            f"{VERDICT} is not what follows from the bundle's files: `manage.py evidence verify` says more"
        )
    return verdict


def _unpacked(asked: str | None, scratch: Path) -> Path:
    try:
        archive = _archive(asked, scratch)
        with tarfile.open(archive) as tar:
            tar.extractall(scratch / "bag", filter="data")
        (bag,) = (scratch / "bag").iterdir()
    except (tarfile.TarError, OSError, ValueError) as error:
        raise UsageWrong(f"{asked or 'the newest bundle'} is no bundle's archive: {error}") from error
    return bag


def _archive(asked: str | None, scratch: Path) -> Path:
    if asked and not re.fullmatch("[0-9a-f]{64}", asked):
        return Path(asked)
    archive = scratch / "bundle.tar.gz"
    with open_artifact(asked or _newest()) as source, archive.open("wb") as target:
        shutil.copyfileobj(source, target)
    return archive


def _newest() -> str:
    newest = Bundle.objects.order_by("-made_at").first()
    if newest is None:
        raise UsageWrong("there is no bundle in the evidence store: `manage.py evidence export` makes one")
    return str(newest.artifact_id)


def verdict_lines(verdict: GateVerdict) -> Iterator[str]:
    """What decides first."""
    order = {Outcome.FAIL: 0, Outcome.INCONCLUSIVE: 1, Outcome.PASS: 2}
    for each in sorted(verdict.criteria, key=lambda one: order[one.outcome]):
        yield _criterion_line(each)
    yield from (f"  missing: {path}" for path in verdict.missing)
    yield from (f"  doubt: {doubt}" for doubt in verdict.doubts)
    yield f"Gate {verdict.gate.upper()}, version {verdict.version}, run {verdict.run_id}: {verdict.outcome.value}"


def _criterion_line(criterion: GateCriterion) -> str:
    actual = "UNKNOWN" if criterion.actual is None else f"{criterion.actual:g}"
    target = f"{criterion.operator} {criterion.threshold:g} {criterion.unit}"
    more = f"; {criterion.reason}" if criterion.reason else ""
    if criterion.at_95 is not None:
        more += f"; {'holds' if criterion.at_95.holds else 'does not hold'} with 95% confidence"
    return f"  {criterion.outcome.value:<13} {criterion.name:<28} {actual} ({target}){more}"
