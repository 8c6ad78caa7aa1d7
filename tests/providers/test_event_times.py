"""The time that an event tells: any value gives an exact time or none, and no exception."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocom.kernel import json_text
from ingestion.providers.json_body import EPOCH, YEAR_10000_US, time_us_at
from tests.providers.requests import bounded, json_values

SECONDS_BELOW = 100_000_000_000
odd_numbers = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from([10**4000, -(10**4000), 10**400, 1e300, 1e308 * 10, -0.0, 5e-324, 2**63, 2**64]),
    st.integers(0, 4 * 10**18),
    st.floats(0, 1e19),
)
zones = st.timedeltas(-timedelta(hours=23, minutes=59), timedelta(hours=23, minutes=59)).map(timezone)


def read(found: object) -> int | None:
    return time_us_at({"at": found}, ("at",))


@bounded
@given(found=odd_numbers | json_values | st.text(max_size=80) | st.text("0123456789.-+:TZ ", max_size=40))
def test_any_value_is_a_time_from_1970_to_9999_or_none(found: object) -> None:
    time_us = read(found)
    assert time_us is None or (type(time_us) is int and 0 <= time_us < YEAR_10000_US)


@bounded
@given(found=odd_numbers)
def test_a_number_is_its_time_to_the_microsecond_or_none_where_no_calendar_has_it(found: float) -> None:
    is_number = found == found and abs(found) != float("inf")
    exact = Fraction(found) * (1_000_000 if found < SECONDS_BELOW else 1_000) if is_number else Fraction(-1)
    time_us = read(found)
    if time_us is None:
        assert not 0 <= exact < YEAR_10000_US - 1
    else:
        assert abs(time_us - exact) <= 1


@bounded
@given(found=st.decimals(0, 10**15, allow_nan=False, allow_infinity=False, places=7))
def test_a_number_as_text_is_its_time_to_the_microsecond(found: object) -> None:
    exact = Fraction(str(found))
    exact *= 1_000_000 if exact < SECONDS_BELOW else 1_000
    time_us = read(f"{found:f}")
    assert (time_us is None) == (exact >= YEAR_10000_US)
    assert time_us is None or abs(time_us - exact) <= 1


@bounded
@given(moment=st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=zones))  # noqa: DTZ001
def test_a_date_in_any_zone_is_exactly_its_time(moment: datetime) -> None:
    exact = (moment - EPOCH) // timedelta(microseconds=1)
    assert read(moment.isoformat()) == (exact if 0 <= exact < YEAR_10000_US else None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31T23:59:59.123456Z", datetime(2026, 1, 31, 23, 59, 59, 123456, tzinfo=UTC)),
        ("2026-01-31T23:59:59.1234569Z", datetime(2026, 1, 31, 23, 59, 59, 123456, tzinfo=UTC)),
        ("2026-01-31 23:59:59", datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC)),
        ("2026-02-01T01:59:59+02:00", datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC)),
        ("1548261231.230000", datetime(2019, 1, 23, 16, 33, 51, 230000, tzinfo=UTC)),
    ],
)
def test_the_forms_that_providers_send(text: str, expected: datetime) -> None:
    assert read(text) == (expected - EPOCH) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    "text",
    ["", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "99999-99-99T99:99:99Z", "²", "٣", "1" * 5_000],
)
def test_what_no_calendar_has_is_no_time(text: str) -> None:
    assert read(text) is None


@pytest.mark.parametrize("text", [b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-1", b"true", b"null", b"[1]"])
def test_what_json_lets_through_and_is_no_time_is_none(text: bytes) -> None:
    assert time_us_at(json_text.loads(b'{"at": %s}' % text), ("at",)) is None


def test_a_time_in_json_that_no_float_holds_exactly_is_still_right() -> None:
    at = 1_767_225_600.123456
    assert read(json.loads(json.dumps(at))) == 1_767_225_600_123_456
