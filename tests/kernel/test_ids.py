"""Ids: version 7 UUIDs that sort by time and lead from event to delivery."""

from __future__ import annotations

from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocom.kernel.ids import EVENTS_PER_DELIVERY_LIMIT, event_id, last_event_id_of, new_request_id, request_id_of

TIMES_US = st.integers(0, (1 << 48) * 1_000 - 1)
POSITIONS = st.integers(0, EVENTS_PER_DELIVERY_LIMIT - 1)


@given(TIMES_US)
def test_a_request_id_is_a_version_7_uuid_with_its_milliseconds_in_front(now_us: int) -> None:
    made = new_request_id(now_us=now_us)
    assert (made.version, made.variant) == (7, RFC_4122)
    assert made.int >> 80 == now_us // 1_000
    assert request_id_of(made) == made


@given(TIMES_US, TIMES_US)
def test_ids_sort_as_their_microseconds(one_us: int, other_us: int) -> None:
    one, other = new_request_id(now_us=one_us), new_request_id(now_us=other_us)
    if one_us != other_us:
        assert (one < other) == (one_us < other_us)


@given(TIMES_US, POSITIONS)
def test_an_event_id_leads_to_its_request_and_lies_in_its_range(now_us: int, position: int) -> None:
    request_id = new_request_id(now_us=now_us)
    made = event_id(request_id, position=position)
    assert request_id_of(made) == request_id
    assert request_id <= made <= last_event_id_of(request_id)
    assert (made.version, made.variant) == (7, RFC_4122)


def test_ids_of_one_microsecond_differ() -> None:
    assert len({new_request_id(now_us=1) for _ in range(10_000)}) == 10_000


@pytest.mark.parametrize("position", [-1, EVENTS_PER_DELIVERY_LIMIT])
def test_a_position_outside_the_delivery_is_refused(position: int) -> None:
    with pytest.raises(ValueError, match=str(position)):
        event_id(UUID(int=0), position=position)
