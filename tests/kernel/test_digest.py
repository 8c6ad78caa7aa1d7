"""Digests and MACs: known answers, and framing that no two lists share."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from autocom.kernel.digest import derived_key, framed, hmac_sha256, key_id, sha256

PARTS = st.lists(st.binary(max_size=8), max_size=4)


def test_the_published_vectors_hold() -> None:
    assert sha256(b"abc").hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    # RFC 4231, test case 2
    assert (
        hmac_sha256(b"Jefe", b"what do ya want for nothing?").hex()
        == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    )


@given(PARTS, PARTS)
def test_two_lists_have_the_same_frame_only_when_they_are_the_same(one: list[bytes], other: list[bytes]) -> None:
    assert (framed(one) == framed(other)) == (one == other)


def test_parts_that_run_together_are_kept_apart() -> None:
    assert framed([b"ab", b"c"]) != framed([b"a", b"bc"])
    assert framed([b""]) != framed([])


def test_a_key_for_one_purpose_is_no_key_for_another() -> None:
    assert derived_key("secret", purpose="a") != derived_key("secret", purpose="b")
    assert derived_key("secret", purpose="a") != derived_key("other", purpose="a")
    assert len(derived_key("secret", purpose="a")) == 32


def test_a_key_id_is_stable_and_names_no_part_of_the_key() -> None:
    key = derived_key("secret", purpose="a")
    assert key_id(key) == key_id(key)
    assert len(key_id(key)) == 8
    assert key_id(key) not in (key.hex()[:8], sha256(key).hex()[:8])
