"""Mailgun against django-anymail, and what follows from a signature that does not cover the event."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from anymail.webhooks.mailgun import MailgunTrackingWebhookView
from hypothesis import given
from hypothesis import strategies as st

from autocom.kernel.errors import ConfigurationError
from ingestion.providers import mailgun
from ingestion.providers.adapter import BodyInvalid, ContentTypeUnsupported, IdentifiedEvent, Kind, Reason
from tests.providers.anymail_judge import anymail_accepts, anymail_reads
from tests.providers.requests import (
    NOW_SECONDS,
    NOW_US,
    Sent,
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
    verified_by,
)

KEY, OLD_KEY = "key-0123456789abcdef0123456789abcdef", "key-fedcba9876543210fedcba9876543210"
TOKEN = "e0b5477167110d68991efc6b9f89f0a11066af27834600e123"
JSON, FORM = {"Content-Type": "application/json"}, {"Content-Type": "application/x-www-form-urlencoded"}
EVENT: dict[str, Any] = {
    "event": "delivered",
    "id": "MXcc2gEpS-eN8HfkOnmK2w",
    "timestamp": NOW_SECONDS - 5.25,
    "account": {"id": "acc1"},
    "recipient": "ada@example.com",
    "message": {"headers": {"message-id": "m1@example.com"}},
}


def hexdigest(timestamp: str, token: str, *, key: str = KEY) -> str:
    """As Mailgun's guide computes it."""
    return hmac.new(key.encode(), (timestamp + token).encode(), hashlib.sha256).hexdigest()


def block(*, timestamp: str = str(NOW_SECONDS), token: str = TOKEN, key: str = KEY) -> dict[str, Any]:
    return {"timestamp": timestamp, "token": token, "signature": hexdigest(timestamp, token, key=key)}


def post(signature: object, event: object = EVENT) -> Sent:
    return Sent(headers=JSON, body=json.dumps({"signature": signature, "event-data": event}).encode())


def form_post(fields: list[tuple[str, str]]) -> Sent:
    return Sent(headers=FORM, body=urlencode(fields).encode())


def judge(sent: Sent) -> bool:
    return anymail_accepts(MailgunTrackingWebhookView, sent, webhook_signing_key=KEY)


# --- against django-anymail ---

_keys = st.sampled_from([KEY, OLD_KEY])
_values = st.sampled_from(
    [
        lambda value: value,
        lambda value: value[:-1],
        lambda value: value + "0",
        lambda value: value.upper(),
        lambda value: " " + value,
        lambda value: "",
        lambda value: None,
        lambda value: [value],
        lambda value: {"a": value},
        lambda value: int(value) if value.isdigit() else value,
        lambda value: "é" + value,
    ]
)


def laxer_library(fields: dict[str, Any]) -> bool:
    """What anymail takes and we do not: a timestamp or token of another form."""
    timestamp, token = str(fields.get("timestamp")), fields.get("token")
    return not (timestamp.isdigit() and len(timestamp) == 10 and isinstance(token, str) and len(token) == 50)


@bounded
@given(key=_keys, name=st.sampled_from(["timestamp", "token", "signature", "other"]), change=_values)
def test_a_changed_json_signature_gets_anymails_verdict(key: str, name: str, change: Callable[[Any], Any]) -> None:
    fields = block(key=key)
    fields[name] = change(fields.get(name, ""))
    sent = post(fields)
    ours = accepts(mailgun, sent, keys=[KEY])
    assert ours == judge(sent) or (laxer_library(fields) and not ours)


@bounded
@given(key=_keys, name=st.sampled_from(["timestamp", "token", "signature", "other"]), change=_values)
def test_a_changed_form_signature_gets_anymails_verdict(key: str, name: str, change: Callable[[Any], Any]) -> None:
    fields = block(key=key)
    fields[name] = str(change(fields.get(name, "")))
    sent = form_post([("event", "opened"), *fields.items()])
    ours = accepts(mailgun, sent, keys=[KEY])
    assert ours == judge(sent) or (laxer_library(fields) and not ours)


@bounded
@given(event=json_values)
def test_any_event_under_a_right_signature_verifies_as_the_event_is_not_signed(event: object) -> None:
    sent = post(block(), event)
    assert accepts(mailgun, sent, keys=[KEY])
    assert judge(sent)


@bounded
@given(event=st.dictionaries(st.text(max_size=5), st.text(st.characters(exclude_categories=["Cs"]), max_size=5)))
def test_what_we_sign_anymail_accepts(event: dict[str, str]) -> None:
    assert judge(signed(mailgun, json.dumps(event).encode(), key=KEY))
    assert judge(signed(mailgun, urlencode({"event": "opened", **event}).encode(), key=KEY))


def test_the_last_of_repeated_form_fields_counts_as_user_variables_come_first() -> None:
    variables = [("token", "mine"), ("timestamp", "yesterday"), ("signature", "none")]
    assert judge(form_post([*variables, *block().items()]))
    assert accepts(mailgun, form_post([*variables, *block().items()]), keys=[KEY])
    assert not judge(form_post([*block().items(), *variables]))
    assert not accepts(mailgun, form_post([*block().items(), *variables]), keys=[KEY])


# --- where anymail is laxer ---


def test_a_digit_moved_from_token_to_timestamp_passes_in_anymail_and_not_here() -> None:
    token = "7" + TOKEN[1:]
    moved = {"timestamp": f"{NOW_SECONDS}7", "token": token[1:], "signature": hexdigest(str(NOW_SECONDS), token)}
    assert judge(post(moved))
    assert refusal(mailgun, post(moved), keys=[KEY]) is Reason.MALFORMED


def test_a_short_token_passes_in_anymail_and_not_here() -> None:
    sent = post(block(token="short"))
    assert judge(sent)
    assert refusal(mailgun, sent, keys=[KEY]) is Reason.MALFORMED


def test_an_old_signature_passes_in_anymail_and_not_here() -> None:
    sent = post(block(timestamp="1500000000"))
    assert judge(sent)
    assert refusal(mailgun, sent, keys=[KEY]) is Reason.TOO_OLD


def test_a_subaccounts_event_passes_under_the_parents_key_here_and_not_in_anymail() -> None:
    fields = {**block(key=OLD_KEY), "parent-signature": hexdigest(str(NOW_SECONDS), TOKEN)}
    assert not judge(post(fields))
    assert accepts(mailgun, post(fields), keys=[KEY])
    assert accepts(mailgun, post(fields), keys=[OLD_KEY])
    assert not accepts(mailgun, post({**fields, "parent-signature": fields["signature"]}), keys=[KEY])


# --- the edges ---


@pytest.mark.parametrize(
    ("age", "reason"),
    [
        (timedelta(hours=9), None),
        (timedelta(hours=9, seconds=1), Reason.TOO_OLD),
        (timedelta(seconds=-60), None),
        (timedelta(seconds=-61), Reason.IN_THE_FUTURE),
    ],
)
def test_the_window_is_nine_hours_back_so_that_the_last_retry_still_fits(age: timedelta, reason: Reason | None) -> None:
    sent = post(block(timestamp=str(NOW_SECONDS - int(age.total_seconds()))))
    if reason is None:
        assert accepts(mailgun, sent, keys=[KEY])
    else:
        assert refusal(mailgun, sent, keys=[KEY]) is reason


def test_the_token_of_a_delivery_is_told_so_that_it_can_be_taken_once() -> None:
    first, second = post(block()), post(block(), {**EVENT, "event": "complained"})
    assert accepts(mailgun, second, keys=[KEY])
    assert mailgun.single_use_token(first.delivery()) == mailgun.single_use_token(second.delivery()) == TOKEN
    assert mailgun.single_use_token(form_post(list(block().items())).delivery()) == TOKEN


BASIC = "basic:mailgun:0123456789abcdef"


def with_basic(sent: Sent, credentials: str) -> Sent:
    return sent.with_header("Authorization", "Basic " + base64.b64encode(credentials.encode()).decode())


def test_with_a_basic_secret_the_credentials_are_asked_for_beside_the_signature() -> None:
    sent, keys = post(block()), [KEY, BASIC]
    assert refusal(mailgun, sent, keys=keys) is Reason.MISSING_HEADER
    assert refusal(mailgun, with_basic(sent, "mailgun:wrong"), keys=keys) is Reason.WRONG_CREDENTIAL
    assert refusal(mailgun, sent.with_header("Authorization", "Bearer x"), keys=keys) is Reason.MALFORMED
    matched = verified_by(mailgun, with_basic(sent, "mailgun:0123456789abcdef"), keys=keys)
    assert matched == secret(KEY)
    unsigned = with_basic(post(block(key=OLD_KEY)), "mailgun:0123456789abcdef")
    assert refusal(mailgun, unsigned, keys=keys) is Reason.WRONG_SIGNATURE


def test_a_basic_secret_is_never_a_signing_key() -> None:
    assert refusal(mailgun, with_basic(post(block(key=BASIC)), BASIC[6:]), keys=[BASIC]) is Reason.NO_SECRET
    assert not accepts(mailgun, with_basic(post(block(key=BASIC)), BASIC[6:]), keys=[BASIC, KEY])


def test_while_a_key_rotates_either_verifies_and_the_one_that_matched_is_told() -> None:
    for key in (KEY, OLD_KEY):
        matched = verified_by(mailgun, post(block(key=key)), keys=[KEY, OLD_KEY])
        assert matched == secret(key)


@pytest.mark.parametrize(
    "value", ["", "short", "basic:short", "basic::0123456789abcdef", "basic:user:short", "a b" * 20]
)
def test_a_malformed_secret_is_refused_with_what_a_right_one_looks_like(value: str) -> None:
    with pytest.raises(ConfigurationError, match="webhook signing key"):
        mailgun.check_secret(value)
    for right in (KEY, BASIC):
        mailgun.check_secret(right)


def test_options_are_strict() -> None:
    with pytest.raises(ConfigurationError, match="region"):
        mailgun.read_options({"region": "eu"})


@pytest.mark.parametrize(
    "sent",
    [
        Sent(headers=JSON, body=b"{}"),
        Sent(headers=JSON, body=b"[]"),
        Sent(headers=JSON, body=b"\xff"),
        Sent(headers=JSON, body=b'{"signature":"x"}'),
        Sent(headers=JSON, body=b"[" * 100_000),
        Sent(headers=FORM, body=b"timestamp=%ff"),
        Sent(headers={"Content-Type": "multipart/form-data; boundary=x"}, body=b"--x--"),
    ],
)
def test_a_body_without_a_signature_is_malformed(sent: Sent) -> None:
    assert refusal(mailgun, sent, keys=[KEY]) is Reason.MALFORMED


def test_only_200_is_success_and_a_conflict_stops_and_a_wrong_key_of_ours_does_not() -> None:
    assert (mailgun.ACK.success_status, mailgun.ACK.conflict_status) == (200, 406)
    assert 406 not in (mailgun.ACK.unauthorized_status, mailgun.ACK.busy_status, mailgun.ACK.invalid_status)


# --- events ---


def event(**changes: object) -> IdentifiedEvent:
    return event_of(mailgun, post(block(), {**EVENT, **changes}))


def test_a_retry_signed_anew_is_the_same_event() -> None:
    again = event_of(mailgun, post(block(timestamp=str(NOW_SECONDS + 600), token="f" * 50)))
    assert replace(again, single_use_token="") == replace(event(), single_use_token="")


def test_an_id_is_unique_within_a_day_and_an_account_only() -> None:
    another_day = event(timestamp=EVENT["timestamp"] - 86_400)
    another_account = event(account={"id": "acc2"})
    another_id = event(id="other")
    assert len(identities([event(), another_day, another_account, another_id])) == 4
    assert len({each.message_id for each in (event(), another_day, another_account, another_id)}) == 4


def test_an_event_just_before_midnight_and_its_retry_after_it_are_one() -> None:
    late = {**EVENT, "timestamp": NOW_SECONDS - 0.5}  # NOW_SECONDS is a midnight
    first = event_of(mailgun, post(block(), late))
    retried = event_of(mailgun, post(block(timestamp=str(NOW_SECONDS + 300), token="a" * 50), late))
    assert first.identity_fields == retried.identity_fields


def test_the_same_id_with_other_data_is_the_same_identity_with_another_content() -> None:
    assert event().identity_fields == event(event="complained").identity_fields
    assert event().content_sha256 != event(event="complained").content_sha256


def test_an_event_without_id_or_time_is_kept_and_known_by_its_content() -> None:
    odd = [{"event": "opened"}, {"event": "opened", "n": 1}, {}, {"timestamp": 1e300}, {"timestamp": "soon"}]
    found = [event_of(mailgun, post(block(), each)) for each in odd]
    assert len(identities(found)) == len(odd)


def test_the_severity_tells_a_bounce_from_a_deferral() -> None:
    assert event(event="failed", severity="permanent").kind is Kind.BOUNCED
    assert event(event="failed", severity="temporary").kind is Kind.DEFERRED
    assert event(event="failed", severity="temporary").event_type == "failed.temporary"


def test_events_of_one_recipient_of_one_message_share_an_ordering_key_that_shows_no_address() -> None:
    keys = {event().ordering_key, event(event="opened", id="2").ordering_key}
    assert len(keys) == 1
    assert keys.pop().startswith("m1@example.com:")
    assert "ada" not in event().ordering_key
    assert event(recipient="bob@example.com").ordering_key != event().ordering_key


def test_the_time_of_an_event_is_its_own_to_the_microsecond() -> None:
    assert event().occurred_us == NOW_US - 5_250_000


def test_anymail_reads_the_same_type_recipient_and_message_from_every_json_fixture() -> None:
    kinds = {Kind.DELIVERED: "delivered", Kind.BOUNCED: "bounced", Kind.DEFERRED: "deferred", Kind.OPENED: "opened"}
    kinds |= {Kind.CLICKED: "clicked", Kind.COMPLAINED: "complained", Kind.UNSUBSCRIBED: "unsubscribed"}
    compared = 0
    for body, _ in fixtures("mailgun"):
        sent = signed(mailgun, body, key=KEY)
        ours = event_of(mailgun, sent)
        if ours.kind in kinds and sent.lowered()["content-type"] == "application/json":
            (theirs,) = anymail_reads(MailgunTrackingWebhookView, sent, webhook_signing_key=KEY)
            assert theirs.event_type == kinds[ours.kind]
            assert theirs.message_id.strip("<>") == ours.ordering_key.rpartition(":")[0]
            assert theirs.timestamp.timestamp() * 1_000_000 == pytest.approx(ours.occurred_us, abs=1)
            compared += 1
    assert compared >= 7


def test_every_fixture_is_signed_verified_and_one_event_of_its_own() -> None:
    found = []
    for body, headers in fixtures("mailgun"):
        sent = signed(mailgun, body, key=KEY)
        assert accepts(mailgun, sent, keys=[KEY])
        assert judge(sent)
        assert headers.get("Content-Type", "application/json") == sent.headers["Content-Type"]
        found.append(event_of(mailgun, sent))
    assert len(identities(found)) == len(found) >= 10
    assert {each.kind for each in found} >= {Kind.REJECTED, Kind.OTHER, Kind.MESSAGE}


def test_a_legacy_form_is_known_by_what_it_tells_and_not_by_its_token() -> None:
    opened = [
        ("event", "opened"),
        ("Message-Id", "<m1@example.com>"),
        ("recipient", "ada@example.com"),
        ("token", "mine"),
    ]
    first = event_of(mailgun, form_post([*opened, *block().items()]))
    other_token = event_of(mailgun, form_post([*opened, *block(token="b" * 50).items()]))
    later = event_of(mailgun, form_post([*opened, *block(timestamp=str(NOW_SECONDS + 1)).items()]))
    assert first.identity_fields == other_token.identity_fields
    assert first.content_sha256 == other_token.content_sha256
    assert later.identity_fields != first.identity_fields
    assert first.kind is Kind.OPENED


def test_bodies_of_no_use_are_invalid_or_unsupported() -> None:
    for body in (b"", b"[]", b"1", b"{}", b'{"event-data":1}', b"{"):
        with pytest.raises(BodyInvalid):
            events_of(mailgun, Sent(headers=JSON, body=body))
    with pytest.raises(ContentTypeUnsupported):
        events_of(mailgun, Sent(headers={"Content-Type": "text/plain"}, body=b"{}"))


@pytest.mark.parametrize("depth", [900, 5_000, 9_990, 100_000])
def test_a_body_nested_too_deep_is_kept_as_an_event(depth: int) -> None:
    body = b'{"event-data":{"a":' + b"[" * depth + b"]" * depth + b"}}"
    assert event_of(mailgun, Sent(headers=JSON, body=body)).payload


@bounded
@given(sent=malformed(["authorization"], near=["Basic eDp5"]))
def test_no_request_raises_anything_but_the_adapters_errors(sent: Sent) -> None:
    never_raises_anything_else(mailgun, sent, keys=[KEY, BASIC])


@bounded
@given(
    signature=st.dictionaries(st.sampled_from(["timestamp", "token", "signature", "parent-signature"]), json_values)
    | json_values,
    told=st.dictionaries(st.sampled_from(["event", "id", "timestamp", "account", "recipient", "message"]), json_values),
)
def test_no_body_of_known_fields_and_strange_values_raises_anything_else(signature: object, told: object) -> None:
    never_raises_anything_else(mailgun, post(signature, told), keys=[KEY])
