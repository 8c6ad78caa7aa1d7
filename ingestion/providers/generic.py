"""Bearer key and HMAC-SHA256 of "<timestamp>.<body>": the provider `default`, and any sender that can be told how.

Everything about it is an option, because senders differ in header names, encodings and field names.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum

from autocom.kernel.digest import hmac_sha256, sha256
from autocom.kernel.errors import ConfigurationError
from ingestion.providers.adapter import (
    AckPolicy,
    BodyInvalid,
    IdentifiedEvent,
    ImmediateReply,
    InboundDelivery,
    KeyNames,
    Reason,
    Refused,
    Secret,
    check_bearer,
    check_fresh,
    match_any,
    timestamp_seconds,
)
from ingestion.providers.event_kind import kind_by_last_word
from ingestion.providers.json_body import (
    TOO_DEEP,
    check_json_content_type,
    compact,
    parse,
    text_at,
    time_us_at,
    value_at,
)
from ingestion.providers.option_texts import dotted_path, header_name, option_texts
from ingestion.providers.signature_text import canonical_base64, sha256_hex

SCHEME = "generic"
ACK = AckPolicy()
RETRY_HORIZON = timedelta(days=3)
BODY_LIMIT_BYTES: int | None = None
SECRET_FORM = "at least 24 characters, e.g. from `openssl rand -hex 32`"  # noqa: S105
RECIPE = "generic/1"
KEY_NAMES = KeyNames.NOBODY
PERSONAL_PATHS: tuple[str, ...] = ()  # any sender, any body: nothing is known of it

EVENTS_LIMIT_COUNT = 1_000


class Policy(StrEnum):
    BOTH = "both"
    BEARER = "bearer"
    SIGNATURE = "signature"


class Encoding(StrEnum):
    HEX = "hex"
    BASE64 = "base64"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    policy: Policy = Policy.SIGNATURE
    signature_header: str = "x-webhook-signature"
    timestamp_header: str = "x-webhook-timestamp"  # empty: the body alone is signed
    prefix: str = "sha256="
    encoding: Encoding = Encoding.HEX
    id_path: tuple[str, ...] = ("id",)
    type_path: tuple[str, ...] = ("type",)
    ordering_key_path: tuple[str, ...] = ("ordering_key",)
    occurred_at_path: tuple[str, ...] = ("occurred_at",)
    events_path: tuple[str, ...] = ("events",)
    bearer_keys: tuple[Secret, ...] = ()


_KNOWN_OPTIONS = tuple(name for name in Options.__dataclass_fields__ if name != "bearer_keys")


def read_options(raw: Mapping[str, object]) -> Options:
    texts = option_texts(raw, scheme=SCHEME, known=_KNOWN_OPTIONS)
    defaults = Options()
    try:
        policy = Policy(texts.get("policy", defaults.policy))
        encoding = Encoding(texts.get("encoding", defaults.encoding))
    except ValueError as error:
        raise ConfigurationError(f"{error}: policy is both, bearer or signature; encoding is hex or base64") from None
    return Options(
        policy=policy,
        signature_header=header_name(texts, "signature_header", defaults.signature_header),
        timestamp_header=header_name(texts, "timestamp_header", defaults.timestamp_header, may_be_empty=True),
        prefix=texts.get("prefix", defaults.prefix),
        encoding=encoding,
        id_path=dotted_path(texts, "id_path", defaults.id_path),
        type_path=dotted_path(texts, "type_path", defaults.type_path),
        ordering_key_path=dotted_path(texts, "ordering_key_path", defaults.ordering_key_path),
        occurred_at_path=dotted_path(texts, "occurred_at_path", defaults.occurred_at_path),
        events_path=dotted_path(texts, "events_path", defaults.events_path),
    )


def check_secret(value: str) -> None:
    if len(value) < 24:
        raise ConfigurationError(f"the secret has {len(value)} characters: use {SECRET_FORM}")


def signed_headers(options: Options) -> tuple[str, ...]:
    """Not the bearer key: it would be a secret at rest."""
    if options.policy is Policy.BEARER:
        return ()
    return tuple(filter(None, (options.timestamp_header, options.signature_header)))


def verify(delivery: InboundDelivery, *, secrets: Sequence[Secret], options: Options, now_us: int) -> Secret | None:
    """1. bearer, where asked for; 2. signature and freshness, where asked for. Both always run and refuse alike."""
    refusals: list[Refused] = []
    matched: Secret | None = None
    if options.policy is not Policy.SIGNATURE:
        try:
            matched = check_bearer(delivery, keys=options.bearer_keys or secrets)
        except Refused as refused:
            refusals.append(refused)
    if options.policy is not Policy.BEARER:
        try:
            matched = _check_signature(delivery, secrets=secrets, options=options, now_us=now_us)
        except Refused as refused:
            refusals.append(refused)
    if refusals:
        raise refusals[0]
    return matched


def _check_signature(delivery: InboundDelivery, *, secrets: Sequence[Secret], options: Options, now_us: int) -> Secret:
    presented = delivery.required(options.signature_header)
    if not presented.startswith(options.prefix):
        raise Refused(Reason.MALFORMED, f"{options.signature_header} does not start with {options.prefix}")
    encoded = presented.removeprefix(options.prefix)
    candidate = sha256_hex(encoded) if options.encoding is Encoding.HEX else canonical_base64(encoded)
    message = delivery.body
    signed_at_seconds: int | None = None
    if options.timestamp_header:
        timestamp = delivery.required(options.timestamp_header)
        signed_at_seconds = timestamp_seconds(timestamp)
        message = timestamp.encode("ascii") + b"." + message
    matched = match_any([candidate], [(secret, hmac_sha256(secret.value.encode(), message)) for secret in secrets])
    if signed_at_seconds is not None:
        check_fresh(signed_at_seconds, now_us=now_us)
    return matched


def provable(secrets: Sequence[Secret], options: Options) -> tuple[Sequence[Secret], Options] | None:
    """The signature alone: the bearer key is not kept."""
    if options.policy is Policy.BEARER:
        return None
    return secrets, replace(options, policy=Policy.SIGNATURE)


def handshake(delivery: InboundDelivery, *, options: Options) -> ImmediateReply | None:  # noqa: ARG001  (none here)
    return None


def identify(delivery: InboundDelivery, *, options: Options) -> Sequence[IdentifiedEvent]:
    check_json_content_type(delivery)
    value = parse(delivery.body)
    body_digest = sha256(delivery.body)
    if value is TOO_DEEP:
        return [_unreadable(delivery, body_digest)]
    elements = value if isinstance(value, list) else value_at(value, options.events_path)
    if isinstance(elements, list):
        if not 1 <= len(elements) <= EVENTS_LIMIT_COUNT:
            raise BodyInvalid(f"the body has {len(elements)} events: send 1 to {EVENTS_LIMIT_COUNT}")
        return [
            _event(element, payload=compact(element), position=position, body_digest=body_digest, options=options)
            for position, element in enumerate(elements)
        ]
    if not isinstance(value, dict):
        raise BodyInvalid(f"the body is a JSON {type(value).__name__}: send an object, or an array of objects")
    return [_event(value, payload=delivery.body, position=0, body_digest=body_digest, options=options)]


def _event(element: object, *, payload: bytes, position: int, body_digest: bytes, options: Options) -> IdentifiedEvent:
    # without an id of its own an event is known by the delivery's bytes and its place in it
    message_id = text_at(element, options.id_path) or f"sha256:{body_digest.hex()}:{position}"
    event_type = text_at(element, options.type_path) or "unknown"
    return IdentifiedEvent(
        message_id=message_id,
        event_type=event_type,
        ordering_key=text_at(element, options.ordering_key_path) or message_id,
        payload=payload,
        identity_fields=(message_id, event_type),
        recipe=RECIPE,
        content_sha256=sha256(payload),
        occurred_us=time_us_at(element, options.occurred_at_path),
        kind=kind_by_last_word(event_type),
    )


def _unreadable(delivery: InboundDelivery, body_digest: bytes) -> IdentifiedEvent:
    message_id = f"sha256:{body_digest.hex()}:0"
    return IdentifiedEvent(
        message_id=message_id,
        event_type="unreadable",
        ordering_key=message_id,
        payload=delivery.body,
        identity_fields=(message_id, "unreadable"),
        recipe=RECIPE,
        content_sha256=body_digest,
    )


def sign(
    body: bytes,
    *,
    secret: Secret,
    options: Options,
    url: str,  # noqa: ARG001  (not signed here)
    now_us: int,
) -> tuple[Mapping[str, str], bytes]:
    headers = {"Content-Type": "application/json"}
    message = body
    if options.timestamp_header:
        timestamp = str(now_us // 1_000_000)
        headers[options.timestamp_header] = timestamp
        message = timestamp.encode() + b"." + body
    digest = hmac_sha256(secret.value.encode(), message)
    encoded = digest.hex() if options.encoding is Encoding.HEX else base64.b64encode(digest).decode()
    headers[options.signature_header] = options.prefix + encoded
    if options.policy is not Policy.SIGNATURE:
        headers["Authorization"] = f"Bearer {(options.bearer_keys or (secret,))[0].value}"
    return headers, body
