"""Journal against rows: was every promise kept, and in order? Pure.

The journal says what was sent and what was promised; the rows say what is in PostgreSQL. Events are followed by the id
in their receipt. What has no receipt is followed by its names, where the plan knows them.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from ingestion.identify import short
from ingestion.replay.findings import Finding, Kind, Place, Reconciliation, StoredRow
from ingestion.replay.history import History, Receipt, Send
from ingestion.replay.order import Witness, commit_order_breaks, real_time_breaks, split_keys

IN_QUARANTINE: Final = "identity_conflict"  # the code of an answer that kept everything and promised nothing
CONFLICT_STATUS: Final = 409
NO_ALIASES: Final[Mapping[UUID, UUID]] = {}


@dataclass(slots=True, kw_only=True)
class _Promise:
    """An event that some answer promised, over all sends of it."""

    receipt: Receipt
    send: Send
    sent_ns: int  # the first time that its body went out, whatever became of it
    ack_ns: int  # the first time that an answer promised it
    is_fresh: bool  # accepted in this run, not known from an earlier one


@dataclass(slots=True)
class _Case:
    """The run under examination."""

    history: History
    rows: Sequence[StoredRow]
    aliases: Mapping[UUID, UUID]
    findings: dict[Kind, list[Finding]] = field(default_factory=lambda: defaultdict(list))
    promises: dict[UUID, _Promise] = field(default_factory=dict)
    rows_by_id: dict[UUID, StoredRow] = field(default_factory=dict)

    def found(self, kind: Kind, subject: str, witness: str) -> None:
        self.findings[kind].append(Finding(kind, subject, witness))


def reconcile(
    history: History,
    *,
    rows: Sequence[StoredRow],
    aliases: Mapping[UUID, UUID] = NO_ALIASES,
    sends_at_least_count: int = 1,
) -> Reconciliation:
    """What the journal promises and the rows do not keep. `aliases` leads from the id of an event that PostgreSQL knew
    already to the id under which it is stored. A history of fewer sends proves nothing: it is doubted."""
    case = _Case(history, rows, aliases)
    case.rows_by_id = {row.event_id: row for row in rows}
    acknowledged = [send for send in history.sends if send.acknowledged]
    _collect_promises(case, acknowledged)
    _check_homes(case)
    _check_expected(case, acknowledged)
    _check_quarantine(case)
    _check_rows(case)
    _check_order(case)
    return Reconciliation(
        findings={kind: tuple(found) for kind, found in case.findings.items()},
        doubts=tuple(_doubts(history, sends_at_least_count=sends_at_least_count)),
        acknowledged_count=len(acknowledged),
        stored_count=len(rows),
        stored_without_ack_count=_stored_without_ack_count(case),
        recovered_count=sum(send.acknowledged is not send.first for send in acknowledged),
    )


def _doubts(history: History, *, sends_at_least_count: int) -> Iterator[str]:
    """Why the journal cannot be trusted to be whole: sent = acked + rejected, each with an outcome."""
    begun_count = sum(bool(send.attempts) for send in history.sends)
    if not begun_count:
        yield "the history is empty: nothing was sent"
        return
    if begun_count < sends_at_least_count:
        yield f"the history is too small: {begun_count} sends, and {sends_at_least_count} are needed to judge"
    if history.self_check is None:
        yield "the journal has no end line: the generator died, and its last outcomes are missing"
        return
    acked_count = sum(send.acknowledged is not None for send in history.sends)
    rejected_count = sum(bool(send.attempts) and send.acknowledged is None for send in history.sends)
    if history.self_check.sent_count != acked_count + rejected_count:
        yield (
            f"sent is not acked + rejected: {history.self_check.sent_count} were sent, "
            f"the journal knows of {acked_count} acked and {rejected_count} rejected"
        )


def _collect_promises(case: _Case, acknowledged: Sequence[Send]) -> None:
    first_sent_ns: dict[str, int] = {}
    for send in case.history.sends:
        for attempt in send.attempts:
            digest = send.planned.body_sha256
            first_sent_ns[digest] = min(first_sent_ns.get(digest, attempt.sent_ns), attempt.sent_ns)
    ids_by_name = {(row.message_id, row.event_type) for row in case.rows}
    for send in acknowledged:
        assert send.acknowledged is not None  # noqa: S101 - that is how they were chosen
        if not send.answer.receipts and send.answer.code != IN_QUARANTINE:
            case.found(Kind.NO_RECEIPT, _name(send), f"answered {send.acknowledged.status} without a readable receipt")
            if send.planned.message_id and (send.planned.message_id, send.planned.event_type) not in ids_by_name:
                case.found(Kind.LOST, _name(send), "answered 2xx, and no row has its message id and type")
        for receipt in send.answer.receipts:
            _add_promise(case, send, receipt, sent_ns=first_sent_ns[send.planned.body_sha256])


def _add_promise(case: _Case, send: Send, receipt: Receipt, *, sent_ns: int) -> None:
    assert send.acknowledged is not None  # noqa: S101 - only acknowledged sends have receipts
    is_fresh = case.history.is_generated or send.answer.status == "accepted"
    known = case.promises.get(receipt.event_id)
    if known is None:
        case.promises[receipt.event_id] = _Promise(
            receipt=receipt, send=send, sent_ns=sent_ns, ack_ns=send.acknowledged.ack_ns, is_fresh=is_fresh
        )
        return
    if _is_another_event(known.send, send):
        case.found(
            Kind.MISTAKEN,
            _name(send),
            f"answered with the receipt of {_name(known.send)}, event {receipt.event_id}",
        )
    known.sent_ns = min(known.sent_ns, sent_ns)
    known.ack_ns = min(known.ack_ns, send.acknowledged.ack_ns)
    known.is_fresh = known.is_fresh or is_fresh


def _is_another_event(one: Send, other: Send) -> bool:
    """Names decide where both are known, else the bodies."""
    if one.planned.events and other.planned.events:  # providers tell one event in several deliveries
        return not set(one.planned.events) & set(other.planned.events)
    if one.planned.message_id and other.planned.message_id:
        return one.planned[1:5] != other.planned[1:5]
    return one.planned.body_sha256 != other.planned.body_sha256 and len(one.answer.receipts) == 1


def _check_homes(case: _Case) -> None:
    for event_id, promise in case.promises.items():
        row = case.rows_by_id.get(event_id) or case.rows_by_id.get(case.aliases.get(event_id, event_id))
        if row is None:
            case.found(Kind.LOST, _name(promise.send), f"promised as event {event_id}; no table has it")
            continue
        plan = promise.send.planned
        if plan.message_id and len(promise.send.answer.receipts) == 1:
            if (row.message_id, row.event_type) != (short(plan.message_id), short(plan.event_type)):
                case.found(Kind.MISTAKEN, _name(promise.send), f"stored as {row.message_id} {row.event_type}")
                continue
            if plan.ordering_key != row.ordering_key and case.history.is_generated:
                case.found(
                    Kind.CORRUPTED, _name(promise.send), f"ordering key {row.ordering_key!r} is not the one sent"
                )
        difference = _difference(case, promise, row)
        if difference:
            case.found(Kind.CORRUPTED, _name(promise.send), difference)


def _difference(case: _Case, promise: _Promise, row: StoredRow) -> str:
    """What the row has otherwise than the receipt or the sent body; empty when they agree."""
    receipt, sent_sha256 = promise.receipt, promise.send.planned.body_sha256
    if case.history.is_generated and row.body_sha256 != sent_sha256:
        return f"sent with body digest {sent_sha256}, stored with {row.body_sha256}"
    sent = promise.send.acknowledged.body_sha256 if promise.send.acknowledged else ""
    is_told_once = promise.send.answer.status == "accepted" and not promise.send.answer.duplicates_count
    if sent and is_told_once and receipt.body_sha256 != sent:
        return f"sent as signed with body digest {sent}, the receipt says {receipt.body_sha256}"
    if row.event_id != receipt.event_id:
        return ""  # known from before: an own receipt, the earlier row
    if row.redriven_from_sequence is not None:  # the receipt tells its first place, a retry gave it another
        return (
            ""
            if (receipt.sequence, receipt.body_sha256) == (row.redriven_from_sequence, row.body_sha256)
            else (
                f"receipt says sequence {receipt.sequence}, digest {receipt.body_sha256}; the row was retried from "
                f"{row.redriven_from_sequence}, {row.body_sha256}"
            )
        )
    promised = (receipt.lane, receipt.epoch, receipt.sequence, receipt.body_sha256)
    stored = (row.lane, row.epoch, row.sequence, row.body_sha256)
    return "" if promised == stored else f"receipt says lane, epoch, sequence, digest {promised}, the row {stored}"


def _check_expected(case: _Case, acknowledged: Sequence[Send]) -> None:
    """Every event that a delivery holds is somewhere, under its own key: not only those that a receipt names."""
    rows = {(row.message_id, row.event_type): row for row in case.rows}
    lost = {finding.subject for finding in case.findings.get(Kind.LOST, ())}
    for send in acknowledged:
        expected, name = send.planned.events, _name(send)
        if expected is None or name in lost:
            continue
        if send.answer.events_count not in (0, len(expected)):
            told = f"holds {len(expected)} events, the answer tells of {send.answer.events_count}"
            case.found(Kind.LOST, name, told)
        for event in expected:
            row = rows.get((short(event.message_id), short(event.event_type)))
            if event.message_id and row is None:
                case.found(Kind.LOST, name, f"{event.message_id} {event.event_type} of it is in no table")
            elif row and row.ordering_key != short(event.ordering_key):
                case.found(Kind.CORRUPTED, name, f"ordering key {row.ordering_key!r} is not that of the event sent")


def _check_quarantine(case: _Case) -> None:
    """An answer that both bodies are kept is a promise too."""
    if not case.history.is_generated:
        return
    kept = {(row.message_id, row.event_type, row.body_sha256) for row in case.rows if row.place is Place.QUARANTINE}
    for send in case.history.sends:
        last = send.attempts[-1] if send.attempts else None
        if last is None or last.status != CONFLICT_STATUS or send.answer.code != IN_QUARANTINE:
            continue
        if (send.planned.message_id, send.planned.event_type, send.planned.body_sha256) not in kept:
            case.found(
                Kind.LOST, _name(send), f"answered {last.status} (both are kept), and quarantine has no such body"
            )


def _check_rows(case: _Case) -> None:
    kept = [row for row in case.rows if row.place is not Place.QUARANTINE]
    by_name: dict[tuple[str, str], list[StoredRow]] = defaultdict(list)
    for row in kept:
        by_name[row.message_id, row.event_type].append(row)
    for (message_id, event_type), rows in by_name.items():
        events_count = sum(row.place is Place.EVENT for row in rows)
        if events_count > 1 or len({row.event_id for row in rows}) > 1:
            places = ", ".join(f"{row.place} {row.event_id} (batch {row.batch})" for row in rows[:3])
            case.found(Kind.DUPLICATED, f"{message_id} {event_type}", f"stored {len(rows)} times: {places}")
    if not case.history.is_generated:
        return
    poison = {send.planned[1:3] for send in case.history.sends if send.planned.is_poison}
    retried = {row.event_id for row in kept if row.redriven_from_sequence is not None}
    for row in kept:
        if row.place is Place.DEAD_LETTER and row.event_id in retried:
            continue  # a person mended that
        is_poison = (row.message_id, row.event_type) in poison
        if (row.place is Place.DEAD_LETTER) != is_poison:
            told = "cannot be stored" if is_poison else "is good"
            subject = f"{row.message_id} {row.event_type}"
            case.found(Kind.MISPLACED, subject, f"it is in the place `{row.place}`, and its payload {told}")
    is_whole = case.history.self_check is not None
    sent = {send.planned[1:3] for send in case.history.sends if send.attempts or not is_whole}
    for (message_id, event_type), rows in by_name.items():
        if (message_id, event_type) not in sent:
            case.found(Kind.UNEXPECTED, f"{message_id} {event_type}", f"stored as {rows[0].event_id}, never sent")


def _check_order(case: _Case) -> None:
    """A retry is accepted anew, when a person asks for it: it keeps the order of commits, and of no ack."""
    fresh = [
        row
        for row in case.rows
        if row.place is Place.EVENT
        and (case.history.is_generated or ((known := case.promises.get(row.event_id)) and known.is_fresh))
    ]
    witnesses = [
        Witness(
            key=row.ordering_key,
            name=f"{row.message_id} {row.event_type}",
            lane=row.lane,
            accepted=(row.epoch, row.sequence),
            committed=(row.batch, row.sequence),
            sent_ns=promise.sent_ns if promise else None,
            ack_ns=promise.ack_ns if promise else None,
        )
        for row in fresh
        for promise in [case.promises.get(row.event_id) if row.redriven_from_sequence is None else None]
    ]
    for kind, breaks in (
        (Kind.SPLIT_KEY, split_keys(witnesses)),
        (Kind.COMMIT_ORDER, commit_order_breaks(witnesses)),
        (Kind.REAL_TIME_ORDER, real_time_breaks(witnesses)),
    ):
        for subject, witness in breaks:
            case.found(kind, subject, witness)


def _stored_without_ack_count(case: _Case) -> int:
    """Rows that no answer promised: the connection broke after the service had stored them. Allowed, and told."""
    if not case.history.is_generated:
        return 0
    promised = {case.aliases.get(event_id, event_id) for event_id in case.promises}
    return sum(row.event_id not in promised for row in case.rows)


def _name(send: Send) -> str:
    plan = send.planned
    return f"{plan.message_id} {plan.event_type}" if plan.message_id else f"send {plan.n} ({plan.body_sha256[:12]})"
