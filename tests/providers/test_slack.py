"""Slack against its own Python library, with the clock that it lets us set."""

from __future__ import annotations

import json
import re
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slack_sdk.signature import Clock, SignatureVerifier

from autocom.kernel.errors import ConfigurationError
from ingestion.providers import slack
from ingestion.providers.adapter import BodyInvalid, ContentTypeUnsupported, Kind, Reason
from tests.providers.requests import (
    NOW_SECONDS,
    Sent,
    Spoiling,
    accepts,
    bounded,
    event_of,
    fixtures,
    identities,
    malformed,
    never_raises_anything_else,
    refusal,
    signed,
    spoilings,
    texts,
    verified_by,
)

KEY = "8f742231b10e8888abcd99yyyzzz85a5".replace("y", "0").replace("z", "1")
OLD_KEY = "0" * 32
NAMES = ("x-slack-request-timestamp", "x-slack-signature")
CALLBACK = {
    "team_id": "T1",
    "api_app_id": "A1",
    "type": "event_callback",
    "event_id": "Ev1",
    "event_time": NOW_SECONDS - 5,
    "event": {"type": "message", "channel": "C1", "user": "U1", "text": "Hello"},
}
BODY = json.dumps(CALLBACK).encode()
FORM = "application/x-www-form-urlencoded"


class FixedClock(Clock):  # type: ignore[misc,unused-ignore]  # (typed only where slack-sdk is installed)
    def now(self) -> float:
        return float(NOW_SECONDS)


def library_accepts(sent: Sent, *, key: str = KEY) -> bool:
    """The library's verdict; an exception of any kind is a refusal."""
    try:
        return bool(SignatureVerifier(key, FixedClock()).is_valid_request(sent.body, sent.lowered()))
    except Exception:  # noqa: BLE001  (it lets out ValueError, TypeError and UnicodeDecodeError)
        return False


def library_signs(body: bytes, *, key: str = KEY, timestamp: str = str(NOW_SECONDS), content_type: str = "") -> Sent:
    signature = SignatureVerifier(key).generate_signature(timestamp=timestamp, body=body)
    assert signature is not None
    return Sent(
        headers={
            "content-type": content_type or "application/json",
            "x-slack-request-timestamp": timestamp,
            "x-slack-signature": signature,
        },
        body=body,
    )


def stricter_than_the_library(sent: Sent) -> bool:
    """Each kind has a test of its own below."""
    timestamp = sent.lowered()["x-slack-request-timestamp"]
    return not re.fullmatch(r"[0-9]{10}", timestamp) or int(timestamp) > NOW_SECONDS + 60


@bounded
@given(body=texts, age=st.integers(-60, 300))
def test_what_the_library_signs_is_accepted(body: str, age: int) -> None:
    sent = library_signs(body.encode(), timestamp=str(NOW_SECONDS - age))
    assert library_accepts(sent)
    assert accepts(slack, sent, keys=[KEY])


@bounded
@given(body=texts)
def test_what_we_sign_the_library_accepts(body: str) -> None:
    assert library_accepts(signed(slack, body.encode(), key=KEY))


@bounded
@given(
    spoil=spoilings(NAMES, timestamp=NAMES[0]), again=spoilings(NAMES, timestamp=NAMES[0]), by=st.integers(-400, 400)
)
def test_our_verdict_on_a_spoilt_request_is_that_of_the_library(spoil: Spoiling, again: Spoiling, by: int) -> None:
    sent = again(spoil(library_signs(BODY, timestamp=str(NOW_SECONDS + by))))
    ours, theirs = accepts(slack, sent, keys=[KEY]), library_accepts(sent)
    assert ours <= theirs
    assert ours == theirs or stricter_than_the_library(sent)


# --- where the library is laxer, or crashes ---


@pytest.mark.parametrize("spelling", [f"0{NOW_SECONDS}", "1_767_225_600", f" {NOW_SECONDS}", f"+{NOW_SECONDS}"])
def test_odd_spellings_of_the_time_pass_in_the_library_and_are_malformed_here(spelling: str) -> None:
    sent = library_signs(BODY, timestamp=spelling)
    assert library_accepts(sent)
    assert refusal(slack, sent, keys=[KEY]) is Reason.MALFORMED


def test_a_time_one_to_five_minutes_ahead_passes_in_the_library_and_not_here() -> None:
    sent = library_signs(BODY, timestamp=str(NOW_SECONDS + 61))
    assert library_accepts(sent)
    assert refusal(slack, sent, keys=[KEY]) is Reason.IN_THE_FUTURE


@pytest.mark.parametrize(
    ("name", "value", "crash"),
    [("x-slack-request-timestamp", "now", ValueError), ("x-slack-signature", "v0=\xe9", TypeError)],
)
def test_headers_that_crash_the_library_are_malformed_here(name: str, value: str, crash: type[Exception]) -> None:
    sent = library_signs(BODY).with_header(name, value)
    with pytest.raises(crash):
        SignatureVerifier(KEY, FixedClock()).is_valid_request(sent.body, sent.lowered())
    assert refusal(slack, sent, keys=[KEY]) is Reason.MALFORMED


def test_a_signed_body_that_is_not_utf8_crashes_the_library_and_is_only_an_invalid_body_here() -> None:
    sent = signed(slack, b'{"a":"\xff"}', key=KEY)
    with pytest.raises(UnicodeDecodeError):
        SignatureVerifier(KEY, FixedClock()).is_valid_request(sent.body, sent.lowered())
    assert accepts(slack, sent, keys=[KEY])
    with pytest.raises(BodyInvalid):
        event_of(slack, sent)


# --- the edges ---


@pytest.mark.parametrize(
    ("age_seconds", "reason"), [(300, None), (301, Reason.TOO_OLD), (-60, None), (-61, Reason.IN_THE_FUTURE)]
)
def test_the_window_is_300_seconds_back_and_60_ahead(age_seconds: int, reason: Reason | None) -> None:
    sent = library_signs(BODY, timestamp=str(NOW_SECONDS - age_seconds))
    if reason is None:
        assert accepts(slack, sent, keys=[KEY])
    else:
        assert refusal(slack, sent, keys=[KEY]) is reason


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_header_is_named(name: str) -> None:
    assert refusal(slack, library_signs(BODY).without_header(name), keys=[KEY]) is Reason.MISSING_HEADER


def test_while_a_secret_rotates_either_verifies_and_the_one_that_matched_is_told() -> None:
    for key in (KEY, OLD_KEY):
        matched = verified_by(slack, library_signs(BODY, key=key), keys=[KEY, OLD_KEY])
        assert matched is not None
        assert matched.value == key


def test_a_malformed_secret_and_any_option_are_refused() -> None:
    slack.check_secret(KEY)
    for wrong in ("", "xoxb-123", "short"):
        with pytest.raises(ConfigurationError, match="signing secret"):
            slack.check_secret(wrong)
    with pytest.raises(ConfigurationError, match="the scheme slack has none"):
        slack.read_options({"app": "x"})


# --- handshake ---


def handshake(sent: Sent) -> object:
    reply = slack.handshake(sent.delivery(), options=slack.read_options({}))
    return None if reply is None else (reply.status, reply.content_type, json.loads(reply.body))


def test_the_challenge_is_answered_after_the_same_verification() -> None:
    body = json.dumps({"token": "unused", "challenge": "3eZbrw1a", "type": "url_verification"}).encode()
    assert accepts(slack, library_signs(body), keys=[KEY])
    assert not accepts(slack, library_signs(body, key=OLD_KEY), keys=[KEY])
    assert handshake(library_signs(body)) == (200, "application/json", {"challenge": "3eZbrw1a"})


@pytest.mark.parametrize(
    "body",
    [
        BODY,
        b"",
        b"{",
        b"[]",
        b'{"type":"url_verification"}',
        b'{"challenge":"x"}',
        b'{"type":"url_verification","challenge":1}',
    ],
)
def test_everything_else_is_no_handshake(body: bytes) -> None:
    assert handshake(Sent(headers={"content-type": "application/json"}, body=body)) is None


def test_a_form_is_no_handshake() -> None:
    assert handshake(Sent(headers={"content-type": FORM}, body=b'{"type":"url_verification","challenge":"x"}')) is None


# --- events ---


def changed(**fields: object) -> bytes:
    return json.dumps({**CALLBACK, **fields}).encode()


def test_a_resend_is_the_same_event_also_when_its_envelope_changed() -> None:
    first = event_of(slack, library_signs(BODY))
    resend = library_signs(changed(authorizations=[{"team_id": "T1"}]), timestamp=str(NOW_SECONDS + 60))
    again = event_of(slack, resend.with_header("x-slack-retry-num", "1"))
    assert first.identity_fields == again.identity_fields
    assert first.content_sha256 == again.content_sha256


def test_one_id_with_another_event_shows_in_the_digest() -> None:
    other = event_of(slack, library_signs(changed(event={"type": "message", "text": "Other"})))
    assert other.identity_fields == event_of(slack, library_signs(BODY)).identity_fields
    assert other.content_sha256 != event_of(slack, library_signs(BODY)).content_sha256


def test_the_same_text_said_twice_is_two_events() -> None:
    twice = event_of(slack, library_signs(changed(event_id="Ev2")))
    assert len(identities([event_of(slack, library_signs(BODY)), twice])) == 2


def test_the_same_command_given_twice_is_two_events() -> None:
    bodies = [
        urlencode({"command": "/go", "team_id": "T1", "trigger_id": trigger}).encode() for trigger in ("1.a", "1.b")
    ]
    events = [event_of(slack, library_signs(body, content_type=FORM)) for body in bodies]
    assert len(identities(events)) == 2


def test_a_command_is_named_by_its_trigger() -> None:
    body = urlencode({"command": "/go", "team_id": "T1", "trigger_id": "1.a"}).encode()
    assert event_of(slack, library_signs(body, content_type=FORM)).message_id == "1.a"


def test_every_fixture_verifies_and_is_an_event_of_its_own() -> None:
    found = []
    for body, headers in fixtures("slack"):
        sent = library_signs(body, content_type=headers.get("Content-Type", ""))
        assert accepts(slack, sent, keys=[KEY])
        assert handshake(sent) is None
        found.append(event_of(slack, sent))
    assert len(identities(found)) == len(found)
    assert [event.event_type for event in found] == [
        "message",
        "app_mention",
        "reaction_added",
        "channel_created",
        "team_join",
        "app_rate_limited",
        "slash_command",
        "block_actions",
        "view_closed",
    ]
    assert [event.ordering_key for event in found] == [
        "T0001:C0001",
        "T0001:C0001",
        "T0001:C0001",
        "T0001:C0009",
        "T0001",
        "T0001",
        "T0001:C0001",
        "T0001:C0001",
        "T0001",
    ]
    assert [event.kind for event in found[:3]] == [Kind.MESSAGE, Kind.MESSAGE, Kind.OTHER]
    assert all(isinstance(json.loads(event.payload), dict) for event in found)
    assert found[0].occurred_us == 1_764_583_200_000_000


def test_what_is_no_json_object_is_invalid_and_another_type_unsupported() -> None:
    for body in (b"[]", b"1", b""):
        with pytest.raises(BodyInvalid):
            event_of(slack, library_signs(body))
    with pytest.raises(BodyInvalid):
        event_of(slack, library_signs(b"payload={}&payload={}", content_type=FORM))
    with pytest.raises(ContentTypeUnsupported):
        event_of(slack, library_signs(BODY, content_type="text/plain"))


@bounded
@given(sent=malformed(NAMES, near=[str(NOW_SECONDS), "v0=" + "0" * 64]))
def test_no_request_raises_anything_but_the_adapters_errors(sent: Sent) -> None:
    never_raises_anything_else(slack, sent, keys=[KEY])
