"""Twilio against its Python library: forms, JSON bodies named by the URL, ports, both algorithms."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
from collections.abc import Callable
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator, get_signature_algorithm

from autocom.kernel.errors import ConfigurationError
from ingestion.providers import twilio
from ingestion.providers.adapter import BodyInvalid, ContentTypeUnsupported, IdentifiedEvent, Kind, Reason, Refused
from tests.providers.requests import (
    NOW_US,
    Sent,
    base64_header_changes,
    bounded,
    event_of,
    events_of,
    fixtures,
    identities,
    malformed,
    never_raises_anything_else,
    secret,
)

TOKEN = "0123456789abcdef0123456789abcdef"
OLD_TOKEN = "fedcba9876543210fedcba9876543210"
URL = "https://hooks.example/webhooks/twilio?team=blue&x="
FORM = "application/x-www-form-urlencoded"
OPTIONS = twilio.read_options({})
SETTINGS = "X-Twilio-Webhooks-Signature-Settings"
Pairs = list[tuple[str, str]]


class Fields(dict[str, str]):
    """A form as the library takes it: every value of a name."""

    def __init__(self, pairs: Pairs) -> None:
        super().__init__(pairs)
        self.pairs = pairs

    def getall(self, name: str) -> list[str]:
        return [value for each, value in self.pairs if each == name]


def accepts(sent: Sent, *, url: str = URL, keys: tuple[str, ...] = (TOKEN,)) -> bool:
    try:
        twilio.verify(sent.delivery(url=url), secrets=[secret(key) for key in keys], options=OPTIONS, now_us=NOW_US)
    except Refused:
        return False
    return True


def refusal(sent: Sent, *, url: str = URL) -> Reason:
    with pytest.raises(Refused) as caught:
        twilio.verify(sent.delivery(url=url), secrets=[secret(TOKEN)], options=OPTIONS, now_us=NOW_US)
    return caught.value.reason


def library_accepts(sent: Sent, *, url: str = URL, key: str = TOKEN) -> bool:
    """The library's verdict over the form as a framework would parse it, or over the text of another body."""
    headers = sent.lowered()
    algorithm = get_signature_algorithm(headers.get(SETTINGS.lower(), ""))
    is_form = headers.get("content-type") == FORM
    try:
        pairs = parse_qsl(sent.body.decode(), keep_blank_values=True, errors="strict")
        params = Fields(pairs) if is_form else sent.body.decode()
        return bool(RequestValidator(key).validate(url, params, headers.get("x-twilio-signature", ""), algorithm))
    except (ValueError, TypeError, AttributeError):
        return False


def library_signs(pairs: Pairs, *, url: str = URL, key: str = TOKEN, algorithm: str = "HMAC_SHA1") -> Sent:
    headers = {
        "Content-Type": FORM,
        "X-Twilio-Signature": RequestValidator(key).compute_signature(url, Fields(pairs), algorithm),
    }
    if algorithm != "HMAC_SHA1":
        headers[SETTINGS] = f"key=webhooks_sharedkey_1,algorithm={algorithm}"
    return Sent(headers=headers, body=urlencode(pairs).encode())


def json_signed(body: bytes, *, url: str = "https://hooks.example/webhooks/twilio") -> tuple[Sent, str]:
    full = f"{url}?bodySHA256={hashlib.sha256(body).hexdigest()}"
    signature = RequestValidator(TOKEN).compute_signature(full, {})
    return Sent(headers={"Content-Type": "application/json", "X-Twilio-Signature": signature}, body=body), full


words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8)
forms = st.lists(st.tuples(words.filter(bool), words), max_size=6)
STATUS: Pairs = [
    ("MessageSid", "SM1"),
    ("MessageStatus", "sent"),
    ("To", "+15555550100"),
    ("Body", " a b "),
    ("ApiVersion", ""),
]


# --- against the library ---


def test_the_vector_of_twilios_libraries_verifies() -> None:
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    pairs = {"CallSid": "CA1234567890ABCDE", "Caller": "+14158675309", "Digits": "1234", "From": "+14158675309"}
    sent = Sent(
        headers={"Content-Type": FORM, "X-Twilio-Signature": "RSOYDt4T1cUTdK1PDd93/VVr8B8="},
        body=urlencode({**pairs, "To": "+18005551212"}).encode(),
    )
    assert accepts(sent, url=url, keys=("12345",))


@bounded
@given(pairs=forms, algorithm=st.sampled_from(["HMAC_SHA1", "HMAC_SHA256"]))
def test_every_form_that_the_library_signs_is_accepted(pairs: Pairs, algorithm: str) -> None:
    sent = library_signs(pairs, algorithm=algorithm)
    assert accepts(sent)
    assert library_accepts(sent)


@bounded
@given(pairs=forms)
def test_every_form_that_we_sign_is_accepted_by_the_library(pairs: Pairs) -> None:
    headers, body = twilio.sign(
        urlencode(pairs).encode(), secret=secret(TOKEN), options=OPTIONS, url=URL, now_us=NOW_US
    )
    assert library_accepts(Sent(headers=headers, body=body))


_swaps = st.sampled_from(
    [
        ("MessageStatus=sent", "MessageStatus=read"),
        ("MessageSid", "Messagesid"),
        ("MessageSid=SM1&MessageStatus=sent", "MessageStatus=sent&MessageSid=SM1"),  # order is not signed
        ("+a+b+", "+a%20b%20"),  # nor is the spelling
        ("+a+b+", "a+b"),
        ("&ApiVersion=", ""),
        ("&ApiVersion=", "&ApiVersion"),
        ("SM1", "SM1&MessageSid=SM1"),  # a repeated value counts once
        ("SM1", "SM1&MessageSid=SM2"),
        ("SM1", "%ff"),
        ("", ""),
    ]
)
_urls = st.sampled_from(
    [
        URL,
        URL.replace("hooks.example/", "hooks.example:443/"),
        URL.replace("hooks.example/", "hooks.example:8443/"),
        URL.replace("https", "http"),
        URL.replace("blue", "red"),
        URL.replace("/twilio", "/twilio/"),
        URL.replace("&x=", ""),
        URL.removesuffix("?team=blue&x="),
    ]
)
_settings = st.sampled_from(
    ["", "key=1", "algorithm=HMAC_SHA1", "algorithm=hmac_sha256", "algorithm=MD5", "algorithm="]
)


@bounded
@given(
    swap=_swaps,
    signed_url=_urls,
    change=base64_header_changes,
    settings=_settings,
    key=st.sampled_from([TOKEN, OLD_TOKEN]),
)
def test_a_changed_form_url_header_or_key_gets_the_librarys_verdict(
    swap: tuple[str, str], signed_url: str, change: Callable[[str], str], settings: str, key: str
) -> None:
    logging.getLogger("twilio").setLevel(logging.ERROR)
    sent = library_signs(STATUS, url=signed_url, key=key)
    sent = sent.with_body(sent.body.decode().replace(*swap).encode())
    sent = sent.with_header("X-Twilio-Signature", change(sent.headers["X-Twilio-Signature"]))
    sent = sent.with_header(SETTINGS, settings)
    assert accepts(sent) == library_accepts(sent)


@bounded
@given(signed_url=_urls, given_url=_urls)
def test_a_url_with_or_without_its_port_gets_the_librarys_verdict(signed_url: str, given_url: str) -> None:
    sent = library_signs(STATUS, url=signed_url)
    assert accepts(sent, url=given_url) == library_accepts(sent, url=given_url)


@bounded
@given(body=words.map(str.encode), other=words.map(str.encode))
def test_a_json_body_named_by_the_url_gets_the_librarys_verdict(body: bytes, other: bytes) -> None:
    sent, url = json_signed(body)
    assert accepts(sent, url=url)
    assert library_accepts(sent, url=url)
    assert accepts(sent.with_body(other), url=url) == library_accepts(sent.with_body(other), url=url) == (body == other)
    assert not accepts(sent, url=url + "0")
    assert not library_accepts(sent, url=url + "0")


# --- where the library is laxer, stricter, or breaks ---


def test_an_empty_form_under_a_json_requests_url_passes_in_the_library_and_not_here() -> None:
    sent, url = json_signed(b'{"MessageSid":"SM1"}')
    emptied = Sent(headers={**sent.headers, "Content-Type": FORM}, body=b"")
    assert library_accepts(emptied, url=url)
    assert refusal(emptied, url=url) is Reason.WRONG_SIGNATURE


def test_json_without_a_named_digest_crashes_the_library_and_is_malformed_here() -> None:
    sent = library_signs([])
    sent = Sent(headers={**sent.headers, "Content-Type": "application/json"}, body=b'{"a":1}')
    with pytest.raises(TypeError):
        RequestValidator(TOKEN).validate(URL, sent.body.decode(), sent.headers["X-Twilio-Signature"])
    assert refusal(sent) is Reason.MALFORMED


def test_credentials_in_the_url_break_the_librarys_port_and_not_ours() -> None:
    url = "https://user:pass@hooks.example:8443/webhooks/twilio"
    sent = library_signs(STATUS, url=url.replace(":8443", ""))
    assert not library_accepts(sent, url=url)
    assert accepts(sent, url=url)


def test_an_ipv6_host_breaks_the_librarys_port_and_not_ours() -> None:
    url = "https://[2001:db8::1]:8443/webhooks/twilio"
    sent = library_signs(STATUS, url=url.replace(":8443", ""))
    assert not library_accepts(sent, url=url)
    assert accepts(sent, url=url)


def test_a_url_that_ends_in_a_question_mark_is_signed_as_configured_and_the_library_drops_the_mark() -> None:
    url = "https://hooks.example/webhooks/twilio?"
    sent = library_signs(STATUS, url=url)
    assert not library_accepts(sent, url=url)
    assert accepts(sent, url=url)


def test_two_digests_in_one_url_are_refused() -> None:
    sent, url = json_signed(b"{}")
    twice = f"{url}&{url.partition('?')[2]}"
    signature = RequestValidator(TOKEN).compute_signature(twice, {})
    sent = sent.with_header("X-Twilio-Signature", signature)
    assert library_accepts(sent, url=twice)
    assert not accepts(sent, url=twice)


def test_a_form_that_is_not_utf8_is_malformed() -> None:
    assert refusal(library_signs(STATUS).with_body(b"MessageSid=%ff")) is Reason.MALFORMED
    assert refusal(library_signs(STATUS).with_body(b"\xff=1")) is Reason.MALFORMED


def test_a_form_of_a_thousand_and_one_fields_is_malformed() -> None:
    pairs = [(f"f{number}", "") for number in range(1_001)]
    assert refusal(library_signs(pairs)) is Reason.MALFORMED
    assert accepts(library_signs(pairs[1:]))


def test_what_the_scheme_cannot_tell_a_name_and_its_value_may_be_cut_elsewhere() -> None:
    sent = library_signs([("ab", "c")])
    moved = sent.with_body(b"a=bc")
    assert library_accepts(moved)
    assert accepts(moved)


# --- the edges ---


def test_while_a_token_rotates_either_verifies_and_the_one_that_matched_is_told() -> None:
    secrets = [secret(TOKEN), secret(OLD_TOKEN)]
    for key in (TOKEN, OLD_TOKEN):
        matched = twilio.verify(
            library_signs(STATUS, key=key).delivery(url=URL), secrets=secrets, options=OPTIONS, now_us=0
        )
        assert matched is not None
        assert matched.value == key


def test_without_a_secret_everything_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        twilio.verify(library_signs(STATUS).delivery(url=URL), secrets=[], options=OPTIONS, now_us=NOW_US)
    assert caught.value.reason is Reason.NO_SECRET


def test_a_missing_signature_is_named() -> None:
    assert refusal(library_signs(STATUS).without_header("x-twilio-signature")) is Reason.MISSING_HEADER


def test_a_signature_of_the_wrong_length_takes_the_same_path_as_one_of_the_wrong_content() -> None:
    for raw in (b"", b"x", bytes(20), bytes(32), bytes(64)):
        sent = library_signs(STATUS).with_header("X-Twilio-Signature", base64.b64encode(raw).decode())
        assert refusal(sent) is Reason.WRONG_SIGNATURE


@pytest.mark.parametrize("value", ["", "short", "with a space in the middle of it", "é" * 32])
def test_a_malformed_secret_is_refused_with_what_a_right_one_looks_like(value: str) -> None:
    with pytest.raises(ConfigurationError, match="primary Auth Token"):
        twilio.check_secret(value)
    twilio.check_secret(TOKEN)


def test_options_are_strict() -> None:
    with pytest.raises(ConfigurationError, match="url"):
        twilio.read_options({"url": "https://hooks.example"})


# --- events ---


def events(*forms_of_fields: Pairs) -> list[IdentifiedEvent]:
    return [event_of(twilio, library_signs(pairs)) for pairs in forms_of_fields]


def call(status: str, number: str, sid: str = "CA1") -> Pairs:
    return [
        ("CallSid", sid),
        ("CallStatus", status),
        ("SequenceNumber", number),
        ("CallbackSource", "call-progress-events"),
    ]


def test_each_status_of_a_message_is_an_event_and_a_repeated_one_a_duplicate() -> None:
    sent, delivered = events(STATUS, [("MessageSid", "SM1"), ("MessageStatus", "delivered")])
    (again,) = events(list(reversed(STATUS)))
    assert (sent.identity_fields, sent.content_sha256) == (again.identity_fields, again.content_sha256)
    assert len(identities([sent, delivered])) == 2
    assert (sent.event_type, sent.ordering_key, sent.kind) == ("message.sent", "SM1", Kind.SENT)
    assert sent.occurred_us is None


def test_one_message_status_with_other_content_is_the_same_identity_with_another_content() -> None:
    one, other = events(STATUS, [*STATUS, ("ErrorCode", "30008")])
    assert one.identity_fields == other.identity_fields
    assert one.content_sha256 != other.content_sha256


def test_calls_that_return_to_a_status_are_told_apart_by_their_sequence_number() -> None:
    found = events(
        call("in-progress", "1"), call("in-progress", "3"), call("completed", "4"), call("completed", "4", "CA2")
    )
    assert len(identities(found)) == 4
    assert {event.ordering_key for event in found} == {"CA1", "CA2"}


def test_a_recording_of_a_call_is_not_taken_for_the_call() -> None:
    recording = [
        ("CallSid", "CA1"),
        ("RecordingSid", "RE1"),
        ("RecordingStatus", "completed"),
        ("CallStatus", "completed"),
    ]
    found = events(recording, call("completed", "4"))
    assert [event.event_type for event in found] == ["recording.completed", "call.completed"]
    assert len(identities(found)) == 2


def test_two_callers_who_join_a_conference_are_two_events() -> None:
    join = [("ConferenceSid", "CF1"), ("StatusCallbackEvent", "participant-join"), ("SequenceNumber", "1")]
    assert len(identities(events([*join, ("CallSid", "CA1")], [*join, ("CallSid", "CA2")]))) == 2


def test_an_unknown_callback_is_kept_and_known_by_its_content() -> None:
    found = events([("Digits", "1")], [("Digits", "2")], [], [("CallSid", "CA1"), ("AnsweredBy", "human")])
    assert {event.event_type for event in found} == {"unknown"}
    assert len(identities(found)) == 4
    assert events([("Digits", "1")])[0].message_id == found[0].message_id


def test_the_time_of_a_call_is_rfc_2822_and_a_wrong_one_is_none() -> None:
    told, broken = events(
        [*call("completed", "4"), ("Timestamp", "Wed, 31 Dec 2025 23:59:00 +0000")], [("Timestamp", "soon")]
    )
    assert told.occurred_us == NOW_US - 60_000_000
    assert broken.occurred_us is None


def test_cloud_events_in_an_array_are_known_by_source_and_id() -> None:
    one = {
        "specversion": "1.0",
        "type": "com.twilio.messaging.message.delivered",
        "source": "/a",
        "id": "EZ1",
        "data": {},
    }
    body = json.dumps([one, {**one, "id": "EZ2", "data": {"messageSid": "SM1"}}, {**one, "source": "/b"}]).encode()
    found = events_of(twilio, Sent(headers={"Content-Type": "application/json"}, body=body))
    assert len(identities(found)) == 3
    assert [event.ordering_key for event in found] == ["EZ1", "SM1", "EZ1"]
    assert {event.kind for event in found} == {Kind.DELIVERED}


def test_the_payload_of_a_form_is_json_with_arrays_for_repeated_names() -> None:
    (event,) = events([("a", "1"), ("b", ""), ("a", "2")])
    assert json.loads(event.payload) == {"a": ["1", "2"], "b": ""}


def test_bodies_of_no_use_are_invalid_or_unsupported() -> None:
    json_type = {"Content-Type": "application/json"}
    for body in (b"", b"[]", b"[1]", b"1", b"{", b"\xff"):
        with pytest.raises(BodyInvalid):
            events_of(twilio, Sent(headers=json_type, body=body))
    with pytest.raises(ContentTypeUnsupported):
        events_of(twilio, Sent(headers={"Content-Type": "text/plain"}, body=b"a=1"))


@pytest.mark.parametrize("depth", [900, 5_000, 9_990, 100_000])
def test_a_body_nested_too_deep_is_kept_as_an_event(depth: int) -> None:
    body = b'{"a":' + b"[" * depth + b"]" * depth + b"}"
    assert event_of(twilio, Sent(headers={"Content-Type": "application/json"}, body=body)).payload


def test_every_fixture_is_signed_verified_and_one_event_of_its_own() -> None:
    found = []
    for body, headers in fixtures("twilio"):
        signed_headers, signed_body = twilio.sign(body, secret=secret(TOKEN), options=OPTIONS, url=URL, now_us=NOW_US)
        sent = Sent(headers={**headers, **signed_headers}, body=signed_body)
        assert accepts(sent)
        assert library_accepts(sent)
        found.append(event_of(twilio, sent))
    assert len(identities(found)) == len(found) >= 8
    assert {event.kind for event in found} >= {Kind.SENT, Kind.DELIVERED, Kind.BOUNCED, Kind.REJECTED, Kind.OTHER}
    assert all(event.event_type != "unknown" for event in found)


def test_a_json_object_to_sign_becomes_a_form() -> None:
    headers, body = twilio.sign(b'{"MessageSid":"SM1","n":1}', secret=secret(TOKEN), options=OPTIONS, url=URL, now_us=0)
    assert body == b"MessageSid=SM1&n=1"
    assert accepts(Sent(headers=headers, body=body))


def test_a_json_body_is_signed_where_the_url_names_it() -> None:
    body = b'{"MessageSid":"SM1"}'
    url = f"https://hooks.example/webhooks/twilio?bodySHA256={hashlib.sha256(body).hexdigest()}"
    headers, same = twilio.sign(body, secret=secret(TOKEN), options=OPTIONS, url=url, now_us=0)
    assert same == body
    assert library_accepts(Sent(headers=headers, body=same), url=url)


@bounded
@given(sent=malformed(twilio.SIGNED_HEADERS, near=["RSOYDt4T1cUTdK1PDd93/VVr8B8=", "algorithm=HMAC_SHA256"]))
def test_no_request_raises_anything_but_the_adapters_errors(sent: Sent) -> None:
    never_raises_anything_else(twilio, sent, keys=[TOKEN])


@bounded
@given(url=st.text(max_size=40).map(lambda tail: "https://hooks.example" + tail))
def test_no_url_raises_anything_but_a_refusal(url: str) -> None:
    digest = hmac.digest(TOKEN.encode(), url.encode(), "sha1")
    sent = Sent(headers={"Content-Type": FORM, "X-Twilio-Signature": base64.b64encode(digest).decode()}, body=b"")
    if url.startswith("https://hooks.example/") and "bodySHA256" not in url:
        assert accepts(sent, url=url)
    assert not accepts(sent, url=url + "other")
