"""One transaction a batch: events, deliveries, the batch with its Merkle root, and the lane's cursor under its fence.

Owns the drain's only transaction; asks nothing of Redis, HTTP or RQ. After it returns, every entry of the batch is
settled: stored as an event, or
recorded as a duplicate, in quarantine, as a dead letter or as a failed retry. After it raises, nothing happened,
except that a lost
connection at COMMIT leaves
the outcome open; the same entries then come again and the stored ones are recognised.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar
from uuid import UUID

import psycopg
from django.db import DataError, Error, IntegrityError, OperationalError, transaction

from autocom.kernel import json_text
from autocom.kernel.clock import Clock, datetime_of
from autocom.kernel.digest import sha256
from autocom.kernel.errors import AutocomError
from autocom.kernel.ids import request_id_of
from autocom.kernel.merkle import leaf_hash, root_of_hashes
from ingestion.aged import aged_originals
from ingestion.buffer.append import EntryKind, LaneEntry, original_receipt
from ingestion.buffer.hop import NO_PAYLOAD, delivery_mac, entry_mac, old_entry_mac
from ingestion.buffer.store import Claim
from ingestion.bulk_insert import insert_new
from ingestion.dead_letters import RECEIPT_MISMATCH, Death, dead_letter
from ingestion.headers_mac import headers_mac
from ingestion.leaf import DEAD, LEAF_FORMAT, QUARANTINED, REDRIVEN, STORED, leaf_line
from ingestion.models import (
    Batch,
    DeadLetter,
    Delivery,
    Event,
    Lane,
    LaneIncident,
    QuarantinedEvent,
    SuppressedDuplicate,
)
from ingestion.originals import Repetition, unfounded
from ingestion.poison import storable, why_unstorable
from ingestion.providers.adapter import SENDER_TRACE
from ingestion.receipts import Receipt
from ingestion.redrive.settle import Unstored, attempt_name, attempts_under_way, settle_stored, settle_unstored
from ingestion.riding import Riding, read_doubtful_riding, read_riding

STATEMENT_TOO_COMPLEX_CLASS = (
    "54"  # SQLSTATE class "program limit exceeded": the data's fault, though an OperationalError
)

DEATHS_LIMIT_COUNT = 10  # dead letters by the database's word in one batch
RACES_LIMIT_COUNT = 5  # tries of a batch whose identities others keep storing at the same moment


class LanePaused(AutocomError):
    """A person paused the lane: its entries wait, and nothing was settled."""

    code: ClassVar[str] = "lane_paused"


class StaleFence(AutocomError):
    """A newer lease has committed on this lane: this drainer was paused and must stop."""

    code: ClassVar[str] = "stale_fence"


class _Repeats(Exception):
    """The batch holds entries that are stored already; nothing was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchContext:
    """Who commits, and since when the entries are claimed."""

    claim: Claim
    worker: str
    claimed_us: int
    hop_key: bytes
    clock: Clock


@dataclass(slots=True)
class Settled:
    """What became of a batch. `stored` are the events that this call made permanent."""

    stored: list[Riding] = field(default_factory=list)
    stored_count: int = 0
    duplicate_count: int = 0
    quarantined_count: int = 0
    dead_count: int = 0
    repeated_count: int = 0
    set_aside: Counter[tuple[str, str]] = field(default_factory=Counter)  # provider, fate
    batch_numbers: list[int] = field(default_factory=list)
    sender_traces: dict[UUID, str] = field(default_factory=dict)  # of deliveries whose sender told one

    def add(self, other: Settled) -> None:
        self.stored += other.stored
        self.stored_count += other.stored_count
        self.duplicate_count += other.duplicate_count
        self.quarantined_count += other.quarantined_count
        self.dead_count += other.dead_count
        self.repeated_count += other.repeated_count
        self.set_aside += other.set_aside
        self.batch_numbers += other.batch_numbers


@dataclass(slots=True)
class _Sorted:
    """The entries of one batch by what they become."""

    events: list[Riding] = field(default_factory=list)
    duplicates: list[tuple[Riding, UUID, bool]] = field(default_factory=list)  # with the original's id, and found late?
    claimed: list[Repetition] = field(default_factory=list)  # of the duplicates that Redis found
    quarantined: list[tuple[Riding, UUID | None, bytes | None]] = field(default_factory=list)
    dead: list[tuple[Riding, Death]] = field(default_factory=list)
    unstored: list[Unstored] = field(default_factory=list)  # retries that store nothing
    deliveries: list[dict[str, Any]] = field(default_factory=list)
    repeated_count: int = 0

    @property
    def count(self) -> int:
        """All that will stand in a table of its own; repeats are settled already."""
        return len(self.events) + len(self.dead) + len(self.duplicates) + len(self.quarantined) + len(self.unstored)

    def bury(self, riding: Riding, death: Death) -> None:
        """A retry that fails has its row already, and its leaf in the batch that it was set aside in."""
        if riding.ticket is None:
            self.dead.append((riding, death))
        else:
            self.unstored.append(Unstored(riding=riding, death=death))


def settle(entries: Sequence[LaneEntry], *, context: BatchContext) -> Settled:
    """Settles all entries, in order, in one transaction. What the database refuses for its data becomes a dead letter.

    Raises StaleFence, LanePaused, or django.db.Error when the database is in trouble or its refusals look like a fault
    of ours; then nothing is settled.
    """
    verdicts: dict[int, Death] = {}
    while True:
        try:
            return _commit(entries, context=context, verdicts=verdicts)
        except (Error, ValueError) as error:
            if not is_fault_of_data(error):
                raise
            found = _refused_alone(entries, context=context, verdicts=verdicts)
            # none is refused alone, or even a dead letter is refused, or too many, as after a half-done deploy: the
            # lane waits, nothing is buried
            if not found or found.keys() & verdicts.keys() or len(found) + len(verdicts) > DEATHS_LIMIT_COUNT:
                raise DataError(
                    f"the database refuses the batch and {len(found)} entries by themselves: {error}"
                ) from error
            verdicts |= found


def _refused_alone(
    entries: Sequence[LaneEntry], *, context: BatchContext, verdicts: dict[int, Death]
) -> dict[int, Death]:
    """The entries that fail even by themselves, found by halving.

    Every try is rolled back; it ends above DEATHS_LIMIT_COUNT.
    """
    found: dict[int, Death] = {}
    pending = [entries]
    while pending and len(found) <= DEATHS_LIMIT_COUNT:
        part = pending.pop()
        try:
            _commit(part, context=context, verdicts=verdicts, is_rehearsal=True)
        except (Error, ValueError) as error:
            if not is_fault_of_data(error):
                raise
            if len(part) == 1:
                found[part[0].sequence] = Death.of(error)
            else:
                middle = len(part) // 2
                pending += [part[middle:], part[:middle]]
    return found


def is_fault_of_data(error: Exception) -> bool:
    """True when the same data would fail on a healthy database too."""
    if isinstance(error, ValueError | DataError | IntegrityError):
        return True
    cause = error.__cause__
    sqlstate = cause.sqlstate if isinstance(cause, psycopg.Error) else None
    return isinstance(error, OperationalError) and (sqlstate or "").startswith(STATEMENT_TOO_COMPLEX_CLASS)


def _commit(
    entries: Sequence[LaneEntry], *, context: BatchContext, verdicts: dict[int, Death], is_rehearsal: bool = False
) -> Settled:
    sorted_ = _sort(entries, context=context, verdicts=verdicts)
    _bury_unfounded(sorted_, lane=context.claim.lane)
    for attempt in range(RACES_LIMIT_COUNT):
        try:
            return _write(
                entries, sorted_, context=context, repeats_are_resolved=attempt > 0, is_rehearsal=is_rehearsal
            )
        except _Repeats:
            _set_repeats_aside(sorted_)
    raise OperationalError("other lanes keep storing the identities of this batch")


def _sort(entries: Sequence[LaneEntry], *, context: BatchContext, verdicts: dict[int, Death]) -> _Sorted:
    sorted_ = _Sorted()
    for entry in entries:
        if entry.delivery:
            _add_delivery(sorted_, entry, hop_key=context.hop_key)
        is_genuine = _is_genuine(entry, lane=context.claim.lane, hop_key=context.hop_key)
        read = read_riding if is_genuine else read_doubtful_riding
        riding = read(entry, lane=context.claim.lane, epoch=context.claim.epoch)
        is_genuine = is_genuine and not riding.is_unreadable and _fits_its_body(entry, riding)
        if is_genuine and riding.headers is not None:
            sorted_.deliveries.append(_delivery_of(riding))
        is_first = entry.kind in (EntryKind.EVENT, EntryKind.REDRIVEN)
        original = None if is_first else _original(entry, riding)
        if not is_genuine or (original is None and not is_first):
            sorted_.dead.append((_as_found(riding), Death.receipt_mismatch()))
        elif (death := verdicts.get(entry.sequence)) is not None:
            sorted_.bury(riding, death)
        elif original is None:
            why = why_unstorable(entry.payload) or riding.why_unstorable
            if why is None:
                sorted_.events.append(riding)
            else:
                sorted_.bury(riding, Death.poison(why))
        elif entry.kind is EntryKind.DUPLICATE:
            sorted_.duplicates.append((riding, original.event_id, False))
            sorted_.claimed.append(Repetition(event_id=riding.event_id, identity=riding.identity, original=original))
        else:
            sorted_.quarantined.append((riding, original.event_id, entry.seen[:32]))
    return sorted_


def _as_found(riding: Riding) -> Riding:
    """With the digest of the bytes that are kept, so that its leaf proves those: what it claims proves nothing."""
    return replace(riding, content_sha256=sha256(riding.payload))


def _is_genuine(entry: LaneEntry, *, lane: int, hop_key: bytes) -> bool:
    """True where the receiver made this entry, of this kind and for this lane."""
    payload_sha256 = NO_PAYLOAD if entry.kind is EntryKind.DUPLICATE else sha256(entry.payload)
    mac = entry_mac(hop_key, kind=entry.kind.value, lane=lane, meta=entry.meta, payload_sha256=payload_sha256)
    return entry.mac == mac or entry.mac == old_entry_mac(hop_key, meta=entry.meta, payload=entry.payload)


def _fits_its_body(entry: LaneEntry, riding: Riding) -> bool:
    """A duplicate's MAC leaves its payload out; where that is the delivery's body, the meta has its digest."""
    if entry.kind is not EntryKind.DUPLICATE or riding.headers is None:
        return True
    return sha256(entry.payload) == riding.body_sha256


def _original(entry: LaneEntry, riding: Riding) -> Receipt | None:
    """The receipt of the event that came first; None where somebody changed it."""
    if entry.kind is EntryKind.DUPLICATE and entry.seen[:32] != riding.content_sha256:
        return None
    try:
        return original_receipt(entry.seen)
    except ValueError:
        return None


def _bury_unfounded(sorted_: _Sorted, *, lane: int) -> None:
    """Duplicates of nothing stand apart: each may be the only copy of an event that its sender was promised."""
    if not sorted_.claimed:
        return
    beside = {riding.event_id: riding.identity for riding in sorted_.events}
    beside |= {each.riding.event_id: each.riding.identity for each in sorted_.unstored}
    beside |= {
        riding.event_id: riding.identity for riding, death in sorted_.dead if death.error_class != RECEIPT_MISMATCH
    }
    missing = unfounded(sorted_.claimed, lane=lane, beside=beside)
    sorted_.dead += [
        (_as_found(riding), Death.original_missing(original))
        for riding, original, _ in sorted_.duplicates
        if riding.event_id in missing
    ]
    sorted_.duplicates = [each for each in sorted_.duplicates if each[0].event_id not in missing]


def _delivery_of(riding: Riding) -> dict[str, Any]:
    """The delivery of an event that is all of it: its payload is the raw body."""
    headers = {storable(name): storable(value) for name, value in (riding.headers or {}).items()}
    request_id = request_id_of(riding.event_id)
    return {
        "request_id": request_id,
        "provider": riding.provider,
        "received_at": datetime_of(us=riding.received_us),
        "headers": headers,
        "headers_mac": headers_mac(request_id, headers),
        "body": riding.payload,
        "body_sha256": sha256(riding.payload),
        "event_count": 1,
    }


def _add_delivery(sorted_: _Sorted, entry: LaneEntry, *, hop_key: bytes) -> None:
    if delivery_mac(hop_key, entry.delivery) != entry.delivery_mac:
        return  # the event's own MAC still decides over the event; an altered delivery is not kept as evidence
    header, _, raw = entry.delivery.partition(b"\n")
    facts = json_text.loads(header)
    headers = facts["headers"]
    if b"\\u" in header:
        headers = {storable(name): storable(value) for name, value in headers.items()}
    sorted_.deliveries.append(
        {
            "request_id": facts["request_id"],
            "provider": facts["provider"],
            "received_at": facts["received_at"],
            "headers": headers,
            "headers_mac": headers_mac(UUID(facts["request_id"]), headers),
            "body": raw,
            "body_sha256": sha256(raw),
            "event_count": facts["events"],
        }
    )


def _write(
    entries: Sequence[LaneEntry],
    sorted_: _Sorted,
    *,
    context: BatchContext,
    repeats_are_resolved: bool,
    is_rehearsal: bool,
) -> Settled:
    claim = context.claim
    first, last = entries[0].sequence, entries[-1].sequence
    with transaction.atomic(durable=True):
        cursor = _move_cursor(entries, claim=claim)
        if not repeats_are_resolved and (cursor is None or first <= cursor or _are_copied(sorted_)):
            raise _Repeats
        if cursor is not None:
            _note_reused(sorted_, claim=claim, cursor=cursor)
        _leave_settled_retries(sorted_)
        insert_new(Delivery, sorted_.deliveries)
        moves = cursor is not None and last > cursor
        number = _write_batch(sorted_, context=context, first=first, last=last, moves=moves)
        transaction.set_rollback(is_rehearsal)
    return Settled(
        stored=sorted_.events,
        stored_count=len(sorted_.events),
        duplicate_count=len(sorted_.duplicates),
        quarantined_count=len(sorted_.quarantined),
        dead_count=len(sorted_.dead),
        repeated_count=sorted_.repeated_count,
        set_aside=_set_aside_counts(sorted_),
        batch_numbers=[number] if number else [],
        sender_traces={
            UUID(str(row["request_id"])): trace
            for row in sorted_.deliveries
            if (trace := row["headers"].get(SENDER_TRACE))
        },
    )


def _leave_settled_retries(sorted_: _Sorted) -> None:
    """Leaves out what an earlier copy of its entry has settled; locks the rows of the others."""
    retries = [*sorted_.events, *(each.riding for each in sorted_.unstored)]
    names = [name for riding in retries if (name := attempt_name(riding))]
    if not names:
        return
    under_way: set[object] = {None, *attempts_under_way(names)}  # what comes from a sender has no name
    before_count = sorted_.count
    sorted_.events = [riding for riding in sorted_.events if attempt_name(riding) in under_way]
    once = {each.riding.event_id: each for each in sorted_.unstored if attempt_name(each.riding) in under_way}
    sorted_.unstored = list(once.values())
    sorted_.repeated_count += before_count - sorted_.count


def _set_aside_counts(sorted_: _Sorted) -> Counter[tuple[str, str]]:
    """By provider and fate. A provider that no MAC vouches for is no label."""
    return Counter(
        [(riding.provider, "duplicate") for riding, _, _ in sorted_.duplicates]
        + [(riding.provider, "quarantined") for riding, _, _ in sorted_.quarantined]
        + [
            ("unknown" if death.error_class == RECEIPT_MISMATCH else riding.provider, "dead_letter")
            for riding, death in sorted_.dead
        ]
        + [(riding.provider, "retry_stored") for riding in sorted_.events if riding.ticket is not None]
        + [(each.riding.provider, each.fate) for each in sorted_.unstored]
    )


def _write_batch(sorted_: _Sorted, *, context: BatchContext, first: int, last: int, moves: bool) -> int:
    """The batch's number, or 0 where only repeats were left and the cursor stood.

    Every move of the cursor has its batch, whatever was in it: so a lane's batches cover its sequences without a gap.
    """
    claim, now = context.claim, datetime_of(us=context.clock.now_us())
    settle_unstored(sorted_.unstored, now=now)
    SuppressedDuplicate.objects.bulk_create(
        [riding.as_duplicate(original=original, late=late) for riding, original, late in sorted_.duplicates],
        ignore_conflicts=True,
    )
    if not (moves or sorted_.count):
        return 0
    batch = Batch.objects.create(
        lane=claim.lane,
        epoch=claim.epoch,
        first_sequence=first,
        last_sequence=last,
        event_count=len(sorted_.events),
        duplicate_count=len(sorted_.duplicates),
        quarantined_count=len(sorted_.quarantined),
        dead_count=len(sorted_.dead),
        merkle_root=root_of_hashes(_leaf_hashes(sorted_)),
        leaf_format=LEAF_FORMAT,
        worker=context.worker,
        fence=claim.fence,
        claimed_at=datetime_of(us=context.claimed_us),
        committed_at=now,
    )
    if _insert_events(sorted_.events, batch_number=batch.number) != len(sorted_.events):
        raise _Repeats  # an identity is stored already: Redis's dedupe window had passed, or Redis lost it
    if aged_originals([riding.identity for riding in sorted_.events]):  # after the insert: `aged` says why
        raise _Repeats
    settle_stored(sorted_.events, batch_number=batch.number, now=now)
    QuarantinedEvent.objects.bulk_create(
        [riding.as_quarantined(batch, original=o, original_content=c) for riding, o, c in sorted_.quarantined],
        ignore_conflicts=True,
    )
    DeadLetter.objects.bulk_create(
        [dead_letter(riding, death, batch=batch) for riding, death in sorted_.dead], ignore_conflicts=True
    )
    number: int = batch.number
    return number


def _insert_events(ridings: Sequence[Riding], *, batch_number: int) -> int:
    """How many were new. Retries have two columns more, and one statement has one set of columns."""
    first = [riding.as_event_row(batch_number) for riding in ridings if riding.ticket is None]
    again = [riding.as_event_row(batch_number) for riding in ridings if riding.ticket is not None]
    return insert_new(Event, first) + insert_new(Event, again)


def _leaf_hashes(sorted_: _Sorted) -> list[bytes]:
    """Of everything in the batch that is kept, in sequence order.

    A retry that fails again has none: the leaf of its dead letter stands in its first batch.
    """
    kept = [(riding, STORED if riding.ticket is None else REDRIVEN) for riding in sorted_.events]
    kept += [(riding.storable(), DEAD) for riding, _ in sorted_.dead]  # as its row says it
    kept += [(riding.storable(), QUARANTINED) for riding, _, _ in sorted_.quarantined]
    kept.sort(key=lambda pair: pair[0].sequence)
    return [
        leaf_hash(
            leaf_line(
                kind=kind,
                provider=riding.provider,
                message_id=riding.message_id,
                event_type=riding.event_type,
                ordering_key=riding.ordering_key,
                lane=riding.lane,
                epoch=riding.epoch,
                sequence=riding.sequence,
                accepted_us=riding.accepted_us,
                body_sha256=riding.body_sha256,
                content_sha256=riding.content_sha256,
                event_id=riding.event_id,
            )
        )
        for riding, kind in kept
    ]


def _move_cursor(entries: Sequence[LaneEntry], *, claim: Claim) -> int | None:
    """The cursor as it was; moved to the last entry. Locks the lane's row. Raises StaleFence and LanePaused.

    None, and nothing moved, for entries read before Redis lost its data: they are the last copies, so they are kept,
    and the cursor stays that of the newer epoch.

    The lock comes first: a second drainer waits here until the first has committed, and is then refused or sees its
    cursor.
    """
    row, _ = Lane.objects.select_for_update().get_or_create(number=claim.lane)
    if row.epoch == claim.epoch and claim.fence < row.fence:
        raise StaleFence(f"lane {claim.lane}: fence {claim.fence}, but {row.fence} has committed")
    if row.paused_at is not None:
        raise LanePaused(f"lane {claim.lane} is paused since {row.paused_at:%Y-%m-%d %H:%M:%S} UTC")
    if claim.epoch < row.epoch:
        return None
    incident = partial(LaneIncident.objects.create, lane=claim.lane, epoch=claim.epoch)
    cursor = row.cursor if row.epoch == claim.epoch else 0
    if row.epoch not in (0, claim.epoch):
        incident(
            kind=LaneIncident.Kind.NEW_EPOCH,
            first_sequence=row.cursor,
            last_sequence=entries[0].sequence,
            detail=f"epoch {row.epoch} ended at sequence {row.cursor}",
        )
    expected = cursor + 1
    for entry in entries:
        if entry.sequence > expected:
            incident(kind=LaneIncident.Kind.GAP, first_sequence=expected, last_sequence=entry.sequence - 1)
        expected = max(expected, entry.sequence + 1)
    row.epoch, row.fence, row.cursor = claim.epoch, claim.fence, max(cursor, entries[-1].sequence)
    row.save()
    return cursor


def _note_reused(sorted_: _Sorted, *, claim: Claim, cursor: int) -> None:
    """A new event at a settled sequence: Redis came back with an older copy of its data and counted from there."""
    reused = [riding.sequence for riding in sorted_.events if riding.sequence <= cursor]
    if reused:
        LaneIncident.objects.create(
            lane=claim.lane,
            epoch=claim.epoch,
            kind=LaneIncident.Kind.REUSED,
            first_sequence=reused[0],
            last_sequence=reused[-1],
            detail=f"{len(reused)} new events at sequences up to {cursor}, which were settled",
        )


def _set_repeats_aside(sorted_: _Sorted) -> None:
    """Leaves only what is new.

    The same event again is a repeat; its identity under another id a late duplicate, or quarantine.
    """
    stored = {
        bytes(identity): (event_id, bytes(content))
        for identity, event_id, content in Event.objects.filter(
            identity__in=[riding.identity for riding in sorted_.events]
        ).values_list("identity", "id", "content_sha256")
    }
    # asked second: what ages out between the two questions is found by one of them
    stored |= aged_originals([riding.identity for riding in sorted_.events])
    ridings = [*sorted_.events, *(riding for riding, _ in sorted_.dead)]
    buried = _known(DeadLetter, ridings)
    before_count = sorted_.count
    new: list[Riding] = []
    new_ids: set[UUID] = set()
    for riding in sorted_.events:
        known = stored.get(riding.identity)
        if riding.ticket is None and riding.event_id in buried:
            continue
        if known is not None and known[0] == riding.event_id and (riding.ticket is None or riding.event_id in new_ids):
            continue
        if known is None:
            new.append(riding)
            new_ids.add(riding.event_id)
            stored[riding.identity] = (riding.event_id, riding.content_sha256)
        elif riding.ticket is not None:
            sorted_.unstored.append(Unstored.beside(riding, original=known[0], original_content=known[1]))
        elif known[1] == riding.content_sha256:
            sorted_.duplicates.append((riding, known[0], True))
        else:
            sorted_.quarantined.append((riding, known[0], known[1]))
    sorted_.events = new
    sorted_.dead = [each for each in _once(sorted_.dead) if each[0].event_id not in buried]
    suppressed = _known(SuppressedDuplicate, [riding for riding, _, _ in sorted_.duplicates])
    sorted_.duplicates = [each for each in _once(sorted_.duplicates) if each[0].event_id not in suppressed]
    quarantined = _known(QuarantinedEvent, [riding for riding, _, _ in sorted_.quarantined])
    sorted_.quarantined = [each for each in _once(sorted_.quarantined) if each[0].event_id not in quarantined]
    sorted_.repeated_count += before_count - sorted_.count


def _are_copied(sorted_: _Sorted) -> bool:
    """True where somebody wrote an entry to the lane once more: each row has one leaf.

    Events say so themselves, at their insert.
    """
    dead = [riding for riding, _ in sorted_.dead]
    quarantined = [riding for riding, _, _ in sorted_.quarantined]
    ids = [riding.event_id for riding in [*dead, *quarantined]]
    is_known = bool(_known(DeadLetter, dead) or _known(QuarantinedEvent, quarantined))
    return is_known or len(set(ids)) < len(ids)


def _once[Aside: tuple[Any, ...]](aside: Sequence[Aside]) -> list[Aside]:
    """The first of each event; its riding comes first in the tuple."""
    return list({each[0].event_id: each for each in reversed(aside)}.values())[::-1]


def _known(model: type[DeadLetter | SuppressedDuplicate | QuarantinedEvent], ridings: Sequence[Riding]) -> set[UUID]:
    """Which of these events the table holds already."""
    if not ridings:
        return set()
    found = model._default_manager.filter(event_id__in=[riding.event_id for riding in ridings])
    return set(found.values_list("event_id", flat=True))
