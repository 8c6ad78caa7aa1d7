"""Letters that a retry can store, and the forms that a person sends about them."""

from __future__ import annotations

import html
import json
import re
from copy import copy
from datetime import timedelta
from typing import Any

from django.urls import reverse

from autocom.kernel.clock import us_of
from autocom.kernel.digest import sha256
from autocom.kernel.ids import new_request_id
from evidence.models import AuditEntry
from ingestion.lanes import lane_of
from ingestion.models import DeadLetter, Event, QuarantinedEvent
from tests.console.rows import ago, dead_letter_row, event_row, quarantined_row
from tests.support.lanes import LANES

DEAD = "/admin/ingestion/deadletter/"
QUARANTINE = "/admin/ingestion/quarantinedevent/"
FINGERPRINT = "0123456789abcdef"


def mended(message_id: str = "m-1", *, key: str = "customer-1", **fields: Any) -> DeadLetter:
    """A letter whose bytes PostgreSQL would take: what refused them once was not in the data."""
    payload = fields.pop("payload_bytes", json.dumps({"id": message_id}).encode())
    given = {
        "received_at": ago(minutes=5),
        "message_id": message_id,
        "ordering_key": key,
        "lane": lane_of(provider="default", ordering_key=key, lane_count=LANES),
        "payload_bytes": payload,
        "body_sha256": sha256(payload),
        "content_sha256": sha256(payload),
        "is_whole": True,
        "error_class": "DataError",
        "error": "a check refused it",
        "fingerprint": FINGERPRINT,
    }
    return dead_letter_row(**{**given, **fields})


def many(count: int) -> list[DeadLetter]:
    """Mended ones of one batch, the oldest first, each of its own key."""
    first = mended("many-0", key="many-0", received_at=ago(minutes=30))
    rows = []
    for n in range(1, count):
        row, at = copy(first), ago(minutes=30) + timedelta(milliseconds=n)
        row.event_id, row.received_at, row.accepted_at = new_request_id(now_us=us_of(at)), at, at
        row.message_id = row.ordering_key = f"many-{n}"
        row.identity, row.sequence = sha256(row.message_id.encode()), first.sequence + n
        row.lane = lane_of(provider="default", ordering_key=row.ordering_key, lane_count=LANES)
        rows.append(row)
    return [first, *DeadLetter.objects.bulk_create(rows)]


def poisoned(**fields: Any) -> DeadLetter:
    """A letter whose bytes can never be stored."""
    return dead_letter_row(**{"is_whole": True, "received_at": ago(minutes=5), **fields})


def later_event(letter: DeadLetter, **fields: Any) -> Event:
    """An event of the letter's key, received and committed after it."""
    place: dict[str, Any] = {"lane": letter.lane, "epoch": letter.epoch, "sequence": letter.sequence + 1}
    return event_row(ordering_key=letter.ordering_key, provider=letter.provider, **place, **fields)


def freed(**fields: Any) -> QuarantinedEvent:
    """A quarantined event whose original is gone: its identity is free again."""
    original = event_row()
    row = quarantined_row(original, is_whole=True, received_at=ago(minutes=5), **fields)
    original.delete()
    return row


def change(row: Any) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def text_of(response: Any) -> str:
    """What a person reads: no tags, no escapes, single blanks."""
    assert response.status_code == 200, response
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", response.content.decode())).split())


def picked(*rows: Any, **more: str) -> dict[str, Any]:
    return {"pick": [str(row.pk) for row in rows], **more}


def confirmed(preview: Any, **more: str) -> dict[str, Any]:
    """The preview's form as its button sends it."""
    return {"foreseen": [f"{each.event_id}:{each.fate}" for each in preview.context["plan"].included], **more}


def fates(preview: Any) -> dict[str, int]:
    return {each.fate: each.count for each in preview.context["plan"].sums}


def newest_entry() -> AuditEntry | None:
    return AuditEntry.objects.order_by("-number").first()


def newest_number() -> int:
    entry = newest_entry()
    return entry.number if entry else 0
