"""The audit log's chain: its canonical bytes, and what is wrong with a log. Pure: from rows or from exported lines.

What it finds: a changed entry, a gap, a broken link, a head that the entries do not lead to. What no chain can find by
itself: a tail cut off together with its head, or a history written anew from some entry on. For those keep a head
somewhere else and give it as `kept`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from autocom.kernel.canonical_json import NotCanonical, canonical_json
from autocom.kernel.digest import sha256

GENESIS_SHA256 = bytes(32)  # what the first entry names as the one before
FORMAT = "autocom-audit/1"
FINDINGS_LIMIT_COUNT = 100  # told one by one; those beyond are counted


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainEntry:
    """One entry as it is hashed. `entry_sha256` is what is kept beside it, to be compared."""

    number: int
    at: datetime
    act: str
    actor_kind: str
    actor: str
    subject: str
    reason: str
    facts: Mapping[str, object]
    previous_sha256: bytes
    entry_sha256: bytes


@dataclass(frozen=True, slots=True)
class ChainHead:
    """The newest entry, as it is kept apart from the entries. Number 0: none yet."""

    number: int
    entry_sha256: bytes

    def __str__(self) -> str:
        return f"{self.number}:{self.entry_sha256.hex()}"


class Fault(StrEnum):
    CHANGED = "changed"
    MISSING = "missing"
    LINK = "link"
    ORDER = "order"
    HEAD = "head"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, at or before the entry of this number."""

    fault: Fault
    number: int
    what: str


@dataclass(slots=True)
class Verification:
    """What was found. `head` is the newest entry that was read."""

    head: ChainHead = field(default_factory=lambda: ChainHead(0, GENESIS_SHA256))
    entry_count: int = 0
    findings: list[Finding] = field(default_factory=list)
    finding_count: int = 0

    @property
    def is_sound(self) -> bool:
        return self.finding_count == 0

    def add(self, fault: Fault, number: int, what: str) -> None:
        self.finding_count += 1
        if len(self.findings) < FINDINGS_LIMIT_COUNT:
            self.findings.append(Finding(fault, number, what))


def verify(entries: Iterable[ChainEntry | Finding], *, head: ChainHead, kept: ChainHead | None = None) -> Verification:
    """Every entry from the first on, in the order of their numbers. A Finding among them is one that reading made."""
    found = Verification()
    for entry in entries:
        if isinstance(entry, Finding):
            found.add(entry.fault, entry.number, entry.what)
            continue
        _check_content(entry, found)
        _check_place(entry, found)
        if kept is not None and entry.number == kept.number and entry.entry_sha256 != kept.entry_sha256:
            found.add(Fault.CHANGED, entry.number, f"entry {entry.number} is not the one whose digest was kept outside")
        found.entry_count += 1
        found.head = ChainHead(entry.number, entry.entry_sha256)
    _check_end(head, found, named_by="the head")
    if kept is not None and kept.number > max(found.head.number, head.number):
        _check_end(kept, found, named_by="the head kept outside")
    return found


def _check_content(entry: ChainEntry, found: Verification) -> None:
    try:
        digest = sha256(canonical_entry(entry))
    except NotCanonical as error:
        found.add(Fault.CHANGED, entry.number, f"entry {entry.number} was changed: {error}")
        return
    if digest != entry.entry_sha256:
        told = f"its content has the digest {digest.hex()}, beside it stands {entry.entry_sha256.hex()}"
        found.add(Fault.CHANGED, entry.number, f"entry {entry.number} was changed: {told}")


def _check_place(entry: ChainEntry, found: Verification) -> None:
    last, number = found.head, entry.number
    if number > last.number + 1:
        found.add(Fault.MISSING, number, _missing(last.number + 1, number - 1))
    elif number <= last.number:
        found.add(Fault.ORDER, number, f"entry {number} comes after entry {last.number}")
    elif entry.previous_sha256 != last.entry_sha256:
        told = f"it names {entry.previous_sha256.hex()}, but that one is {last.entry_sha256.hex()}"
        found.add(Fault.LINK, number, f"entry {number} does not follow entry {last.number}: {told}")


def _check_end(head: ChainHead, found: Verification, *, named_by: str) -> None:
    last = found.head
    if head.number > last.number:
        found.add(Fault.MISSING, head.number, f"{_missing(last.number + 1, head.number)}: {named_by} names them")
    elif head.number < last.number:
        found.add(Fault.HEAD, last.number, f"{named_by} names entry {head.number}, but there are {last.number}")
    elif head.entry_sha256 != last.entry_sha256:
        told = f"{named_by} has {head.entry_sha256.hex()}, the entry {last.entry_sha256.hex()}"
        found.add(Fault.HEAD, last.number, f"the digest of entry {last.number} differs: {told}")


def _missing(first: int, last: int) -> str:
    return f"entry {first} is missing" if first == last else f"entries {first} to {last} are missing"


def canonical_entry(entry: ChainEntry) -> bytes:
    """What `entry_sha256` is the SHA-256 of. Raises NotCanonical."""
    return canonical_json(entry_object(entry))


def entry_object(entry: ChainEntry) -> dict[str, object]:
    return {
        "act": entry.act,
        "actor": entry.actor,
        "actor_kind": entry.actor_kind,
        "at": entry.at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "facts": entry.facts,
        "format": FORMAT,
        "number": entry.number,
        "previous_sha256": entry.previous_sha256.hex(),
        "reason": entry.reason,
        "subject": entry.subject,
    }
