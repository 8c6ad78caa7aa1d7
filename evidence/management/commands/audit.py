"""`manage.py audit verify|export`: what the audit log says, and whether anybody changed it or what is sealed."""

from __future__ import annotations

import argparse
import hashlib
import json as json_text
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, override

from django.core.management.base import CommandParser
from django.db import Error

from autocom.kernel.canonical_json import NotCanonical
from evidence.audit_chain import ChainHead, Verification, verify
from evidence.audit_export import NoExport, export_lines, read_entries, read_head
from evidence.log.check import check_logs
from evidence.log.findings import LogCheck
from evidence.selectors import audit_log, audit_verification
from ingestion.management.with_examples import WithExamples

DONE, UNSOUND, WRONG_USAGE, INCONCLUSIVE = 0, 1, 2, 3


class Command(WithExamples):
    help = (
        "Verify or export the audit log. verify also derives the sealed logs again: rows, files, signatures."
        " Exit 0: nothing was found. 1: something does not fit, and what. 2: wrong usage. 3: nothing to verify, or"
        " PostgreSQL cannot be asked."
    )
    examples = (
        "audit verify",
        "audit verify --kept 120:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "audit export --out audit.jsonl",
    )
    requires_system_checks = ()

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
        check = _verb(verbs, "verify", "Check every entry, link and head, and all that is sealed.")
        check.add_argument("--file", type=Path, help="an export, checked without a database")
        check.add_argument("--kept", type=kept_head, metavar="NUMBER:SHA256", help="a head that was kept outside")
        check.add_argument(
            "--checkpoint",
            type=Path,
            action="append",
            default=[],
            metavar="FILE",
            help="a signed checkpoint that was kept outside; may be given several times",
        )
        check.add_argument("--chain-only", action="store_true", help="the audit log's chain alone, nothing sealed")
        check.add_argument("--no-rows", action="store_true", help="sealed lines and files, but not each event's row")
        check.add_argument("--json", action="store_true", help="print one JSON object instead of text")
        out = _verb(verbs, "export", "Write the whole log as lines of JSON, with every digest.")
        out.add_argument("--out", type=Path, required=True, help="a new file; nothing is overwritten")

    @override
    def handle(self, *, verb: str, **options: Any) -> None:
        try:
            sys.exit(self._verify(**options) if verb == "verify" else self._export(options["out"]))
        except (OSError, NoExport) as error:
            told = error.strerror if isinstance(error, OSError) else error
            name = error.filename if isinstance(error, OSError) else options.get("file") or options.get("out")
            self.stderr.write(f"audit {verb}: {name}: {told}")
            sys.exit(WRONG_USAGE)
        except NotCanonical as error:
            self.stderr.write(f"audit {verb}: an entry was changed ({error}): `manage.py audit verify` says which")
            sys.exit(UNSOUND)
        except Error as error:
            self.stderr.write(f"audit {verb}: PostgreSQL cannot be asked: {str(error).partition('\n')[0]}")
            sys.exit(INCONCLUSIVE)

    def _verify(
        self,
        *,
        file: Path | None,
        kept: ChainHead | None,
        checkpoint: Sequence[Path],
        chain_only: bool,
        no_rows: bool,
        json: bool,
        **_: object,
    ) -> int:
        notes = [path.read_text(encoding="utf-8") for path in checkpoint]
        found = audit_verification(kept=kept) if file is None else verified_file(file, kept=kept)
        logs = None if chain_only or file is not None else check_logs(kept=notes, rows=not no_rows)
        self.stdout.write(as_json(found, logs) if json else as_text(found, logs))
        return exit_status(found, logs)

    def _export(self, path: Path) -> int:
        with open(path, "xb", opener=_private) as file:
            try:
                head, digest = _written(file)
            except BaseException:
                path.unlink()  # half an export must not pass for one
                raise
        self.stdout.write(f"{head.number} entries in {path}, SHA-256 {digest}\nhead {head}")
        return DONE if head.number else INCONCLUSIVE


def _written(file: BinaryIO) -> tuple[ChainHead, str]:
    digest = hashlib.sha256()
    with audit_log() as (head, entries):
        for line in export_lines(entries, head=head):
            file.write(line)
            digest.update(line)
    return head, digest.hexdigest()


def _private(path: str, flags: int) -> int:
    """For its owner alone: the log names people."""
    return os.open(path, flags, 0o600)


def verified_file(path: Path, *, kept: ChainHead | None) -> Verification:
    """Raises OSError, NoExport."""
    with path.open("rb") as file:
        head = read_head(file.readline())
        return verify(read_entries(file), head=head, kept=kept)


def kept_head(text: str) -> ChainHead:
    number, _, digest = text.partition(":")
    try:
        head = ChainHead(int(number), bytes.fromhex(digest))
    except ValueError:
        head = None
    if head is None or head.number < 1 or len(head.entry_sha256) != hashlib.sha256().digest_size:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no head: write number and digest as `audit verify` printed them, such as 12:5df6…"
        )
    return head


def exit_status(found: Verification, logs: LogCheck | None = None) -> int:
    if not found.is_sound or (logs is not None and not logs.is_sound):
        return UNSOUND
    return DONE if found.entry_count else INCONCLUSIVE


def as_text(found: Verification, logs: LogCheck | None = None) -> str:
    lines = [f"! {finding.what}" for finding in found.findings]
    if found.finding_count > len(found.findings):
        lines.append(f"! and {found.finding_count - len(found.findings)} more")
    if logs is not None:
        lines += _log_lines(logs)
    verdict = {DONE: "PASS", UNSOUND: "FAIL", INCONCLUSIVE: "INCONCLUSIVE"}[exit_status(found, logs)]
    if not found.entry_count and found.is_sound:
        lines.append(f"{verdict}: the audit log is empty")
        return "\n".join(lines)
    finding_count = found.finding_count + (logs.finding_count if logs else 0)
    lines.append(f"{verdict}: {found.entry_count} entries read, {finding_count} findings")
    lines.append(f"head {found.head}")
    if found.is_sound:
        lines.append("keep this line elsewhere: only `--kept` with it finds a tail cut off or a history written anew")
    return "\n".join(lines)


def _log_lines(logs: LogCheck) -> Iterator[str]:
    for finding in logs.findings:
        yield f"! {finding.fault}: {finding.where}: {finding.what}"
    if logs.finding_count > len(logs.findings):
        yield f"! and {logs.finding_count - len(logs.findings)} more"
    if logs.seal_count:
        yield f"sealed: {logs.leaf_count} leaves in {logs.seal_count} seals, rows of {logs.batch_count} batches read"
    for head in logs.heads:
        yield f"log {head}"


def as_json(found: Verification, logs: LogCheck | None = None) -> str:
    verdict = {DONE: "PASS", UNSOUND: "FAIL", INCONCLUSIVE: "INCONCLUSIVE"}[exit_status(found, logs)]
    told = {
        "verdict": verdict,
        "entry_count": found.entry_count,
        "finding_count": found.finding_count + (logs.finding_count if logs else 0),
        "findings": [{"fault": each.fault, "number": each.number, "what": each.what} for each in found.findings],
        "head": {"number": found.head.number, "entry_sha256": found.head.entry_sha256.hex()},
        "logs": None if logs is None else _log_json(logs),
    }
    return json_text.dumps(told, indent=2)


def _verb(verbs: Any, name: str, said: str) -> CommandParser:
    parser: CommandParser = verbs.add_parser(name, help=said, description=said)
    return parser


def _log_json(logs: LogCheck) -> dict[str, Any]:
    return {
        "leaf_count": logs.leaf_count,
        "seal_count": logs.seal_count,
        "batch_count": logs.batch_count,
        "heads": logs.heads,
        "findings": [{"fault": each.fault, "where": each.where, "what": each.what} for each in logs.findings],
    }
