"""The ledger against what was measured, counted by hand."""

from __future__ import annotations

import hashlib
from collections import Counter
from datetime import datetime
from fractions import Fraction
from typing import Any

import pytest
from django.db import Error, transaction
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from autocom.kernel.canonical_json import canonical_json
from evidence.budget.arithmetic import State
from evidence.budget.enter import enter_budget
from evidence.budget.entries import inputs_of
from evidence.budget.selectors import budget_standing, is_frozen, recent
from evidence.budget.watch import watch_burn
from evidence.models import Alert, AuditEntry, BudgetEntry
from evidence.slo.shipped import objectives
from ingestion.models import AckOutcome
from tests.evidence.budget.kit import HOUR, MINUTE, NOON, alive, measured

pytestmark = pytest.mark.django_db
Kind = BudgetEntry.Kind
CODES = ("accepted", "duplicate", "lane_full", "buffer_unavailable", "unauthorized", "provider_unknown", "handshake")
BAD = ("lane_full", "buffer_unavailable")


def entries(slo: str, kind: Kind = Kind.BURN) -> list[BudgetEntry]:
    return list(BudgetEntry.objects.filter(slo=slo, kind=kind).order_by("number"))


samples = st.lists(
    st.tuples(
        st.integers(0, 5 * 60 - 1),  # minute
        st.sampled_from(CODES),
        st.integers(1, 200_000),  # ack, microseconds
        st.sampled_from([50_000, 59_999_999, 60_000_000, 60_000_001, 90_000_000]),  # lag
        st.integers(1, 400),  # how many
    ),
    max_size=25,
)


@examples(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(samples)
def test_the_ledger_says_what_the_raw_samples_say(found: list[tuple[int, str, int, int, int]]) -> None:
    sid = transaction.savepoint()
    valid, bad = Counter[tuple[str, datetime]](), Counter[tuple[str, datetime]]()
    alive(NOON, NOON + MINUTE)
    for minute, code, ack_us, lag_us, count in found:
        at = NOON + minute * MINUTE
        is_acked = code in ("accepted", "duplicate")
        measured(
            at, answers={code: count},
            acks_us={ack_us: count} if is_acked else None, lags_us={lag_us: count} if code == "accepted" else None,
        )  # fmt: skip
        hour = at.replace(minute=0)
        if is_acked or code in BAD:
            valid["availability", hour] += count
            bad["availability", hour] += count if code in BAD else 0
        if is_acked:
            valid["ack_latency", hour] += count
            bad["ack_latency", hour] += count if ack_us > 120_000 else 0
        if code == "accepted":
            valid["end_to_end_lag", hour] += count
            bad["end_to_end_lag", hour] += count if lag_us > 60_000_000 else 0
    enter_budget(now=NOON + 5 * HOUR + 11 * MINUTE)
    for name, target in (("availability", "0.999"), ("ack_latency", "0.95"), ("end_to_end_lag", "0.999")):
        left = Fraction(0)
        burns = entries(name)
        assert [each.window_from for each in burns] == [NOON + n * HOUR for n in range(5)]
        for each in burns:
            hour = each.window_from
            assert (each.valid, each.bad) == (valid[name, hour], bad[name, hour])
            left += (1 - Fraction(target)) * valid[name, hour] - bad[name, hour]
            assert Fraction(each.balance_after) == left
    transaction.savepoint_rollback(sid)


def test_the_job_run_twice_enters_an_hour_once() -> None:
    measured(NOON, answers={"accepted": 999, "lane_full": 1})
    now = NOON + HOUR + 11 * MINUTE
    first = enter_budget(now=now)
    assert (first, enter_budget(now=now), enter_budget(now=now + MINUTE)) == (6, 0, 0)
    assert AuditEntry.objects.filter(act="budget.entered").count() == 3
    assert (entries("availability")[0].valid, entries("availability")[0].bad) == (1000, 1)


def test_a_flush_that_comes_late_gets_an_entry_of_its_own() -> None:
    measured(NOON, answers={"accepted": 10})
    enter_budget(now=NOON + HOUR + 11 * MINUTE)
    measured(NOON + MINUTE, answers={"accepted": 3, "buffer_full": 2})
    enter_budget(now=NOON + HOUR + 20 * MINUTE)
    enter_budget(now=NOON + HOUR + 30 * MINUTE)
    assert [(each.part, each.valid, each.bad) for each in entries("availability")] == [(0, 10, 0), (1, 5, 2)]
    assert entries("availability")[-1].raw["valid"] == 15


def test_an_entry_names_minutes_codes_and_providers() -> None:
    measured(NOON + 7 * MINUTE, answers={"accepted": 10, "lane_full": 2}, provider="acme")
    enter_budget(now=NOON + HOUR + 11 * MINUTE)
    cause = entries("availability")[0].cause
    assert cause["minutes"] == {(NOON + 7 * MINUTE).isoformat(): 2}
    assert cause["codes"] == {"accepted": 10, "lane_full": 2}
    assert cause["providers"] == {"acme": {"lane_full": 2}}


def test_an_answer_after_five_seconds_is_bad_for_availability() -> None:
    measured(NOON, answers={"accepted": 10}, acks_us={90_000: 7, 4_900_000: 1, 5_100_000: 2})
    enter_budget(now=NOON + HOUR + 11 * MINUTE)
    assert (entries("availability")[0].bad, entries("ack_latency")[0].bad) == (2, 3)


def test_time_that_nobody_measured_is_entered_as_unknown() -> None:
    alive(NOON, NOON + 20 * MINUTE)
    alive(NOON + 22 * MINUTE, NOON + 30 * MINUTE)  # a restart: two minutes
    enter_budget(now=NOON + 2 * HOUR + 11 * MINUTE)
    assert [each.unknown_seconds for each in entries("availability")] == [30 * 60, 3600]
    assert entries("availability")[0].remaining_pct is None


def test_an_idle_ingress_leaves_no_unknown_time() -> None:
    alive(NOON, NOON + HOUR + 15 * MINUTE)
    enter_budget(now=NOON + HOUR + 11 * MINUTE)
    assert [each.unknown_seconds for each in entries("availability")] == [0]


def test_events_that_are_accepted_and_never_committed_leave_the_lag_unknown() -> None:
    alive(NOON, NOON + HOUR + 15 * MINUTE)
    for n in range(10, 20):
        measured(NOON + n * MINUTE, answers={"accepted": 5})
    enter_budget(now=NOON + HOUR + 11 * MINUTE)
    assert entries("end_to_end_lag")[0].unknown_seconds == 600
    assert entries("availability")[0].unknown_seconds == 0


def test_a_silent_service_is_unknown_and_not_ok() -> None:
    alive(NOON, NOON + HOUR)
    measured(NOON, answers={"accepted": 10_000})
    assert budget_standing("availability", now=NOON + HOUR).state is State.OK
    silent = budget_standing("availability", now=NOON + HOUR + 4 * MINUTE)
    assert silent.state is State.UNKNOWN
    assert silent.remaining_pct == 100


def test_a_fresh_installation_knows_nothing() -> None:
    standing = budget_standing("availability", now=NOON)
    assert (standing.state, standing.remaining_pct) == (State.UNKNOWN, None)
    assert not recent("availability", HOUR, now=NOON).valid


def test_the_standing_adds_what_was_measured_since_the_newest_entry() -> None:
    measured(NOON, answers={"accepted": 9_000, "lane_full": 4})
    now = NOON + HOUR + 11 * MINUTE
    before = budget_standing("availability", now=now)
    enter_budget(now=now)
    after = budget_standing("availability", now=now)
    assert (before.valid, before.bad) == (after.valid, after.bad) == (9_004, 4)
    measured(NOON + HOUR + 5 * MINUTE, answers={"accepted": 996})
    assert budget_standing("availability", now=now).valid == 10_000


def test_a_fast_burn_opens_a_page_and_its_end_closes_it() -> None:
    now = NOON + 30 * MINUTE
    alive(NOON, now)
    measured(NOON + 28 * MINUTE, answers={"accepted": 80, "lane_full": 20})
    assert watch_burn(now=now) > 0
    alert = Alert.objects.get(kind="burn", subject="availability 1 h")
    assert (alert.severity, alert.closed_at) == ("page", None)
    assert watch_burn(now=now) > 0
    assert Alert.objects.filter(kind="burn", subject="availability 1 h").count() == 1
    measured(now + 20 * MINUTE, answers={"accepted": 1_000})
    watch_burn(now=now + 20 * MINUTE)
    alert.refresh_from_db()
    assert alert.closed_at is not None


def test_an_alert_stays_open_while_nothing_is_measured() -> None:
    measured(NOON, answers={"accepted": 80, "lane_full": 20})
    watch_burn(now=NOON + MINUTE)
    AckOutcome.objects.all().delete()
    watch_burn(now=NOON + 2 * HOUR)
    assert Alert.objects.filter(kind="burn", subject="availability 1 h", closed_at=None).exists()


def test_a_spent_budget_freezes_and_a_refilled_one_ends_it() -> None:
    slo = objectives().slo("availability")
    measured(NOON, answers={"accepted": 100, "lane_full": 5})
    enter_budget(now=NOON + HOUR + 11 * MINUTE)
    assert is_frozen(slo)
    enter_budget(now=NOON + HOUR + 12 * MINUTE)
    assert len(entries("availability", Kind.FREEZE_ON)) == len(entries("availability", Kind.POLICY)) == 1
    measured(NOON + HOUR, answers={"accepted": 10_000})
    enter_budget(now=NOON + 2 * HOUR + 11 * MINUTE)
    assert not is_frozen(slo)


def test_a_month_is_closed_and_the_next_one_opened() -> None:
    end = NOON.replace(month=4, day=1, hour=0)
    for n, count in ((-2, 5), (-1, 10), (0, 20)):
        measured(end + n * HOUR, answers={"accepted": count})
    enter_budget(now=end - 49 * MINUTE)
    enter_budget(now=end + HOUR + 11 * MINUTE)
    told = [(each.account, each.kind) for each in BudgetEntry.objects.filter(slo="availability").order_by("number")]
    march, april = "month:2027-03", "month:2027-04"
    assert told == [
        (march, "OPEN"),
        (march, "BURN"),
        (march, "BURN"),
        (march, "CLOSE"),
        (april, "OPEN"),
        (april, "BURN"),
    ]
    assert entries("availability")[-1].raw["valid"] == 20


@pytest.mark.parametrize("change", [{"bad": 0, "good": 10}, {"reason": "other"}])
def test_an_entry_cannot_be_changed_or_removed(change: dict[str, Any]) -> None:
    measured(NOON, answers={"accepted": 9, "lane_full": 1})
    enter_budget(now=NOON + HOUR + 11 * MINUTE)
    rows = BudgetEntry.objects.filter(slo="availability", kind=Kind.BURN)
    with pytest.raises(Error, match="what was entered stays"), transaction.atomic():
        rows.update(**change)
    with pytest.raises(Error, match="what was entered stays"), transaction.atomic():
        rows.delete()


def test_the_audit_log_names_the_digest_of_every_entry() -> None:
    measured(NOON, answers={"accepted": 9, "lane_full": 1})
    enter_budget(now=NOON + HOUR + 11 * MINUTE)
    told = {
        each["number"]: each["sha256"]
        for entry in AuditEntry.objects.filter(act="budget.entered")
        for each in entry.facts["entries"]
    }
    for entry in BudgetEntry.objects.all():
        assert hashlib.sha256(canonical_json(inputs_of(entry))).hexdigest() == told[entry.number]


def test_entries_are_numbered_without_a_gap() -> None:
    alive(NOON, NOON + MINUTE)
    enter_budget(now=NOON + 3 * HOUR + 11 * MINUTE)
    numbers = list(BudgetEntry.objects.order_by("number").values_list("number", flat=True))
    assert numbers == list(range(1, len(numbers) + 1))
