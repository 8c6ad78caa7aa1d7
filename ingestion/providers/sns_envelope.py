"""The envelope that Amazon SNS puts around every message: its fields, what of them is signed, and by whom.

Amazon's certificates are given as PEM, imported by an operator or fetched by a job. None is fetched here: a URL in a
request only tells which one was used, and is refused where it does not point to Amazon.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID

from autocom.kernel.errors import ConfigurationError
from ingestion.providers.adapter import InboundDelivery, Reason, Refused

CERTIFICATE_FORM: Final = "the PEM of the certificate that the SigningCertURL of the topic's messages names, RSA"
CONTENT_TYPES: Final = (
    "text/plain",
    "application/json",
)  # SNS sends text/plain unless a delivery policy says otherwise

_CERTIFICATE_URL = re.compile(
    r"\Ahttps://sns\.[a-z0-9-]{3,}\.amazonaws\.com(\.cn)?/([A-Za-z0-9_-][A-Za-z0-9._-]*/)*[A-Za-z0-9_-][A-Za-z0-9._-]*\.pem\Z"
)
_SNS_HOST = re.compile(r"\Asns(\.[a-z0-9-]{3,})?\.amazonaws\.com(\.cn)?\Z")
RSA_BITS_AT_LEAST = 2_048
_TIMESTAMP = re.compile(r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z\Z")
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_PRIVATE_KEY = re.compile(r"-----BEGIN (RSA )?PRIVATE KEY-----.*?-----END (RSA )?PRIVATE KEY-----", re.DOTALL)


class MessageType(StrEnum):
    NOTIFICATION = "Notification"
    SUBSCRIPTION = "SubscriptionConfirmation"
    UNSUBSCRIPTION = "UnsubscribeConfirmation"


_ALWAYS: Final = (
    "Message",
    "MessageId",
    "Timestamp",
    "TopicArn",
    "Type",
    "Signature",
    "SigningCertURL",
    "SignatureVersion",
)
_CONTROL: Final = ("SubscribeURL", "Token")
_DIGESTS: Final = {"1": SHA1, "2": SHA256}


@dataclass(frozen=True, slots=True)
class Envelope:
    """A well-formed envelope. Nothing of it is believed yet."""

    fields: Mapping[str, object]

    def text(self, name: str) -> str:
        """A field that `read_envelope` has found to be text."""
        return str(self.fields[name])

    @property
    def type(self) -> MessageType:
        return MessageType(self.text("Type"))

    @property
    def signed_at(self) -> datetime:
        return datetime.fromisoformat(self.text("Timestamp"))


def read_envelope(body: bytes) -> Envelope:
    """Every field that the type of message asks for is text, and none that it may not have is there. Raises Refused."""
    try:
        fields = json.loads(body.decode())
    except (ValueError, RecursionError):
        raise Refused(Reason.MALFORMED, "the body is not JSON in UTF-8") from None
    if not isinstance(fields, dict):
        raise Refused(Reason.MALFORMED, "the body is not a JSON object")
    is_control = fields.get("Type") in (MessageType.SUBSCRIPTION, MessageType.UNSUBSCRIPTION)
    if not is_control and fields.get("Type") != MessageType.NOTIFICATION:
        raise Refused(Reason.MALFORMED, "Type is none of SNS's three")
    for name in _ALWAYS + (_CONTROL if is_control else ()):
        if not isinstance(fields.get(name), str):
            raise Refused(Reason.MALFORMED, f"{name} is not a text: is raw message delivery on?")
    # none of these is signed in this type of message, so somebody has put it there
    for name in ("Subject",) if is_control else _CONTROL:
        if fields.get(name) is not None:
            raise Refused(Reason.MALFORMED, f"{name} has no place in this type of message")
    if not isinstance(fields.get("Subject", ""), str | None):
        raise Refused(Reason.MALFORMED, "Subject is not a text")
    envelope = Envelope(fields)
    _check_forms(envelope)
    return envelope


def _check_forms(envelope: Envelope) -> None:
    if not _CERTIFICATE_URL.match(envelope.text("SigningCertURL")):
        raise Refused(Reason.NOT_ALLOWED, "SigningCertURL is not a .pem on a host of SNS")
    if envelope.text("SignatureVersion") not in _DIGESTS:
        raise Refused(Reason.MALFORMED, "SignatureVersion is neither 1 nor 2")
    try:
        if not _TIMESTAMP.match(envelope.text("Timestamp")):
            raise ValueError
        _ = envelope.signed_at
    except ValueError:
        raise Refused(Reason.MALFORMED, "Timestamp is not like 2026-01-31T23:59:59.000Z") from None


def check_headers(delivery: InboundDelivery, envelope: Envelope) -> None:
    """SNS repeats type and id in headers. Raises Refused where one is absent or differs."""
    for header, field in (("x-amz-sns-message-type", "Type"), ("x-amz-sns-message-id", "MessageId")):
        if delivery.required(header) != envelope.text(field):
            raise Refused(Reason.MALFORMED, f"{header} is not the body's {field}")


def signed_content(fields: Mapping[str, object]) -> bytes:
    """Name and value, a line each, as in "Verifying the signatures of Amazon SNS messages". Raises Refused."""
    if fields["Type"] == MessageType.NOTIFICATION:
        names = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]
    else:
        names = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    try:
        return "".join(f"{name}\n{fields[name]}\n" for name in names if fields.get(name) is not None).encode()
    except UnicodeEncodeError:
        raise Refused(Reason.MALFORMED, "a signed field holds half a surrogate pair") from None


def signature_holds(envelope: Envelope, *, signature: bytes, pem: str) -> bool:
    """False, too, for a PEM that cannot be used."""
    digest = _DIGESTS[envelope.text("SignatureVersion")]
    try:
        public_key(pem).verify(signature, signed_content(envelope.fields), PKCS1v15(), digest())
    except (InvalidSignature, ConfigurationError):
        return False
    return True


@lru_cache(maxsize=64)
def public_key(pem: str) -> RSAPublicKey:
    """The key of the PEM's certificate. Its dates are not looked at: how long a secret is valid is set with the secret.

    Raises ConfigurationError.
    """
    found = _CERTIFICATE.search(pem)
    try:
        key = x509.load_pem_x509_certificate(found.group().encode()).public_key() if found else None
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPublicKey):
        raise ConfigurationError(f"no certificate can be read from it: use {CERTIFICATE_FORM}")
    return key


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFacts:
    """One certificate as it says of itself."""

    pem: str
    sha256: str
    subject: str
    not_before: datetime
    not_after: datetime


def certificate_facts(text: str) -> CertificateFacts:
    """Of PEM text with one certificate for SNS and nothing else. Raises ConfigurationError. Not checked: its chain."""
    found = _CERTIFICATE.findall(text)
    if len(found) != 1 or "PRIVATE KEY" in text:
        raise ConfigurationError(f"this is not one certificate, without a key: use {CERTIFICATE_FORM}")
    if public_key(found[0]).key_size < RSA_BITS_AT_LEAST:
        raise ConfigurationError(f"its key is shorter than {RSA_BITS_AT_LEAST} bits: use {CERTIFICATE_FORM}")
    certificate = x509.load_pem_x509_certificate(found[0].encode())
    names = [str(each.value) for each in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if not any(_SNS_HOST.match(name) for name in names):
        said = ", ".join(names)[:80] or "nobody"
        raise ConfigurationError(f"it is for {said}: use {CERTIFICATE_FORM}, which is for sns.amazonaws.com")
    return CertificateFacts(
        pem=found[0],
        sha256=certificate.fingerprint(SHA256()).hex(),
        subject=names[0][:255],
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
    )


@lru_cache(maxsize=8)
def private_key(pem: str) -> RSAPrivateKey | None:
    """The key that a test provider signs with, if the PEM has one beside the certificate. Raises ConfigurationError."""
    found = _PRIVATE_KEY.search(pem)
    if not found:
        return None
    try:
        key = load_pem_private_key(found.group().encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPrivateKey) or key.public_key() != public_key(pem):
        raise ConfigurationError("the private key beside the certificate is unusable or not the certificate's")
    return key


def sns_time(now_us: int) -> str:
    moment = datetime.fromtimestamp(now_us // 1_000_000, tz=UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{now_us // 1_000 % 1_000:03d}Z"
