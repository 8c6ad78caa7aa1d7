"""One step of a log's growth: what is committed becomes leaves, a segment, a seal and a signed checkpoint.

The only writer of the logs. It takes no lock that a commit waits for; two of it at once cannot be: the second finds the
lease taken and goes. Killed anywhere, the next one goes on: before COMMIT nothing happened, after it the files follow.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import connection, transaction

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from autocom.kernel.digest import sha256
from autocom.kernel.merkle import Frontier, leaf_hash
from autocom.kernel.signed_note import Checkpoint, NoteInvalid, NoteSigner, open_note, signed_note
from evidence.audit import Act, Actor, record
from evidence.log.errors import SealingRefused
from evidence.log.files import (
    CHECKPOINT,
    CURRENT,
    log_folder,
    move,
    publish,
    published_note,
    segment_path,
    segment_text,
    stage,
)
from evidence.log.keys import own_signers, remember
from evidence.log.lines import StartLine
from evidence.log.names import LogName
from evidence.log.reads import START_COUNT, current_incarnation, last_of
from evidence.log.seal_text import SealText, moment_text
from evidence.log.unsealed import Leaf, unsealed
from evidence.models import LogIncarnation, Seal, SealedBatch, SealerState
from ingestion.models import Batch

LEAVES_AT_ONCE_COUNT = 5_000
LEASE = {LogName.EVENTS: 0x6163_6501, LogName.AUDIT: 0x6163_6502}  # advisory locks, for the length of the transaction
SEALER = Actor.process("sealer")

log_ = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SealReport:
    """What one step entered."""

    number: int
    leaf_count: int
    tree_size: int


def seal(log: LogName) -> SealReport | None:
    """One step. None: nothing waits, or another sealer has the lease.

    Raises SealingRefused, and the state says why; OSError where the disk takes no segment; django.db.Error.
    """
    try:
        report = _step(log)
    except (SealingRefused, OSError) as error:
        _stand_still(log, str(error))
        raise
    incarnation = current_incarnation(log)
    if incarnation is not None:
        publish(incarnation)
    return report


def seal_everything(log: LogName) -> int:
    """Steps until nothing waits. How many leaves. Raises as `seal`."""
    leaf_count = 0
    while (report := seal(log)) is not None:
        leaf_count += report.leaf_count
    return leaf_count


def _step(log: LogName) -> SealReport | None:
    signers = own_signers()
    now = datetime_of(us=SYSTEM_CLOCK.now_us())
    with transaction.atomic(durable=True):
        if not _has_lease(log):
            return None
        incarnation = current_incarnation(log) or _begin(log, now=now)
        last = last_of(incarnation)
        _refuse_what_is_behind(incarnation, last)
        found = unsealed(incarnation, tree_size=last.tree_size if last else 0, limit_count=LEAVES_AT_ONCE_COUNT)
        _note_standing(log, found.held_why, now=now)
        leaves = [*_start(incarnation, last), *found.leaves]
        if not leaves:
            return None
        row = _seal_row(incarnation, last, leaves, signers=signers, now=now)
        temporary = stage(incarnation, row.number, segment_text(leaf.line for leaf in leaves))
        _insert(row, leaves, signers=signers, now=now)
    move(temporary, segment_path(incarnation, row.number))
    return SealReport(number=row.number, leaf_count=len(leaves), tree_size=row.tree_size)


def _has_lease(log: LogName) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LEASE[log]])
        (has_lease,) = cursor.fetchone()
    return bool(has_lease)


def begin_anew(log: LogName, *, actor: Actor, reason: str) -> LogIncarnation:
    """The log goes on under another origin, whose first leaf names the last head that is left.

    For a person, after sealed history was lost: what was lost stays a finding of `audit verify`. Raises ValueError for
    an empty reason, SealingRefused where another sealer is at work.
    """
    if not reason.strip():
        raise ValueError("why the log begins anew must be said: it is in the audit log for ever")
    now = datetime_of(us=SYSTEM_CLOCK.now_us())
    with transaction.atomic(durable=True):
        if not _has_lease(log):
            raise SealingRefused("a sealer is at work: try again")
        before = current_incarnation(log)
        lost = _published_heads(log)
        incarnation = _incarnation(log, after=last_of(before) if before else None, now=now)
        facts = {"start_line": incarnation.start_line, "published_before": lost}
        record(Act.LOG_STARTED, actor=actor, subject=incarnation.origin, reason=reason.strip(), facts=facts)
        _note_standing(log, "", now=now)
    return incarnation


def _begin(log: LogName, *, now: datetime) -> LogIncarnation:
    """A log's first life. Raises SealingRefused where the files tell of an earlier one."""
    if (log_folder(log) / CURRENT).exists():
        told = (log_folder(log) / CURRENT).read_text().strip()
        raise SealingRefused(
            f"the files hold a log {told}, of which the database knows nothing: restore the newer backup, or run"
            f" `manage.py evidence restart-log {log}`"
        )
    incarnation = _incarnation(log, after=None, now=now)
    record(Act.LOG_STARTED, actor=SEALER, subject=incarnation.origin, facts={"start_line": incarnation.start_line})
    return incarnation


def _incarnation(log: LogName, *, after: Seal | None, now: datetime) -> LogIncarnation:
    token = secrets.token_hex(4)
    origin = f"{settings.AUTOCOM.log_name}/{log}/{token}"
    head = SealText.parse(after.text).checkpoint if after else None
    start = StartLine(
        origin=origin,
        previous_origin=head.origin if head else "",
        previous_size=head.size if head else 0,
        previous_root=head.root if head else b"",
        first_number=_first_number(log, after),
    )
    return LogIncarnation.objects.create(
        log=log.value,
        token=token,
        origin=origin,
        start_line=start.text,
        first_number=start.first_number,
        started_at=now,
    )


def _published_heads(log: LogName) -> list[str]:
    return [path.read_text(encoding="utf-8") for path in sorted(log_folder(log).glob(f"*/{CHECKPOINT}"))]


def _first_number(log: LogName, after: Seal | None) -> int:
    if log is LogName.EVENTS:
        last = Batch.objects.order_by("-number").values_list("number", flat=True).first()
        return (last or 0) + 1
    if after is None:
        return 1
    return after.incarnation.first_number + after.tree_size - START_COUNT


def _start(incarnation: LogIncarnation, last: Seal | None) -> list[Leaf]:
    return [] if last else [Leaf(None, incarnation.start_line.encode())]


def _refuse_what_is_behind(incarnation: LogIncarnation, last: Seal | None) -> None:
    """A published tree that the rows do not reach: an older backup was restored. Sealing on would sign a fork."""
    note = published_note(incarnation)
    if not note:
        return
    try:
        published = Checkpoint.parse(open_note(note).text)
    except NoteInvalid as error:
        raise SealingRefused(f"the published checkpoint cannot be read: {error}") from error
    size, root = (last.tree_size, bytes(last.root)) if last else (0, b"")
    if published.size > size or (published.size == size and published.root != root):
        raise SealingRefused(
            f"the published checkpoint has {published.size} leaves, the database {size}: an older backup was restored,"
            " or rows were taken away. Restore the newer one, or run"
            f" `manage.py evidence restart-log {incarnation.log}`"
        )


def _seal_row(
    incarnation: LogIncarnation,
    last: Seal | None,
    leaves: Sequence[Leaf],
    *,
    signers: Sequence[NoteSigner],
    now: datetime,
) -> Seal:
    frontier = frontier_of(last)
    for leaf in leaves:
        frontier.append(leaf_hash(leaf.line))
    segment = segment_text(leaf.line for leaf in leaves)
    text = SealText(
        origin=incarnation.origin,
        number=last.number + 1 if last else 1,
        first_index=last.tree_size if last else 0,
        tree_size=frontier.size,
        segment_sha256=sha256(segment),
        segment_bytes=len(segment),
        previous_sha256=sha256(last.text.encode()) if last else bytes(32),
        sealed_at=moment_text(now),
        note=signed_note(Checkpoint(incarnation.origin, frontier.size, frontier.root).text, signers),
    )
    return Seal(
        incarnation=incarnation,
        number=text.number,
        first_index=text.first_index,
        tree_size=text.tree_size,
        root=frontier.root,
        frontier=b"".join(frontier.roots),
        segment_sha256=text.segment_sha256,
        segment_bytes=text.segment_bytes,
        previous_sha256=text.previous_sha256,
        text=text.text,
        sealed_at=now,
    )


def frontier_of(last: Seal | None) -> Frontier:
    if last is None:
        return Frontier()
    packed = bytes(last.frontier)
    return Frontier(last.tree_size, [packed[at : at + 32] for at in range(0, len(packed), 32)])


def _insert(row: Seal, leaves: Sequence[Leaf], *, signers: Sequence[NoteSigner], now: datetime) -> None:
    row.save(force_insert=True)
    if row.incarnation.log == LogName.EVENTS:
        SealedBatch.objects.bulk_create(
            [
                SealedBatch(
                    batch_number=leaf.number,
                    incarnation=row.incarnation,
                    index=index,
                    leaf_sha256=leaf_hash(leaf.line),
                )
                for index, leaf in enumerate(leaves, start=row.first_index)
                if leaf.number is not None
            ]
        )
    for key in remember(signers, now=now):
        record(Act.LOG_KEY_ROTATED, actor=SEALER, subject=key.vkey, facts={"origin": row.incarnation.origin})


def _note_standing(log: LogName, why: str, *, now: datetime) -> None:
    """Why a part is held, or that nothing is. A new reason is an audit entry: it may be a loss."""
    state, _ = SealerState.objects.get_or_create(log=log.value)
    if state.refused_why == why:
        return
    state.refused_why, state.refused_at = why, now if why else None
    state.save(update_fields=["refused_why", "refused_at"])
    if why:
        log_.error("sealing_refused", extra={"log": log.value, "why": why})
        record(Act.LOG_SEALING_REFUSED, actor=SEALER, subject=f"log {log}", reason=why)


def _stand_still(log: LogName, why: str) -> None:
    with transaction.atomic(durable=True):
        _note_standing(log, why, now=datetime_of(us=SYSTEM_CLOCK.now_us()))
