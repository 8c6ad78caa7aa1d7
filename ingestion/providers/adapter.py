"""The shape of an adapter: what a provider module must offer, and the types it speaks.

An adapter is a module. It is pure: bytes and settings in, a verdict or events out; no clock, network, database or log.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import ClassVar, Protocol

from autocom.kernel.digest import sha256
from autocom.kernel.errors import AutocomError

PAST_LIMIT = timedelta(seconds=300)
FUTURE_LIMIT = timedelta(seconds=60)  # apart from the past: abs() would nearly double the life of a replayed request
SIGNATURES_LIMIT_COUNT = 5  # a header with thousands of candidates would be free work for an attacker

# Two entries beside a delivery's kept headers that are no headers: no name in HTTP has a colon, so none can be sent.
SIGNED_URL = ":url"  # in SIGNED_HEADERS: this scheme signs the URL, so it is kept too
SENDER_TRACE = ":traceparent"  # what the sender calls its own span: a link of our trace, and no part of any proof
VERIFIED_BY = ":verified-by"  # fingerprint of the secret that verified the delivery; empty for a key of the options

_TIMESTAMP = re.compile(r"\A[0-9]{10}\Z")


class Reason(StrEnum):
    """Why a delivery was not believed. Shown to operators, never to the sender."""

    MISSING_HEADER = "missing_header"
    MALFORMED = "malformed"
    WRONG_SIGNATURE = "wrong_signature"
    WRONG_CREDENTIAL = "wrong_credential"
    TOO_OLD = "too_old"
    IN_THE_FUTURE = "in_the_future"
    UNKNOWN_CERTIFICATE = "unknown_certificate"
    NO_SECRET = "no_secret"  # noqa: S105  (a reason, not a secret)
    NOT_ALLOWED = "not_allowed"
    CRASHED = "crashed"


class Refused(AutocomError):
    """The delivery is not believed: 401 with one body for every reason."""

    code: ClassVar[str] = "unauthorized"

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason
        self.detail = detail


class BodyInvalid(AutocomError):
    """The delivery is believed, but its body is not what the provider sends: 422. The message says what is wrong."""

    code: ClassVar[str] = "body_invalid"


class ContentTypeUnsupported(AutocomError):
    """The delivery is believed, but the adapter reads no such content type: 415."""

    code: ClassVar[str] = "content_type_unsupported"


class Kind(StrEnum):
    """What an event means, whatever its provider calls it."""

    DELIVERED = "delivered"
    BOUNCED = "bounced"
    OPENED = "opened"
    CLICKED = "clicked"
    COMPLAINED = "complained"
    DEFERRED = "deferred"
    UNSUBSCRIBED = "unsubscribed"
    SENT = "sent"
    REJECTED = "rejected"
    PAYMENT = "payment"
    MESSAGE = "message"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Secret:
    """One key that is valid now. `fingerprint` names it in logs; `value` is never printed."""

    value: str = field(repr=False)
    fingerprint: str


@dataclass(frozen=True, slots=True)
class InboundDelivery:
    """One POST as it arrived. Header names are lower case, values latin-1 text as HTTP has them."""

    provider: str
    headers: Mapping[str, str]
    body: bytes
    url: str  # as the provider knows it: configured base, path and query, never the Host header
    received_us: int

    def required(self, name: str) -> str:
        """The header's value. Raises Refused(MISSING_HEADER)."""
        value = self.headers.get(name)
        if value is None:
            raise Refused(Reason.MISSING_HEADER, name)
        return value

    @property
    def content_type(self) -> str:
        """Lower case, without parameters; empty when absent."""
        return self.headers.get("content-type", "").split(";", 1)[0].strip().lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentifiedEvent:
    """One event found in a delivery.

    `payload` is JSON text. `identity_fields` are what makes two events the same under `recipe`; the provider's name
    and the recipe are
    added to them. `content_sha256` tells the same event from another one under its identity: leave out what a provider
    changes when it sends the same event again.
    """

    message_id: str
    event_type: str
    ordering_key: str
    payload: bytes
    identity_fields: tuple[str, ...]
    recipe: str
    content_sha256: bytes
    occurred_us: int | None = None
    kind: Kind = Kind.OTHER
    single_use_token: str = ""  # proves this event, the delivery's only one, and may prove no other


@dataclass(frozen=True, slots=True, kw_only=True)
class AckPolicy:
    """Which answer makes this provider do what. Facts from its documentation."""

    success_status: int = 202
    busy_status: int = 503  # makes the provider send again later
    fault_status: int = 500  # of a fault of ours; makes the provider send again later
    timeout_status: int = 408  # of a body that came too slowly; makes the provider send again
    unauthorized_status: int = 401
    conflict_status: int = 409
    invalid_status: int = 422
    head_status: int = 405  # 200 where a webhook is set up only after a HEAD, which nobody signs


@dataclass(frozen=True, slots=True)
class ImmediateReply:
    """An answer to a handshake: verified as any delivery, then answered and not queued."""

    body: bytes
    content_type: str = "application/json"
    status: int = 200


class KeyNames(StrEnum):
    """Whom the ordering keys of a recipe name."""

    NOBODY = "nobody"
    RECIPIENT = "recipient"  # by a short digest of the address, which whoever knows the address can make too
    CHOSEN = "chosen"  # whatever the provider's operator chose as the key, an address perhaps


class Adapter[Options](Protocol):
    """What a provider module offers. See `generic` for the plainest one.

    A scheme that asks for credentials in headers also offers `provable(secrets, options)`: the secrets and options that
    verify a stored delivery without them, as credentials are never kept; None where nothing but them proves anything.
    """

    SCHEME: str
    ACK: AckPolicy
    RETRY_HORIZON: timedelta  # how long the provider may send the same event again: Redis remembers identities longer
    BODY_LIMIT_BYTES: int | None  # the longest body that the provider sends, where it says so
    PERSONAL_PATHS: tuple[str, ...]  # dotted: where payloads, old and new ones, may hold personal data
    KEY_NAMES: KeyNames
    SECRET_FORM: str  # what a right secret looks like, for error messages

    def read_options(self, raw: Mapping[str, object]) -> Options:
        """Raises ConfigurationError that names the option and says what a right one looks like."""
        ...

    def check_secret(self, value: str) -> None:
        """Raises ConfigurationError for a secret that this scheme cannot use."""
        ...

    def signed_headers(self, options: Options) -> tuple[str, ...]:
        """Lower case: the headers kept beside the body so that the signature can be verified again. No credentials."""
        ...

    def verify(
        self, delivery: InboundDelivery, *, secrets: Sequence[Secret], options: Options, now_us: int
    ) -> Secret | None:
        """The secret that matched (None where the scheme verifies with a public key of its own). Raises Refused."""
        ...

    def handshake(self, delivery: InboundDelivery, *, options: Options) -> ImmediateReply | None:
        """The answer to a set-up request of the provider, or None for a delivery of events."""
        ...

    def identify(self, delivery: InboundDelivery, *, options: Options) -> Sequence[IdentifiedEvent]:
        """1..N events, in the order of the body. Raises BodyInvalid, ContentTypeUnsupported."""
        ...

    def sign(
        self, body: bytes, *, secret: Secret, options: Options, url: str, now_us: int
    ) -> tuple[Mapping[str, str], bytes]:
        """Headers (and the body, changed where the signature travels in it) of a request that `verify` accepts."""
        ...


def timestamp_seconds(text: str) -> int:
    """A Unix time of exactly ten digits. Raises Refused(MALFORMED)."""
    if not _TIMESTAMP.match(text):
        raise Refused(Reason.MALFORMED, "timestamp is not ten digits")
    return int(text)


def check_fresh(
    signed_at_seconds: int, *, now_us: int, past: timedelta = PAST_LIMIT, future: timedelta = FUTURE_LIMIT
) -> None:
    """Raises Refused outside the window around now."""
    age = timedelta(microseconds=now_us - signed_at_seconds * 1_000_000)
    if age > past:
        raise Refused(Reason.TOO_OLD, f"signed {age.total_seconds():.0f} s ago")
    if -age > future:
        raise Refused(Reason.IN_THE_FUTURE, f"signed {-age.total_seconds():.0f} s ahead")


def match_any(candidates: Iterable[bytes], expected_by_secret: Iterable[tuple[Secret, bytes]]) -> Secret:
    """The secret whose expected bytes equal one of the candidates. Raises Refused(WRONG_SIGNATURE).

    Every pair is compared, by digests of equal length: neither an early exit nor a length tells anything about a
    secret, nor does the time tell which of them matched.
    """
    presented = [sha256(candidate) for candidate in candidates][:SIGNATURES_LIMIT_COUNT]
    digests = [(secret, sha256(expected)) for secret, expected in expected_by_secret]
    matched = [secret for secret, digest in digests for each in presented if hmac.compare_digest(each, digest)]
    if not matched:
        raise Refused(Reason.WRONG_SIGNATURE)
    return matched[0]


def check_bearer(delivery: InboundDelivery, *, keys: Sequence[Secret]) -> Secret:
    """The bearer key that was presented. Raises Refused."""
    scheme, _, token = delivery.required("authorization").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Refused(Reason.MALFORMED, "Authorization is not a bearer token")
    try:
        return match_any([token.strip().encode("latin-1")], [(key, key.value.encode()) for key in keys])
    except Refused:
        raise Refused(Reason.WRONG_CREDENTIAL) from None
