"""Standard Webhooks: `webhook-id`, `webhook-timestamp`, `webhook-signature`; v1 is HMAC-SHA256, v1a is Ed25519.

Both sign "id.timestamp.body".
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from autocom.kernel.digest import hmac_sha256, sha256
from autocom.kernel.errors import ConfigurationError
from ingestion.providers.adapter import (
    SIGNATURES_LIMIT_COUNT,
    AckPolicy,
    BodyInvalid,
    IdentifiedEvent,
    ImmediateReply,
    InboundDelivery,
    KeyNames,
    Reason,
    Refused,
    Secret,
    check_fresh,
    match_any,
    timestamp_seconds,
)
from ingestion.providers.event_kind import kind_by_last_word
from ingestion.providers.json_body import TOO_DEEP, check_json_content_type, parse, text_at, time_us_at
from ingestion.providers.option_texts import dotted_path, option_texts
from ingestion.providers.signature_text import canonical_base64

SCHEME = "standard"
ACK = AckPolicy()  # 410 is never sent: it would disable the endpoint
RETRY_HORIZON = timedelta(days=5)
SIGNED_HEADERS: tuple[str, ...] = ("webhook-id", "webhook-timestamp", "webhook-signature")
BODY_LIMIT_BYTES: int | None = None
_SECRET_FORMS = (
    "whsec_ and the base64 of 24 to 64 bytes (HMAC)",
    "whpk_ and the base64 of an Ed25519 public key (32 bytes)",
    "whsk_ and the base64 of a private one (32 or 64 bytes)",
)
SECRET_FORM = ", or ".join(_SECRET_FORMS)
RECIPE = "standard/1"
KEY_NAMES = KeyNames.NOBODY
PERSONAL_PATHS: tuple[str, ...] = ()  # any sender, any body: nothing is known of it

_ID = re.compile(r"\A[!-~]{1,256}\Z")
_SHARED_KEY, _PUBLIC_KEY, _PRIVATE_KEY = "whsec_", "whpk_", "whsk_"
_KEY_BYTES_ALLOWED = {_SHARED_KEY: range(1, 65), _PUBLIC_KEY: (32,), _PRIVATE_KEY: (32, 64)}


@dataclass(frozen=True, slots=True)
class HeaderNames:
    """The three headers; other gateways sign the same way under names of their own."""

    message_id: str
    timestamp: str
    signature: str


WEBHOOK_HEADERS = HeaderNames("webhook-id", "webhook-timestamp", "webhook-signature")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    ordering_key_path: tuple[str, ...] = ("data", "id")


def read_options(raw: Mapping[str, object]) -> Options:
    texts = option_texts(raw, scheme=SCHEME, known=("ordering_key_path",))
    return Options(ordering_key_path=dotted_path(texts, "ordering_key_path", Options().ordering_key_path))


def check_secret(value: str) -> None:
    """Accepts shorter keys than the standard asks for: its own example has 18 bytes."""
    for prefix, allowed in _KEY_BYTES_ALLOWED.items():
        if value.startswith(prefix):
            try:
                size_bytes = len(_key_bytes(value))
            except (binascii.Error, ValueError):
                break
            if size_bytes in allowed:
                return
            break
    raise ConfigurationError(f"the secret is malformed: a right one is {SECRET_FORM}")


def signed_headers(options: Options) -> tuple[str, ...]:  # noqa: ARG001
    return SIGNED_HEADERS


def verify(delivery: InboundDelivery, *, secrets: Sequence[Secret], options: Options, now_us: int) -> Secret | None:  # noqa: ARG001
    """1. headers present; 2. id, timestamp, signatures well formed; 3. one signature right; 4. the time fresh."""
    return verify_signed(delivery, names=WEBHOOK_HEADERS, secrets=secrets, now_us=now_us)


def verify_signed(delivery: InboundDelivery, *, names: HeaderNames, secrets: Sequence[Secret], now_us: int) -> Secret:
    """The secret that matched, under the header names given. Raises Refused."""
    message_id = delivery.required(names.message_id)
    timestamp = delivery.required(names.timestamp)
    header = delivery.required(names.signature)
    if not _ID.match(message_id):
        raise Refused(Reason.MALFORMED, f"{names.message_id} is not 1 to 256 visible ASCII characters")
    signed_at_seconds = timestamp_seconds(timestamp)
    signatures = list(_signatures(header))
    matched = _match(_signed_content(message_id, timestamp, delivery.body), signatures=signatures, secrets=secrets)
    check_fresh(signed_at_seconds, now_us=now_us)
    return matched


def _signed_content(message_id: str, timestamp: str, body: bytes) -> bytes:
    return f"{message_id}.{timestamp}.".encode() + body


def _signatures(header: str) -> Iterator[tuple[str, bytes]]:
    """Version and bytes of each signature; versions we do not know are passed over, malformed ones refuse."""
    entries = header.split(" ")
    if len(entries) > SIGNATURES_LIMIT_COUNT:
        raise Refused(Reason.MALFORMED, f"more than {SIGNATURES_LIMIT_COUNT} signatures")
    for entry in entries:
        version, comma, encoded = entry.partition(",")
        if not comma:
            raise Refused(Reason.MALFORMED, "a signature without a version")
        if version in ("v1", "v1a"):
            yield version, canonical_base64(encoded)


def _match(message: bytes, *, signatures: Sequence[tuple[str, bytes]], secrets: Sequence[Secret]) -> Secret:
    # an early exit is safe for Ed25519: nothing secret is computed with a public key
    for secret in secrets:
        if _is_asymmetric(secret):
            for version, signature in signatures:
                if version == "v1a" and _ed25519_holds(secret, signature, message):
                    return secret
    shared = [(s, hmac_sha256(_key_bytes(s.value), message)) for s in secrets if not _is_asymmetric(s)]
    return match_any([signature for version, signature in signatures if version == "v1"], shared)


def _is_asymmetric(secret: Secret) -> bool:
    return secret.value.startswith((_PUBLIC_KEY, _PRIVATE_KEY))


def _ed25519_holds(secret: Secret, signature: bytes, message: bytes) -> bool:
    try:
        _public_key(secret).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _public_key(secret: Secret) -> Ed25519PublicKey:
    if secret.value.startswith(_PRIVATE_KEY):
        return _private_key(secret).public_key()
    return Ed25519PublicKey.from_public_bytes(_key_bytes(secret.value))


def _private_key(secret: Secret) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(
        _key_bytes(secret.value)[:32]
    )  # of 64 bytes the second half is the public key


def _key_bytes(value: str) -> bytes:
    """The key after the prefix; padding may be left out, as the libraries allow. Raises ValueError."""
    encoded = value.partition("_")[2]
    return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)


def handshake(delivery: InboundDelivery, *, options: Options) -> ImmediateReply | None:  # noqa: ARG001  (none in the standard)
    return None


def identify(delivery: InboundDelivery, *, options: Options) -> Sequence[IdentifiedEvent]:
    check_json_content_type(delivery)
    value = parse(delivery.body)
    if value is not TOO_DEEP and not isinstance(value, dict):
        raise BodyInvalid(f"the body is a JSON {type(value).__name__}: send an object")
    message_id = delivery.required(WEBHOOK_HEADERS.message_id)
    event_type = text_at(value, ("type",)) or text_at(value, ("event_type",)) or "unknown"
    return [
        IdentifiedEvent(
            message_id=message_id,
            event_type=event_type,
            ordering_key=text_at(value, options.ordering_key_path) or message_id,
            payload=delivery.body,
            identity_fields=(message_id,),
            recipe=RECIPE,
            content_sha256=sha256(delivery.body),
            occurred_us=time_us_at(value, ("timestamp",)),
            kind=kind_by_last_word(event_type),
        )
    ]


def sign(
    body: bytes,
    *,
    secret: Secret,
    options: Options,  # noqa: ARG001
    url: str,  # noqa: ARG001  (neither is signed here)
    now_us: int,
) -> tuple[Mapping[str, str], bytes]:
    return headers_for(body, names=WEBHOOK_HEADERS, secret=secret, now_us=now_us), body


def sign_again(
    body: bytes,
    *,
    recorded: Mapping[str, str],
    secret: Secret,
    options: Options,  # noqa: ARG001
    url: str,  # noqa: ARG001  (neither is signed here)
    now_us: int,
) -> tuple[Mapping[str, str], bytes]:
    """As `sign`, under the recorded id: it is signed, and it is what makes two events the same."""
    message_id = recorded.get(WEBHOOK_HEADERS.message_id, "")
    return headers_for(body, names=WEBHOOK_HEADERS, secret=secret, now_us=now_us, message_id=message_id), body


def headers_for(
    body: bytes, *, names: HeaderNames, secret: Secret, now_us: int, message_id: str = ""
) -> dict[str, str]:
    """The headers of a request that `verify_signed` accepts; equal bodies get equal ids. Raises ConfigurationError."""
    timestamp = str(now_us // 1_000_000)
    message_id = message_id or f"msg_{sha256(body).hex()[:24]}"
    return {
        "Content-Type": "application/json",
        names.message_id: message_id,
        names.timestamp: timestamp,
        names.signature: _signature_of(_signed_content(message_id, timestamp, body), secret=secret),
    }


def _signature_of(message: bytes, *, secret: Secret) -> str:
    if secret.value.startswith(_PUBLIC_KEY):
        raise ConfigurationError("a public key (whpk_) verifies only: signing takes the private one (whsk_)")
    if secret.value.startswith(_PRIVATE_KEY):
        return "v1a," + base64.b64encode(_private_key(secret).sign(message)).decode()
    return "v1," + base64.b64encode(hmac_sha256(_key_bytes(secret.value), message)).decode()
