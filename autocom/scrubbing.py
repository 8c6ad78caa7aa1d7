"""What may leave for Sentry: names, places and sentences; never a body, a secret, a signature or a receipt.

Four nets, because no single one is sure: keys that name secrets are blanked (Sentry's own scrubber, with our names),
requests keep a short list of headers, every text loses what looks like data and each secret that this process knows,
and what the adapters mark as personal in the events at hand is taken out wherever it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, cast
from urllib.parse import unquote, urlsplit
from uuid import UUID

from django.apps import apps
from django.conf import settings
from sentry_sdk.types import Event, Hint

from autocom.kernel.request_context import PERSONAL_TEXTS, REQUEST_ID
from autocom.kernel.trace_ids import span_id, trace_id

SECRET_NAMES = [
    *(
        "signature",
        "hmac",
        "x-hub-signature",
        "webhook",
        "webhook-signature",
        "x-webhook-signature",
        "stripe-signature",
    ),
    *("bearer", "receipt", "payload", "body", "secret", "ciphertext", "dsn", "db_url", "redis_url"),
]
REMOVED = "[removed]"
ROOT = "receive"  # the root span of a delivery, as autocom.spans has it
HEADERS_KEPT = frozenset({"accept", "content-length", "content-type", "host", "user-agent"})
SECRET_LENGTH_AT_LEAST = 8  # below it a value would be found in ordinary words
TEXT_LIMIT_CHARS = 500

_DATA = re.compile(
    r"acr1 .*"  # a receipt
    r"|(?i:\b(?:bearer|basic)) [^\s,;]+"
    r"|\bacst_[0-9a-zA-Z_]+"  # a service token
    r"|(?<=://)[^/@\s]+@"  # the credentials of a URL
    r"|\b[0-9a-fA-F]{64,}\b"  # a digest or signature
    r"|[{\[].*[}\]]"  # JSON, or Python's writing of it
)
# a quoted text is data unless it looks like a name of ours: a field, a module, a table
_QUOTED = re.compile(r"""(?<!\w)(?P<mark>["'])(?![A-Za-z_.]{1,60}(?P=mark))(?:\\.|(?!(?P=mark)).)*(?P=mark)""")


def scrub(event: Event, hint: Hint) -> Event:  # noqa: ARG001  (Sentry's signature)
    """The event as it may leave, tagged with the request id of its log line, else with that of the request at hand."""
    request = event.get("request")
    if event.get("type") == "transaction":
        event.pop("request", None)  # its address may name somebody: a span has the route
    elif isinstance(request, dict):
        event["request"] = _request(request)
    extra = event.get("extra")
    named = extra.get("request_id") if isinstance(extra, dict) else None
    tags = event.get("tags") or {}
    if known := named or tags.get("request_id") or REQUEST_ID.get():
        event["tags"] = {**tags, "request_id": str(known)}
        if event.get("type") != "transaction":
            _join_trace(event, str(known))
    event = cast("Event", _without(event, [*known_secrets(), *_personal_texts()]))
    for entry in _entries(event.get("exception")):
        entry["value"] = without_data(str(entry.get("value") or ""))
    for name in ("extra", "logentry", "message"):
        if name in event:
            event[name] = _each_text(event[name])
    return event


def _join_trace(event: Event, request_id: str) -> None:
    """The error stands in the trace of its delivery, whose id is the request id."""
    try:
        request = UUID(request_id)
    except ValueError:
        return
    contexts: dict[str, Any] = event.setdefault("contexts", {})
    contexts["trace"] = {"trace_id": trace_id(request), "span_id": span_id(request, ROOT)}


def _personal_texts() -> list[str]:
    """What the adapters mark as personal in what is at hand, the longest first."""
    tell = PERSONAL_TEXTS.get()
    return [] if tell is None else sorted(set(tell()), key=len, reverse=True)


def first_line(text: str) -> str:
    """PostgreSQL's DETAIL and CONTEXT, which quote rows, come below it."""
    return text.partition("\n")[0]


def without_data(text: str) -> str:
    """One line of limited length, without what looks like a sender's data."""
    return _QUOTED.sub(REMOVED, _DATA.sub(REMOVED, first_line(text)))[:TEXT_LIMIT_CHARS]


def without_secrets(text: str) -> str:
    """Of a text that says nothing else that must not be seen, such as a log line."""
    if apps.ready:  # before, no provider's secret is read, and none can be asked for
        for secret in known_secrets():
            text = text.replace(secret, REMOVED)
    return text


def known_secrets() -> list[str]:
    """Every secret in this process's memory, the longest first, so that one inside another leaves nothing behind."""
    from ingestion.provider_book import BOOK  # its models load after logging, which loads this module

    environment = settings.AUTOCOM
    values = {environment.secret_key, environment.webhook_bearer_key, environment.webhook_hmac_secret}
    values |= {environment.evidence_endpoint_token, environment.otel_headers, environment.oidc_client_secret}
    values |= {header.partition("=")[2] for header in environment.otel_headers.split(",")}
    values |= {*environment.secret_key_fallbacks, *environment.provider_secrets_keys}
    values |= {urlsplit(url).password or "" for url in (environment.db_url, environment.redis_url)}
    written = urlsplit(environment.email_url).password or ""
    values |= {written, unquote(written)}
    values |= {line for line in environment.log_signing_key.splitlines() if not line.startswith("-----")}
    values |= set(BOOK.secret_values())
    return sorted((value for value in values if len(value) >= SECRET_LENGTH_AT_LEAST), key=len, reverse=True)


def _request(request: Mapping[str, Any]) -> dict[str, Any]:
    headers = request.get("headers") or {}
    kept = {name: value for name, value in headers.items() if name.lower() in HEADERS_KEPT}
    return {**{name: request[name] for name in ("method", "url") if name in request}, "headers": kept}


def _entries(container: Any) -> Iterable[dict[str, Any]]:
    return container.get("values") or () if isinstance(container, dict) else ()


def _each_text(value: Any) -> Any:
    match value:
        case str():
            return without_data(value)
        case Mapping():
            return {name: each if name == "request_id" else _each_text(each) for name, each in value.items()}
        case list() | tuple():
            return [_each_text(each) for each in value]
        case _ if value is None or isinstance(value, bool | int | float):
            return value
    return without_data(str(value))


def _without(value: Any, secrets: list[str]) -> Any:
    match value:
        case str():
            for secret in secrets:
                value = value.replace(secret, REMOVED)
            return value
        case Mapping():
            return {name: _without(each, secrets) for name, each in value.items()}
        case list() | tuple():
            return [_without(each, secrets) for each in value]
    return value
