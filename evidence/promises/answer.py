"""What became of one receipt, for whoever brings it: committed where, sealed where; or promised and not there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from django.db import Error, connection

from autocom.kernel.clock import datetime_of
from autocom.kernel.errors import AutocomError
from evidence.audit import Actor
from evidence.log.reads import first_seal_over
from evidence.models import Seal, SealedBatch
from evidence.promises.compare import Broken, Compared, compare, rows_kept_since
from evidence.promises.fates import Kept
from evidence.promises.incidents import record_broken
from evidence.promises.waiting import DUE_AFTER_US
from ingestion.buffer.store import BufferUnavailable, LaneBuffer
from ingestion.models import AgedEvent, Batch, Event
from ingestion.receipts import Receipt, ReceiptInvalid, ReceiptKey, read_receipt
from ingestion.traces import Fate


class Verdict(StrEnum):
    SEALED = "kept and sealed"
    COMMITTED = "kept, not sealed yet"
    WAITING = "waiting on its lane"
    NOT_YET = "not there yet"
    MISSING = "MISSING"
    DIFFERS = "DIFFERS"
    FORGED = "NOT OURS"
    UNKNOWN = "UNKNOWN"


BROKEN = frozenset({Verdict.MISSING, Verdict.DIFFERS, Verdict.FORGED})
WORDS = {
    Fate.STORED: "stored as an event",
    Fate.DEAD_LETTER: "kept as a dead letter",
    Fate.QUARANTINED: "kept in quarantine",
    Fate.AGED: "stored, aged out since; its leaf is kept",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedAt:
    """Where the batch's line stands in the log of events, and the first checkpoint that covers it."""

    index: int
    seal: Seal


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`receipt` is None where the line is none of ours. `batch` and `sealed_at` are of the event, or of the original
    where PostgreSQL knew it for a repeat (`kept.original_event_id`)."""

    verdict: Verdict
    sentence: str
    receipt: Receipt | None = None
    kept: Kept | None = None
    batch: Batch | None = None
    sealed_at: SealedAt | None = None

    @property
    def proved_event_id(self) -> UUID | None:
        """Whose proof says that the promise was kept; None while there is none."""
        if self.kept is None or self.receipt is None or self.sealed_at is None:
            return None
        return self.kept.original_event_id if self.kept.fate is Fate.DUPLICATE else self.receipt.event_id


def answers(
    lines: Sequence[str],
    *,
    keys: tuple[ReceiptKey, ...],
    buffer: LaneBuffer,
    lane_count: int,
    now: datetime,
    asker: Actor,
) -> list[Answer]:
    """In the order of the lines. What is missing or differs has its incident afterwards, in the asker's name.

    `now` is this machine's time: where Redis is silent it is the only one.
    """
    read = [_read(line, keys=keys) for line in lines]
    promises = list({r.event_id: r for r in read if isinstance(r, Receipt)}.values())
    try:
        compared = compare(promises, buffer=buffer, lane_count=lane_count, told_since=rows_kept_since(now))
        broken = {each.promise.event_id: each for each in compared.broken if _is_due(each, now=now)}
        record_broken(list(broken.values()), now=now, actor=asker)
        found = _with_places(compared.kept)
    except (BufferUnavailable, Error) as error:
        silent = _silence(error)
        return [r if isinstance(r, Answer) else _unknown(r, silent) for r in read]
    return [r if isinstance(r, Answer) else _answer(r, compared, broken, found, now=now) for r in read]


def _read(line: str, *, keys: tuple[ReceiptKey, ...]) -> Receipt | Answer:
    try:
        return read_receipt(line, keys=keys)
    except ReceiptInvalid as error:
        return Answer(verdict=Verdict.FORGED, sentence=f"no receipt of this installation: {error}")


def _silence(error: AutocomError | Error) -> str:
    if isinstance(error, Error):
        connection.close()  # a dead connection must not answer for the rest of the process
        return "PostgreSQL cannot be asked"
    return "no table has all of them, and Redis cannot be asked for what waits"


def _unknown(receipt: Receipt, why: str) -> Answer:
    return Answer(verdict=Verdict.UNKNOWN, sentence=why, receipt=receipt)


def _is_due(broken: Broken, *, now: datetime) -> bool:
    """A row that differs is wrong at once; an absent one may be on its way."""
    return bool(broken.state == broken.state.DIFFERS) or _age_us(broken.promise, now=now) > DUE_AFTER_US


def _age_us(receipt: Receipt, *, now: datetime) -> int:
    return int((now - datetime_of(us=receipt.accepted_us)).total_seconds() * 1_000_000)


type _Places = Mapping[UUID, tuple[Batch, SealedAt | None]]


def _answer(
    receipt: Receipt, compared: Compared, broken: Mapping[UUID, Broken], found: _Places, *, now: datetime
) -> Answer:
    kept = compared.kept.get(receipt.event_id)
    if problem := broken.get(receipt.event_id):
        verdict = Verdict.DIFFERS if kept else Verdict.MISSING
        answer = Answer(verdict=verdict, sentence=problem.detail, receipt=receipt, kept=kept)
        return _placed(answer, found)
    if kept is not None:
        return _placed(_kept(receipt, kept, found), found)
    age = f"{_age_us(receipt, now=now) / 1e6:,.1f} s old"
    if receipt.event_id in compared.waiting:
        place = f"lane {receipt.lane}, sequence {receipt.sequence}"
        return Answer(verdict=Verdict.WAITING, sentence=f"waits on {place}; {age}", receipt=receipt)
    if _age_us(receipt, now=now) <= DUE_AFTER_US:
        return Answer(
            verdict=Verdict.NOT_YET, sentence=f"promised, and neither committed nor on its lane; {age}", receipt=receipt
        )
    return _unknown(receipt, "not there, and so old that its row may have aged out")


def _kept(receipt: Receipt, kept: Kept, found: _Places) -> Answer:
    _, place = found.get(receipt.event_id, (None, None))
    verdict = Verdict.COMMITTED if place is None else Verdict.SEALED
    if kept.fate is Fate.DUPLICATE:
        sentence = f"a repeat of event {kept.original_event_id}, which is stored; nothing was stored for it"
    else:
        sentence = WORDS[kept.fate]
    return Answer(verdict=verdict, sentence=sentence, receipt=receipt, kept=kept)


def _placed(answer: Answer, found: _Places) -> Answer:
    assert answer.receipt is not None  # noqa: S101  (of answers that come from a receipt)
    batch, place = found.get(answer.receipt.event_id, (None, None))
    return replace(answer, batch=batch, sealed_at=place)


def _with_places(kept: Mapping[UUID, Kept]) -> _Places:
    """The batch of each, and where that is sealed. Of a repeat those of its original."""
    originals = _batches_of([k.original_event_id for k in kept.values() if k.original_event_id])
    number_of = {
        event_id: k.batch if k.fate is not Fate.DUPLICATE else originals.get(k.original_event_id or k.event_id)
        for event_id, k in kept.items()
    }
    batches = Batch.objects.in_bulk([number for number in number_of.values() if number is not None])
    sealed = {number: sealed_at(number) for number in batches}
    return {event_id: (batches[number], sealed[number]) for event_id, number in number_of.items() if number in batches}


def _batches_of(event_ids: Sequence[UUID]) -> dict[UUID, int]:
    if not event_ids:
        return {}
    rows = dict(Event.objects.filter(pk__in=event_ids).values_list("pk", "batch_id"))
    return rows | dict(AgedEvent.objects.filter(pk__in=event_ids).values_list("pk", "batch_id"))


def sealed_at(batch_number: int) -> SealedAt | None:
    """None while it is not."""
    sealed = SealedBatch.objects.filter(pk=batch_number).select_related("incarnation").first()
    seal = None if sealed is None else first_seal_over(sealed.incarnation, sealed.index)
    return None if sealed is None or seal is None else SealedAt(index=sealed.index, seal=seal)
