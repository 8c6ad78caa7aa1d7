"""Requests as a provider sends them, ways to spoil them, and what our adapters make of them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from ingestion.providers.adapter import (
    Adapter,
    BodyInvalid,
    ContentTypeUnsupported,
    IdentifiedEvent,
    InboundDelivery,
    Reason,
    Refused,
    Secret,
)

NOW_SECONDS = 1_767_225_600
NOW_US = NOW_SECONDS * 1_000_000
FIXTURES = Path(__file__).parent / "fixtures"

# small and reproducible: no database of examples, no deadline, since a first call may start a node process
bounded = settings(
    max_examples=80, deadline=None, database=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)


@dataclass(frozen=True, slots=True)
class Sent:
    """A request on the wire; header names in any case."""

    headers: Mapping[str, str]
    body: bytes

    def with_header(self, name: str, value: str) -> Sent:
        return replace(self, headers={**self.lowered(), name.lower(): value})

    def without_header(self, name: str) -> Sent:
        return replace(self, headers={key: value for key, value in self.lowered().items() if key != name.lower()})

    def with_body(self, body: bytes) -> Sent:
        return replace(self, body=body)

    def lowered(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.headers.items()}

    def delivery(self, *, url: str = "https://hooks.example/webhooks/p", received_us: int = NOW_US) -> InboundDelivery:
        return InboundDelivery(provider="p", headers=self.lowered(), body=self.body, url=url, received_us=received_us)


def secret(value: str) -> Secret:
    return Secret(value=value, fingerprint=f"fp-{value[-4:]}")


def signed(adapter: Adapter[Any], body: bytes, *, key: str, options: Any = None, now_us: int = NOW_US) -> Sent:
    """What the adapter's own `sign` makes of a body."""
    chosen = adapter.read_options({}) if options is None else options
    headers, sent_body = adapter.sign(
        body, secret=secret(key), options=chosen, url="https://hooks.example/", now_us=now_us
    )
    return Sent(headers=headers, body=sent_body)


def verified_by(
    adapter: Adapter[Any], sent: Sent, *, keys: Sequence[str], options: Any = None, now_us: int = NOW_US
) -> Secret | None:
    """The adapter's verdict. Raises Refused."""
    chosen = adapter.read_options({}) if options is None else options
    return adapter.verify(sent.delivery(), secrets=[secret(key) for key in keys], options=chosen, now_us=now_us)


def accepts(
    adapter: Adapter[Any], sent: Sent, *, keys: Sequence[str], options: Any = None, now_us: int = NOW_US
) -> bool:
    try:
        verified_by(adapter, sent, keys=keys, options=options, now_us=now_us)
    except Refused:
        return False
    return True


def refusal(
    adapter: Adapter[Any], sent: Sent, *, keys: Sequence[str], options: Any = None, now_us: int = NOW_US
) -> Reason:
    """Why the adapter refuses; fails the test when it accepts."""
    with pytest.raises(Refused) as caught:
        verified_by(adapter, sent, keys=keys, options=options, now_us=now_us)
    return caught.value.reason


def events_of(adapter: Adapter[Any], sent: Sent, *, options: Any = None) -> Sequence[IdentifiedEvent]:
    chosen = adapter.read_options({}) if options is None else options
    return adapter.identify(sent.delivery(), options=chosen)


def event_of(adapter: Adapter[Any], sent: Sent, *, options: Any = None) -> IdentifiedEvent:
    (event,) = events_of(adapter, sent, options=options)
    return event


def identities(events: Sequence[IdentifiedEvent]) -> set[tuple[str, ...]]:
    return {(event.recipe, *event.identity_fields) for event in events}


def whsec(first: int) -> str:
    """A shared key of Standard Webhooks and Svix, another one for each number up to 223."""
    return "whsec_" + base64.b64encode(bytes(range(first, first + 32))).decode()


def posted_json(value: object, **headers: str) -> Sent:
    return Sent(headers={"content-type": "application/json", **headers}, body=json.dumps(value).encode())


def basic(credential: str) -> str:
    """The header of Basic authentication for "user:password"."""
    return "Basic " + base64.b64encode(credential.encode()).decode()


def fixtures(scheme: str) -> Iterator[tuple[bytes, dict[str, str]]]:
    """Body and headers of each line of the scheme's fixtures."""
    for file in sorted((FIXTURES / scheme).glob("*.ndjson")):
        for line in file.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            body = row["body_text"].encode() if "body_text" in row else json.dumps(row["body"]).encode()
            yield body, row.get("headers", {})


def never_raises_anything_else(adapter: Adapter[Any], sent: Sent, *, keys: Sequence[str], options: Any = None) -> None:
    """All that a request can cause are the adapter's own errors. Anything else escapes and fails the test."""
    chosen = adapter.read_options({}) if options is None else options
    accepts(adapter, sent, keys=keys, options=chosen)
    try:
        adapter.handshake(sent.delivery(), options=chosen)
        adapter.identify(sent.delivery(), options=chosen)
    except (Refused, BodyInvalid, ContentTypeUnsupported):
        pass


# --- strategies ---

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=10), children, max_size=4),
    max_leaves=12,
)
latin1_text = st.text(st.characters(max_codepoint=255), max_size=60)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


_FIELD_NAMES = (
    *("id", "type", "event", "events", "data", "object", "created", "ts_event", "email", "to", "items", "message-id"),
    *("RecordType", "MessageID", "ID", "Type", "payload", "repository", "issue", "number", "ref", "event_id"),
    *("event_time", "team_id", "channel", "trigger_id", "timestamp", "created_at", "FromFull", "challenge"),
)
_CONTENT_TYPES = ("application/json", "application/json", "application/x-www-form-urlencoded", "text/plain", "")


def malformed(names: Sequence[str], *, near: Sequence[str] = ()) -> st.SearchStrategy[Sent]:
    """Requests of arbitrary headers and bodies, under names and (now and then) of values that the adapter looks for."""
    values = latin1_text | st.sampled_from([*near, ""])
    headers = st.dictionaries(st.sampled_from([*names, "content-type", "x-other"]), values)
    typed = st.builds(lambda found, kind: {**found, "content-type": kind}, headers, st.sampled_from(_CONTENT_TYPES))
    return st.builds(Sent, headers=headers | typed, body=_bodies())


def _bodies() -> st.SearchStrategy[bytes]:
    """Any bytes, any JSON, and objects (and forms of them) under names that adapters read, with values of any type."""
    names = st.sampled_from(_FIELD_NAMES)
    objects = st.dictionaries(names, json_values | st.dictionaries(names, json_values), max_size=6)
    texts_of_json = (json_values | objects).map(lambda value: json.dumps(value).encode())
    forms = objects.map(lambda value: b"payload=" + quote_plus(json.dumps(value)).encode())
    return st.one_of(st.binary(max_size=80), texts_of_json, texts_of_json, forms)


# what may happen to a signature in base64 that is a header of its own
base64_header_changes = st.sampled_from(
    [
        lambda text: text,
        lambda text: text.lower(),
        lambda text: text[:-1],
        lambda text: text + "=",
        lambda text: " " + text,
        lambda text: "\xe9" + text,
        lambda text: "",
    ]
)

type Spoiling = Callable[[Sent], Sent]


def spoilings(names: Sequence[str], *, timestamp: str = "") -> st.SearchStrategy[Spoiling]:
    """Changes to a signed request: of one header, of the time, of the body; some leave it as valid as it was."""
    of_header = st.builds(_spoil_header, st.sampled_from(list(names)), _text_changes())
    of_body = st.builds(_spoil_body, _bytes_changes())
    harmless = st.builds(
        lambda name: lambda sent: sent.with_header(name, "1"), st.sampled_from(["x-other", "user-agent"])
    )
    choices = [of_header, of_body, harmless, st.just(lambda sent: sent)]
    choices += [st.builds(_drop_header, st.sampled_from(list(names)))]
    if timestamp:
        choices.append(st.builds(_spoil_header, st.just(timestamp), _digit_changes()))
    return st.one_of(choices)


def _spoil_header(name: str, change: Callable[[str], str]) -> Spoiling:
    return lambda sent: sent.with_header(name, change(sent.lowered().get(name.lower(), "")))


def _drop_header(name: str) -> Spoiling:
    return lambda sent: sent.without_header(name)


def _spoil_body(change: Callable[[bytes], bytes]) -> Spoiling:
    return lambda sent: sent.with_body(change(sent.body))


def _text_changes() -> st.SearchStrategy[Callable[[str], str]]:
    character = st.characters(min_codepoint=32, max_codepoint=255)

    def replaced(position: int, new: str) -> Callable[[str], str]:
        return lambda text: text[: position % (len(text) + 1)] + new + text[position % (len(text) + 1) + 1 :]

    return st.one_of(
        st.builds(replaced, st.integers(0, 200), character),
        st.builds(
            lambda new: lambda text: text + new, st.sampled_from([" ", ",", "=", "==", "0", "A", "\xe9", ",v1=0"])
        ),
        st.builds(lambda new: lambda text: new + text, st.sampled_from([" ", "v1,", "v2,x ", "sha256=", "v0=", "0"])),
        st.sampled_from([str.upper, str.lower, str.swapcase, lambda text: text[:-1], lambda text: text + " " + text]),
        st.just(lambda _: ""),
    )


def _digit_changes() -> st.SearchStrategy[Callable[[str], str]]:
    return st.one_of(
        st.integers(-400, 400).map(lambda by: lambda text: str(int(text) + by) if text.isdigit() else text),
        st.sampled_from(
            [lambda text: text + "0", lambda text: text[:-1], lambda text: " " + text, lambda text: f"0{text}"]
        ),
    )


def _bytes_changes() -> st.SearchStrategy[Callable[[bytes], bytes]]:
    return st.one_of(
        st.integers(0, 400).map(
            lambda at: lambda body: body[: at % (len(body) + 1)] + b"x" + body[at % (len(body) + 1) :]
        ),
        st.sampled_from([b"\n", b"\r\n", b" ", b"\xff", b"{}", b"\x00"]).map(lambda tail: lambda body: body + tail),
        st.sampled_from([bytes.strip, lambda body: body[:-1], lambda body: b"", lambda body: body.replace(b" ", b"")]),
    )
