"""GitHub signs the raw body with HMAC-SHA256: `X-Hub-Signature-256: sha256=<hex>`.

Ids and the event's name are in unsigned headers. A form body is signed as it is on the wire (the Jenkins GitHub plugin
verifies "payload=<percent-encoded JSON>").
"""

from __future__ import annotations

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
    Reason,
    Refused,
    Secret,
    match_any,
)
from ingestion.providers.form_body import FORM_CONTENT_TYPE, parse_form
from ingestion.providers.json_body import TOO_DEEP, check_json_content_type, parse, text_at, time_us_at
from ingestion.providers.option_texts import option_texts
from ingestion.providers.signature_text import sha256_hex

SCHEME = "github"
# Any 2xx within 10 s is success, and every failure is final: GitHub sends nothing again by itself ("Handling failed
# webhook deliveries"). 503 tells the truth all the same, and the delivery can be sent again by hand.
ACK = AckPolicy()
RETRY_HORIZON = timedelta(days=3)  # by hand, under the same delivery id
SIGNED_HEADERS: tuple[str, ...] = (
    "x-hub-signature-256",
    "x-github-delivery",
    "x-github-event",
    "x-github-hook-id",
)  # the last three are not signed, but name the event
BODY_LIMIT_BYTES: int | None = 26_214_400  # 25 MB: "Webhook events and payloads"
SECRET_FORM = "the webhook's secret, at least 16 characters, e.g. from `openssl rand -hex 32`"  # noqa: S105
RECIPE = "github/1"

_PREFIX = "sha256="
_NAME = re.compile(r"\A[a-z0-9_]{1,64}\Z")
# no field holds the event's time in all types: the first of these that is there
_OCCURRED_AT_PATHS = (
    ("head_commit", "timestamp"),
    ("comment", "updated_at"),
    ("review", "submitted_at"),
    ("workflow_job", "completed_at"),
    ("workflow_run", "updated_at"),
    ("check_run", "completed_at"),
    ("check_suite", "updated_at"),
    ("deployment_status", "updated_at"),
    ("release", "published_at"),
    ("pull_request", "updated_at"),
    ("issue", "updated_at"),
    ("discussion", "updated_at"),
    ("starred_at",),
    ("updated_at",),
)
KEY_NAMES = KeyNames.NOBODY
PERSONAL_PATHS: tuple[str, ...] = (
    "sender.login",
    "sender.email",
    "pusher.name",
    "pusher.email",
    "head_commit.author",
    "head_commit.committer",
    "commits",
    "comment.user.login",
    "issue.user.login",
    "pull_request.user.login",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """GitHub leaves nothing to choose."""


def read_options(raw: Mapping[str, object]) -> Options:
    option_texts(raw, scheme=SCHEME)
    return Options()


def check_secret(value: str) -> None:
    if len(value) < 16:
        raise ConfigurationError(f"the secret has {len(value)} characters: use {SECRET_FORM}")


def signed_headers(options: Options) -> tuple[str, ...]:  # noqa: ARG001
    return SIGNED_HEADERS


def verify(delivery: InboundDelivery, *, secrets: Sequence[Secret], options: Options, now_us: int) -> Secret | None:  # noqa: ARG001
    """1. header present; 2. well formed; 3. right over the raw body. No time is signed; SHA-1 is not looked at."""
    presented = delivery.required("x-hub-signature-256")
    if not presented.startswith(_PREFIX):
        raise Refused(Reason.MALFORMED, f"X-Hub-Signature-256 does not start with {_PREFIX}")
    candidate = sha256_hex(presented.removeprefix(_PREFIX))
    return match_any([candidate], [(secret, hmac_sha256(secret.value.encode(), delivery.body)) for secret in secrets])


def handshake(delivery: InboundDelivery, *, options: Options) -> ImmediateReply | None:  # noqa: ARG001  (ping is an event)
    return None


def identify(delivery: InboundDelivery, *, options: Options) -> Sequence[IdentifiedEvent]:  # noqa: ARG001
    payload = _json_text(delivery)
    value = parse(payload)
    if value is not TOO_DEEP and not isinstance(value, dict):
        raise BodyInvalid(f"the payload is a JSON {type(value).__name__}: GitHub sends an object")
    hook_id = delivery.headers.get("x-github-hook-id", "")
    message_id = delivery.headers.get("x-github-delivery", "") or f"sha256:{sha256(delivery.body).hex()}"
    times = (time_us_at(value, path) for path in _OCCURRED_AT_PATHS)
    return [
        IdentifiedEvent(
            message_id=message_id,
            event_type=_event_type(delivery, value),
            ordering_key=_ordering_key(value) or hook_id or message_id,
            payload=payload,
            identity_fields=(hook_id, message_id),
            recipe=RECIPE,
            content_sha256=sha256(payload),
            occurred_us=next((time_us for time_us in times if time_us is not None), None),
        )
    ]


def _json_text(delivery: InboundDelivery) -> bytes:
    if delivery.content_type != FORM_CONTENT_TYPE:
        check_json_content_type(delivery)
        return delivery.body
    payloads = [value for name, value in parse_form(delivery.body) if name == "payload"]
    if len(payloads) != 1:
        raise BodyInvalid(f"the form has {len(payloads)} fields named payload: GitHub sends one")
    return payloads[0].encode()


def _event_type(delivery: InboundDelivery, value: object) -> str:
    name = delivery.headers.get("x-github-event", "")
    if not _NAME.match(name):
        return "unknown"
    action = text_at(value, ("action",))
    return f"{name}.{action}" if action else name


def _ordering_key(value: object) -> str:
    """Repository, with the issue or pull request (they share their numbers) or else the branch or tag."""
    repository = text_at(value, ("repository", "id"))
    if not repository:
        return text_at(value, ("organization", "id")) or text_at(value, ("installation", "id"))
    for holder in ("issue", "pull_request", "discussion"):
        if number := text_at(value, (holder, "number")):
            return f"{repository}#{number}"
    branch = text_at(value, ("ref",)) or next(
        filter(
            None,
            (text_at(value, (holder, "head_branch")) for holder in ("workflow_run", "workflow_job", "check_suite")),
        ),
        "",
    )
    branch = branch.removeprefix("refs/heads/")
    return f"{repository}@{branch}" if branch else repository


def sign(
    body: bytes,
    *,
    secret: Secret,
    options: Options,  # noqa: ARG001
    url: str,  # noqa: ARG001
    now_us: int,  # noqa: ARG001  (none of the three is signed here)
) -> tuple[Mapping[str, str], bytes]:
    digest = hmac_sha256(secret.value.encode(), body)
    guid = sha256(body).hex()
    headers = {
        "Content-Type": "application/json",
        "X-GitHub-Event": "ping",
        "X-GitHub-Delivery": f"{guid[:8]}-{guid[8:12]}-{guid[12:16]}-{guid[16:20]}-{guid[20:32]}",
        "X-GitHub-Hook-ID": "1",
        "X-Hub-Signature-256": _PREFIX + digest.hex(),
    }
    return headers, body
