"""A signed request as a command to paste: what `manage.py up` prints for `default`, and `provider test` for each."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from django.conf import settings

from autocom.kernel.errors import AutocomError
from ingestion.provider_book import KnownProvider
from ingestion.providers.adapter import InboundDelivery, Refused, Secret

FIRST_WEBHOOK = """\
  body='{{"id":"hello-'$(date +%s)'","type":"delivered","ordering_key":"hello","data":{{"to":"ada@example.com"}}}}';
  ts=$(date +%s); \\
  sig=$(printf '%s.%s' "$ts" "$body" | openssl dgst -sha256 -hmac {secret} | sed 's/.*= //'); \\
  curl -sS {url}/webhooks/default -H "Authorization: Bearer {bearer}" -H "X-Webhook-Timestamp: $ts" \\
    -H "X-Webhook-Signature: sha256=$sig" -H 'Content-Type: application/json' --data-raw "$body"
"""


class CannotSign(AutocomError):
    """No request that the provider's adapter would accept can be made here; the message says why."""

    code = "cannot_sign"


@dataclass(frozen=True, slots=True)
class SignedRequest:
    headers: Mapping[str, str] = field(repr=False)  # of some schemes they hold the credential itself
    body: bytes


def first_webhook(ingress: str) -> str:
    """For `default`: signs with the clock of its reader, so it can be pasted again. Secrets only of a local start."""
    environment = settings.AUTOCOM
    is_local = environment.is_local
    return FIRST_WEBHOOK.format(
        url=ingress,
        secret=environment.webhook_hmac_secret if is_local else '"$WEBHOOK_HMAC_SECRET"',
        bearer=environment.webhook_bearer_key if is_local else "$WEBHOOK_BEARER_KEY",
    )


def signed_request(provider: KnownProvider, *, url: str, now_us: int) -> SignedRequest:
    """A test event that the provider's own adapter has verified. `url` is the one that the ingress takes it for.

    Raises CannotSign.
    """
    secrets = provider.secrets_at(now_us)
    if not secrets:
        raise CannotSign(f"{provider.name} has no valid secret: make one with `provider rotate {provider.name}`")
    refusals: list[str] = []
    for secret in secrets:
        try:
            return _verified(provider, secret, url=url, now_us=now_us)
        except AutocomError as error:
            refusals.append(f"…{secret.fingerprint}: {error}")
    raise CannotSign("; ".join(refusals))


def _verified(provider: KnownProvider, secret: Secret, *, url: str, now_us: int) -> SignedRequest:
    headers, body = provider.adapter.sign(
        _test_event(now_us), secret=secret, options=provider.options, url=url, now_us=now_us
    )
    lower = {name.lower(): value for name, value in headers.items()}
    delivery = InboundDelivery(provider=provider.name, headers=lower, body=body, url=url, received_us=now_us)
    try:
        matched = provider.adapter.verify(
            delivery, secrets=provider.secrets_at(now_us), options=provider.options, now_us=now_us
        )
    except Refused as refused:
        raise CannotSign(f"a request with it alone would be refused ({refused})") from None
    if matched is None:
        raise CannotSign("the adapter does not say which secret it believed")
    return SignedRequest(headers=headers, body=body)


def _test_event(now_us: int) -> bytes:
    """Fields that one or another adapter reads; a new id each time, or it would be a duplicate."""
    return json.dumps(
        {
            "id": f"test-{now_us}",
            "type": "delivered",
            "event": "delivered",
            "RecordType": "Delivery",
            "ordering_key": "test",
            "to": "ada@example.com",
        },
        separators=(",", ":"),
    ).encode()


def as_curl(request: SignedRequest, *, address: str) -> str:
    """One shell command, every word quoted."""
    headers = [word for name, value in request.headers.items() for word in ("-H", f"{name}: {value}")]
    words = ["curl", "-sS", address, *headers, "--data-raw", request.body.decode()]
    return shlex.join(words)
