"""Slack signs "v0:<X-Slack-Request-Timestamp>:<body>" with HMAC-SHA256 in hex: `X-Slack-Signature: v0=<hex>`.

Three kinds of requests under one signature: the Events API (JSON), slash commands (a form), and interactions (JSON in a
form's field `payload`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    Kind,
    Reason,
    Refused,
    Secret,
    check_fresh,
    match_any,
    timestamp_seconds,
)
from ingestion.providers.event_keys import content_digest, unreadable_event
from ingestion.providers.form_body import FORM_CONTENT_TYPE, form_json, parse_form
from ingestion.providers.json_body import TOO_DEEP, check_json_content_type, parse, text_at, time_us_at, value_at
from ingestion.providers.option_texts import option_texts
from ingestion.providers.signature_text import sha256_hex

SCHEME = "slack"
# 2xx within 3 s for events; slash commands and interactions show their user an error for anything but 200
ACK = AckPolicy(success_status=200)
RETRY_HORIZON = timedelta(hours=1)  # 3 resends: at once, after 1 and 5 minutes
SIGNED_HEADERS: tuple[str, ...] = ("x-slack-request-timestamp", "x-slack-signature")
BODY_LIMIT_BYTES: int | None = None
SECRET_FORM = "the app's signing secret, 32 hex digits, from its page Basic Information"  # noqa: S105
RECIPE = "slack/1"

_PREFIX = "v0="
_SECRET = re.compile(r"\A[0-9a-f]{32,}\Z")
_MESSAGES = ("message", "app_mention")
KEY_NAMES = KeyNames.NOBODY
PERSONAL_PATHS: tuple[str, ...] = (
    *("event.user", "event.username", "event.text", "event.blocks", "event.files", "event.item_user"),
    *("user", "user_id", "user_name", "text", "message", "actions", "state", "view", "submission"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Slack leaves nothing to choose."""


def read_options(raw: Mapping[str, object]) -> Options:
    option_texts(raw, scheme=SCHEME)
    return Options()


def check_secret(value: str) -> None:
    if not _SECRET.match(value):
        raise ConfigurationError(f"the secret is malformed: a right one is {SECRET_FORM}")


def signed_headers(options: Options) -> tuple[str, ...]:  # noqa: ARG001
    return SIGNED_HEADERS


def verify(delivery: InboundDelivery, *, secrets: Sequence[Secret], options: Options, now_us: int) -> Secret | None:  # noqa: ARG001
    """1. headers present; 2. well formed; 3. the signature right; 4. the time fresh."""
    timestamp = delivery.required("x-slack-request-timestamp")
    presented = delivery.required("x-slack-signature")
    signed_at_seconds = timestamp_seconds(timestamp)
    if not presented.startswith(_PREFIX):
        raise Refused(Reason.MALFORMED, f"X-Slack-Signature does not start with {_PREFIX}")
    candidate = sha256_hex(presented.removeprefix(_PREFIX))
    message = _signed_content(timestamp, delivery.body)
    matched = match_any([candidate], [(secret, hmac_sha256(secret.value.encode(), message)) for secret in secrets])
    check_fresh(signed_at_seconds, now_us=now_us)
    return matched


def _signed_content(timestamp: str, body: bytes) -> bytes:
    return b"v0:" + timestamp.encode("ascii") + b":" + body


def handshake(delivery: InboundDelivery, *, options: Options) -> ImmediateReply | None:  # noqa: ARG001
    """The challenge of `url_verification`, sent whenever a Request URL is configured ("url_verification event")."""
    if delivery.content_type == FORM_CONTENT_TYPE:
        return None
    try:
        value = parse(delivery.body)
    except BodyInvalid:
        return None
    challenge = value_at(value, ("challenge",))
    if text_at(value, ("type",)) != "url_verification" or not isinstance(challenge, str):
        return None
    return ImmediateReply(body=json.dumps({"challenge": challenge}).encode())


def identify(delivery: InboundDelivery, *, options: Options) -> Sequence[IdentifiedEvent]:  # noqa: ARG001
    if delivery.content_type == FORM_CONTENT_TYPE:
        return [_from_form(delivery)]
    check_json_content_type(delivery)
    value = parse(delivery.body)
    if value is TOO_DEEP:
        return [unreadable_event(delivery.body, recipe=RECIPE)]
    if not isinstance(value, dict):
        raise BodyInvalid(f"the body is a JSON {type(value).__name__}: Slack sends an object")
    return [_from_events_api(delivery, value)]


def _from_events_api(delivery: InboundDelivery, value: object) -> IdentifiedEvent:
    """An event in its envelope; envelopes without an event (app_rate_limited) are known by their bytes."""
    message_id = text_at(value, ("event_id",)) or f"sha256:{sha256(delivery.body).hex()}"
    event_type = text_at(value, ("event", "type")) or text_at(value, ("type",)) or "unknown"
    event = value_at(value, ("event",))
    return IdentifiedEvent(
        message_id=message_id,
        event_type=event_type,
        ordering_key=_ordering_key(value) or message_id,
        payload=delivery.body,
        identity_fields=(text_at(value, ("api_app_id",)), message_id),
        recipe=RECIPE,
        # the envelope may change when an event is sent again, the event does not
        content_sha256=content_digest(value if event is None else event),
        occurred_us=time_us_at(value, ("event_time",)),
        kind=Kind.MESSAGE if event_type in _MESSAGES else Kind.OTHER,
    )


def _ordering_key(value: object) -> str:
    team = text_at(value, ("team_id",))
    paths = (("event", "channel"), ("event", "channel", "id"), ("event", "item", "channel"), ("event", "channel_id"))
    channel = next(filter(None, (text_at(value, path) for path in paths)), "")
    return f"{team}:{channel}" if channel else team


def _from_form(delivery: InboundDelivery) -> IdentifiedEvent:
    """A slash command, or an interaction. `trigger_id` is new for each act of a user; a few interactions have none."""
    pairs = parse_form(delivery.body)
    interactions = [text for name, text in pairs if name == "payload"]
    if len(interactions) > 1:
        raise BodyInvalid(f"the form has {len(interactions)} fields named payload: Slack sends one")
    payload = interactions[0].encode() if interactions else form_json(pairs)
    value = parse(payload)
    event_type = (text_at(value, ("type",)) or "unknown") if interactions else "slash_command"
    message_id = text_at(value, ("trigger_id",)) or f"sha256:{sha256(delivery.body).hex()}"
    team = text_at(value, ("team", "id")) or text_at(value, ("team_id",))
    channel = text_at(value, ("channel", "id")) or text_at(value, ("channel_id",))
    return IdentifiedEvent(
        message_id=message_id,
        event_type=event_type,
        ordering_key=f"{team}:{channel}" if channel else team or message_id,
        payload=payload,
        identity_fields=(event_type, team, message_id),
        recipe=RECIPE,
        content_sha256=sha256(payload),
        occurred_us=time_us_at(value, ("action_ts",)),
        kind=Kind.OTHER,
    )


def sign(
    body: bytes,
    *,
    secret: Secret,
    options: Options,  # noqa: ARG001
    url: str,  # noqa: ARG001  (neither is signed here)
    now_us: int,
) -> tuple[Mapping[str, str], bytes]:
    timestamp = str(now_us // 1_000_000)
    digest = hmac_sha256(secret.value.encode(), _signed_content(timestamp, body))
    headers = {
        "Content-Type": "application/json",
        "X-Slack-Request-Timestamp": timestamp,
        "X-Slack-Signature": _PREFIX + digest.hex(),
    }
    return headers, body
