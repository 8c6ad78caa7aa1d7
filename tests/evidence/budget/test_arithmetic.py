"""The figures that Google's SRE Workbook publishes (chapter 5), and what is not known."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.budget.arithmetic import (
    RULES,
    AlertRule,
    Counts,
    Firing,
    State,
    balance,
    budget_spent,
    budget_total,
    burn_rate,
    fires,
    projected_exhaustion,
    remaining_pct,
    seconds_until_firing,
    state_of,
)

THREE_NINES = Decimal("0.999")
MONTH = timedelta(days=30)
NOW = datetime(2027, 3, 10, 12, tzinfo=UTC)
PAGE_1H, PAGE_6H, TICKET_1D, TICKET_3D = RULES


def test_three_nines_over_thirty_days_leave_43_point_2_minutes() -> None:
    minutes = Counts(valid=30 * 24 * 60)
    assert budget_total(minutes, target=THREE_NINES) == Fraction("43.2")


@pytest.mark.parametrize(
    ("rule", "share"),
    [
        (PAGE_1H, Fraction(2, 100)),
        (PAGE_6H, Fraction(5, 100)),
        (TICKET_1D, Fraction(10, 100)),
        (TICKET_3D, Fraction(10, 100)),
    ],
)
def test_each_rule_fires_when_the_share_of_the_workbook_is_spent(rule: AlertRule, share: Fraction) -> None:
    assert budget_spent(rate=rule.factor, window=rule.long, period=MONTH) == share


@pytest.mark.parametrize(
    ("rate", "days"), [(1, Fraction(30)), (2, Fraction(15)), (10, Fraction(3)), (1000, Fraction(30, 1000))]
)
def test_a_burn_rate_empties_the_budget_in_the_time_of_the_workbook(rate: int, days: Fraction) -> None:
    period = days * 24 * 3600
    assert budget_spent(rate=Fraction(rate), window=timedelta(seconds=float(period)), period=MONTH) == 1


def test_a_total_outage_is_detected_after_the_time_of_the_workbook() -> None:
    # "detection time ... 1 - SLO / error ratio * window * burn rate": 100 % errors, 99.9 %, 1 h, 14.4: 51.84 s
    assert seconds_until_firing(PAGE_1H, error_ratio=Fraction(1), target=THREE_NINES) == Fraction("51.84")
    assert seconds_until_firing(PAGE_6H, error_ratio=Fraction(1), target=THREE_NINES) == Fraction("129.6")
    assert seconds_until_firing(PAGE_1H, error_ratio=Fraction(1, 1000), target=THREE_NINES) is None


def test_both_windows_have_to_burn() -> None:
    high, low = Counts(valid=1000, bad=15), Counts(valid=1000, bad=14)
    assert fires(PAGE_1H, long=high, short=high, target=THREE_NINES) is Firing.YES
    assert fires(PAGE_1H, long=high, short=low, target=THREE_NINES) is Firing.NO
    assert fires(PAGE_1H, long=low, short=high, target=THREE_NINES) is Firing.NO


def test_one_failure_among_few_requests_wakes_nobody() -> None:
    few = Counts(valid=10, bad=1)
    assert fires(PAGE_1H, long=few, short=few, target=THREE_NINES) is Firing.INSUFFICIENT_DATA
    enough = Counts(valid=10, bad=3)
    assert fires(PAGE_1H, long=enough, short=enough, target=THREE_NINES) is Firing.YES


def test_what_was_not_measured_has_no_figure() -> None:
    nothing = Counts(unknown_seconds=3600)
    assert burn_rate(nothing, target=THREE_NINES) is None
    assert remaining_pct(nothing, target=THREE_NINES) is None
    assert fires(PAGE_1H, long=nothing, short=nothing, target=THREE_NINES) is Firing.UNKNOWN


counts = st.builds(
    lambda valid, share, unknown: Counts(valid=valid, bad=round(valid * share), unknown_seconds=unknown),
    st.integers(0, 10**7),
    st.floats(0, 0.01),
    st.integers(0, 28 * 86_400),
)


@given(counts, st.booleans(), st.lists(st.sampled_from(Firing), max_size=4))
def test_unknown_is_never_green(read: Counts, measured_now: bool, firings: list[Firing]) -> None:
    window = timedelta(days=28)
    state = state_of(read, target=THREE_NINES, firings=tuple(firings), measured_now=measured_now, window=window)
    could_be_spent = read.unknown_seconds > 0.001 * window.total_seconds() + 1e-6
    if not read.valid or not measured_now or could_be_spent:
        assert state is not State.OK
    if read.bad > (1 - Fraction(THREE_NINES)) * read.valid:
        assert state in (State.BREACHED, State.INSUFFICIENT_DATA, State.UNKNOWN)


def test_a_spent_budget_is_breached_though_nothing_is_measured_now() -> None:
    spent = Counts(valid=1000, bad=4)
    assert (
        state_of(spent, target=THREE_NINES, firings=(), measured_now=False, window=timedelta(days=28)) is State.BREACHED
    )


def test_the_projection_meets_the_moment_at_which_the_balance_is_zero() -> None:
    # 10 days of 1,000 an hour without a fault: 240 left, growing by 1 an hour; then 25 bad an hour: 24 an hour too many
    read = Counts(valid=240_000, bad=0)
    ends = projected_exhaustion(
        read, target=THREE_NINES, since=NOW - timedelta(days=10), now=NOW, bad=25, window=timedelta(hours=1)
    )
    assert ends == NOW + timedelta(hours=10)


def test_a_budget_that_grows_faster_than_it_is_spent_has_no_end() -> None:
    told = {"target": THREE_NINES, "since": NOW - timedelta(days=10), "now": NOW, "window": timedelta(hours=1)}
    assert projected_exhaustion(Counts(valid=240_000), bad=1, **told) is None  # type: ignore[arg-type]
    assert projected_exhaustion(Counts(valid=1_000, bad=1), bad=1, **told) == NOW  # type: ignore[arg-type]


@given(st.lists(counts, max_size=20))
def test_the_parts_of_an_account_add_up_to_it(parts: list[Counts]) -> None:
    whole = sum(parts, Counts())
    assert balance(whole, target=THREE_NINES) == sum(balance(part, target=THREE_NINES) for part in parts)
