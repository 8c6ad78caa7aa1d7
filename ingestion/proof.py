"""What is kept of a delivery beside its body so that its signature can be verified again, and the way back."""

from __future__ import annotations

from autocom.kernel.clock import us_of
from autocom.kernel.trace_ids import is_traceparent
from ingestion.models import Delivery
from ingestion.provider_book import KnownProvider
from ingestion.providers.adapter import SENDER_TRACE, SIGNED_URL, VERIFIED_BY, InboundDelivery


def kept_headers(provider: KnownProvider, inbound: InboundDelivery, *, verified_by: str) -> dict[str, str]:
    """The headers that the scheme signs or signs with, its URL where that is signed, which secret it was,
    and what the sender calls its span."""
    headers = inbound.headers
    kept = {name: headers[name] for name in provider.kept_headers if name in headers}
    if SIGNED_URL in provider.kept_headers:
        kept[SIGNED_URL] = inbound.url
    kept[VERIFIED_BY] = verified_by
    sent = headers.get("traceparent")
    if sent is not None and is_traceparent(sent):
        kept[SENDER_TRACE] = sent
    return kept


def stored_headers(row: Delivery) -> dict[str, str]:
    """What stands with the delivery; what is no text there is taken for absent, whoever wrote it."""
    found = row.headers if isinstance(row.headers, dict) else {}
    return {name: value for name, value in found.items() if isinstance(value, str)}


def stored_delivery(row: Delivery) -> InboundDelivery:
    """The delivery as the adapter saw it, as far as it was kept."""
    kept = stored_headers(row)
    return InboundDelivery(
        provider=row.provider,
        headers={name: value for name, value in kept.items() if not name.startswith(":")},
        body=bytes(row.body),
        url=kept.get(SIGNED_URL, ""),
        received_us=us_of(row.received_at),
    )
