"""One provider of each scheme with a secret of the tests' own, and the private keys that no service would hold."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256

from ingestion.models import Provider, ProviderSecret
from ingestion.secret_box import fingerprint_of, seal

TOPIC = "arn:aws:sns:us-east-1:123456789012:ses-events"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """`signing_key` is what the sender alone has, where that is not the stored secret."""

    scheme: str
    secrets: tuple[str, ...]
    options: Mapping[str, object] = field(default_factory=dict)
    signing_key: str = ""


def stored(name: str, sender: Sender) -> Provider:
    provider = Provider.objects.create(name=name, scheme=sender.scheme, options=dict(sender.options))
    for value in sender.secrets:
        ProviderSecret.objects.create(
            provider=provider,
            ciphertext=seal(value),
            fingerprint=fingerprint_of(value),
            not_before=datetime(2026, 1, 1, tzinfo=UTC),
        )
    return provider


def senders() -> dict[str, Sender]:
    """By the provider's name, which is its scheme but for a second one of Standard Webhooks with public keys."""
    shared = "whsec_" + base64.b64encode(bytes(range(32))).decode()
    return {
        "brevo": Sender(scheme="brevo", secrets=("brevo:a-password-for-tests",)),
        "generic": Sender(scheme="generic", secrets=("generic-secret-for-tests-0123",), options={"policy": "both"}),
        "github": Sender(scheme="github", secrets=("github-secret-for-tests",)),
        "mailgun": Sender(scheme="mailgun", secrets=("key-0123456789abcdef", "basic:hooks:password-for-tests")),
        "mandrill": Sender(scheme="mandrill", secrets=("mandrill_key-for-tests",)),
        "postmark": Sender(scheme="postmark", secrets=("a-bearer-token-for-tests",)),
        "sendgrid": _sendgrid(),
        "ses": _ses(),
        "shopify": Sender(scheme="shopify", secrets=("shopify-client-secret-for-tests",)),
        "slack": Sender(scheme="slack", secrets=("0123456789abcdef" * 2,)),
        "standard": Sender(scheme="standard", secrets=(shared,)),
        "standard-v1a": _standard_v1a(),
        "stripe": Sender(scheme="stripe", secrets=("whsec_stripe-secret-for-tests",)),
        "svix": Sender(scheme="svix", secrets=(shared,)),
        "twilio": Sender(scheme="twilio", secrets=("fedcba9876543210" * 2,)),
    }


def _sendgrid() -> Sender:
    private = ec.generate_private_key(ec.SECP256R1())
    public = private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return Sender(scheme="sendgrid", secrets=(base64.b64encode(public).decode(),), signing_key=_pem(private))


def _standard_v1a() -> Sender:
    private = Ed25519PrivateKey.generate()
    public = "whpk_" + base64.b64encode(private.public_key().public_bytes_raw()).decode()
    key = "whsk_" + base64.b64encode(private.private_bytes_raw()).decode()
    return Sender(scheme="standard", secrets=(public,), signing_key=key)


def _ses() -> Sender:
    private = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sns.example")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2025, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2035, 1, 1, tzinfo=UTC))
        .sign(private, SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
    return Sender(scheme="ses", secrets=(pem,), options={"topic_arns": [TOPIC]}, signing_key=_pem(private))


def _pem(private: Any) -> str:
    text: bytes = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return text.decode()
