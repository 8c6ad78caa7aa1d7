"""What stands beside the history and must fit it: the published checkpoints, and how far each lane has come."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Max

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from autocom.kernel.signed_note import Checkpoint, NoteInvalid, open_note
from evidence.log.check_seal import SEALED_WITHIN
from evidence.log.files import published_note
from evidence.log.findings import LogCheck, LogFault
from evidence.log.reads import last_of
from evidence.models import LogIncarnation
from ingestion.models import Batch, Lane

EVERY_MOVE_HAS_A_BATCH = 2  # the leaf format since which a cursor never moves without a batch


def check_published(incarnations: Iterable[LogIncarnation], found: LogCheck) -> None:
    """A checkpoint is there, and of the newest tree: witnesses see no other. One that says more is found elsewhere."""
    settled_before = datetime_of(us=SYSTEM_CLOCK.now_us()) - SEALED_WITHIN
    for incarnation in incarnations:
        last = last_of(incarnation)
        if last is None or last.sealed_at > settled_before:  # a younger one may be on its way
            continue
        note = published_note(incarnation)
        if not note:
            found.add(LogFault.MISSING, incarnation.origin, "its published checkpoint is missing")
            continue
        try:
            size = Checkpoint.parse(open_note(note).text).size
        except NoteInvalid:
            continue  # told where its signature is checked
        if size < last.tree_size:
            what = f"its published checkpoint has {size} leaves, the log {last.tree_size}: an older one was put back"
            found.add(LogFault.CHANGED, incarnation.origin, what)


def check_lanes(found: LogCheck) -> None:
    """Each cursor is where the lane's newest batch ended. Before leaf format 2 it may have moved on without a batch."""
    cursors = {lane.number: (lane.epoch, lane.cursor) for lane in Lane.objects.all()}
    for number, epoch in Batch.objects.order_by("lane").values_list("lane").annotate(Max("epoch")):
        where = f"lane {number}"
        if number not in cursors:
            found.add(LogFault.MISSING, where, "it has batches, and its cursor is gone")
            continue
        own_epoch, cursor = cursors[number]
        if own_epoch < epoch:
            found.add(LogFault.CHANGED, where, f"its cursor is of epoch {own_epoch}, its batches are of {epoch}")
            continue
        ended = Batch.objects.filter(lane=number, epoch=own_epoch).aggregate(end=Max("last_sequence"))["end"]
        formats = Batch.objects.filter(lane=number, epoch=own_epoch, leaf_format__gte=EVERY_MOVE_HAS_A_BATCH)
        if cursor < (ended or 0) or (cursor > (ended or 0) and (ended is None or formats.exists())):
            what = f"its cursor is {cursor}, its batches of epoch {own_epoch} end at {ended or 0}"
            found.add(LogFault.CHANGED, where, what)
