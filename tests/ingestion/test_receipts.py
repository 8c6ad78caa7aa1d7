"""Receipts: what we promised can be read back, and nothing else can pass for it."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.receipts import Receipt, ReceiptInvalid, ReceiptKey, read_receipt

KEY = ReceiptKey.derived("for-tests-only")
OTHER = ReceiptKey.derived("another-installation")
COUNTS = st.integers(0, 2**53)


def receipt(**changes: object) -> Receipt:
    fields: dict[str, object] = {
        "event_id": UUID(int=1),
        "lane": 3,
        "epoch": 1_767_225_600_000_000,
        "sequence": 17,
        "body_sha256": b"\x01" * 32,
        "accepted_us": 1_767_225_600_000_001,
        "key_id": KEY.id,
    }
    return Receipt(**(fields | changes))  # type: ignore[arg-type]


@given(st.uuids(), COUNTS, COUNTS, COUNTS, st.binary(min_size=32, max_size=32), COUNTS)
@settings(max_examples=50, deadline=None)
def test_a_receipt_is_read_back_as_it_was_written(
    event_id: UUID, lane: int, epoch: int, sequence: int, body: bytes, accepted_us: int
) -> None:
    given_out = Receipt(
        event_id=event_id,
        lane=lane,
        epoch=epoch,
        sequence=sequence,
        body_sha256=body,
        accepted_us=accepted_us,
        key_id=KEY.id,
    )
    assert read_receipt(given_out.line(KEY) + "\n", keys=(OTHER, KEY)) == given_out


@given(st.integers(0, 400), st.characters(codec="ascii", exclude_categories=["Cc"]))
@settings(max_examples=200, deadline=None)
def test_a_receipt_with_any_character_changed_is_refused(position: int, character: str) -> None:
    line = receipt().line(KEY)
    position %= len(line)
    changed = line[:position] + character + line[position + 1 :]
    if changed.strip() == line:
        return
    with pytest.raises(ReceiptInvalid):
        read_receipt(changed, keys=(KEY,))


def test_a_receipt_of_another_key_is_refused_and_the_key_is_named() -> None:
    with pytest.raises(ReceiptInvalid, match=OTHER.id):
        read_receipt(receipt(key_id=OTHER.id).line(OTHER), keys=(KEY,))


def test_a_receipt_that_claims_our_key_but_was_signed_by_another_is_refused() -> None:
    claimed = receipt().line(OTHER).replace(f" {OTHER.id} ", f" {KEY.id} ")
    with pytest.raises(ReceiptInvalid, match="MAC"):
        read_receipt(claimed, keys=(KEY,))


def test_a_receipt_that_was_remembered_under_an_older_key_is_signed_and_named_by_the_newer() -> None:
    line = receipt(key_id=OTHER.id).line(KEY)
    assert read_receipt(line, keys=(KEY,)).key_id == KEY.id


@pytest.mark.parametrize(
    "text", ["", "acr1", "acr2 " + receipt().line(KEY)[5:], receipt().line(KEY) + " more", "\ud800", "é" * 300]
)
def test_text_that_is_no_receipt_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(ReceiptInvalid, match=r"."):
        read_receipt(text, keys=(KEY,))


def test_keys_of_two_secrets_differ_and_the_id_tells_nothing_of_the_secret() -> None:
    assert KEY.secret != OTHER.secret
    assert KEY.id != OTHER.id
    assert KEY.id not in KEY.secret.hex()
