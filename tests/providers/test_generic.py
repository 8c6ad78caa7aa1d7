"""The generic scheme against `openssl dgst -sha256 -hmac`, and its options."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocom.kernel.errors import ConfigurationError
from ingestion.providers import generic
from ingestion.providers.adapter import BodyInvalid, ContentTypeUnsupported, IdentifiedEvent, Kind, Reason
from ingestion.providers.generic import Encoding, Options, Policy
from tests.providers.requests import (
    NOW_SECONDS,
    Sent,
    Spoiling,
    accepts,
    bounded,
    event_of,
    events_of,
    fixtures,
    identities,
    json_values,
    malformed,
    never_raises_anything_else,
    refusal,
    secret,
    signed,
    spoilings,
    verified_by,
)

KEY = "a-shared-secret-of-the-sender-1"
OLD_KEY = "a-shared-secret-of-the-sender-0"
BEARER = "a-bearer-key-of-the-sender"
NAMES = generic.signed_headers(Options())
BODY = b'{"id":"evt_1","type":"message.delivered","ordering_key":"k1","occurred_at":"2025-12-31T23:59:00Z"}'
JSON = {"content-type": "application/json"}
DEFAULTS = Options()
BOTH = Options(policy=Policy.BOTH, bearer_keys=(secret(BEARER),))
ONLY_BEARER = Options(policy=Policy.BEARER, bearer_keys=(secret(BEARER),))
OPENSSL = shutil.which("openssl") or "openssl"  # where it is missing, the tests that it judges fail


def openssl_hmac(message: bytes, *, key: str) -> bytes:
    command = [OPENSSL, "dgst", "-sha256", "-hmac", key, "-binary"]
    return subprocess.run(command, input=message, capture_output=True, check=True).stdout


def openssl_signs(body: bytes, *, key: str = KEY, timestamp: str = str(NOW_SECONDS)) -> Sent:
    digest = openssl_hmac(timestamp.encode() + b"." + body, key=key)
    return Sent(
        headers={**JSON, "x-webhook-timestamp": timestamp, "x-webhook-signature": f"sha256={digest.hex()}"}, body=body
    )


def openssl_accepts(sent: Sent, *, key: str = KEY) -> bool:
    """The whole contract in three lines, with openssl for the digest: ten digits, the window, lower-case hex."""
    headers = sent.lowered()
    timestamp = headers.get("x-webhook-timestamp", "")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) == 10):
        return False
    expected = openssl_hmac(timestamp.encode() + b"." + sent.body, key=key).hex()
    return headers.get("x-webhook-signature") == f"sha256={expected}" and -60 <= NOW_SECONDS - int(timestamp) <= 300


def with_bearer(sent: Sent, token: str = BEARER) -> Sent:
    return sent.with_header("authorization", f"Bearer {token}")


# --- differential ---


@bounded
@given(
    body=st.binary(max_size=60),
    key=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=24, max_size=64),
)
def test_what_openssl_signs_is_accepted(body: bytes, key: str) -> None:
    assert accepts(generic, openssl_signs(body, key=key), keys=[key])


@bounded
@given(body=st.binary(max_size=60))
def test_what_we_sign_openssl_accepts(body: bytes) -> None:
    assert openssl_accepts(signed(generic, body, key=KEY))


@bounded
@given(spoil=spoilings(NAMES, timestamp="x-webhook-timestamp"), again=spoilings(NAMES, timestamp="x-webhook-timestamp"))
def test_our_verdict_on_a_spoilt_request_is_that_of_openssl(spoil: Spoiling, again: Spoiling) -> None:
    sent = again(spoil(openssl_signs(BODY)))
    assert accepts(generic, sent, keys=[KEY]) == openssl_accepts(sent)


@pytest.mark.parametrize("encoding", list(Encoding))
@pytest.mark.parametrize("timestamp_header", ["", "x-time"])
def test_header_names_encoding_prefix_and_time_are_options(encoding: Encoding, timestamp_header: str) -> None:
    options = generic.read_options(
        {"signature_header": "X-Sig", "timestamp_header": timestamp_header, "encoding": str(encoding), "prefix": "v="}
    )
    timestamp = str(NOW_SECONDS)
    digest = openssl_hmac(f"{timestamp}.".encode() * bool(timestamp_header) + BODY, key=KEY)
    text = digest.hex() if encoding is Encoding.HEX else base64.b64encode(digest).decode()
    sent = Sent(headers={"x-sig": f"v={text}", "x-time": timestamp}, body=BODY)
    assert accepts(generic, sent, keys=[KEY], options=options)
    assert not accepts(generic, sent.with_body(BODY + b" "), keys=[KEY], options=options)
    assert accepts(generic, signed(generic, BODY, key=KEY, options=options), keys=[KEY], options=options)


# --- verification ---


@pytest.mark.parametrize(
    ("age_seconds", "reason"), [(300, None), (301, Reason.TOO_OLD), (-60, None), (-61, Reason.IN_THE_FUTURE)]
)
def test_the_window_is_300_seconds_back_and_60_ahead(age_seconds: int, reason: Reason | None) -> None:
    sent = signed(generic, BODY, key=KEY, now_us=(NOW_SECONDS - age_seconds) * 1_000_000)
    if reason is None:
        assert accepts(generic, sent, keys=[KEY])
    else:
        assert refusal(generic, sent, keys=[KEY]) is reason


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_header_is_named(name: str) -> None:
    assert refusal(generic, signed(generic, BODY, key=KEY).without_header(name), keys=[KEY]) is Reason.MISSING_HEADER


@pytest.mark.parametrize(
    "change", [str.upper, lambda text: text[:-2], lambda text: text + "00", lambda text: text + " "]
)
def test_a_signature_in_another_spelling_is_malformed(change: object) -> None:
    sent = signed(generic, BODY, key=KEY)
    hexadecimal = sent.lowered()["x-webhook-signature"].removeprefix("sha256=")
    assert callable(change)
    spoilt = sent.with_header("x-webhook-signature", f"sha256={change(hexadecimal)}")
    assert refusal(generic, spoilt, keys=[KEY]) is Reason.MALFORMED


def test_while_a_secret_rotates_either_verifies_and_the_one_that_matched_is_told() -> None:
    for key in (KEY, OLD_KEY):
        matched = verified_by(generic, signed(generic, BODY, key=key), keys=[KEY, OLD_KEY])
        assert matched is not None
        assert matched.value == key


def test_where_both_are_asked_for_neither_alone_is_enough() -> None:
    sent = signed(generic, BODY, key=KEY, options=BOTH)
    assert accepts(generic, sent, keys=[KEY], options=BOTH)
    assert refusal(generic, sent.without_header("authorization"), keys=[KEY], options=BOTH) is Reason.MISSING_HEADER
    assert refusal(generic, with_bearer(sent, "wrong"), keys=[KEY], options=BOTH) is Reason.WRONG_CREDENTIAL
    assert refusal(generic, sent.with_body(b"{}"), keys=[KEY], options=BOTH) is Reason.WRONG_SIGNATURE


def test_where_the_bearer_is_asked_for_it_alone_is_enough() -> None:
    sent = with_bearer(Sent(headers=JSON, body=BODY))
    assert accepts(generic, sent, keys=[KEY], options=ONLY_BEARER)
    assert refusal(generic, with_bearer(sent, ""), keys=[KEY], options=ONLY_BEARER) is Reason.MALFORMED
    basic = sent.with_header("authorization", f"Basic {BEARER}")
    assert refusal(generic, basic, keys=[KEY], options=ONLY_BEARER) is Reason.MALFORMED


def test_no_secret_at_all_refuses() -> None:
    assert refusal(generic, signed(generic, BODY, key=KEY), keys=[]) is Reason.WRONG_SIGNATURE
    assert refusal(
        generic, with_bearer(Sent(headers=JSON, body=BODY)), keys=[], options=replace(ONLY_BEARER, bearer_keys=())
    )


def test_wrong_length_and_wrong_content_take_the_same_path() -> None:
    options = generic.read_options({"encoding": "base64"})
    sent = signed(generic, BODY, key=KEY, options=options)
    for candidate in (bytes(32), bytes(31), bytes(64), b""):
        spoilt = sent.with_header("x-webhook-signature", "sha256=" + base64.b64encode(candidate).decode())
        assert refusal(generic, spoilt, keys=[KEY], options=options) is Reason.WRONG_SIGNATURE


def test_none_of_a_thousand_wrong_signatures_passes() -> None:
    """A comparison of less than the whole digest would let some through."""
    sent = signed(generic, BODY, key=KEY)
    for number in range(1_000):
        spoilt = sent.with_header("x-webhook-signature", f"sha256={number:064x}")
        assert not accepts(generic, spoilt, keys=[KEY])


# --- options ---


@pytest.mark.parametrize(
    "raw",
    [
        {"policy": "none"},
        {"encoding": "rot13"},
        {"unknown": "x"},
        {"bearer_keys": "x"},
        {"prefix": 1},
        {"signature_header": ""},
        {"signature_header": "two words"},
        {"timestamp_header": "é"},
        {"id_path": "a..b"},
    ],
)
def test_a_wrong_option_is_refused(raw: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        generic.read_options(raw)


def test_an_unknown_option_is_named_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match=r"sigheader.*known are policy, signature_header"):
        generic.read_options({"sigheader": "x"})


def test_no_options_are_the_defaults() -> None:
    assert generic.read_options({}) == DEFAULTS


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="at least 24"):
        generic.check_secret("short")
    generic.check_secret(KEY)


# --- events ---


def test_an_event_tells_what_its_fields_tell() -> None:
    event = event_of(generic, signed(generic, BODY, key=KEY))
    assert (event.message_id, event.event_type, event.ordering_key) == ("evt_1", "message.delivered", "k1")
    assert event.occurred_us == (NOW_SECONDS - 60) * 1_000_000
    assert event.kind is Kind.DELIVERED
    assert event.payload == BODY


@pytest.mark.parametrize("wrap", [lambda items: items, lambda items: {"events": items}])
def test_a_batch_is_its_events_in_order(wrap: object) -> None:
    assert callable(wrap)
    body = json.dumps(wrap([{"id": f"e{number}", "type": "t"} for number in range(1_000)])).encode()
    events = events_of(generic, signed(generic, body, key=KEY))
    assert [event.message_id for event in events] == [f"e{number}" for number in range(1_000)]
    assert len(identities(events)) == 1_000


@pytest.mark.parametrize("count", [0, 1_001])
def test_an_empty_or_oversize_batch_is_invalid(count: int) -> None:
    with pytest.raises(BodyInvalid, match="1 to 1000"):
        events_of(generic, signed(generic, json.dumps([{"id": "e"}] * count).encode(), key=KEY))


def test_events_without_an_id_are_told_apart_by_place_and_known_again_in_a_retry() -> None:
    body = b'[{"type":"opened"},{"type":"opened"}]'
    first, again = (events_of(generic, signed(generic, body, key=KEY)) for _ in range(2))
    assert len(identities(first)) == 2
    assert identities(first) == identities(again)


def test_one_id_under_two_types_is_two_events_and_another_body_shows_in_the_digest() -> None:
    one = event_of(generic, signed(generic, b'{"id":"1","type":"a"}', key=KEY))
    two = event_of(generic, signed(generic, b'{"id":"1","type":"b"}', key=KEY))
    changed = event_of(generic, signed(generic, b'{"id":"1","type":"a","x":1}', key=KEY))
    assert one.identity_fields != two.identity_fields
    assert one.identity_fields == changed.identity_fields
    assert one.content_sha256 != changed.content_sha256


@bounded
@given(elements=st.lists(json_values, min_size=1, max_size=5))
def test_any_elements_become_as_many_events(elements: list[object]) -> None:
    body = json.dumps(elements).encode()
    events = events_of(generic, signed(generic, body, key=KEY))
    assert len(events) == len(elements)
    assert len(identities(events)) <= len(elements)


def test_poison_is_accepted_here_for_the_drain_to_judge() -> None:
    for body in (b'{"id":"1","x":NaN}', b'{"id":"1","x":"\\ud800"}', b'{"id":"1","x":1e400}', b'{"id":"\\u0000"}'):
        assert event_of(generic, signed(generic, body, key=KEY)).payload == body
    deep = b'{"id":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert event_of(generic, signed(generic, deep, key=KEY)).event_type == "unreadable"


def test_depths_around_the_parsers_limit_never_escape() -> None:
    for depth in [*range(9_980, 10_010), 1_000, 5_000, 20_000]:
        for open_, close in (("[", "]"), ('{"a":', "}")):
            body = f"[{open_ * depth}1{close * depth}]".encode()
            assert len(events_of(generic, signed(generic, body, key=KEY))) == 1


def test_every_fixture_verifies_and_its_events_are_distinct() -> None:
    found: list[IdentifiedEvent] = []
    for body, _ in fixtures("generic"):
        sent = signed(generic, body, key=KEY)
        assert accepts(generic, sent, keys=[KEY])
        found += events_of(generic, sent)
    assert len(identities(found)) == len(found) == 9


def test_what_is_no_json_is_invalid_and_another_type_unsupported() -> None:
    for body in (b"", b"1", b"null", b"{", b"\xff"):
        with pytest.raises(BodyInvalid):
            events_of(generic, signed(generic, body, key=KEY))
    with pytest.raises(ContentTypeUnsupported):
        events_of(generic, signed(generic, BODY, key=KEY).with_header("content-type", "text/html"))


@bounded
@given(sent=malformed([*NAMES, "authorization"], near=[str(NOW_SECONDS), "sha256=" + "0" * 64, "Bearer x"]))
def test_no_request_raises_anything_but_the_adapters_errors(sent: Sent) -> None:
    for options in (DEFAULTS, BOTH, ONLY_BEARER, Options(encoding=Encoding.BASE64, prefix="", timestamp_header="")):
        never_raises_anything_else(generic, sent, keys=[KEY], options=options)
