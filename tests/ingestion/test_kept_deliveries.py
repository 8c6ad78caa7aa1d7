"""What is kept of a delivery proves it again: body, headers and URL, and no credential."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from autocom.kernel.clock import us_of
from ingestion.buffer.store import LaneBuffer
from ingestion.models import Delivery
from ingestion.provider_book import BOOK
from ingestion.providers.adapter import InboundDelivery
from ingestion.receive import base_url
from ingestion.verify import verify
from tests.support.lanes import LANES, LaneKit
from tests.support.schemes import SCHEMES, Scheme, add_provider, load_book

pytestmark = [pytest.mark.urls("autocom.ingress_urls"), pytest.mark.django_db(transaction=True)]
CREDENTIALS_ONLY = {"brevo", "postmark"}  # nothing is signed: nothing could be verified again
ODD = {
    "signature_header": "X-Acme-Proof",
    "timestamp_header": "X-Acme-Moment",
    "prefix": "v1=",
    "encoding": "base64",
    "policy": "both",
}
CASES = {
    **{name: scheme for name, scheme in SCHEMES.items() if name not in CREDENTIALS_ONLY},
    "generic, its own headers": replace(SCHEMES["generic"], options={**ODD, "policy": "signature"}),
    "generic, the body alone": replace(SCHEMES["generic"], options={"timestamp_header": ""}),
}


def stored(scheme: Scheme, lanes: LaneKit, monkeypatch: pytest.MonkeyPatch) -> tuple[Delivery, str]:
    add_provider(scheme)
    load_book(monkeypatch)
    sent = scheme.request(scheme.event)
    assert sent.send().status in range(200, 300)
    for lane in range(LANES):
        lanes.drain(lane)
    return Delivery.objects.get(), base_url() + sent.path


@pytest.mark.parametrize("case", CASES)
def test_a_stored_delivery_is_verified_again_from_what_was_kept(
    case: str, lanes: LaneKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, url = stored(CASES[case], lanes, monkeypatch)
    known = BOOK.named(row.provider)
    assert known is not None
    headers: dict[str, Any] = row.headers if isinstance(row.headers, dict) else json.loads(row.headers)
    received_us = us_of(row.received_at)
    kept = InboundDelivery(
        provider=row.provider, headers=headers, body=bytes(row.body), url=url, received_us=received_us
    )
    assert verify(known, kept, now_us=received_us) is not None


@pytest.mark.parametrize("name", [*sorted(CREDENTIALS_ONLY), "generic"])
def test_no_credential_is_kept_with_a_delivery(
    name: str, lanes: LaneKit, buffer: LaneBuffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheme = SCHEMES[name] if name in CREDENTIALS_ONLY else replace(SCHEMES[name], options=ODD)
    row, _ = stored(scheme, lanes, monkeypatch)
    assert "authorization" not in row.headers
    assert scheme.secret not in json.dumps(row.headers)
