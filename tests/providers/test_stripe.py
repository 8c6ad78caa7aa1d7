"""Stripe against its own library, whose clock stands still here."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace
from typing import Any

import pytest
import stripe
import stripe._webhook
from hypothesis import given
from hypothesis import strategies as st

from autocom.kernel.errors import ConfigurationError
from ingestion.providers import stripe as adapter
from ingestion.providers.adapter import BodyInvalid, Kind, Reason
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

KEY = "whsec_0123456789abcdefghijABCDEFGHIJ"
OLD_KEY = "whsec_9876543210abcdefghijABCDEFGHIJ"
NAMES = ("stripe-signature",)
SNAPSHOT = {
    "id": "evt_1",
    "object": "event",
    "created": NOW_SECONDS - 5,
    "type": "payment_intent.succeeded",
    "pending_webhooks": 2,
    "data": {"object": {"id": "pi_1", "object": "payment_intent", "receipt_email": "ada@example.com"}},
}
BODY = json.dumps(SNAPSHOT).encode()


@pytest.fixture(autouse=True, scope="module")
def _library_clock() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stripe._webhook, "time", SimpleNamespace(time=lambda: float(NOW_SECONDS)))
        yield


def library_accepts(sent: Sent, *, key: str = KEY) -> bool:
    """The library's verdict; an exception of any kind is a refusal."""
    try:
        stripe.WebhookSignature.verify_header(sent.body, sent.lowered().get("stripe-signature"), key, tolerance=300)
    except Exception:  # noqa: BLE001  (it lets out TypeError and UnicodeDecodeError)
        return False
    return True


def library_signs(body: bytes, *, key: str = KEY, seconds: int = NOW_SECONDS) -> Sent:
    header = stripe.WebhookSignature.generate_signature_header(body.decode(), key, seconds)
    return Sent(headers={"content-type": "application/json", "stripe-signature": header}, body=body)


def with_signature(sent: Sent, header: str) -> Sent:
    return sent.with_header("stripe-signature", header)


def stricter_than_the_library(header: str) -> bool:
    """What the library reads in a header and we do not: each kind has a test of its own below."""
    elements = [element.partition("=") for element in header.split(",")]
    times = [value for name, _, value in elements if name == "t"]
    signatures = [value for name, _, value in elements if name == "v1"]
    return (
        len(times) != 1
        or not re.fullmatch(r"[0-9]{10}", times[0], re.ASCII)
        or int(times[0]) > NOW_SECONDS + 60
        or any(not re.fullmatch(r"[0-9a-f]{64}", signature) for signature in signatures)
    )


@bounded
@given(body=texts, age=st.integers(-60, 300))
def test_what_the_library_signs_is_accepted(body: str, age: int) -> None:
    sent = library_signs(body.encode(), seconds=NOW_SECONDS - age)
    assert library_accepts(sent)
    assert accepts(adapter, sent, keys=[KEY])


@bounded
@given(body=texts)
def test_what_we_sign_the_library_accepts(body: str) -> None:
    assert library_accepts(signed(adapter, body.encode(), key=KEY))


@bounded
@given(spoil=spoilings(NAMES), again=spoilings(NAMES), by=st.integers(-400, 400))
def test_our_verdict_on_a_spoilt_request_is_that_of_the_library(spoil: Spoiling, again: Spoiling, by: int) -> None:
    sent = again(spoil(library_signs(BODY, seconds=NOW_SECONDS + by)))
    ours, theirs = accepts(adapter, sent, keys=[KEY]), library_accepts(sent)
    assert ours <= theirs
    assert ours == theirs or stricter_than_the_library(sent.lowered()["stripe-signature"])


@bounded
@given(by=st.integers(-400, 400))
def test_a_shifted_time_fails_under_both(by: int) -> None:
    sent = library_signs(BODY)
    shifted = with_signature(sent, sent.headers["stripe-signature"].replace(str(NOW_SECONDS), str(NOW_SECONDS + by)))
    assert accepts(adapter, shifted, keys=[KEY]) == library_accepts(shifted) == (by == 0)


# --- where the library is laxer, or crashes ---


@pytest.mark.parametrize("spelling", [f"0{NOW_SECONDS}", "1_767_225_600", f" {NOW_SECONDS}", f"+{NOW_SECONDS}"])
def test_odd_spellings_of_the_time_pass_in_the_library_and_are_malformed_here(spelling: str) -> None:
    sent = library_signs(BODY)
    odd = with_signature(sent, sent.headers["stripe-signature"].replace(str(NOW_SECONDS), spelling))
    assert library_accepts(odd)
    assert refusal(adapter, odd, keys=[KEY]) is Reason.MALFORMED


def test_a_time_a_day_ahead_passes_in_the_library_and_not_here() -> None:
    sent = library_signs(BODY, seconds=NOW_SECONDS + 86_400)
    assert library_accepts(sent)
    assert refusal(adapter, sent, keys=[KEY]) is Reason.IN_THE_FUTURE


def test_a_second_time_passes_in_the_library_and_is_malformed_here() -> None:
    sent = library_signs(BODY)
    twice = with_signature(sent, f"{sent.headers['stripe-signature']},t=1")
    assert library_accepts(twice)
    assert refusal(adapter, twice, keys=[KEY]) is Reason.MALFORMED


def test_a_malformed_signature_beside_a_right_one_passes_in_the_library_and_is_malformed_here() -> None:
    sent = library_signs(BODY)
    mixed = with_signature(sent, f"{sent.headers['stripe-signature']},v1=zz")
    assert library_accepts(mixed)
    assert refusal(adapter, mixed, keys=[KEY]) is Reason.MALFORMED


def test_a_signature_that_crashes_the_library_is_malformed_here() -> None:
    sent = with_signature(library_signs(BODY), f"t={NOW_SECONDS},v1=\xe9")
    with pytest.raises(TypeError):
        stripe.WebhookSignature.verify_header(sent.body, sent.lowered()["stripe-signature"], KEY, tolerance=300)
    assert refusal(adapter, sent, keys=[KEY]) is Reason.MALFORMED


def test_a_signed_body_that_is_not_utf8_crashes_the_library_and_is_only_an_invalid_body_here() -> None:
    sent = signed(adapter, b'{"a":"\xff"}', key=KEY)
    with pytest.raises(UnicodeDecodeError):
        stripe.WebhookSignature.verify_header(sent.body, sent.lowered()["stripe-signature"], KEY, tolerance=300)
    assert accepts(adapter, sent, keys=[KEY])
    with pytest.raises(BodyInvalid):
        event_of(adapter, sent)


@pytest.mark.parametrize(
    "spoil", [lambda header: header.replace(",", ", "), lambda header: header[:13] + header[13:].upper()]
)
def test_a_space_after_the_comma_and_upper_case_hex_are_refused_by_both(spoil: Any) -> None:
    sent = library_signs(BODY)
    odd = with_signature(sent, spoil(sent.headers["stripe-signature"]))
    assert not library_accepts(odd)
    assert not accepts(adapter, odd, keys=[KEY])


# --- the edges ---


@pytest.mark.parametrize(
    ("age_seconds", "reason"), [(300, None), (301, Reason.TOO_OLD), (-60, None), (-61, Reason.IN_THE_FUTURE)]
)
def test_the_window_is_300_seconds_back_and_60_ahead(age_seconds: int, reason: Reason | None) -> None:
    sent = library_signs(BODY, seconds=NOW_SECONDS - age_seconds)
    if reason is None:
        assert accepts(adapter, sent, keys=[KEY])
    else:
        assert refusal(adapter, sent, keys=[KEY]) is reason


def test_a_signature_of_the_test_scheme_alone_is_no_signature() -> None:
    sent = library_signs(BODY)
    v0 = with_signature(sent, sent.headers["stripe-signature"].replace("v1=", "v0="))
    assert not library_accepts(v0)
    assert refusal(adapter, v0, keys=[KEY]) is Reason.MALFORMED


def test_while_a_secret_rotates_stripe_signs_with_both_and_either_is_told() -> None:
    sent = library_signs(BODY)
    second = library_signs(BODY, key=OLD_KEY).headers["stripe-signature"].partition(",")[2]
    both = with_signature(sent, f"{sent.headers['stripe-signature']},{second},v0={'0' * 64}")
    for key in (KEY, OLD_KEY):
        matched = verified_by(adapter, both, keys=[key])
        assert matched is not None
        assert matched.value == key


def test_a_missing_header_and_a_thousand_signatures_are_refused() -> None:
    sent = library_signs(BODY)
    assert refusal(adapter, sent.without_header("stripe-signature"), keys=[KEY]) is Reason.MISSING_HEADER
    many = with_signature(sent, f"t={NOW_SECONDS}" + f",v1={'0' * 64}" * 1_000)
    assert refusal(adapter, many, keys=[KEY]) is Reason.MALFORMED


@pytest.mark.parametrize("value", ["", "whsec_", "sk_live_0123456789abcdefghij", "whsec_with a space in it"])
def test_a_malformed_secret_is_refused_with_what_a_right_one_looks_like(value: str) -> None:
    with pytest.raises(ConfigurationError, match="whsec_ and the characters"):
        adapter.check_secret(value)


def test_there_are_no_options() -> None:
    adapter.check_secret(KEY)
    assert adapter.read_options({}) == adapter.Options()
    with pytest.raises(ConfigurationError, match="the scheme stripe has none"):
        adapter.read_options({"tolerance": "600"})


# --- events ---


def changed(**fields: object) -> bytes:
    return json.dumps({**SNAPSHOT, **fields}).encode()


def test_a_retry_with_another_count_of_pending_webhooks_is_the_same_event_with_the_same_content() -> None:
    first = event_of(adapter, library_signs(BODY))
    retry = event_of(adapter, library_signs(changed(pending_webhooks=0), seconds=NOW_SECONDS + 9))
    assert first.identity_fields == retry.identity_fields
    assert first.content_sha256 == retry.content_sha256


def test_one_id_with_other_data_shows_in_the_digest() -> None:
    first = event_of(adapter, library_signs(BODY))
    other = event_of(adapter, library_signs(changed(data={"object": {"id": "pi_2"}})))
    assert first.identity_fields == other.identity_fields
    assert first.content_sha256 != other.content_sha256


def test_two_events_of_one_object_are_two_events_in_one_order() -> None:
    created = event_of(adapter, library_signs(changed(id="evt_0", type="payment_intent.created")))
    succeeded = event_of(adapter, library_signs(BODY))
    assert len(identities([created, succeeded])) == 2
    assert created.ordering_key == succeeded.ordering_key == "pi_1"


def test_an_event_without_an_id_is_known_by_its_bytes() -> None:
    event = event_of(adapter, library_signs(b'{"type":"x"}'))
    assert event.message_id.startswith("sha256:")


def test_every_fixture_verifies_and_has_its_kind_and_time() -> None:
    found = {}
    for body, _ in fixtures("stripe"):
        sent = signed(adapter, body, key=KEY)
        assert accepts(adapter, sent, keys=[KEY])
        event = event_of(adapter, sent)
        assert event.occurred_us is not None
        assert event.ordering_key != event.message_id
        found[event.event_type] = event.kind
    payments = {name for name, kind in found.items() if kind is Kind.PAYMENT}
    assert payments == {
        "payment_intent.succeeded",
        "payment_intent.payment_failed",
        "charge.refunded",
        "charge.dispute.created",
        "invoice.paid",
        "checkout.session.completed",
        "payout.paid",
    }
    assert set(found) - payments == {
        "customer.subscription.deleted",
        "customer.updated",
        "v1.billing.meter.error_report_triggered",
    }


def test_a_body_that_is_no_object_is_invalid_and_a_deep_one_kept() -> None:
    with pytest.raises(BodyInvalid):
        event_of(adapter, signed(adapter, b"[]", key=KEY))
    assert event_of(adapter, signed(adapter, b"[" * 100_000 + b"]" * 100_000, key=KEY)).event_type == "unreadable"


@bounded
@given(sent=malformed(NAMES, near=[f"t={NOW_SECONDS},v1={'0' * 64}", "t=,v1=", "v1"]))
def test_no_request_raises_anything_but_the_adapters_errors(sent: Sent) -> None:
    never_raises_anything_else(adapter, sent, keys=[KEY])
