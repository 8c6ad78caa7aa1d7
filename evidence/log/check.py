"""Derives everything that is sealed again, from rows, files, signatures and kept checkpoints, and says what differs.

Shares with the sealer only how a line is written. Reads one snapshot of the database; commits and seals may go on.
What it cannot find by itself: a history that was rewritten in rows and files by somebody who has the signing key. For
that give a checkpoint that was kept elsewhere.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import chain

from django.db import connection, transaction

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from autocom.kernel.signed_note import Checkpoint, NoteInvalid, NoteKey, open_note
from evidence.log.check_incarnation import Head, IncarnationCheck
from evidence.log.check_seal import SEALED_WITHIN, shown
from evidence.log.check_standing import check_lanes, check_published
from evidence.log.files import CHECKPOINT, log_folder
from evidence.log.findings import LogCheck, LogFault
from evidence.log.names import LogName
from evidence.log.reads import READ_AT_ONCE_COUNT
from evidence.log.unsealed import unsealed_batches
from evidence.models import LogIncarnation, LogKey, Seal, SealerState
from ingestion.check_batch import check_batches, stray_rows
from ingestion.models import Batch


@dataclass(frozen=True, slots=True)
class Published:
    """What stood on disk: checkpoints with what to call them, and the seals' numbers by incarnation."""

    notes: Sequence[tuple[str, str]]
    seals: Mapping[str, Set[int]]


def check_logs(*, kept: Sequence[str] = (), rows: bool = True) -> LogCheck:
    """Everything. `kept`: checkpoints (signed notes) from elsewhere. `rows`: also each event against its batch's root.

    Raises django.db.Error.
    """
    found = LogCheck()
    published = Published(list(_published_notes()), _seal_files())  # before the snapshot, which then must have them
    with transaction.atomic():
        with connection.cursor() as cursor:
            if not connection.savepoint_ids:  # nobody else's transaction
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        _check(found, kept=kept, published=published, rows=rows)
    return found


def _check(found: LogCheck, *, kept: Sequence[str], published: Published, rows: bool) -> None:
    keys = _keys(found)
    notes = [*((note, "the checkpoint kept elsewhere") for note in kept), *published.notes]
    heads = [head for note, told_by in notes if (head := _head_of(note, told_by, keys, found)) is not None]
    incarnations = list(LogIncarnation.objects.order_by("id"))
    for incarnation in incarnations:
        own = [head for head in heads if head.checkpoint.origin == incarnation.origin]
        IncarnationCheck(incarnation, heads=own, files=published.seals[incarnation.token], found=found).run(keys)
    known = {incarnation.origin for incarnation in incarnations}
    for head in heads:
        if head.checkpoint.origin not in known:
            what = f"{head.told_by} is of a log that the database does not know"
            found.add(LogFault.MISSING, head.checkpoint.origin, what)
    _check_starts(incarnations, found)
    check_published(incarnations, found)
    check_lanes(found)
    _check_lateness(found)
    if rows:
        _check_rows(found)


def _keys(found: LogCheck) -> list[NoteKey]:
    """Every key that ever signed; one that cannot be read is a finding, and what it signed another."""
    keys = []
    for vkey in LogKey.objects.values_list("vkey", flat=True):
        try:
            keys.append(NoteKey.parse(vkey))
        except NoteInvalid as error:
            found.add(LogFault.INVALID, "log key", str(error))
    return keys


def _published_notes() -> Iterator[tuple[str, str]]:
    for log in LogName:
        folder = log_folder(log)
        for path in sorted(folder.glob(f"*/{CHECKPOINT}")):
            yield path.read_text(encoding="utf-8", errors="replace"), f"the published checkpoint {shown(path)}"


def _seal_files() -> dict[str, set[int]]:
    """By incarnation the numbers of its seals' files."""
    found: dict[str, set[int]] = defaultdict(set)
    for log in LogName:
        for path in log_folder(log).glob("*/seals/*.txt"):
            if path.stem.isdigit():
                found[path.parts[-3]].add(int(path.stem))
    return found


def _head_of(note: str, told_by: str, keys: Sequence[NoteKey], found: LogCheck) -> Head | None:
    """The checkpoint, where one of our keys signed it."""
    try:
        opened = open_note(note)
        checkpoint = Checkpoint.parse(opened.text)
        if opened.signed_by(keys):
            return Head(checkpoint, told_by)
        found.add(LogFault.INVALID, checkpoint.origin, f"{told_by} is signed by no key of this log")
    except NoteInvalid as error:
        found.add(LogFault.INVALID, "checkpoint", f"{told_by}: {error}")
    return None


def _check_starts(incarnations: Sequence[LogIncarnation], found: LogCheck) -> None:
    """A later incarnation names the head of the one before it, which must still be there."""
    for incarnation in incarnations:
        words = incarnation.start_line.split("\t")
        if len(words) != 6 or (words[1], words[5]) != (incarnation.origin, str(incarnation.first_number)):
            found.add(LogFault.CHANGED, incarnation.origin, "its start line is not its own")
            continue
        origin, size, root = words[2:5]
        if origin == "-":
            continue
        before = Seal.objects.filter(incarnation__origin=origin, tree_size=int(size)).first()
        if before is None:
            found.add(LogFault.MISSING, incarnation.origin, f"it follows {origin} at {size} leaves, which is not there")
        elif bytes(before.root).hex() != root:
            found.add(LogFault.CHANGED, incarnation.origin, f"it follows another root of {origin} at {size} leaves")


def _check_lateness(found: LogCheck) -> None:
    now = datetime_of(us=SYSTEM_CLOCK.now_us())
    state = SealerState.objects.filter(log=LogName.EVENTS).first()
    why = state.refused_why if state else ""
    waiting = next(unsealed_batches(SealerState()), None)  # from the first on: a forged one may have any number
    if waiting is not None and now - waiting.committed_at > SEALED_WITHIN:
        seconds = int((now - waiting.committed_at).total_seconds())
        what = f"batch {waiting.number} was committed {seconds} s ago and is not sealed{f': {why}' if why else ''}"
        found.add(LogFault.UNSEALED_LATE, f"log {LogName.EVENTS}", what)
    elif why:
        found.add(LogFault.GAP, f"log {LogName.EVENTS}", f"the sealer stands still: {why}")


def _check_rows(found: LogCheck) -> None:
    """Each event against the root of its batch, and what it holds against the bodies."""
    for finding in chain(check_batches(_counted(found)), stray_rows()):
        found.add(LogFault(finding.fault), finding.where, finding.what)


def _counted(found: LogCheck) -> Iterator[Batch]:
    for batch in Batch.objects.order_by("number").iterator(READ_AT_ONCE_COUNT):
        found.batch_count += 1
        yield batch
