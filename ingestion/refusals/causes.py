"""What explains a refusal, found by trying: the adapter says whether a changed delivery, or another secret, fits.

Never on the request path. A cause is named only when the adapter verifies; without one it stays unexplained.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from autocom.kernel.errors import ConfigurationError
from ingestion.provider_book import KnownProvider
from ingestion.providers.adapter import SIGNED_URL, Adapter, InboundDelivery, Reason, Refused, Secret
from ingestion.providers.form_body import FORM_CONTENT_TYPE
from ingestion.providers.registry import ADAPTERS
from ingestion.refusals.sample import holds_secret

# longer ones would hold the interpreter for milliseconds, which acks of the same process would feel
BODY_LIMIT_BYTES = 65_536
OTHER_PROVIDERS_LIMIT_COUNT = 20


class Cause(StrEnum):
    """What the adapter verifies with, where it refused what was sent."""

    ENDED_SECRET = "ended_secret"  # noqa: S105  (causes, not secrets)
    EARLY_SECRET = "early_secret"  # noqa: S105
    OTHER_PROVIDERS_SECRET = "other_providers_secret"  # noqa: S105
    SPACES_IN_SECRET = "spaces_in_secret"  # noqa: S105
    SECRET_SENT = "secret_sent"  # noqa: S105
    LINE_ENDS = "line_ends"
    LAST_LINE_END = "last_line_end"
    BYTE_ORDER_MARK = "byte_order_mark"
    JSON_REWRITTEN = "json_rewritten"
    FORM_REWRITTEN = "form_rewritten"
    OTHER_URL = "other_url"
    CREDENTIAL_ALONE = "credential_alone"
    OTHER_SCHEME = "other_scheme"
    NOT_TRIED = "not_tried"
    UNEXPLAINED = "unexplained"
    AS_REASON = "as_reason"


@dataclass(frozen=True, slots=True)
class Finding:
    """`detail` names a secret by its fingerprint, a provider, a URL; never a value of the request."""

    cause: Cause
    detail: str = ""


@dataclass(frozen=True, slots=True)
class _Try:
    finding: Finding
    delivery: InboundDelivery
    secrets: Sequence[Secret]
    options: Any


_TRIED = frozenset(
    {
        *(Reason.WRONG_SIGNATURE, Reason.WRONG_CREDENTIAL, Reason.NO_SECRET, Reason.MALFORMED),
        Reason.UNKNOWN_CERTIFICATE,
    }
)
_SAYS_ALL = frozenset({Reason.MALFORMED, Reason.UNKNOWN_CERTIFICATE})  # where nothing that was tried fits


def finding_of(
    provider: KnownProvider, delivery: InboundDelivery, refused: Refused, *, others: Sequence[KnownProvider]
) -> Finding:
    """Bounded: at most a few dozen verifications of a body of 64 KiB."""
    if any(holds_secret(value, provider=provider) for value in _signing(provider, delivery).values()):
        return Finding(Cause.SECRET_SENT)
    if refused.reason is Reason.MISSING_HEADER:
        scheme = _other_scheme(provider, delivery)
        return Finding(Cause.OTHER_SCHEME, scheme) if scheme else Finding(Cause.AS_REASON)
    if refused.reason not in _TRIED:
        return Finding(Cause.AS_REASON)
    if len(delivery.body) > BODY_LIMIT_BYTES:
        return Finding(Cause.NOT_TRIED, f"the body is above {BODY_LIMIT_BYTES:,} bytes")
    for each in _tries(provider, delivery, others=others):
        if _holds(provider, each):
            return each.finding
    return Finding(Cause.AS_REASON if refused.reason in _SAYS_ALL else Cause.UNEXPLAINED)


def _holds(provider: KnownProvider, tried: _Try) -> bool:
    try:
        matched = provider.adapter.verify(
            tried.delivery, secrets=tried.secrets, options=tried.options, now_us=tried.delivery.received_us
        )
    except Exception:  # noqa: BLE001  (refused, or hostile input met a fault of ours: this does not explain it)
        return False
    return matched is not None


def _tries(provider: KnownProvider, delivery: InboundDelivery, *, others: Sequence[KnownProvider]) -> Iterator[_Try]:
    now_us = delivery.received_us
    options, valid = provider.options, provider.secrets_at(now_us)
    yield from _secrets(provider, delivery)
    yield from _others_secrets(provider, delivery, others=others)
    for cause, body in _bodies(delivery):
        yield _Try(Finding(cause), replace(delivery, body=body), valid, options)
    for url in _urls(provider, delivery):
        yield _Try(Finding(Cause.OTHER_URL, _without_query(url)), replace(delivery, url=url), valid, options)
    provable = getattr(provider.adapter, "provable", None)
    if provable is not None and (part := provable(valid, options)) is not None:
        yield _Try(Finding(Cause.CREDENTIAL_ALONE), delivery, *part)


def _secrets(provider: KnownProvider, delivery: InboundDelivery) -> Iterator[_Try]:
    now_us = delivery.received_us
    for timed in provider.secrets:
        if not timed.is_valid(now_us):
            cause = Cause.EARLY_SECRET if now_us < timed.not_before_us else Cause.ENDED_SECRET
            yield _Try(Finding(cause, timed.secret.fingerprint), delivery, [timed.secret], provider.options)
            continue
        for value in {timed.secret.value.strip(), f"{timed.secret.value}\n", f"{timed.secret.value} "}:
            spaced = replace(timed.secret, value=value)
            finding = Finding(Cause.SPACES_IN_SECRET, timed.secret.fingerprint)
            yield _Try(finding, delivery, [spaced], provider.options)


def _others_secrets(
    provider: KnownProvider, delivery: InboundDelivery, *, others: Sequence[KnownProvider]
) -> Iterator[_Try]:
    alike = [each for each in others if each.adapter is provider.adapter and each.name != provider.name]
    for other in alike[:OTHER_PROVIDERS_LIMIT_COUNT]:
        if secrets := other.secrets_at(delivery.received_us):
            finding = Finding(Cause.OTHER_PROVIDERS_SECRET, other.name)
            yield _Try(finding, delivery, secrets, provider.options)


def _bodies(delivery: InboundDelivery) -> Iterator[tuple[Cause, bytes]]:
    """The body as the sender may have signed it, before something on the way changed it."""
    body = delivery.body
    unix = body.replace(b"\r\n", b"\n")
    yield Cause.LINE_ENDS, unix
    yield Cause.LINE_ENDS, unix.replace(b"\n", b"\r\n")
    for tail in (b"", b"\n", b"\r\n"):
        yield Cause.LAST_LINE_END, body.rstrip(b"\r\n") + tail
    yield Cause.BYTE_ORDER_MARK, body.removeprefix(b"\xef\xbb\xbf")
    yield Cause.BYTE_ORDER_MARK, b"\xef\xbb\xbf" + body
    if delivery.content_type == FORM_CONTENT_TYPE:
        yield from _rewritten_forms(body)
    else:
        yield from _rewritten_json(body)


def _rewritten_forms(body: bytes) -> Iterator[tuple[Cause, bytes]]:
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=1_000)
    except ValueError:
        return
    encoded = urlencode(pairs).encode()
    yield Cause.FORM_REWRITTEN, encoded
    yield Cause.FORM_REWRITTEN, encoded.replace(b"+", b"%20")


def _rewritten_json(body: bytes) -> Iterator[tuple[Cause, bytes]]:
    """As the usual writers write it: compact or with spaces or indented, in UTF-8 or with escapes."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return
    forms: tuple[dict[str, Any], ...] = ({"separators": (",", ":")}, {}, {"indent": 2})
    for form in forms:
        for is_ascii in (False, True):
            try:
                text = json.dumps(value, ensure_ascii=is_ascii, **form)
            except (ValueError, RecursionError):
                return
            yield Cause.JSON_REWRITTEN, text.encode("utf-8", "surrogatepass")


def _urls(provider: KnownProvider, delivery: InboundDelivery) -> Iterator[str]:
    """For schemes that sign the URL: the addresses that may stand in the sender's settings."""
    if SIGNED_URL not in provider.kept_headers:
        return
    parts = urlsplit(delivery.url)
    hosts = dict.fromkeys((parts.netloc, delivery.headers.get("host", "")))
    path = parts.path.rstrip("/")
    for host in filter(None, hosts):
        for scheme in ("https", "http"):
            for ending in (path, f"{path}/"):
                for query in dict.fromkeys((parts.query, "")):
                    yield f"{scheme}://{host}{ending}" + (f"?{query}" if query else "")


def _without_query(url: str) -> str:
    address, question, _ = url.partition("?")
    return address + (" with its query" if question else " without a query")


def _signing(provider: KnownProvider, delivery: InboundDelivery) -> Mapping[str, str]:
    names = (name for name in provider.kept_headers if name != "content-type")
    return {name: delivery.headers[name] for name in names if name in delivery.headers}


def _other_scheme(provider: KnownProvider, delivery: InboundDelivery) -> str:
    """The scheme whose signature this is, where the provider's own is absent; empty where none fits."""
    if any(_names_signature(name) for name in _signing(provider, delivery)):
        return ""
    for scheme, adapter in sorted(ADAPTERS.items()):  # standard before svix, which takes standard's headers too
        if any(_names_signature(name) and name in delivery.headers for name in _usual_headers(adapter)):
            return "" if adapter is provider.adapter else scheme
    return ""


def _usual_headers(adapter: Adapter[Any]) -> Sequence[str]:
    """Of the scheme with nothing chosen; none where something must be."""
    try:
        return adapter.signed_headers(adapter.read_options({}))
    except ConfigurationError:
        return ()


def _names_signature(header: str) -> bool:
    return "signature" in header or "hmac" in header
