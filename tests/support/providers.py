"""A stored provider of every scheme, its signed POSTs through the real view, and the drain that commits them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import quote_plus

from django.test import Client

from autocom.kernel.clock import SYSTEM_CLOCK
from ingestion.models import Provider, ProviderSecret
from ingestion.provider_book import BOOK
from ingestion.providers.adapter import Adapter, Secret
from ingestion.providers.registry import adapter_of
from ingestion.receive import base_url
from ingestion.secret_box import fingerprint_of, seal
from tests.support.lanes import LANES, LaneKit
from tests.support.schemes import SCHEMES, TOPIC
from tests.support.senders import as_meta


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One scheme as a test uses it: a secret that can sign, options, and a body with one event."""

    scheme: str
    secret: str
    body: bytes
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Posted:
    """What was sent and what was answered."""

    status: int
    answer: Mapping[str, Any]
    headers: Mapping[str, str]
    body: bytes

    @property
    def request_id(self) -> str:
        return str(self.answer["request_id"])


@dataclass(frozen=True, slots=True)
class StoredProvider:
    row: Provider
    secret: Secret

    @property
    def adapter(self) -> Adapter[Any]:
        return adapter_of(self.row.scheme)

    @property
    def url(self) -> str:
        return f"{base_url()}/webhooks/{self.row.name}"

    def add_secret(self, value: str, **times: datetime) -> Secret:
        return add_secret(self.row, value, **times)

    def signed(
        self,
        body: bytes,
        *,
        query: str = "",
        seconds_ago: int = 0,
        secret: Secret | None = None,
        recorded: Mapping[str, str] | None = None,
    ) -> tuple[dict[str, str], bytes]:
        """Headers and body of a request that the provider might send; under recorded ids where those are signed."""
        again = getattr(self.adapter, "sign_again", None) if recorded else None
        lowered = {name.lower(): value for name, value in (recorded or {}).items()}
        headers, sent = (partial(again, recorded=lowered) if again else self.adapter.sign)(
            body,
            secret=secret or self.secret,
            options=self.adapter.read_options(self.row.options),
            url=self.url + query,
            now_us=SYSTEM_CLOCK.now_us() - seconds_ago * 1_000_000,
        )
        return dict(headers), sent

    def post(
        self, body: bytes, *, query: str = "", extra: Mapping[str, str] | None = None, secret: Secret | None = None
    ) -> Posted:
        """Signs and sends."""
        headers, sent = self.signed(body, query=query, secret=secret)
        return self.post_as_is(sent, {**headers, **(extra or {})}, query=query)

    def post_as_is(self, body: bytes, headers: Mapping[str, str], *, query: str = "", path: str = "") -> Posted:
        meta: dict[str, Any] = as_meta({"Content-Type": "application/json", **headers})
        response = Client().generic("POST", (path or f"/webhooks/{self.row.name}") + query, body, **meta)
        answer = json.loads(response.content or b"{}")
        return Posted(response.status_code, answer, headers, body)


def add_secret(row: Provider, value: str, **times: datetime) -> Secret:
    given = {"not_before": datetime.now(UTC) - timedelta(days=1), **times}
    ProviderSecret.objects.create(provider=row, ciphertext=seal(value), fingerprint=fingerprint_of(value), **given)
    BOOK.refresh()
    return Secret(value=value, fingerprint=fingerprint_of(value))


def stored_provider(scheme: str, *, name: str = "", options: Mapping[str, object] | None = None) -> StoredProvider:
    """Stored with its secret, and known to the ingress."""
    kind = KINDS[scheme]
    chosen = dict(kind.options if options is None else options)
    row = Provider.objects.create(name=name or scheme, scheme=scheme, options=chosen)
    return StoredProvider(row, add_secret(row, secret_of(scheme)))


def drain_all(lanes: LaneKit) -> None:
    for lane in range(LANES):
        lanes.drain(lane)


def forget_providers() -> Iterator[None]:
    """A fixture's body: no provider of a test is known to the next one."""
    yield
    Provider.objects.all().delete()
    BOOK.refresh()


def secret_of(scheme: str) -> str:
    return KINDS[scheme].secret


def _json(**fields: object) -> bytes:
    return json.dumps(fields).encode()


_SES = {
    "eventType": "Delivery",
    "mail": {"timestamp": "2026-11-01T12:00:00.000Z", "messageId": "ses-1", "destination": ["ada@example.com"]},
    "delivery": {"timestamp": "2026-11-01T12:00:05.000Z", "recipients": ["ada@example.com"]},
}
_MANDRILL = [{"event": "send", "_id": "m-1", "ts": 1_767_225_600, "msg": {"email": "ada@example.com"}}]
_KINDS = (
    Kind(scheme="generic", secret="a-generic-secret-of-32-characters", body=_json(id="e-1", type="delivered")),
    Kind(
        scheme="standard", secret="whsec_" + base64.b64encode(bytes(range(32))).decode(), body=_json(type="user.made")
    ),
    Kind(
        scheme="svix",
        secret="whsec_" + base64.b64encode(bytes(range(1, 33))).decode(),
        body=_json(type="email.sent", created_at="2026-11-01T12:00:00Z", data={"email_id": "x-1"}),
    ),
    Kind(
        scheme="stripe",
        secret="whsec_0123456789abcdefghijABCDEFGHIJ",
        body=_json(
            id="evt_1", object="event", type="invoice.paid", created=1_767_225_600, data={"object": {"id": "in"}}
        ),
    ),
    Kind(
        scheme="github",
        secret="a secret that was typed into a form",
        body=_json(action="opened", repository={"id": 42}, issue={"number": 7}),
    ),
    Kind(
        scheme="shopify",
        secret="shpss_0123456789abcdef0123456789abcdef",
        body=_json(id=42),
    ),
    Kind(
        scheme="slack",
        secret="8f742231b10e8888abcd99000111" + "85a5",
        body=_json(type="event_callback", event_id="Ev1", event_time=1_767_225_600, event={"type": "message"}),
    ),
    Kind(
        scheme="twilio",
        secret="0123456789abcdef0123456789abcdef",
        body=b"MessageSid=SM1&MessageStatus=delivered&To=%2B15005550006",
    ),
    Kind(
        scheme="sendgrid",
        secret=SCHEMES["sendgrid"].secret,
        body=json.dumps(
            [{"event": "delivered", "email": "ada@example.com", "timestamp": 1_767_225_600, "sg_message_id": "sg-1"}]
        ).encode(),
    ),
    Kind(
        scheme="mailgun",
        secret="key-0123456789abcdef0123456789abcdef",
        body=_json(event="delivered", id="mg-1", timestamp=1_767_225_600.5, recipient="ada@example.com"),
    ),
    Kind(
        scheme="postmark",
        secret="postmark:a-password-of-24-chars",
        body=_json(
            RecordType="Delivery", MessageID="pm-1", Recipient="ada@example.com", DeliveredAt="2026-11-01T12:00:00Z"
        ),
    ),
    Kind(scheme="ses", secret=SCHEMES["ses"].secret, body=json.dumps(_SES).encode(), options={"topic_arns": [TOPIC]}),
    Kind(
        scheme="mandrill",
        secret="0123456789abcdefghij_-",
        body=b"mandrill_events=" + quote_plus(json.dumps(_MANDRILL)).encode(),
    ),
    Kind(
        scheme="brevo",
        secret="brevo:a-password-of-24-chars",
        body=_json(
            event="delivered", email="ada@example.com", id=1, ts_event=1_767_225_600, **{"message-id": "<b-1@x>"}
        ),
    ),
)
KINDS: Mapping[str, Kind] = {kind.scheme: kind for kind in _KINDS}
