"""manage.py provider verify-stored REQUEST_ID"""

from __future__ import annotations

import json as json_module
import sys
from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.db import Error

from autocom.kernel.clock import datetime_of
from ingestion.verify_stored import Outcome, StoredVerdict, verify_stored

HELP = (
    "Verify the signature of a stored delivery again, as of the moment it was received. "
    "Exit 0: it holds. 1: it does not, and why. 2: the text can be no id. 3: a part that is needed is missing."
)
EXIT_STATUS = {Outcome.VERIFIED: 0, Outcome.NOT_VERIFIED: 1, Outcome.INCONCLUSIVE: 3}
BAD_ID, CANNOT_ASK = 2, 3


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("request_id", help="the request id of the answer, or an event id of the delivery")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")


def run(*, request_id: str, json: bool = False, **_: Any) -> int:
    try:
        verdict = verify_stored(UUID(request_id))
    except ValueError:
        sys.stderr.write("provider verify-stored: the id must be 32 hexadecimal digits, with or without hyphens\n")
        return BAD_ID
    except Error as error:
        sys.stderr.write(f"provider verify-stored: PostgreSQL cannot be asked: {type(error).__name__}\n")
        return CANNOT_ASK
    sys.stdout.write(_as_json(verdict) if json else _as_text(verdict))
    return EXIT_STATUS[verdict.outcome]


def _as_text(verdict: StoredVerdict) -> str:
    lines = [f"request {verdict.request_id}"]
    if verdict.received_us is not None:
        lines[0] += f"  provider {verdict.provider}  received {_moment(verdict)}"
        lines.append(f"body {verdict.body_bytes:,} bytes  SHA-256 {verdict.body_sha256}")
    lines.append(f"{verdict.outcome.value.replace('_', ' ').upper()}: {_printable(verdict.why)}")
    if verdict.not_checked and verdict.outcome is Outcome.VERIFIED:
        lines.append(f"not checked: {verdict.not_checked}")
    return "\n".join(lines) + "\n"


def _as_json(verdict: StoredVerdict) -> str:
    found = {
        "request_id": str(verdict.request_id),
        "outcome": verdict.outcome.value,
        "why": verdict.why,
        "provider": verdict.provider,
        "scheme": verdict.scheme,
        "received_at": _moment(verdict) or None,
        "body_bytes": verdict.body_bytes,
        "body_sha256": verdict.body_sha256 or None,
        "secret": verdict.secret or None,
        "not_checked": verdict.not_checked or None,
    }
    return json_module.dumps(found, indent=2) + "\n"


def _moment(verdict: StoredVerdict) -> str:
    return "" if verdict.received_us is None else datetime_of(us=verdict.received_us).isoformat(timespec="microseconds")


def _printable(text: str) -> str:
    """What somebody wrote into the database must not steer the terminal."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
