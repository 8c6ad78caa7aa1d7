"""Deliveries of several events against rows: each event counts, whatever the receipts say."""

import json
from dataclasses import replace

import pytest

from ingestion.identify import short
from ingestion.replay.findings import Kind, Place, Reconciliation, StoredRow
from ingestion.replay.history import ExpectedEvent, History, PlannedSend
from ingestion.replay.reconcile import reconcile
from tests.replay.kit import HEADER, attempt, digest, history, receipt, row

BATCH = tuple(ExpectedEvent(f"m{number}", "open", f"key{number % 2}") for number in range(3))
SENT = digest(7)  # of the body as signed


def rows(count: int = 3) -> list[StoredRow]:
    return [
        row(
            number,
            number + 1,
            message_id=event.message_id,
            event_type=event.event_type,
            ordering_key=event.ordering_key,
            body_sha256=SENT,
            lane=number % 2,
        )
        for number, event in enumerate(BATCH[:count])
    ]


def answered(count: int = 3, **changes: object) -> str:
    lines = "\n".join(
        receipt(number, number + 1, lane=number % 2).replace(digest(number), SENT) for number in range(count)
    )
    return json.dumps({"request_id": "r", "status": "accepted", "events": 3, "receipt": lines} | changes)


def sent(text: str, *, events: tuple[ExpectedEvent, ...] | None = BATCH, body_sha256: str = SENT) -> History:
    plan = PlannedSend(0, "", "", "", digest(0), 900, 0, None, events)
    made = attempt(0, 10, 20, text)._replace(body_sha256=body_sha256)
    return history([plan], [made], header=HEADER | {"is_generated": False})


def findings(found: Reconciliation) -> dict[Kind, int]:
    return {kind: len(each) for kind, each in found.findings.items()}


def test_a_delivery_whose_events_are_all_stored_gives_no_finding() -> None:
    assert findings(reconcile(sent(answered()), rows=rows())) == {}


def test_an_event_of_a_delivery_that_no_receipt_names_and_no_table_has_is_lost() -> None:
    assert findings(reconcile(sent(answered(2)), rows=rows(2))) == {Kind.LOST: 1}


def test_an_event_kept_in_quarantine_is_not_lost() -> None:
    kept = [*rows(2), replace(rows()[2], place=Place.QUARANTINE)]
    assert findings(reconcile(sent(answered(2, quarantined=1)), rows=kept)) == {}


def test_an_answer_that_tells_of_fewer_events_than_were_sent_is_a_loss() -> None:
    assert findings(reconcile(sent(answered(events=2)), rows=rows())) == {Kind.LOST: 1}


def test_an_event_under_another_ordering_key_is_corrupted() -> None:
    moved = [*rows(2), replace(rows()[2], ordering_key="elsewhere")]
    assert findings(reconcile(sent(answered()), rows=moved))[Kind.CORRUPTED] == 1


def test_a_receipt_for_another_body_than_the_signed_one_is_corrupted() -> None:
    assert findings(reconcile(sent(answered(), body_sha256=digest(8)), rows=rows())) == {Kind.CORRUPTED: 3}


def test_a_digest_says_nothing_where_events_were_known_from_another_delivery() -> None:
    partly = answered(duplicates=1)
    assert findings(reconcile(sent(partly, body_sha256=digest(8)), rows=rows())) == {}


def test_an_event_whose_name_depends_on_the_signing_is_followed_by_its_receipt_alone() -> None:
    unnamed = tuple(event._replace(message_id="") for event in BATCH)
    assert findings(reconcile(sent(answered(), events=unnamed), rows=rows())) == {}
    assert findings(reconcile(sent(answered(), events=unnamed), rows=rows(2))) == {Kind.LOST: 1}


def test_a_name_too_long_for_an_index_is_looked_for_as_it_is_stored() -> None:
    long = BATCH[0]._replace(message_id="m" * 2_000)
    stored = replace(rows()[0], message_id=short("m" * 2_000))
    assert findings(reconcile(sent(answered(1, events=1), events=(long,)), rows=[stored])) == {}


@pytest.mark.parametrize(
    ("code", "finding"), [("identity_conflict", {Kind.LOST: 3}), ("", {Kind.NO_RECEIPT: 1, Kind.LOST: 3})]
)
def test_a_success_that_kept_all_in_quarantine_needs_no_receipt_but_its_rows(
    code: str, finding: dict[Kind, int]
) -> None:
    text = json.dumps({"code": code} if code else {"request_id": "r"})
    quarantined = [replace(each, place=Place.QUARANTINE) for each in rows()]
    assert findings(reconcile(sent(text), rows=[])) == finding
    assert Kind.LOST not in findings(reconcile(sent(text), rows=quarantined))


def test_one_event_told_in_two_deliveries_is_not_mistaken_for_another() -> None:
    plans = [
        PlannedSend(0, "", "", "", digest(0), 900, 0, None, BATCH[:2]),
        PlannedSend(1, "m1", "open", "key1", digest(1), 900, 0, None, BATCH[1:2]),
    ]
    first, second = answered(2, events=2), answered(2, events=1, status="duplicate")
    second = json.dumps(json.loads(second) | {"receipt": json.loads(first)["receipt"].splitlines()[1]})
    told = [attempt(0, 10, 20, first), attempt(1, 30, 40, second)]
    recorded = HEADER | {"is_generated": False}
    assert findings(reconcile(history(plans, told, header=recorded), rows=rows(2))) == {}
    stranger = (ExpectedEvent("other", "open", "key1"),)
    plans[1] = plans[1]._replace(message_id="other", events=stranger)
    assert findings(reconcile(history(plans, told, header=recorded), rows=rows(2)))[Kind.MISTAKEN] == 1
