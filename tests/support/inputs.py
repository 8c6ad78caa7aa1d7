"""What senders send by mistake or on purpose, and what each input must get, whoever serves it."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.test import Client

from tests.support.ingress import Answer, Headers, request_bytes
from tests.support.senders import event_body, signed_headers

LIMIT_BYTES = 1_048_576
SERVER_REFUSED = (400, "request_malformed")  # no HTTP, so no WSGI server would pass it on


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One request, header by header."""

    body: bytes
    headers: Headers
    method: str = "POST"
    path: str = "/webhooks/default"

    def as_bytes(self) -> bytes:
        return request_bytes(self.body, self.headers, method=self.method, path=self.path)

    def as_environ(self) -> dict[str, Any]:
        """What a WSGI server makes of it."""
        environ: dict[str, Any] = {
            "REQUEST_METHOD": self.method,
            "PATH_INFO": self.path,
            "wsgi.input": io.BytesIO(self.body),
        }
        for raw_name, raw_value in self.headers:
            name, value = _text(raw_name).upper().replace("-", "_"), _text(raw_value)
            key = name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{name}"
            environ[key] = f"{environ[key]}, {value}" if key in environ else value
        return {"CONTENT_TYPE": "", **environ}


@dataclass(frozen=True, slots=True)
class Expected:
    """Status and problem code (empty where there is no problem) from the ingress.

    And from a server that commits alone.
    """

    ingress: tuple[int, str]
    alone: tuple[int, str]


@dataclass(frozen=True, slots=True)
class Input:
    make: Callable[[str], Sent]  # from an id that nobody used before
    expected: Expected


def serve_alone(sent: Sent) -> Answer:
    """Through Django's own handler, as under any WSGI server. An exception that no handler took is raised here."""
    response = Client().request(**sent.as_environ())
    return Answer(response.status_code, {name.lower(): value for name, value in response.items()}, response.content)


def good(message_id: str, **data: Any) -> Sent:
    return signed(event_body(message_id, **data))


def signed(body: bytes, *, path: str = "/webhooks/default", **signing: Any) -> Sent:
    headers = [*signed_headers(body, **signing).items(), ("Content-Length", str(len(body)))]
    return Sent(body=body, headers=headers, path=path)


def changed(sent: Sent, name: str, *values: str | bytes | None) -> Sent:
    """With this header replaced by those given; none at all for None."""
    others = [(key, value) for key, value in sent.headers if key != name]
    added = [(name, value) for value in values if value is not None]
    return Sent(body=sent.body, headers=[*others, *added], method=sent.method, path=sent.path)


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")


def _same(status: int, code: str = "") -> Expected:
    return Expected((status, code), (status, code))


def _header(name: str, *values: str | bytes | None) -> Callable[[str], Sent]:
    return lambda message_id: changed(good(message_id), name, *values)


def _body(text: bytes) -> Callable[[str], Sent]:
    """`%s` in the text becomes the id."""
    return lambda message_id: signed(text.replace(b"%s", message_id.encode()))


def _padded(size_bytes: int) -> Callable[[str], Sent]:
    def make(message_id: str) -> Sent:
        bare = len(event_body(message_id, pad=""))
        return good(message_id, pad="x" * (size_bytes - bare))

    return make


def _method(method: str) -> Callable[[str], Sent]:
    """As a browser or a scanner asks: no body, no length, no signature."""
    return lambda _: Sent(body=b"", headers=[], method=method)


def _signed_put(message_id: str) -> Sent:
    sent = good(message_id)
    return Sent(body=sent.body, headers=sent.headers, method="PUT")


def _signed_at(seconds_from_now: int) -> Callable[[str], Sent]:
    return lambda message_id: signed(event_body(message_id), at_seconds=int(time.time()) + seconds_from_now)


def _chunked(message_id: str) -> Sent:
    body = event_body(message_id)
    headers = [*signed_headers(body).items(), ("Transfer-Encoding", "chunked")]
    return Sent(body=b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body), headers=headers)


def _batch(count: int) -> Callable[[str], Sent]:
    return lambda message_id: signed(batch_body(message_id, count))


def batch_body(message_id: str, count: int, *, keys: int = 40) -> bytes:
    events = [json.loads(event_body(f"{message_id}-{i}", ordering_key=f"key-{i % keys}")) for i in range(count)]
    return json.dumps(events).encode()


UNAUTHORIZED = _same(401, "unauthorized")
ACCEPTED = _same(202)
NOT_UNDERSTOOD = _same(422, "body_invalid")
ODD_BYTES = bytes(range(0x80, 0x100))

INPUTS: Mapping[str, Input] = {
    "good": Input(good, ACCEPTED),
    "no length": Input(_header("Content-Length", None), _same(411, "length_required")),
    "chunked": Input(_chunked, _same(411, "length_required")),
    "length no number": Input(_header("Content-Length", "many"), Expected(SERVER_REFUSED, (411, "length_required"))),
    "length negative": Input(_header("Content-Length", "-1"), Expected(SERVER_REFUSED, (411, "length_required"))),
    "length of 5000 digits": Input(
        _header("Content-Length", "9" * 5_000), Expected(SERVER_REFUSED, (413, "body_too_large"))
    ),
    "two lengths": Input(_header("Content-Length", "112", "3"), Expected(SERVER_REFUSED, (411, "length_required"))),
    "says 10 MB and sends less": Input(_header("Content-Length", "10000000"), _same(413, "body_too_large")),
    "exactly at the limit": Input(_padded(LIMIT_BYTES), ACCEPTED),
    "one byte above the limit": Input(_padded(LIMIT_BYTES + 1), _same(413, "body_too_large")),
    "five times the limit": Input(_padded(LIMIT_BYTES * 5), _same(413, "body_too_large")),
    "empty": Input(_body(b""), NOT_UNDERSTOOD),
    "only spaces": Input(_body(b" \r\n"), NOT_UNDERSTOOD),
    "not JSON": Input(_body(b"id=%s&type=delivered"), NOT_UNDERSTOOD),
    "cut-off JSON": Input(_body(b'{"id": "%s", "type'), NOT_UNDERSTOOD),
    "a bare number": Input(_body(b"42"), NOT_UNDERSTOOD),
    "not UTF-8": Input(_body(b'{"id": "%s", "type": "\xff\xfe"}'), NOT_UNDERSTOOD),
    "UTF-16": Input(lambda message_id: signed(event_body(message_id).decode().encode("utf-16")), NOT_UNDERSTOOD),
    "no events": Input(_body(b"[]"), NOT_UNDERSTOOD),
    "too many events": Input(_batch(1_001), NOT_UNDERSTOOD),
    "wrong content type": Input(_header("Content-Type", "text/xml"), _same(415, "content_type_unsupported")),
    "no content type": Input(_header("Content-Type", None), _same(415, "content_type_unsupported")),
    "content type of odd bytes": Input(_header("Content-Type", ODD_BYTES), _same(415, "content_type_unsupported")),
    "gzip": Input(_header("Content-Encoding", "gzip"), _same(415, "content_encoding_unsupported")),
    "two encodings": Input(_header("Content-Encoding", "identity", "gzip"), _same(415, "content_encoding_unsupported")),
    "wrong bearer": Input(_header("Authorization", "Bearer wrong"), UNAUTHORIZED),
    "no bearer": Input(_header("Authorization", None), UNAUTHORIZED),
    "basic for bearer": Input(_header("Authorization", "Basic dXNlcjpwYXNz"), UNAUTHORIZED),
    "bearer of odd bytes": Input(_header("Authorization", b"Bearer " + ODD_BYTES), UNAUTHORIZED),
    "empty bearer": Input(_header("Authorization", "Bearer "), UNAUTHORIZED),
    "wrong signature": Input(_header("X-Webhook-Signature", "sha256=" + "0" * 64), UNAUTHORIZED),
    "no signature": Input(_header("X-Webhook-Signature", None), UNAUTHORIZED),
    "empty signature": Input(_header("X-Webhook-Signature", ""), UNAUTHORIZED),
    "signature of no hex": Input(_header("X-Webhook-Signature", "sha256=" + "z" * 64), UNAUTHORIZED),
    "signature too short": Input(_header("X-Webhook-Signature", "sha256=00"), UNAUTHORIZED),
    "signature of odd bytes": Input(_header("X-Webhook-Signature", b"sha256=" + ODD_BYTES), UNAUTHORIZED),
    "signature of another scheme": Input(_header("X-Webhook-Signature", "v1," + "A" * 44), UNAUTHORIZED),
    "signed with another secret": Input(
        lambda i: signed(event_body(i), secret="not-the-secret-of-this-provider"), UNAUTHORIZED
    ),
    "no timestamp": Input(_header("X-Webhook-Timestamp", None), UNAUTHORIZED),
    "timestamp no number": Input(_header("X-Webhook-Timestamp", "yesterday"), UNAUTHORIZED),
    "timestamp of 5000 digits": Input(_header("X-Webhook-Timestamp", "1" * 5_000), UNAUTHORIZED),
    "signed 301 s ago": Input(_signed_at(-302), UNAUTHORIZED),
    "signed in the future": Input(_signed_at(+65), UNAUTHORIZED),
    "unknown provider": Input(lambda i: signed(event_body(i), path="/webhooks/nobody"), _same(404, "provider_unknown")),
    "provider switched off": Input(
        lambda i: signed(event_body(i), path="/webhooks/asleep"), _same(503, "provider_disabled")
    ),
    "provider name of odd bytes": Input(
        lambda i: signed(event_body(i), path="/webhooks/%FF%00%2e"), _same(404, "provider_unknown")
    ),
    "name escaped twice": Input(
        lambda i: signed(event_body(i), path="/webhooks/%2564efault"), _same(404, "provider_unknown")
    ),
    "a path below": Input(lambda i: signed(event_body(i), path="/webhooks/default/more"), _same(404, "not_found")),
    "a path beside": Input(lambda i: signed(event_body(i), path="/webhooksdefault"), _same(404, "not_found")),
    "another path": Input(lambda i: signed(event_body(i), path="/.env"), _same(404, "not_found")),
    "GET": Input(_method("GET"), _same(405, "method_not_allowed")),
    "PUT": Input(_method("PUT"), _same(405, "method_not_allowed")),
    "PUT of a signed event": Input(_signed_put, _same(405, "method_not_allowed")),
    "DELETE": Input(_method("DELETE"), _same(405, "method_not_allowed")),
    "OPTIONS": Input(_method("OPTIONS"), _same(405, "method_not_allowed")),
    "a method of its own": Input(_method("BREW"), _same(405, "method_not_allowed")),
    "header value of odd bytes": Input(_header("X-Odd", ODD_BYTES), ACCEPTED),
    "header name of odd bytes": Input(_header("X-\xff\x80", "1"), Expected(SERVER_REFUSED, (202, ""))),
    "odd Accept": Input(_header("Accept", "application/xml;q=0, */;;"), ACCEPTED),
    "NUL in a text": Input(_body(b'{"id": "%s", "type": "a", "data": "\\u0000"}'), ACCEPTED),
    "NUL in the id": Input(_body(b'{"id": "%s\\u0000", "type": "a"}'), ACCEPTED),
    "lone surrogate": Input(_body(b'{"id": "%s\\ud800", "type": "\\udfff", "ordering_key": "\\ud801"}'), ACCEPTED),
    "lone surrogate in a batch": Input(_body(b'[{"id": "%s\\ud800", "type": "a"}]'), ACCEPTED),
    "NaN": Input(_body(b'{"id": "%s", "type": "a", "data": NaN}'), ACCEPTED),
    "1e400": Input(_body(b'{"id": "%s", "type": "a", "data": 1e400, "occurred_at": 1e400}'), ACCEPTED),
    "an id of 1e400": Input(_body(b'{"id": 1e400, "type": "a", "data": "%s"}'), ACCEPTED),
    "deep arrays": Input(_body(b'{"id": "%s", "data": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"), ACCEPTED),
    "deep arrays alone": Input(lambda _: signed(b"[" * 100_000 + b"]" * 100_000), ACCEPTED),
    "deep objects": Input(
        _body(b'{"id": "%s", "data": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}"), ACCEPTED
    ),
    "a date that no calendar has": Input(
        _body(b'{"id": "%s", "type": "a", "occurred_at": "99999-99-99T99:99:99Z"}'), ACCEPTED
    ),
    "1000 events": Input(_batch(1_000), ACCEPTED),
}
