"""The rows of one delivery against its body."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping

from autocom.kernel.digest import sha256
from autocom.kernel.ids import position_of
from ingestion.dead_letters import RECEIPT_MISMATCH
from ingestion.headers_mac import has_made
from ingestion.identified_again import Identifier, changed_columns, is_same
from ingestion.models import Batch, Delivery
from ingestion.providers.adapter import IdentifiedEvent
from ingestion.row_finding import RowFinding
from ingestion.same_json import is_same_json
from ingestion.stored_rows import Posted, StoredRow


def check_posted(
    posted: Posted, *, batches: Mapping[int, Batch], suspects: Container[int], identifier: Identifier
) -> Iterator[RowFinding]:
    """What differs, row by row. A missing delivery is no matter of this, nor are the leaves of rows in the `suspects`:
    those batches have another root than they should.
    """
    vouched = [row for row in posted.rows if row.error_class != RECEIPT_MISMATCH]  # the others' claims were changed
    events = _events(posted, vouched, identifier=identifier)
    proved = [row for row in vouched if row.batch_number not in suspects]
    yield from _delivery_findings(posted.delivery, proved, events=events)
    for row in posted.rows:
        payload, batch = posted.payloads.get(row.name), batches[row.batch_number]
        if row.error_class == RECEIPT_MISMATCH:
            yield from _forged_findings(row, payload, batch=batch)
            continue
        if row.is_event and (payload is None) != (batch.bodies_aged_at is not None):
            yield RowFinding("changed", row.name, _WHY_NULL if payload is None else _WHY_NOT_NULL)
            continue
        yield from _row_findings(row, payload, posted.delivery, event=events.get(position_of(row.event_id)))


_WHY_NULL = "its payload is gone, and it has not aged out"
_WHY_NOT_NULL = "its batch says that its payload has aged out, and it has one"


def _events(posted: Posted, vouched: list[StoredRow], *, identifier: Identifier) -> dict[int, IdentifiedEvent]:
    """By position; none where the body is not the one that was received."""
    delivery = posted.delivery
    if delivery is None or not vouched or sha256(bytes(delivery.body)) not in {row.body_sha256 for row in vouched}:
        return {}
    return dict(enumerate(identifier.events(delivery)))


def _delivery_findings(
    delivery: Delivery | None, vouched: list[StoredRow], *, events: Mapping[int, IdentifiedEvent]
) -> Iterator[RowFinding]:
    if delivery is None:
        return
    where, found = f"delivery {delivery.pk}", sha256(bytes(delivery.body))
    others = sorted({row.body_sha256.hex() for row in vouched} - {found.hex()})
    if found != bytes(delivery.body_sha256):
        others.append(bytes(delivery.body_sha256).hex())
    if others:
        yield RowFinding("changed", where, f"its body has SHA-256 {found.hex()}, recorded is {others[0]}")
    if vouched and not has_made(bytes(delivery.headers_mac), delivery.pk, delivery.headers):
        yield RowFinding("changed", where, "its headers are not those that were stored")
    if any(row.provider != delivery.provider for row in vouched):
        yield RowFinding("changed", where, f"its provider is {delivery.provider}, that of its events is another")
    if any(row.received_at != delivery.received_at for row in vouched):
        yield RowFinding("changed", where, "its time of receipt is not that of its events")
    if len(events) != delivery.event_count and _is_reproduced(vouched, events):
        what = f"it says that it has {delivery.event_count} events, its body has {len(events)}"
        yield RowFinding("changed", where, what)


def _is_reproduced(vouched: list[StoredRow], events: Mapping[int, IdentifiedEvent]) -> bool:
    """True where the adapter still sees one of the events at least as it did then."""
    pairs = [(row, event) for row in vouched if (event := events.get(position_of(row.event_id)))]
    return any(event.content_sha256 == row.content_sha256 and is_same(row, event) for row, event in pairs)


def _forged_findings(row: StoredRow, payload: bytes | None, *, batch: Batch) -> Iterator[RowFinding]:
    """Nobody knows what it was; but its leaf has the digest of what came."""
    if batch.leaf_format > 1 and sha256(payload or b"") != row.content_sha256:
        yield RowFinding("changed", row.name, "its bytes are not those whose digest stands with it")


def _row_findings(
    row: StoredRow, payload: bytes | None, delivery: Delivery | None, *, event: IdentifiedEvent | None
) -> Iterator[RowFinding]:
    """Where the adapter finds the content whose digest the leaf has, it finds the event, and all else must be as it
    says. What it cannot find again is proved by its leaf alone."""
    is_whole_body = row.content_sha256 == row.body_sha256
    if event is None or event.content_sha256 != row.content_sha256:
        body = None if delivery is None else bytes(delivery.body)
        if body is not None and sha256(body) != row.content_sha256:
            body = None
        yield from _payload_findings(row, payload, expected=body, is_exact=is_whole_body)
        return
    yield from _payload_findings(row, payload, expected=event.payload, is_exact=is_whole_body)
    if is_same(row, event) and (names := changed_columns(row, event)):
        yield RowFinding("changed", row.name, f"not what its delivery says: {', '.join(names)}")


def _payload_findings(
    row: StoredRow, payload: bytes | None, *, expected: bytes | None, is_exact: bool
) -> Iterator[RowFinding]:
    if payload is None:
        return
    if row.is_event:
        is_right = expected is None or is_same_json(payload, expected)
    elif expected is not None:
        is_right = payload == expected
    else:
        is_right = not is_exact or sha256(payload) == row.content_sha256
    if not is_right:
        yield RowFinding("changed", row.name, "its payload is not what its delivery's body says")
