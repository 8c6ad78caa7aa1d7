"""Mailgun signs timestamp and token with HMAC-SHA256, in the body itself; what happened, `event-data`, is not signed.

So a captured signature can carry any event while it is fresh. Three things bound that: the signature's age, its token
("Securing Webhooks" advises to take each once; `single_use_token` names it), and Basic credentials in the URL given to
Mailgun, which are checked here where secrets of the form `basic:user:password` exist.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

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
    check_fresh,
    match_any,
    timestamp_seconds,
)
from ingestion.providers.event_keys import unreadable_event
from ingestion.providers.form_body import FORM_CONTENT_TYPE, encode_form, parse_form, signed_form
from ingestion.providers.json_body import TOO_DEEP, check_json_content_type, compact, parse, text_at, value_at
from ingestion.providers.mailgun_events import PERSONAL, SIGNATURE_NAMES, event_of, legacy_event
from ingestion.providers.mailgun_events import RECIPE as RECIPE
from ingestion.providers.option_texts import option_texts
from ingestion.providers.signature_text import canonical_base64, sha256_hex

SCHEME = "mailgun"
# Exactly 200 is success and 406 means "never again"; anything else, 202 and 401 too, is retried ("Automatic Retries").
# So an unbelieved delivery gets 401, lest a wrong key of ours lose events, and a reused token gets 406.
ACK = AckPolicy(success_status=200, conflict_status=406)
SIGNATURE_LIFE = timedelta(hours=9)  # the last retry comes after 8 h, and may carry the first signature
RETRY_HORIZON = timedelta(hours=24)  # above the signature's life and 8 h of retries together
SIGNED_HEADERS: tuple[str, ...] = ()
BODY_LIMIT_BYTES: int | None = None
KEY_NAMES = KeyNames.RECIPIENT
PERSONAL_PATHS: tuple[str, ...] = PERSONAL
SECRET_FORM = "the HTTP webhook signing key, e.g. 32 hex digits, or basic:user:password to ask for that as well"  # noqa: S105

_TOKEN = re.compile(r"\A[0-9A-Za-z]{50}\Z")
_KEY = re.compile(r"\A[!-~]{16,256}\Z")
_BASIC = re.compile(r"\Abasic:[!-9;-~]+:[!-~]{16,256}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Mailgun leaves nothing to choose."""


def read_options(raw: Mapping[str, object]) -> Options:
    option_texts(raw, scheme=SCHEME)
    return Options()


def check_secret(value: str) -> None:
    if not (_BASIC if value.startswith("basic:") else _KEY).match(value):
        raise ConfigurationError(f"the secret is malformed: use {SECRET_FORM}, 16 visible characters or more")


def signed_headers(options: Options) -> tuple[str, ...]:  # noqa: ARG001
    return SIGNED_HEADERS


def secret_kind(value: str) -> str:
    """Signing keys and Basic credentials are both asked for: rotating one must not end the other."""
    return "basic" if value.startswith("basic:") else "key"


def verify(
    delivery: InboundDelivery,
    *,
    secrets: Sequence[Secret],
    options: Options,  # noqa: ARG001  (there are none)
    now_us: int,
) -> Secret | None:
    """Returns the signing key that matched. Not checked, because it is not signed: the event.

    1. Basic credentials, where secrets ask for them; a wrong one is refused only after the signature was looked at.
    2. Timestamp of ten digits and token of fifty characters: a digit moved between them would make a fresh token.
    3. The HMAC of their concatenation is `signature` or, for a subaccount, `parent-signature`.
    4. The timestamp is at most 9 h old.
    """
    keys = [secret for secret in secrets if not secret.value.startswith("basic:")]
    if not keys:
        raise Refused(Reason.NO_SECRET)
    is_known = _has_basic(delivery, [secret for secret in secrets if secret.value.startswith("basic:")])
    block = _signature_block(delivery)
    timestamp, token = block.get("timestamp", ""), block.get("token", "")
    signed_at_seconds = timestamp_seconds(timestamp)
    if not _TOKEN.match(token):
        raise Refused(Reason.MALFORMED, "token is not fifty letters and digits")
    candidates = [sha256_hex(block.get("signature", ""))]
    if block.get("parent-signature"):
        candidates.append(sha256_hex(block["parent-signature"]))
    message = (timestamp + token).encode("ascii")
    matched = match_any(candidates, [(key, hmac_sha256(key.value.encode(), message)) for key in keys])
    if not is_known:
        raise Refused(Reason.WRONG_CREDENTIAL)
    check_fresh(signed_at_seconds, now_us=now_us, past=SIGNATURE_LIFE)
    return matched


def _has_basic(delivery: InboundDelivery, credentials: Sequence[Secret]) -> bool:
    """Whether one of the credentials is presented; True where none is asked for. Raises Refused for no credential."""
    if not credentials:
        return True
    scheme, _, encoded = delivery.required("authorization").partition(" ")
    if scheme.lower() != "basic":
        raise Refused(Reason.MALFORMED, "Authorization is not Basic")
    presented = sha256(canonical_base64(encoded))
    expected = [sha256(credential.value.removeprefix("basic:").encode()) for credential in credentials]
    matches = [hmac.compare_digest(presented, each) for each in expected]  # all of them, found or not
    return any(matches)


def _signature_block(delivery: InboundDelivery) -> Mapping[str, str]:
    """The signed fields as text. Raises Refused(MALFORMED)."""
    if delivery.content_type == FORM_CONTENT_TYPE:
        return dict(signed_form(delivery))  # of repeated names the last: user variables come before Mailgun's own
    try:
        block = value_at(json.loads(delivery.body.decode()), ("signature",))
    except (ValueError, RecursionError):
        raise Refused(Reason.MALFORMED, "the body is neither JSON nor a form") from None
    if not isinstance(block, dict):
        raise Refused(Reason.MALFORMED, "the body has no signature object")
    return {name: text_at(block, (name,)) for name in block}


def provable(secrets: Sequence[Secret], options: Options) -> tuple[Sequence[Secret], Options] | None:
    """The signature in the body: Basic credentials are not kept."""
    return [secret for secret in secrets if not secret.value.startswith("basic:")], options


def single_use_token(delivery: InboundDelivery) -> str:
    """The token that was verified, read as `verify` reads it: it may come again with this event, never with another."""
    try:
        return _signature_block(delivery).get("token", "")
    except Refused:
        return ""


def handshake(delivery: InboundDelivery, *, options: Options) -> ImmediateReply | None:  # noqa: ARG001  (none here)
    return None


def identify(delivery: InboundDelivery, *, options: Options) -> Sequence[IdentifiedEvent]:  # noqa: ARG001
    return [replace(event, single_use_token=single_use_token(delivery)) for event in _events(delivery)]


def _events(delivery: InboundDelivery) -> Sequence[IdentifiedEvent]:
    if delivery.content_type == FORM_CONTENT_TYPE:
        return [legacy_event(delivery.body)]
    check_json_content_type(delivery)
    value = parse(delivery.body)
    try:
        event = value_at(value, ("event-data",))
        if value is not TOO_DEEP and not isinstance(event, dict):
            raise BodyInvalid("the body has no event-data object")
        return [unreadable_event(delivery.body, recipe=RECIPE) if value is TOO_DEEP else event_of(event)]
    except RecursionError:
        return [unreadable_event(delivery.body, recipe=RECIPE)]


def sign(
    body: bytes,
    *,
    secret: Secret,
    options: Options,  # noqa: ARG001
    url: str,  # noqa: ARG001  (the URL is not signed)
    now_us: int,
) -> tuple[Mapping[str, str], bytes]:
    """The body with a fresh signature in it; a bare event is wrapped first. The same event has one token a second."""
    timestamp = str(now_us // 1_000_000)
    if not body.lstrip().startswith(b"{"):
        pairs = [pair for pair in parse_form(body) if pair[0] not in SIGNATURE_NAMES]
        block = _signed_block(secret, timestamp, encode_form(pairs))
        return {"Content-Type": FORM_CONTENT_TYPE}, encode_form([*pairs, *block.items()])
    value = parse(body)
    event = value.get("event-data", value) if isinstance(value, dict) else value
    block = _signed_block(secret, timestamp, compact(event))
    return {"Content-Type": "application/json"}, compact({"signature": block, "event-data": event})


def _signed_block(secret: Secret, timestamp: str, event: bytes) -> dict[str, str]:
    token = sha256(timestamp.encode() + event).hex()[:50]
    signature = hmac_sha256(secret.value.encode(), (timestamp + token).encode()).hex()
    return {"timestamp": timestamp, "token": token, "signature": signature}
