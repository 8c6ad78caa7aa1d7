"""A provider of each scheme in the database, and its requests: an event, the same one changed, what nobody can read."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID
from django.test import Client

from ingestion.models import Provider, ProviderSecret
from ingestion.provider_book import BOOK, ProviderBook
from ingestion.providers.adapter import Secret
from ingestion.providers.registry import adapter_of
from ingestion.receive import base_url
from ingestion.secret_box import fingerprint_of, seal
from tests.support.ingress import Answer
from tests.support.senders import as_meta

PLAIN = serialization.NoEncryption()
TOPIC = "arn:aws:sns:us-east-1:123456789012:ses-events"
WHSEC = "whsec_" + base64.b64encode(bytes(range(32))).decode()
FORM = "application/x-www-form-urlencoded"


def certified(key: rsa.RSAPrivateKey, *, name: str = "sns.amazonaws.com", days: int = 30) -> str:
    """A certificate of one's own for the key, as PEM."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(tz=UTC)
    builder = x509.CertificateBuilder(
        issuer_name=subject,
        subject_name=subject,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - timedelta(days=60),
        not_valid_after=now + timedelta(days=days),
    )
    return builder.sign(key, SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def pem_of(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, PLAIN).decode()


RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.derive_private_key(0x5EED_0003, ec.SECP256R1())


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    headers: Mapping[str, str]
    body: bytes
    path: str

    def meta(self) -> dict[str, Any]:
        meta: dict[str, Any] = as_meta({**self.headers})
        return meta

    def send(self, method: str = "POST") -> Answer:
        """Through the real view, which commits by itself here."""
        response = Client().generic(method, self.path, self.body, **self.meta())
        return Answer(response.status_code, {name.lower(): value for name, value in response.items()}, response.content)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """`event` and `changed` have one identity and two contents."""

    name: str
    secret: str
    event: bytes
    changed: bytes
    unreadable: bytes = b"not json"
    options: Mapping[str, object] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)  # unsigned, but they name the event

    def request(self, body: bytes, *, query: str = "") -> Request:
        """Signed as the provider signs, now."""
        adapter = adapter_of(self.name)
        path = f"/webhooks/{self.name}{query}"
        headers, sent = adapter.sign(
            body,
            secret=Secret(value=self.secret, fingerprint="test"),
            options=adapter.read_options(self.options),
            url=base_url() + path,
            now_us=time.time_ns() // 1_000,
        )
        return Request(headers={**headers, **self.headers}, body=sent, path=path)

    def forged(self) -> Request:
        """The event with a proof that fits nothing: every proving part keeps its form."""
        request = self.request(self.event)
        if self.name == "mailgun":
            return Request(headers=request.headers, body=_other_signature(request.body), path=request.path)
        if self.name == "ses":
            body = request.body.replace(b"eventType", b"eventTypf")
            return Request(headers=request.headers, body=body, path=request.path)
        if self.name in ("brevo", "postmark"):
            return Request(
                headers={**request.headers, "Authorization": "Bearer wrong"}, body=self.event, path=request.path
            )
        body = request.body.replace(b"e", b"E", 1) if self.name == "twilio" else request.body + b" "
        return Request(headers=request.headers, body=body, path=request.path)

    def not_understood(self) -> Request:
        """Proved, and not what the provider sends."""
        if self.name == "twilio":
            query = f"?bodySHA256={hashlib.sha256(self.unreadable).hexdigest()}"
            return self.request(self.unreadable, query=query)
        if self.name == "mailgun":
            request = self.request(self.event)
            body = json.dumps({**json.loads(request.body), "event-data": "a text"}).encode()
            return Request(headers=request.headers, body=body, path=request.path)
        request = self.request(self.unreadable)
        if self.name == "ses":
            return Request(
                headers={**request.headers, "Content-Type": "text/html"}, body=request.body, path=request.path
            )
        return request


def _other_signature(body: bytes) -> bytes:
    value = json.loads(body)
    value["signature"]["signature"] = "0" * 64
    return json.dumps(value).encode()


def _json(**fields: object) -> bytes:
    return json.dumps({name.replace("__", "-"): value for name, value in fields.items()}).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class StandardScheme(Scheme):
    """Its identity is a header that is signed, so that `sign` would give another body another one."""

    def request(self, body: bytes, *, query: str = "") -> Request:
        prefix = "webhook" if self.name == "standard" else "svix"
        now = str(int(time.time()))
        key = base64.b64decode(WHSEC.removeprefix("whsec_"))
        digest = hmac.digest(key, f"msg_1.{now}.".encode() + body, "sha256")
        headers = {
            "Content-Type": "application/json",
            f"{prefix}-id": "msg_1",
            f"{prefix}-timestamp": now,
            f"{prefix}-signature": "v1," + base64.b64encode(digest).decode(),
        }
        return Request(headers=headers, body=body, path=f"/webhooks/{self.name}")


def _bounce(sub_type: str) -> bytes:
    return _json(
        eventType="Bounce",
        mail={"messageId": "0100018f", "timestamp": "2026-01-01T00:00:00.000Z", "destination": ["ada@example.com"]},
        bounce={
            "bounceType": "Permanent",
            "bounceSubType": sub_type,
            "timestamp": "2026-01-01T00:00:01.000Z",
            "bouncedRecipients": [{"emailAddress": "ada@example.com"}],
        },
    )


def _mandrill(subject: str) -> bytes:
    return _json(event="send", _id="m1", ts=1764068280, msg={"email": "ada@example.com", "subject": subject})


def _sendgrid(category: str) -> bytes:
    fields = {"event": "delivered", "email": "ada@example.com", "timestamp": 1764068280, "sg_message_id": "m.1"}
    return json.dumps([{**fields, "category": category}]).encode()


def _mailgun(tag: str) -> bytes:
    return _json(event="opened", id="evt_1", timestamp=1764068279.5, account={"id": "a1"}, tags=[tag])


SCHEMES: Mapping[str, Scheme] = {
    scheme.name: scheme
    for scheme in (
        Scheme(
            name="brevo",
            secret="brevo:a-password-of-24-chars",
            event=_json(event="delivered", email="ada@example.com", message__id="<1@example.com>", ts_event=1, tag="a"),
            changed=_json(
                event="delivered", email="ada@example.com", message__id="<1@example.com>", ts_event=1, tag="b"
            ),
        ),
        Scheme(
            name="generic",
            secret="a-shared-secret-of-the-sender-1",
            event=_json(id="evt_1", type="a"),
            changed=_json(id="evt_1", type="a", data=1),
        ),
        Scheme(
            name="github",
            secret="It's a Secret to Everybody",
            event=_json(action="opened", issue={"number": 7}, repository={"id": 42}),
            changed=_json(action="closed", issue={"number": 7}, repository={"id": 42}),
            headers={"X-GitHub-Event": "issues", "X-GitHub-Delivery": "72d3162e", "X-GitHub-Hook-ID": "1"},
        ),
        Scheme(name="mailgun", secret="0123456789abcdef" * 2, event=_mailgun("a"), changed=_mailgun("b")),
        Scheme(
            name="mandrill",
            secret="a-key-of-22-characters",
            event=_mandrill("a"),
            changed=_mandrill("b"),
            unreadable=urlencode({"something": "else"}).encode(),
        ),
        Scheme(
            name="postmark",
            secret="postmark:a-password-of-24-chars",
            event=_json(RecordType="Bounce", ID=1, Type="HardBounce", MessageID="m1", Email="ada@example.com"),
            changed=_json(
                RecordType="Bounce", ID=1, Type="HardBounce", MessageID="m1", Email="ada@example.com", Tag="b"
            ),
        ),
        Scheme(
            name="sendgrid",
            secret=base64.b64encode(
                EC_KEY.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, PLAIN)
            ).decode(),
            event=_sendgrid("a"),
            changed=_sendgrid("b"),
            unreadable=b"[not json",
        ),
        Scheme(
            name="ses",
            secret=certified(RSA_KEY) + pem_of(RSA_KEY),
            event=_bounce("General"),
            changed=_bounce("NoEmail"),
            unreadable=_bounce("General"),
            options={"topic_arns": [TOPIC]},
        ),
        Scheme(
            name="shopify",
            secret="shpss_0123456789abcdef0123456789abcdef",
            event=_json(id=42, total="1.00"),
            changed=_json(id=42, total="2.00"),
            headers={
                "X-Shopify-Topic": "orders/create",
                "X-Shopify-Shop-Domain": "shop.example",
                "X-Shopify-Event-Id": "e1",
                "X-Shopify-Webhook-Id": "w1",
            },
        ),
        Scheme(
            name="slack",
            secret="8f742231b10e8888abcd99000111a85a",
            event=_json(type="event_callback", event_id="Ev1", event_time=1, event={"type": "message", "text": "a"}),
            changed=_json(type="event_callback", event_id="Ev1", event_time=1, event={"type": "message", "text": "b"}),
        ),
        StandardScheme(
            name="standard",
            secret=WHSEC,
            event=_json(type="a", data={"id": 1}),
            changed=_json(type="a", data={"id": 2}),
        ),
        Scheme(
            name="stripe",
            secret="whsec_0123456789abcdefghijABCDEFGHIJ",
            event=_json(id="evt_1", type="charge.refunded", created=1, data={"object": {"id": "o", "amount": 1}}),
            changed=_json(id="evt_1", type="charge.refunded", created=1, data={"object": {"id": "o", "amount": 2}}),
        ),
        StandardScheme(
            name="svix", secret=WHSEC, event=_json(type="a", data={"id": 1}), changed=_json(type="a", data={"id": 2})
        ),
        Scheme(
            name="twilio",
            secret="0123456789abcdef0123456789abcdef",
            event=urlencode({"MessageSid": "SM1", "MessageStatus": "sent", "Body": "a"}).encode(),
            changed=urlencode({"MessageSid": "SM1", "MessageStatus": "sent", "Body": "b"}).encode(),
        ),
    )
}


def add_provider(scheme: Scheme, *, enabled: bool = True) -> Provider:
    """The provider of the scheme's name, with its secret."""
    row = Provider.objects.create(name=scheme.name, scheme=scheme.name, options=dict(scheme.options), enabled=enabled)
    ProviderSecret.objects.create(
        provider=row,
        ciphertext=seal(scheme.secret),
        fingerprint=fingerprint_of(scheme.secret),
        not_before=datetime(2026, 1, 1, tzinfo=UTC),
    )
    return row


def load_book(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process's book is as the database says, until the test ends."""
    read = ProviderBook()
    read.refresh()
    monkeypatch.setattr(BOOK, "_providers", read._providers)
    monkeypatch.setattr(BOOK, "is_complete", True)
