"""Receipts out of what people paste or files hold: lines, or the JSON answer of a 202."""

from __future__ import annotations

import json

from autocom.kernel.errors import AutocomError
from ingestion.receipts import VERSION

LINES_LIMIT_COUNT = 10_000


class NoReceipts(AutocomError):
    """There is no receipt to check; the message says what was expected."""

    code = "no_receipts"


def receipt_lines(text: str) -> list[str]:
    """Every line, in order. Raises NoReceipts, also for a line that is something else and for too many."""
    text = text.strip()
    lines = [line.strip() for line in (_of_answers(text) if text.startswith("{") else text).splitlines()]
    lines = [line for line in lines if line]
    if not lines:
        raise NoReceipts(f"a receipt is needed: a line that starts with {VERSION}, or the JSON answer of a 202")
    if len(lines) > LINES_LIMIT_COUNT:
        raise NoReceipts(f"{LINES_LIMIT_COUNT:,} receipts at most can be checked at once, these are {len(lines):,}")
    for number, line in enumerate(lines, start=1):
        if not line.startswith(f"{VERSION} "):
            raise NoReceipts(f"line {number} is no receipt: a receipt starts with {VERSION} and has 9 words")
    return lines


def _of_answers(text: str) -> str:
    """One answer, or one a line."""
    try:
        answers = [json.loads(text)]
    except ValueError:
        try:
            answers = [json.loads(line) for line in text.splitlines() if line.strip()]
        except ValueError as error:
            raise NoReceipts(
                f"this begins like the JSON answer of a 202 with its receipts, and is no JSON: {error}"
            ) from error
    found = [answer.get("receipt") if isinstance(answer, dict) else None for answer in answers]
    if not all(isinstance(each, str) for each in found):
        raise NoReceipts('the JSON answer of a 202 has its receipts under "receipt", a text; this has none')
    return "\n".join(str(each) for each in found)
