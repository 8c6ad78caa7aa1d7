from __future__ import annotations

import re
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from console.actions.operator import Operator
from console.actions.verify_bundle import own_keys, verify_artifact, verify_file
from console.management.errors import UsageWrong
from console.management.provider.printing import say
from evidence.bundles.verify import Key, Report, as_json, as_text, key_of
from evidence.store.reads import artifact_of

HELP = (
    "Verify an evidence bundle: files, signatures, log and lineage, and every figure recomputed from its raw files. "
    "Exit 0: everything fits. 1: findings. 2: wrong usage. 3: nothing is wrong, and not everything could be checked."
)


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("bundle", metavar="PATH|SHA256", help="folder, archive, or the digest of one in the store")
    parser.add_argument(
        "--key", action="append", default=[], help="verifier key or PEM file; default: the keys that signed here"
    )
    parser.add_argument("--kept", action="append", default=[], type=Path, help="file of a checkpoint kept elsewhere")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")


def run(*, bundle: str, key: list[str], kept: list[Path], json: bool, **_: object) -> int:
    keys = [_key(text) for text in key] or own_keys()
    if not keys:
        raise UsageWrong(
            "nothing was ever signed here, so no key is known: give the one that must have signed by --key"
        )
    report = _verified(bundle, keys=keys, kept=[_text(path) for path in kept])
    say(as_json(report) if json else as_text(report))
    return report.exit_status


def _verified(bundle: str, *, keys: Sequence[Key], kept: Sequence[str]) -> Report:
    operator, path = Operator.command_line(None), Path(bundle)
    if re.fullmatch("[0-9a-f]{64}", bundle) and not path.exists():
        return verify_artifact(operator, artifact_of(bundle), keys=keys, kept=kept)
    try:
        return verify_file(operator, path, keys=keys, kept=kept)
    except OSError as error:
        raise UsageWrong(f"{path} cannot be read: {error.strerror}") from None


def _key(text: str) -> Key:
    path = Path(text)
    try:
        return key_of(path.read_text() if path.is_file() else text)
    except (OSError, ValueError) as error:
        raise UsageWrong(f"--key {text[:80]}: {error}") from None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, ValueError) as error:
        raise UsageWrong(f"--kept {path}: {error}") from None
