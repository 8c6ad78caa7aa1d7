"""Journal against rows: a clean run gives no finding, and each planted violation is found."""

from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any
from uuid import UUID

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ingestion.replay.findings import Kind, Place, Reconciliation, StoredRow
from ingestion.replay.history import Attempt, History, PlannedSend
from ingestion.replay.order import Witness, commit_order_breaks, real_time_breaks
from ingestion.replay.reconcile import reconcile
from tests.replay.kit import HEADER, answer, attempt, digest, event_id, history, planned, row

MS = 1_000_000
LANES = 3


@dataclass(frozen=True)
class Run:
    """A run that kept every promise: what was sent, and the rows that came of it."""

    sends: list[PlannedSend]
    attempts: list[Attempt]
    rows: list[StoredRow]

    def history(self) -> History:
        return history(self.sends, self.attempts)

    def reconciled(self, rows: list[StoredRow] | None = None) -> Reconciliation:
        return reconcile(self.history(), rows=self.rows if rows is None else rows)


@st.composite
def clean_runs(draw: st.DrawFn, *, at_least: int = 1) -> Run:
    """Overlapping sends on several keys and lanes; acceptance falls anywhere between send and ack. Some events are sent
    twice, some outcomes are unknown though the event was stored, some are refused, some go to the dead letters."""
    count = draw(st.integers(at_least, 25))
    events = []
    now_ns = 0
    for number in range(count):
        now_ns += draw(st.integers(0, 3)) * MS
        key = draw(st.integers(0, 3))
        latency_ns = draw(st.integers(2, 12)) * MS
        accepted_ns = now_ns + draw(st.integers(1, latency_ns - 1))
        fate = draw(st.sampled_from(["ok", "ok", "ok", "repeated", "unknown", "refused", "dead"]))
        events.append((number, key, now_ns, accepted_ns, now_ns + latency_ns, fate))
    sequences: dict[int, int] = defaultdict(int)
    sequence_of: dict[int, int] = {}
    for number, key, _, _, _, fate in sorted(events, key=lambda event: event[3]):
        if fate != "refused":
            sequences[key % LANES] += 1
            sequence_of[number] = sequences[key % LANES]
    sends: list[PlannedSend] = []
    attempts: list[Attempt] = []
    rows: list[StoredRow] = []
    batch_size = draw(st.integers(1, 5))
    for number, key, sent_ns, _, ack_ns, fate in events:
        lane = key % LANES
        sends.append(planned(number, key=f"key{key}", intended_ns=sent_ns))
        if fate == "refused":
            attempts.append(attempt(number, sent_ns, ack_ns, '{"code":"busy"}', status=503))
            continue
        sequence = sequence_of[number]
        text = answer(number, sequence, lane=lane)
        if fate == "unknown":
            attempts.append(attempt(number, sent_ns, ack_ns, "", status=0))
        else:
            attempts.append(attempt(number, sent_ns, ack_ns, text))
        if fate == "repeated":
            again_ns = sent_ns + draw(st.integers(0, 30)) * MS
            n = count + number
            sends.append(planned(n, key=f"key{key}", event=number, intended_ns=again_ns))
            text = answer(number, sequence, lane=lane, status="duplicate")
            attempts.append(attempt(n, again_ns, max(again_ns, ack_ns) + MS, text))
        rows.append(
            row(
                number,
                sequence,
                lane=lane,
                ordering_key=f"key{key}",
                batch=1 + LANES * ((sequence - 1) // batch_size) + lane,
                place=Place.DEAD_LETTER if fate == "dead" else Place.EVENT,
            )
        )
    return Run(sends, attempts, rows)


def promised(run: Run) -> list[StoredRow]:
    """The rows that some answer promised."""
    told = {receipt.event_id for send in run.history().sends if send.acknowledged for receipt in send.answer.receipts}
    return [one for one in run.rows if one.event_id in told]


def only(reconciliation: Reconciliation, kind: Kind) -> bool:
    """Exactly one finding, of this kind, with a subject and a witness to read."""
    found = reconciliation.findings
    return list(found) == [kind] and len(found[kind]) == 1 and bool(found[kind][0].subject and found[kind][0].witness)


@given(clean_runs())
@settings(max_examples=300)
def test_a_clean_run_gives_no_finding_and_no_doubt(run: Run) -> None:
    result = run.reconciled()
    assert result.findings == {}
    assert result.doubts == ()
    assert result.stored_count == len(run.rows)
    assert result.stored_without_ack_count == len(run.rows) - len(promised(run))


@given(clean_runs(), st.data())
def test_a_promised_event_without_a_row_is_lost(run: Run, data: st.DataObject) -> None:
    assume(promised(run))
    victim = data.draw(st.sampled_from(promised(run)))
    result = run.reconciled([one for one in run.rows if one is not victim])
    assert only(result, Kind.LOST)
    assert victim.message_id in result.findings[Kind.LOST][0].subject


@given(clean_runs(), st.data())
def test_an_unpromised_event_without_a_row_is_not_lost(run: Run, data: st.DataObject) -> None:
    unpromised = [one for one in run.rows if one not in promised(run)]
    assume(unpromised)
    victim = data.draw(st.sampled_from(unpromised))
    assert run.reconciled([one for one in run.rows if one is not victim]).findings == {}


@given(clean_runs(), st.data())
def test_an_event_stored_twice_is_duplicated(run: Run, data: st.DataObject) -> None:
    assume(run.rows)
    victim = data.draw(st.sampled_from(run.rows))
    again = replace(victim, event_id=event_id(9_999), sequence=victim.sequence + 1_000, batch=victim.batch + 1_000)
    result = run.reconciled([*run.rows, again])
    assert only(result, Kind.DUPLICATED)
    assert result.idempotency_violations == 1


@given(clean_runs())
def test_a_retried_dead_letter_that_is_now_an_event_is_no_duplicate(run: Run) -> None:
    dead = [one for one in run.rows if one.place is Place.DEAD_LETTER]
    assume(dead)
    retried = [replace(one, place=Place.EVENT) for one in dead]
    assert run.reconciled([*run.rows, *retried]).count(Kind.DUPLICATED) == 0


@given(clean_runs())
def test_a_row_of_this_run_that_was_never_sent_is_unexpected(run: Run) -> None:
    result = run.reconciled([*run.rows, row(7_777, 5_000, batch=5_000, ordering_key="other")])
    assert only(result, Kind.UNEXPECTED)


@given(clean_runs(), st.data())
def test_a_row_with_another_body_digest_is_corrupted(run: Run, data: st.DataObject) -> None:
    assume(promised(run))
    victim = data.draw(st.sampled_from(promised(run)))
    rows = [replace(one, body_sha256=digest(4_444)) if one is victim else one for one in run.rows]
    assert only(run.reconciled(rows), Kind.CORRUPTED)


@given(clean_runs(), st.data())
def test_a_row_that_differs_from_its_receipt_is_corrupted(run: Run, data: st.DataObject) -> None:
    alone = [one for one in promised(run) if sum(other.ordering_key == one.ordering_key for other in run.rows) == 1]
    assume(alone)
    victim = data.draw(st.sampled_from(alone))
    changes = data.draw(st.sampled_from([{"lane": 9}, {"epoch": 9}, {"sequence": 999}]))
    rows = [replace(one, **changes) if one is victim else one for one in run.rows]  # type: ignore[arg-type]
    assert only(run.reconciled(rows), Kind.CORRUPTED)


@given(clean_runs(at_least=2), st.data())
def test_two_events_that_share_one_receipt_are_an_idempotency_violation(run: Run, data: st.DataObject) -> None:
    acked = [one for one in run.attempts if one.status == 202 and one.n < 1_000]
    assume(len(acked) >= 2)
    first, second = data.draw(st.sampled_from(list(combinations(acked, 2))))
    by_n = {send.n: send for send in run.sends}
    assume(by_n[first.n].message_id != by_n[second.n].message_id)
    mixed_up = [one._replace(answer=first.answer) if one is second else one for one in run.attempts]
    result = replace(run, attempts=mixed_up).reconciled()
    assert result.count(Kind.MISTAKEN) == 1
    assert result.idempotency_violations == 1


def test_a_body_changed_before_it_was_promised_is_corrupted_though_receipt_and_row_agree() -> None:
    text = answer(0, 1).replace(digest(0), digest(5))
    result = Run([planned(0)], [attempt(0, 0, MS, text)], [row(0, 1, body_sha256=digest(5))]).reconciled()
    assert only(result, Kind.CORRUPTED)


def test_an_event_stored_under_the_names_of_another_is_an_idempotency_violation() -> None:
    run = Run([planned(0)], [attempt(0, 0, MS, answer(0, 1))], [row(0, 1, event_type="email.bounced")])
    result = run.reconciled()
    assert result.count(Kind.MISTAKEN) == 1


@given(clean_runs(at_least=2), st.data())
def test_events_of_a_key_committed_against_their_acceptance_break_the_commit_order(
    run: Run, data: st.DataObject
) -> None:
    pairs = [
        (one, two)
        for one, two in combinations(run.rows, 2)
        if one.ordering_key == two.ordering_key and one.batch != two.batch and one.place is two.place is Place.EVENT
    ]
    assume(pairs)
    one, two = data.draw(st.sampled_from(pairs))
    swapped = {one.event_id: replace(one, batch=two.batch), two.event_id: replace(two, batch=one.batch)}
    result = run.reconciled([swapped.get(each.event_id, each) for each in run.rows])
    assert result.count(Kind.COMMIT_ORDER) >= 1
    assert result.order_violations == result.count(Kind.COMMIT_ORDER)


@given(clean_runs(at_least=2), st.data())
def test_an_event_sent_after_an_ack_and_accepted_before_it_breaks_the_real_time_order(
    run: Run, data: st.DataObject
) -> None:
    whole = run.history()
    times = {
        send.planned.n: (send.attempts[0].sent_ns, send.attempts[0].ack_ns) for send in whole.sends if send.acknowledged
    }
    rows = {one.message_id: one for one in run.rows if one.place is Place.EVENT}
    pairs = [
        (one, two)
        for one, two in combinations([send.planned for send in whole.sends if send.acknowledged], 2)
        if one.ordering_key == two.ordering_key
        and {one.message_id, two.message_id} <= set(rows)
        and one.message_id != two.message_id
        and one.duplicate_of is two.duplicate_of is None
        and times[one.n][1] < times[two.n][0]
    ]
    assume(pairs)
    one, two = data.draw(st.sampled_from(pairs))
    first, second = rows[one.message_id], rows[two.message_id]
    # Swapped in acceptance, batch and receipts alike, so that only the clock of the sender can tell.
    places = {
        first.event_id: {"sequence": second.sequence, "batch": second.batch},
        second.event_id: {"sequence": first.sequence, "batch": first.batch},
    }
    changed: list[StoredRow] = [replace(each, **places.get(each.event_id, {})) for each in run.rows]  # type: ignore[arg-type]
    sequence_of = {each.event_id: each.sequence for each in changed}
    attempts = [with_sequences(each, sequence_of) for each in run.attempts]
    result = replace(run, attempts=attempts).reconciled(changed)
    assert result.count(Kind.REAL_TIME_ORDER) >= 1
    assert result.order_violations == result.count(Kind.REAL_TIME_ORDER)
    assert result.count(Kind.LOST, Kind.CORRUPTED, Kind.DUPLICATED, Kind.MISTAKEN) == 0


def with_sequences(one: Attempt, sequence_of: dict[UUID, int]) -> Attempt:
    for known, sequence in sequence_of.items():
        before, found, after = one.answer.partition(f"acr1 {known} ")
        if found:
            lane, epoch, _, rest = after.split(" ", 3)
            return one._replace(answer=f"{before}{found}{lane} {epoch} {sequence} {rest}")
    return one


def test_one_key_on_two_lanes_breaks_the_order() -> None:
    run = Run(
        [planned(0), planned(1)],
        [attempt(0, 0, 5, answer(0, 1)), attempt(1, 2, 6, answer(1, 1, lane=1))],
        [row(0, 1), row(1, 1, lane=1, batch=2)],
    )
    result = run.reconciled()
    assert result.count(Kind.SPLIT_KEY) == 1
    assert result.order_violations >= 1


witnesses = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(0, 30), st.integers(1, 15), st.integers(0, 2), st.integers(0, 30)),
    max_size=12,
)


@given(witnesses)
@settings(max_examples=500)
def test_the_sweep_finds_what_comparing_all_pairs_finds(drawn: list[tuple[str, int, int, int, int]]) -> None:
    events = [
        Witness(key, str(index), 0, (epoch, sequence * 100 + index), (0, index), sent, sent + took)
        for index, (key, sent, took, epoch, sequence) in enumerate(drawn)
    ]
    expected = {
        b.name
        for a in events
        for b in events
        if a.key == b.key and (a.ack_ns or 0) < (b.sent_ns or 0) and a.accepted > b.accepted
    }
    assert {name for name, _ in real_time_breaks(events)} == expected


def test_a_new_epoch_comes_after_the_old_one_whatever_its_sequences() -> None:
    events = [
        Witness("k", "old", 0, (1, 900), (1, 900), 0, 1),
        Witness("k", "new", 0, (2, 1), (2, 1), 2, 3),
    ]
    assert list(commit_order_breaks(events)) == list(real_time_breaks(events)) == []


def test_a_2xx_without_a_receipt_is_told_and_its_event_looked_for_by_name() -> None:
    stored = Run([planned(0)], [attempt(0, 0, 1, "{}")], [row(0, 1)]).reconciled()
    assert list(stored.findings) == [Kind.NO_RECEIPT]
    missing = Run([planned(0)], [attempt(0, 0, 1, "not json")], []).reconciled()
    assert missing.count(Kind.LOST) == missing.count(Kind.NO_RECEIPT) == 1


def test_an_event_that_postgresql_knew_already_is_found_under_its_first_id() -> None:
    sends, attempts = [planned(0)], [attempt(0, 0, 1, answer(0, 1))]
    earlier = row(0, 77, event_id=event_id(50))
    whole = history(sends, attempts)
    assert reconcile(whole, rows=[earlier]).count(Kind.LOST) == 1
    assert reconcile(whole, rows=[earlier], aliases={event_id(0): event_id(50)}).findings == {}


def test_an_unknown_first_send_counts_for_real_time_order_from_the_moment_it_first_went_out() -> None:
    """B was stored though its connection broke; A was acked; then B was repeated. B before A is right."""
    sends = [planned(1), planned(0, intended_ns=5), planned(2, event=1, intended_ns=20)]
    attempts = [
        attempt(1, 0, 3, "", status=0),
        attempt(0, 5, 10, answer(0, 2)),
        attempt(2, 20, 30, answer(1, 1, status="duplicate")),
    ]
    assert reconcile(history(sends, attempts), rows=[row(1, 1), row(0, 2)]).findings == {}


@pytest.mark.parametrize(
    ("changes", "doubt"),
    [
        ({"sends": []}, "history is empty"),
        ({"self_check": None}, "no end line"),
    ],
)
def test_what_the_journal_cannot_tell_is_a_doubt(changes: dict[str, Any], doubt: str) -> None:
    whole = replace(history([planned(0)], [attempt(0, 0, 1, answer(0, 1))]), **changes)
    (found,) = reconcile(whole, rows=[row(0, 1)]).doubts
    assert doubt in found


def test_a_send_whose_outcome_is_missing_from_the_journal_is_a_doubt() -> None:
    whole = history([planned(0), planned(1)], [attempt(0, 0, 1, answer(0, 1)), attempt(1, 2, 3, answer(1, 2))])
    broken = replace(whole, sends=[whole.sends[0], replace(whole.sends[1], attempts=())])
    (found,) = reconcile(broken, rows=[row(0, 1), row(1, 2)]).doubts
    assert "sent is not acked + rejected: 2 were sent" in found


def test_a_recorded_run_is_followed_by_its_receipts_and_order_judged_for_what_it_accepted_itself() -> None:
    """Known from an earlier run in the other order: no business of this one."""
    sends = [planned(0), planned(1)]
    attempts = [
        attempt(0, 0, 1, answer(0, 9, status="duplicate")),
        attempt(1, 2, 3, answer(1, 4, status="duplicate")),
    ]
    header = HEADER | {"is_generated": False}
    rows = [row(0, 9), row(1, 4)]
    assert reconcile(history(sends, attempts, header=header), rows=rows).findings == {}
    fresh = [one._replace(answer=one.answer.replace("duplicate", "accepted")) for one in attempts]
    assert reconcile(history(sends, fresh, header=header), rows=rows).count(Kind.REAL_TIME_ORDER) == 1


def test_an_event_that_was_retried_is_judged_by_its_first_receipt_and_keeps_the_order_of_commits_only() -> None:
    """Accepted at 1, dead, and committed after the retry at 3: later than what was sent after its ack."""
    sends = [planned(0), planned(1)]
    attempts = [attempt(0, 0, 1, answer(0, 1)), attempt(1, 2, 3, answer(1, 2))]
    retried = row(0, 3, batch=3, redriven_from_sequence=1)
    letter = row(0, 1, place=Place.DEAD_LETTER)
    for rows in ([retried, row(1, 2, batch=2)], [retried, row(1, 2, batch=2), letter]):
        assert reconcile(history(sends, attempts), rows=rows).findings == {}
    unmarked = replace(retried, redriven_from_sequence=None)
    told = reconcile(history(sends, attempts), rows=[unmarked, row(1, 2, batch=2)])
    assert (told.count(Kind.CORRUPTED), told.count(Kind.REAL_TIME_ORDER)) == (1, 1)
    elsewhere = replace(retried, redriven_from_sequence=9)
    assert reconcile(history(sends, attempts), rows=[elsewhere, row(1, 2, batch=2)]).count(Kind.CORRUPTED) == 1
    early = replace(retried, batch=1)
    assert reconcile(history(sends, attempts), rows=[early, row(1, 2, batch=2)]).count(Kind.COMMIT_ORDER) == 1
