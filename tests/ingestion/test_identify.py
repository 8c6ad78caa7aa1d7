"""Identity: the same event is the same, two different ones never are."""

from __future__ import annotations

import json
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from autocom.kernel.digest import sha256
from autocom.kernel.ids import event_id
from ingestion.identify import TEXT_LIMIT_BYTES, event_to_append, identity_of, short
from ingestion.lanes import lane_of
from ingestion.providers.adapter import IdentifiedEvent

TEXTS = st.text(st.characters(exclude_categories=[]), max_size=40)
FIELDS = st.tuples(TEXTS, TEXTS, st.lists(TEXTS, max_size=3))


def identity(parts: tuple[str, str, list[str]]) -> bytes:
    provider, recipe, fields = parts
    return identity_of(provider=provider, recipe=recipe, fields=fields)


@given(FIELDS, FIELDS)
@settings(max_examples=200, deadline=None)
def test_different_fields_never_share_an_identity(
    one: tuple[str, str, list[str]], other: tuple[str, str, list[str]]
) -> None:
    assert (identity(one) == identity(other)) == (one == other)


def test_fields_that_run_together_differ() -> None:
    assert identity(("p", "r", ["ab", "c"])) != identity(("p", "r", ["a", "bc"]))
    assert identity(("p", "r", ["a", ""])) != identity(("p", "r", ["a"]))
    assert identity(("pr", "", [])) != identity(("p", "r", []))


@given(st.text(st.characters(exclude_categories=[]), max_size=1_500))
@settings(max_examples=200, deadline=None)
def test_a_short_text_fits_the_limit_and_an_ordinary_one_is_untouched(text: str) -> None:
    encoded = text.encode("utf-8", "surrogatepass")
    shortened = short(text)
    assert len(shortened.encode("utf-8", "surrogatepass")) <= TEXT_LIMIT_BYTES
    assert (shortened == text) == (len(encoded) <= TEXT_LIMIT_BYTES)


def test_two_long_texts_with_one_start_stay_different() -> None:
    assert short("x" * 5_000 + "a") != short("x" * 5_000 + "b")


@given(TEXTS, TEXTS, st.integers(1, 256))
@settings(max_examples=100, deadline=None)
def test_a_key_rides_a_lane_that_exists(provider: str, key: str, lanes: int) -> None:
    assert 0 <= lane_of(provider=provider, ordering_key=key, lane_count=lanes) < lanes


def test_lanes_never_move_between_versions() -> None:
    """Fixed figures: another hash would reorder the events of a key that wait while the version changes."""
    found = [lane_of(provider="default", ordering_key=f"key-{i}", lane_count=8) for i in range(8)]
    assert found == LANES_OF_VERSION_1
    assert lane_of(provider="other", ordering_key="key-0", lane_count=1_000) != lane_of(
        provider="default", ordering_key="key-0", lane_count=1_000
    )


LANES_OF_VERSION_1 = [5, 0, 4, 6, 2, 1, 7, 5]


def test_what_rides_the_lane_names_all_that_the_commit_needs() -> None:
    request_id = UUID(int=7 << 12)
    appended = event_to_append(
        IdentifiedEvent(
            message_id="m" * 3_000,
            event_type="delivered",
            ordering_key="lone \ud800",
            payload=b"{}",
            identity_fields=("m", "delivered"),
            recipe="test/1",
            content_sha256=sha256(b"{}"),
            occurred_us=10**18,
        ),
        provider="default",
        request_id=request_id,
        position=2,
        body_sha256=sha256(b"body"),
        received_us=5,
        lane_count=4,
        headers=None,
    )
    meta = json.loads(appended.meta)
    assert appended.event_id == event_id(request_id, position=2) == UUID(hex=meta["id"])
    assert (meta["key"], meta["message_id"], meta["received_us"]) == ("lone \ud800", short("m" * 3_000), 5)
    assert meta["occurred_us"] is None  # the year 33658: no calendar holds it
    assert appended.identity.hex() == meta["identity"]
    assert appended.lane == lane_of(provider="default", ordering_key="lone \ud800", lane_count=4)
