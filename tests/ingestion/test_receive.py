"""The receive view: what each input gets, and that nothing of it touches PostgreSQL or asks Redis twice."""

from __future__ import annotations

from typing import Any

from django.test import Client

from ingestion.accept import promise_keys
from ingestion.buffer.store import LaneBuffer
from ingestion.receipts import read_receipt
from tests.support.senders import as_meta, event_body, signed_headers


def post(body: bytes) -> Any:
    meta: dict[str, Any] = as_meta(signed_headers(body))
    return Client().generic("POST", "/webhooks/default", body, **meta)


def test_a_signed_event_is_accepted_with_a_receipt_that_our_key_signed(buffer: LaneBuffer) -> None:
    answer = post(event_body())
    assert answer.status_code == 202, answer.content
    receipt = read_receipt(answer.json()["receipt"], keys=(promise_keys().receipt,))
    entries = buffer.read(receipt.lane, limit_count=10)
    assert [entry.sequence for entry in entries] == [receipt.sequence]
