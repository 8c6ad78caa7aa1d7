"""An audit log as lines of JSON that can be verified without a database: the head first, then every entry.

An entry's line holds its canonical bytes as they are: what stands between `{"entry":` and `,"entry_sha256":` at its end
is what the digest is the SHA-256 of. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from autocom.kernel.canonical_json import canonical_json
from evidence.audit_chain import ChainEntry, ChainHead, Fault, Finding, entry_object

KINDS = {"number": int, "act": str, "actor_kind": str, "actor": str, "subject": str, "reason": str, "facts": dict}


class NoExport(ValueError):
    """The file is no export of an audit log."""


def export_lines(entries: Iterable[ChainEntry], *, head: ChainHead) -> Iterator[bytes]:
    """Raises NotCanonical for an entry that was changed into something that has no canonical form."""
    yield _head_line(head)
    for entry in entries:
        yield _entry_line(entry)


def read_head(line: bytes) -> ChainHead:
    """Of the first line. Raises NoExport."""
    try:
        found = json.loads(line)["head"]
        head = ChainHead(found["number"], bytes.fromhex(found["entry_sha256"]))
        if type(head.number) is int and _head_line(head) == line:
            return head
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise NoExport('its first line names no head, such as {"head":{"entry_sha256":"…","number":12}}')


def read_entries(lines: Iterable[bytes]) -> Iterator[ChainEntry | Finding]:
    """Of the lines after the first. A line that is not exactly as it was exported becomes a finding."""
    for number, line in enumerate(lines, start=1):
        entry = _entry_of(line)
        yield entry or Finding(Fault.UNREADABLE, number, f"line {number + 1} is not as an export writes it")


def _entry_of(line: bytes) -> ChainEntry | None:
    try:
        found = json.loads(line)
        entry = _entry(found["entry"], entry_sha256=bytes.fromhex(found["entry_sha256"]))
        return entry if _entry_line(entry) == line else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _entry(found: dict[str, Any], *, entry_sha256: bytes) -> ChainEntry:
    for name, kind in KINDS.items():
        if type(found[name]) is not kind:  # not isinstance: true is an int to Python
            raise TypeError(name)
    return ChainEntry(
        **{name: found[name] for name in KINDS},
        at=datetime.fromisoformat(found["at"]),
        previous_sha256=bytes.fromhex(found["previous_sha256"]),
        entry_sha256=entry_sha256,
    )


def _head_line(head: ChainHead) -> bytes:
    return canonical_json({"head": {"entry_sha256": head.entry_sha256.hex(), "number": head.number}}) + b"\n"


def _entry_line(entry: ChainEntry) -> bytes:
    return canonical_json({"entry": entry_object(entry), "entry_sha256": entry.entry_sha256.hex()}) + b"\n"
