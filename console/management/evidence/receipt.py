"""`evidence receipt`: what became of what was promised."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import Error

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from autocom.kernel.errors import AutocomError
from console.management.errors import UsageWrong
from console.management.provider.printing import iso, say, say_json, told
from evidence.audit import Actor
from evidence.log.proofs import event_proof
from evidence.promises.answer import BROKEN, Answer, Verdict, answers
from evidence.promises.lines import NoReceipts, receipt_lines
from ingestion.accept import receipt_keys
from ingestion.buffer.store import lane_buffer
from ingestion.receipts import VERSION

HELP = (
    "Say what became of a receipt: committed where, sealed where, or promised and missing, which becomes an incident. "
    "Exit 0: every promise is kept and sealed. 1: one is broken (missing, not as promised, not ours). 2: wrong usage. "
    "3: cannot tell, or not yet."
)
KEPT, IS_BROKEN, CANNOT_TELL = 0, 1, 3


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "receipt", nargs="+", help=f"a receipt line ({VERSION} …), a file of them or of the JSON answers of 202s, or -"
    )
    parser.add_argument(
        "--proof", type=Path, metavar="FILE", help="write the proof of the one receipt to this new file"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")


def run(*, receipt: Sequence[str], proof: Path | None, json: bool, **_: object) -> int:
    lines = _lines(receipt)
    if proof is not None and len(lines) != 1:
        raise UsageWrong(f"--proof is of one receipt, these are {len(lines)}")
    found = answers(
        lines,
        keys=receipt_keys(),
        buffer=lane_buffer(),
        lane_count=settings.AUTOCOM.lanes,
        now=datetime_of(us=SYSTEM_CLOCK.now_us()),
        asker=Actor.command_line(),
    )
    if json:
        say_json({"exit": _status(found), "receipts": [answer_json(each) for each in found]})
    else:
        say(*(line for each in found for line in _as_text(each)))
    return _proved(found[0], proof) if proof is not None else _status(found)


def _lines(given: Sequence[str]) -> list[str]:
    """Unquoted, a receipt comes as its words."""
    text = " ".join(given)
    if given[0] == "-":
        text = sys.stdin.buffer.read().decode("utf-8", "replace")
    elif not text.startswith((f"{VERSION} ", "{")):
        text = _read(Path(text))
    try:
        return receipt_lines(text)
    except NoReceipts as error:
        raise UsageWrong(str(error)) from error


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", "replace")
    except (OSError, ValueError) as error:
        raise UsageWrong(f"this is neither a receipt ({VERSION} …) nor a file that can be read: {error}") from error


def _status(found: Sequence[Answer]) -> int:
    verdicts = {answer.verdict for answer in found}
    if verdicts & BROKEN:
        return IS_BROKEN
    return KEPT if verdicts == {Verdict.SEALED} else CANNOT_TELL


def _proved(answer: Answer, path: Path) -> int:
    """The exit code; the proof is written where there is one, and nothing is ever overwritten."""
    if answer.proved_event_id is None:
        sys.stderr.write(f"evidence receipt: no proof was written: {answer.verdict}\n")
        return max(_status([answer]), IS_BROKEN)
    try:
        text = event_proof(answer.proved_event_id).text
    except (AutocomError, Error) as error:
        sys.stderr.write(f"evidence receipt: no proof was written: {error}\n")
        return CANNOT_TELL if _status([answer]) == KEPT else _status([answer])
    try:
        with path.open("x", encoding="utf-8", newline="") as file:
            file.write(text)
    except OSError as error:
        raise UsageWrong(f"the proof cannot be written to a new file: {error}") from error
    return _status([answer])


def _as_text(answer: Answer) -> Iterator[str]:
    name = "receipt" if answer.receipt is None else str(answer.receipt.event_id)
    yield f"{name}  {answer.verdict}: {answer.sentence}"
    if answer.batch is not None and answer.receipt is not None:
        batch, receipt = answer.batch, answer.receipt
        where = f"lane {receipt.lane}, sequence {receipt.sequence}, accepted {iso(datetime_of(us=receipt.accepted_us))}"
        yield f"  committed  {iso(batch.committed_at)}  batch {batch.number}; {where}"
    if answer.sealed_at is not None:
        seal = answer.sealed_at.seal
        place = f"leaf {answer.sealed_at.index} of {seal.incarnation.origin}"
        checkpoint = f"seal {seal.number}, checkpoint of {seal.tree_size} leaves"
        yield f"  sealed     {told(seal.sealed_at, none='')}  {place}; {checkpoint}"


def answer_json(answer: Answer) -> dict[str, Any]:
    receipt, kept, batch, sealed_at = answer.receipt, answer.kept, answer.batch, answer.sealed_at
    return {
        "verdict": answer.verdict.name.lower(),
        "sentence": answer.sentence,
        "event_id": None if receipt is None else str(receipt.event_id),
        "lane": None if receipt is None else receipt.lane,
        "epoch": None if receipt is None else receipt.epoch,
        "sequence": None if receipt is None else receipt.sequence,
        "accepted_at": None if receipt is None else iso(datetime_of(us=receipt.accepted_us)),
        "fate": None if kept is None else kept.fate.value,
        "original_event_id": None if kept is None or kept.original_event_id is None else str(kept.original_event_id),
        "batch": None if batch is None else batch.number,
        "committed_at": None if batch is None else iso(batch.committed_at),
        "log_origin": None if sealed_at is None else sealed_at.seal.incarnation.origin,
        "log_index": None if sealed_at is None else sealed_at.index,
        "seal": None if sealed_at is None else sealed_at.seal.number,
        "checkpoint_size": None if sealed_at is None else sealed_at.seal.tree_size,
    }
