"""Twilio status callbacks: `X-Twilio-Signature` is an HMAC of the configured URL and the form's sorted fields.

For a JSON body the signed URL carries `bodySHA256` and no fields are added. SHA-1 is the scheme of auth tokens, SHA-256
of shared keys. Not checked, because the scheme cannot tell: where a field's name ends and its value begins.
Only status callbacks are received here: incoming calls and messages wait for TwiML, which this service never writes.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from autocom.kernel.digest import sha256
from autocom.kernel.errors import ConfigurationError
from autocom.kernel.ids import EVENTS_PER_DELIVERY_LIMIT
from ingestion.providers.adapter import (
    SIGNED_URL,
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
from ingestion.providers.event_keys import unreadable_event
from ingestion.providers.form_body import FORM_CONTENT_TYPE, Pairs, encode_form, form_json, parse_form, signed_form
from ingestion.providers.json_body import TOO_DEEP, check_json_content_type, compact, parse, text_at
from ingestion.providers.option_texts import option_texts
from ingestion.providers.signature_text import canonical_base64
from ingestion.providers.twilio_callbacks import PERSONAL, callback_event, cloud_event
from ingestion.providers.twilio_callbacks import RECIPE as RECIPE

SCHEME = "twilio"
# No status makes Twilio send again: it retries once, and only when the connection failed ("Webhooks: Connection
# Overrides"). A URL that ends in #rc=5&rp=all makes it retry; then 503 means "later" here as elsewhere.
ACK = AckPolicy()
RETRY_HORIZON = timedelta(hours=1)  # retries end within 15 s; transcription callbacks are repeated for minutes
SIGNATURE = "x-twilio-signature"
SETTINGS = "x-twilio-webhooks-signature-settings"
SIGNED_HEADERS: tuple[str, ...] = (SIGNATURE, SETTINGS, SIGNED_URL)
BODY_LIMIT_BYTES: int | None = None
KEY_NAMES = KeyNames.NOBODY
PERSONAL_PATHS: tuple[str, ...] = PERSONAL
SECRET_FORM = "the account's primary Auth Token, 32 hex digits, or the secret of a webhook shared key"  # noqa: S105

BODY_HASH = "bodySHA256"
_ALGORITHMS: Final = {"HMAC_SHA1": "sha1", "HMAC_SHA256": "sha256"}
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_PRINTABLE = re.compile(r"\A[!-~]{16,256}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """None: what differs between accounts is the URL and the secret."""


def read_options(raw: Mapping[str, object]) -> Options:
    option_texts(raw, scheme=SCHEME)
    return Options()


def check_secret(value: str) -> None:
    if not _PRINTABLE.match(value):
        raise ConfigurationError(f"the secret is malformed: use {SECRET_FORM}, 16 to 256 characters without spaces")


def signed_headers(options: Options) -> tuple[str, ...]:  # noqa: ARG001
    return SIGNED_HEADERS


def verify(
    delivery: InboundDelivery,
    *,
    secrets: Sequence[Secret],
    options: Options,  # noqa: ARG001  (there are none)
    now_us: int,  # noqa: ARG001  (Twilio signs no time, so freshness cannot be checked)
) -> Secret | None:
    """Believes a delivery only after these steps; `RequestValidator` of Twilio's library is the model.

    1. The signature is canonical base64, and its algorithm one that we know.
    2. A URL with `bodySHA256` must name this body's digest, whatever the content type: else its signature would fit
       an empty form too.
    3. Without it the body must be a form, and its fields are signed: names sorted, each name's different values sorted.
    4. The HMAC over URL and fields matches for one secret; Twilio may write or leave out the URL's port.
    """
    if not secrets:
        raise Refused(Reason.NO_SECRET)
    candidate = canonical_base64(delivery.required(SIGNATURE))
    algorithm = _algorithm(delivery.headers.get(SETTINGS, ""))
    fields = "" if _names_its_body(delivery) else _signed_fields(_form(delivery))
    messages = [(spelling + fields).encode("utf-8", "surrogatepass") for spelling in url_spellings(delivery.url)]
    return match_any(
        [candidate],
        [
            (secret, hmac.digest(secret.value.encode(), message, algorithm))
            for secret in secrets
            for message in messages
        ],
    )


def _algorithm(settings: str) -> str:
    """Digest name for "key=..,algorithm=HMAC_SHA256"; SHA-1 where no algorithm is named. Raises Refused(MALFORMED)."""
    named = "HMAC_SHA1"
    for part in settings.split(","):
        name, separator, value = part.partition("=")
        if separator and name.strip() == "algorithm" and value.strip():
            named = value.strip().upper()
            break
    if named not in _ALGORITHMS:
        raise Refused(Reason.MALFORMED, f"{SETTINGS} names an unknown algorithm")
    return _ALGORITHMS[named]


def _names_its_body(delivery: InboundDelivery) -> bool:
    """True when the URL names this body's digest, False when it names none. Raises Refused for another body's."""
    named = [value for name, value in _query(delivery.url) if name == BODY_HASH]
    if not named:
        return False
    digest = sha256(delivery.body).hex()
    if len(named) > 1 or not hmac.compare_digest(named[0].encode("utf-8", "surrogatepass"), digest.encode()):
        raise Refused(Reason.WRONG_SIGNATURE, f"{BODY_HASH} is not the digest of this body: was the body changed?")
    return True


def _query(url: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(urlsplit(url).query)
    except ValueError:
        raise Refused(Reason.MALFORMED, "the URL's query cannot be read") from None


def _form(delivery: InboundDelivery) -> Pairs:
    if delivery.content_type != FORM_CONTENT_TYPE:
        raise Refused(Reason.MALFORMED, f"a body that is not a form needs {BODY_HASH} in its URL")
    return signed_form(delivery)


def _signed_fields(pairs: Iterable[tuple[str, str]]) -> str:
    return "".join(name + value for name, value in sorted(set(pairs)))


def url_spellings(url: str) -> tuple[str, ...]:
    """The URL as configured, without its port and with one: Twilio's backend signs either, its library tries both."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return (url,)
    credentials, at, host = parts.netloc.rpartition("@")
    bare = host.removesuffix(f":{port}") if port is not None else host
    numbered = f"{bare}:{port or _DEFAULT_PORTS.get(parts.scheme, 443)}"
    spellings = (parts._replace(netloc=credentials + at + each).geturl() for each in (bare, numbered))
    return tuple(dict.fromkeys((url, *spellings)))


def handshake(delivery: InboundDelivery, *, options: Options) -> ImmediateReply | None:  # noqa: ARG001  (none here)
    return None


def identify(delivery: InboundDelivery, *, options: Options) -> Sequence[IdentifiedEvent]:  # noqa: ARG001
    if delivery.content_type == FORM_CONTENT_TYPE:
        pairs = parse_form(delivery.body)
        return [callback_event(dict(pairs), payload=form_json(pairs), content=sorted(pairs))]
    check_json_content_type(delivery)
    value = parse(delivery.body)
    try:
        return [unreadable_event(delivery.body, recipe=RECIPE)] if value is TOO_DEEP else list(_json_events(value))
    except RecursionError:
        return [unreadable_event(delivery.body, recipe=RECIPE)]


def _json_events(value: object) -> Iterator[IdentifiedEvent]:
    """Event Streams posts an array of CloudEvents; other JSON callbacks are an object with a form's fields."""
    elements = value if isinstance(value, list) else [value]
    if not 1 <= len(elements) <= EVENTS_PER_DELIVERY_LIMIT:
        raise BodyInvalid(f"the body has {len(elements)} events: 1 to {EVENTS_PER_DELIVERY_LIMIT} can be taken")
    for element in elements:
        if text_at(element, ("specversion",)):
            yield cloud_event(element)
        elif isinstance(element, dict):
            fields = {name: text_at(element, (name,)) for name in element}
            yield callback_event(fields, payload=compact(element), content=element)
        else:
            raise BodyInvalid(f"the body holds a JSON {type(element).__name__}: an object is needed")


def sign(
    body: bytes,
    *,
    secret: Secret,
    options: Options,  # noqa: ARG001
    url: str,
    now_us: int,  # noqa: ARG001
) -> tuple[Mapping[str, str], bytes]:
    """Signs a form, or a JSON body whose digest the URL names; another JSON object is turned into a form first."""
    if BODY_HASH in url:
        content_type, fields = "application/json", ""
    else:
        content_type, body = FORM_CONTENT_TYPE, _as_form(body)
        fields = _signed_fields(parse_form(body))
    digest = hmac.digest(secret.value.encode(), (url + fields).encode(), "sha1")
    return {"Content-Type": content_type, "X-Twilio-Signature": base64.b64encode(digest).decode()}, body


def _as_form(body: bytes) -> bytes:
    if not body.lstrip().startswith(b"{"):
        return body
    value = parse(body)
    return encode_form((name, text_at(value, (name,))) for name in value) if isinstance(value, dict) else body
