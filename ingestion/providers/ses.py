"""Amazon SES through Amazon SNS over HTTPS: signed envelopes (RSA, SHA-256 or SHA-1) with an SES event as text inside.

A confirmation of a subscription is stored as an event, for an operator to act on: Amazon's signature proves that it is
from SNS, not that the topic is ours, and nothing here ever opens the URL in it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from autocom.kernel.clock import us_of
from autocom.kernel.digest import sha256
from autocom.kernel.errors import ConfigurationError
from ingestion.providers.adapter import (
    AckPolicy,
    BodyInvalid,
    ContentTypeUnsupported,
    IdentifiedEvent,
    ImmediateReply,
    InboundDelivery,
    KeyNames,
    Reason,
    Refused,
    Secret,
    check_fresh,
)
from ingestion.providers.event_keys import content_digest, unreadable_event
from ingestion.providers.json_body import TOO_DEEP, compact, parse
from ingestion.providers.ses_events import PERSONAL, ses_events, ses_type
from ingestion.providers.ses_events import RECIPE as RECIPE
from ingestion.providers.signature_text import canonical_base64
from ingestion.providers.sns_envelope import (
    CERTIFICATE_FORM,
    CONTENT_TYPES,
    Envelope,
    MessageType,
    check_headers,
    private_key,
    public_key,
    read_envelope,
    signature_holds,
    signed_content,
    sns_time,
)

SCHEME = "ses"
# 200 to 4xx ends the delivery, 5xx or silence is retried ("Amazon SNS message delivery retries"): so 503, never 429,
# when busy, and 401 loses the message for good. So under a certificate that nobody imported yet it is asked for again.
ACK = AckPolicy(timeout_status=503)
RETRY_HORIZON = timedelta(hours=2)  # a delivery policy may spread retries over 3,600 s
# A retry carries the first attempt's time and signature, and a refusal ends it: this must be above the last one's age.
PAST_LIMIT: Final = timedelta(minutes=70)
SIGNED_HEADERS: tuple[str, ...] = ("x-amz-sns-message-type", "x-amz-sns-message-id")
BODY_LIMIT_BYTES: int | None = None
KEY_NAMES = KeyNames.RECIPIENT
PERSONAL_PATHS: tuple[str, ...] = PERSONAL
SECRET_FORM = CERTIFICATE_FORM + "; a test provider's has its private key below it"

_TOPIC = re.compile(r"\Aarn:aws(-[a-z-]+)?:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    topic_arns: tuple[str, ...]  # those that are ours
    certificates: tuple[str, ...] = ()  # PEMs beside the secrets: they are public, and need no rotation by date


def read_options(raw: Mapping[str, object]) -> Options:
    unknown = sorted(set(raw) - {"topic_arns", "certificates"})
    if unknown:
        raise ConfigurationError(f"options {', '.join(unknown)} are unknown: known are topic_arns, certificates")
    topics, certificates = _texts(raw, "topic_arns"), _texts(raw, "certificates")
    if not topics or not all(_TOPIC.match(topic) for topic in topics):
        raise ConfigurationError(
            'option topic_arns must list the topics to believe: ["arn:aws:sns:eu-west-1:123456789012:ses-events"]'
        )
    for pem in certificates:
        public_key(pem)
    return Options(topic_arns=topics, certificates=certificates)


def _texts(raw: Mapping[str, object], name: str) -> tuple[str, ...]:
    found = raw.get(name, [])
    values = [found] if isinstance(found, str) else found
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ConfigurationError(f"option {name} is not a list of texts")
    return tuple(values)


def check_secret(value: str) -> None:
    public_key(value)
    private_key(value)


def signed_headers(options: Options) -> tuple[str, ...]:  # noqa: ARG001
    return SIGNED_HEADERS


def verify(delivery: InboundDelivery, *, secrets: Sequence[Secret], options: Options, now_us: int) -> Secret | None:
    """Returns the secret whose certificate verified the signature, or None for a certificate of the options.

    1. The envelope is well formed; its certificate is said to be on a host of SNS (`read_envelope`).
    2. The headers name the same type and id.
    3. The topic is one of ours.
    4. The signature holds for a certificate that was imported. Not checked: the certificate's dates and chain.
    5. The message is at most 70 minutes old.
    """
    envelope = read_envelope(delivery.body)
    check_headers(delivery, envelope)
    if envelope.text("TopicArn") not in options.topic_arns:
        raise Refused(Reason.NOT_ALLOWED, "TopicArn is not in the option topic_arns")
    matched = _signer(envelope, secrets=secrets, options=options)
    check_fresh(us_of(envelope.signed_at) // 1_000_000, now_us=now_us, past=PAST_LIMIT)
    return matched


def _signer(envelope: Envelope, *, secrets: Sequence[Secret], options: Options) -> Secret | None:
    signature = canonical_base64(envelope.text("Signature"))
    for secret in secrets:  # an early exit is safe: nothing secret is computed with a certificate
        if signature_holds(envelope, signature=signature, pem=secret.value):
            return secret
    if any(signature_holds(envelope, signature=signature, pem=pem) for pem in options.certificates):
        return None
    url = envelope.text("SigningCertURL")
    named = url.rsplit("/", 1)[-1] + "\n"  # the book puts an imported certificate's name before its PEM
    if any(secret.value.startswith(named) for secret in secrets):
        raise Refused(Reason.WRONG_SIGNATURE, "the certificate that the message names is here, and did not sign this")
    raise Refused(Reason.UNKNOWN_CERTIFICATE, url)  # it may be Amazon's next one: the message must come again


def handshake(delivery: InboundDelivery, *, options: Options) -> ImmediateReply | None:  # noqa: ARG001
    """None: a confirmation is an event for an operator."""
    return None


def identify(delivery: InboundDelivery, *, options: Options) -> Sequence[IdentifiedEvent]:  # noqa: ARG001
    if delivery.content_type not in CONTENT_TYPES:
        raise ContentTypeUnsupported(f"Content-Type is {delivery.content_type or 'absent'}: SNS sends text/plain")
    try:
        envelope = read_envelope(delivery.body)
    except Refused as refused:
        raise BodyInvalid(refused.detail) from None
    try:
        return list(_events(delivery, envelope))
    except RecursionError:
        return [unreadable_event(delivery.body, recipe=RECIPE)]


def _events(delivery: InboundDelivery, envelope: Envelope) -> Iterator[IdentifiedEvent]:
    if envelope.type is MessageType.NOTIFICATION:
        try:
            message = parse(envelope.text("Message").encode("utf-8", "surrogatepass"))
        except BodyInvalid:  # SES tests a topic with plain text
            message = None
        if message is TOO_DEEP:
            yield unreadable_event(delivery.body, recipe=RECIPE)
            return
        if isinstance(message, dict) and ses_type(message):
            yield from ses_events(message)
            return
    yield _plain_message(delivery, envelope)


def _plain_message(delivery: InboundDelivery, envelope: Envelope) -> IdentifiedEvent:
    """A confirmation, or a notification that is no event of SES: known by SNS's own id, which a retry keeps."""
    message_id = envelope.text("MessageId")
    said = {name: envelope.fields.get(name) for name in ("Type", "TopicArn", "Subject", "Message", "Token")}
    return IdentifiedEvent(
        message_id=message_id,
        event_type=envelope.type.value,
        ordering_key=envelope.text("TopicArn"),
        payload=delivery.body,
        identity_fields=("sns", envelope.text("TopicArn"), message_id),
        recipe=RECIPE,
        content_sha256=content_digest(said),
        occurred_us=us_of(envelope.signed_at),
    )


def sign(
    body: bytes,
    *,
    secret: Secret,
    options: Options,
    url: str,  # noqa: ARG001  (the URL is not signed)
    now_us: int,
) -> tuple[Mapping[str, str], bytes]:
    """An envelope around an SES event, or the envelope that the body is, with a fresh time and signature.

    Raises ConfigurationError where the secret has no private key: only Amazon can sign for Amazon's certificates.
    """
    key = private_key(secret.value)
    if key is None:
        raise ConfigurationError(
            "only Amazon can sign for this certificate: give a test provider one with a private key"
        )
    fields = _envelope_fields(body, topic_arn=options.topic_arns[0]) | {
        "Timestamp": sns_time(now_us),
        "SignatureVersion": "2",
        "SigningCertURL": "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-test.pem",
    }
    fields["Signature"] = base64.b64encode(key.sign(signed_content(fields), PKCS1v15(), SHA256())).decode()
    headers = {
        "Content-Type": "text/plain; charset=UTF-8",
        "x-amz-sns-message-type": str(fields["Type"]),
        "x-amz-sns-message-id": str(fields["MessageId"]),
        "x-amz-sns-topic-arn": str(fields["TopicArn"]),
    }
    return headers, compact(fields)


def _envelope_fields(body: bytes, *, topic_arn: str) -> dict[str, object]:
    value = parse(body)
    if isinstance(value, dict) and value.get("Type") in list(MessageType) and isinstance(value.get("Message"), str):
        return {**value, "TopicArn": topic_arn}
    return {
        "Type": MessageType.NOTIFICATION.value,
        "MessageId": str(UUID(bytes=sha256(body)[:16])),
        "TopicArn": topic_arn,
        "Message": body.decode(),
    }
