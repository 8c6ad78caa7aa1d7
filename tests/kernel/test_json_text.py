"""JSON: fast where ordinary, complete where not."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocom.kernel import json_text

ANY_TEXT = st.text(st.characters(exclude_categories=[]))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_a_value_survives_the_way_to_text_and_back(value: object) -> None:
    assert json_text.loads(json_text.dumps(value)) == value
    assert json.loads(json_text.dumps(value)) == value


@given(VALUES)
def test_the_text_is_compact_and_has_no_line_end(value: object) -> None:
    """A line end would part a delivery's header from its body in the wrong place."""
    assert b"\n" not in json_text.dumps(value)


def test_a_lone_surrogate_is_written_as_an_escape_and_read_again() -> None:
    assert json_text.dumps({"a": "\ud800"}) == b'{"a":"\\ud800"}'
    assert json_text.loads(b'{"a":"\\ud800"}') == {"a": "\ud800"}


def test_what_only_python_reads_is_read_so_that_the_drain_can_bury_it() -> None:
    assert math.isnan(json_text.loads(b"[NaN]")[0])
    assert json_text.loads(b"1e400") == math.inf
    assert json_text.loads(b"123456789012345678901234567890") == pytest.approx(123456789012345678901234567890)


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", '{"a":1}'.encode("utf-16"), b"'a'", b'{"a":1}x'])
def test_what_is_no_json_text_in_utf_8_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        json_text.loads(text)


def test_nesting_too_deep_to_read_is_an_error_and_no_crash() -> None:
    with pytest.raises((ValueError, RecursionError)):
        json_text.loads(b"[" * 200_000 + b"]" * 200_000)


def test_what_is_no_json_value_is_refused() -> None:
    with pytest.raises((TypeError, ValueError)):
        json_text.dumps({"a": object()})
