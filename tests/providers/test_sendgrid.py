"""SendGrid's Event Webhook against its Python and npm libraries, and the traps of its identities."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st
from sendgrid.helpers.eventwebhook import EventWebhook

from autocom.kernel.errors import ConfigurationError
from ingestion.providers import sendgrid
from ingestion.providers.adapter import BodyInvalid, ContentTypeUnsupported, IdentifiedEvent, Kind, Reason
from tests.providers.oracles.node import node_accepts
from tests.providers.requests import (
    NOW_SECONDS,
    NOW_US,
    Sent,
    Spoiling,
    accepts,
    bounded,
    event_of,
    events_of,
    fixtures,
    identities,
    malformed,
    never_raises_anything_else,
    refusal,
    signed,
    spoilings,
    verified_by,
)

NAMES = sendgrid.SIGNED_HEADERS
SIGNATURE, TIMESTAMP = NAMES
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def spki(key: Any) -> str:
    der = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(der).decode()


def pkcs8(key: Any) -> str:
    plain = serialization.NoEncryption()
    return base64.b64encode(
        key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, plain)
    ).decode()


PRIVATE = ec.derive_private_key(0x5EED_0001, ec.SECP256R1())
OTHER = ec.derive_private_key(0x5EED_0002, ec.SECP256R1())
KEY, OLD_KEY = spki(PRIVATE), spki(OTHER)
BODY = (
    b'[{"email":"ada@example.com","event":"open","timestamp":1764068280,"sg_message_id":"m.1","sg_event_id":"e1"}]\r\n'
)


def vendor_signs(body: bytes, *, timestamp: str = str(NOW_SECONDS), key: ec.EllipticCurvePrivateKey = PRIVATE) -> Sent:
    """As SendGrid does: no library signs, so this is the documented scheme and nothing of ours."""
    signature = key.sign(timestamp.encode() + body, ec.ECDSA(SHA256()))
    headers = {
        "Content-Type": "application/json",
        "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(signature).decode(),
        "X-Twilio-Email-Event-Webhook-Timestamp": timestamp,
    }
    return Sent(headers=headers, body=body)


def pypi_accepts(sent: Sent, *, key: str = KEY) -> bool:
    """The library's verdict; its exceptions, and headers that no framework finds, are refusals."""
    headers = sent.lowered()
    try:
        return bool(EventWebhook(key).verify_signature(sent.body.decode(), headers[SIGNATURE], headers[TIMESTAMP]))
    except (KeyError, ValueError):
        return False


def laxer_libraries(sent: Sent) -> bool:
    """What the libraries take and we do not: each kind has a test of its own below."""
    headers = sent.lowered()
    timestamp, signature = headers.get(TIMESTAMP, ""), headers.get(SIGNATURE, "")
    try:
        canonical = base64.b64encode(base64.b64decode(signature, validate=True)).decode() == signature
    except ValueError:
        canonical = False
    digits = timestamp.isascii() and timestamp.isdigit() and len(timestamp) == 10
    return not (canonical and digits and sent.body.startswith(b"["))


# --- the published vector, in both libraries' tests ---

VECTOR_KEY = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g=="  # noqa: E501
VECTOR = Sent(
    headers={
        "Content-Type": "application/json",
        SIGNATURE: "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM=",
        TIMESTAMP: "1600112502",
    },
    body=json.dumps(
        [
            {
                "email": "hello@world.com",
                "event": "dropped",
                "reason": "Bounced Address",
                "sg_event_id": "ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA",
                "sg_message_id": "LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0",
                "smtp-id": "<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>",
                "timestamp": 1600112492,
            }
        ],
        sort_keys=True,
        separators=(",", ":"),
    ).encode()
    + b"\r\n",
)


def test_the_vector_of_the_libraries_verifies_with_its_line_end_and_not_without() -> None:
    assert pypi_accepts(VECTOR, key=VECTOR_KEY)
    assert accepts(sendgrid, VECTOR, keys=[VECTOR_KEY])
    assert refusal(sendgrid, VECTOR.with_body(VECTOR.body.strip()), keys=[VECTOR_KEY]) is Reason.WRONG_SIGNATURE


def test_no_freshness_is_asked_for_as_a_retry_may_carry_its_first_time() -> None:
    assert accepts(sendgrid, VECTOR, keys=[VECTOR_KEY], now_us=NOW_US + 10**15)


# --- against the libraries ---


@bounded
@given(spoil=spoilings(NAMES, timestamp=TIMESTAMP), key=st.sampled_from([PRIVATE, OTHER]))
def test_a_spoilt_request_gets_the_librarys_verdict_in_python(spoil: Spoiling, key: ec.EllipticCurvePrivateKey) -> None:
    sent = spoil(vendor_signs(BODY, key=key))
    ours = accepts(sendgrid, sent, keys=[KEY])
    assert ours == pypi_accepts(sent) or (laxer_libraries(sent) and not ours)


@bounded
@given(spoil=spoilings(NAMES, timestamp=TIMESTAMP), key=st.sampled_from([PRIVATE, OTHER]))
def test_a_spoilt_request_gets_the_librarys_verdict_in_node(spoil: Spoiling, key: ec.EllipticCurvePrivateKey) -> None:
    sent = spoil(vendor_signs(BODY, key=key))
    ours = accepts(sendgrid, sent, keys=[KEY])
    assert ours == node_accepts("sendgrid", sent, secrets=[KEY]) or (laxer_libraries(sent) and not ours)


@bounded
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_every_array_that_is_signed_is_accepted_by_all(text: str) -> None:
    sent = signed(sendgrid, json.dumps([{"event": "open", "n": text}], ensure_ascii=False).encode(), key=pkcs8(PRIVATE))
    assert accepts(sendgrid, sent, keys=[KEY])
    assert pypi_accepts(sent)
    assert node_accepts("sendgrid", sent, secrets=[KEY])


# --- where the libraries are laxer, or break ---


@pytest.mark.parametrize("digits", [9, 11, 8])
def test_a_byte_moved_between_time_and_body_passes_in_the_library_and_not_here(digits: int) -> None:
    sent = vendor_signs(b"1" + BODY)
    whole = sent.headers["X-Twilio-Email-Event-Webhook-Timestamp"].encode() + sent.body
    moved = sent.with_header(TIMESTAMP, whole[:digits].decode()).with_body(whole[digits:])
    assert pypi_accepts(moved)
    assert refusal(sendgrid, moved, keys=[KEY]) is Reason.MALFORMED


def test_a_body_that_is_no_array_passes_in_the_library_and_not_here() -> None:
    sent = vendor_signs(b'{"event":"open"}')
    assert pypi_accepts(sent)
    assert refusal(sendgrid, sent, keys=[KEY]) is Reason.MALFORMED


def test_junk_in_base64_passes_in_the_library_and_not_here() -> None:
    sent = vendor_signs(BODY)
    sent = sent.with_header(SIGNATURE, sent.lowered()[SIGNATURE] + "\n~")
    assert pypi_accepts(sent)
    assert refusal(sendgrid, sent, keys=[KEY]) is Reason.MALFORMED


def test_the_second_form_of_a_signature_verifies_everywhere_so_nothing_is_known_by_its_signature() -> None:
    sent = vendor_signs(BODY)
    r, s = decode_dss_signature(base64.b64decode(sent.lowered()[SIGNATURE]))
    twin = sent.with_header(SIGNATURE, base64.b64encode(encode_dss_signature(r, P256_ORDER - s)).decode())
    assert pypi_accepts(twin)
    assert accepts(sendgrid, twin, keys=[KEY])
    assert event_of(sendgrid, twin) == event_of(sendgrid, sent)


@pytest.mark.parametrize("raw", [b"x", b"0\x06\x02\x01\x00\x02\x01\x00", b"\x30\x00", bytes(72)])
def test_a_signature_that_is_no_der_is_wrong_here_while_libraries_may_throw(raw: bytes) -> None:
    sent = vendor_signs(BODY).with_header(SIGNATURE, base64.b64encode(raw).decode())
    assert not pypi_accepts(sent)
    assert refusal(sendgrid, sent, keys=[KEY]) is Reason.WRONG_SIGNATURE


def test_a_body_that_is_not_utf8_verifies_here_and_is_then_invalid() -> None:
    sent = vendor_signs(b'["\xff"]')
    assert not pypi_accepts(sent)
    assert accepts(sendgrid, sent, keys=[KEY])
    with pytest.raises(BodyInvalid):
        events_of(sendgrid, sent)


# --- the edges ---


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_header_is_named(name: str) -> None:
    assert refusal(sendgrid, vendor_signs(BODY).without_header(name), keys=[KEY]) is Reason.MISSING_HEADER


def test_while_a_key_rotates_either_verifies_and_the_one_that_matched_is_told() -> None:
    for private, public in ((PRIVATE, KEY), (OTHER, OLD_KEY)):
        matched = verified_by(sendgrid, vendor_signs(BODY, key=private), keys=[KEY, OLD_KEY])
        assert matched is not None
        assert matched.value == public


def test_without_a_key_everything_is_refused() -> None:
    assert refusal(sendgrid, vendor_signs(BODY), keys=[]) is Reason.NO_SECRET


def test_a_key_with_pem_lines_or_a_private_one_is_taken_and_the_public_one_cannot_sign() -> None:
    pem = f"-----BEGIN PUBLIC KEY-----\n{KEY[:64]}\n{KEY[64:]}\n-----END PUBLIC KEY-----\n"
    for value in (KEY, pem, pkcs8(PRIVATE)):
        sendgrid.check_secret(value)
        assert accepts(sendgrid, vendor_signs(BODY), keys=[value])
    with pytest.raises(ConfigurationError, match="private key of its own"):
        signed(sendgrid, BODY, key=KEY)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "secret",
        base64.b64encode(b"secret").decode(),
        spki(ec.generate_private_key(ec.SECP384R1())),
        spki(rsa.generate_private_key(public_exponent=65537, key_size=2048)),
    ],
)
def test_a_malformed_key_is_refused_with_what_a_right_one_looks_like(value: str) -> None:
    with pytest.raises(ConfigurationError, match="P-256"):
        sendgrid.check_secret(value)


def test_options_are_strict() -> None:
    with pytest.raises(ConfigurationError, match="oauth"):
        sendgrid.read_options({"oauth": "yes"})


def test_an_empty_array_is_answered_and_nothing_else_is() -> None:
    options = sendgrid.read_options({})
    assert sendgrid.handshake(vendor_signs(b"[]\r\n").delivery(), options=options) is not None
    assert sendgrid.handshake(vendor_signs(BODY).delivery(), options=options) is None


# --- events ---


def post(*elements: object) -> Sent:
    return Sent(headers={"Content-Type": "application/json"}, body=json.dumps(elements).encode())


OPEN = {"event": "open", "email": "ada@example.com", "timestamp": 1764068280, "sg_message_id": "m.1", "ip": "192.0.2.1"}


def test_a_retry_with_another_sg_event_id_is_the_same_event() -> None:
    one, other = events_of(sendgrid, post({**OPEN, "sg_event_id": "a"}, {**OPEN, "sg_event_id": "b"}))
    assert one.identity_fields == other.identity_fields
    assert one.content_sha256 == other.content_sha256
    assert one.message_id == other.message_id


def test_a_retry_in_another_batch_with_other_neighbours_is_the_same_event() -> None:
    (alone,) = events_of(sendgrid, post(OPEN))
    among = events_of(sendgrid, post({**OPEN, "event": "delivered"}, OPEN))
    assert among[1] == alone


@pytest.mark.parametrize(
    "change",
    [
        {"timestamp": 1764068281},
        {"ip": "192.0.2.2"},
        {"useragent": "another browser"},
        {"email": "bob@example.com"},
        {"sg_message_id": "m.2"},
        {"event": "click", "url": "https://example.com/"},
        {"event": "delivered"},
    ],
)
def test_repeated_opens_are_events_of_their_own(change: dict[str, object]) -> None:
    assert len(identities(events_of(sendgrid, post(OPEN, {**OPEN, **change})))) == 2


@pytest.mark.parametrize(
    ("event", "name"),
    [
        *(("click", "url"), ("click", "ip"), ("open", "ip"), ("deferred", "attempt")),
        *(("bounce", "type"), ("bounce", "status"), ("bounce", "reason"), ("group_unsubscribe", "asm_group_id")),
    ],
)
def test_what_tells_two_events_of_a_type_apart_is_in_the_identity(event: str, name: str) -> None:
    one, other = events_of(sendgrid, post({**OPEN, "event": event, name: "1"}, {**OPEN, "event": event, name: "2"}))
    assert one.identity_fields != other.identity_fields


def test_what_changes_without_being_another_event_makes_another_content_not_another_identity() -> None:
    one, other = events_of(sendgrid, post(OPEN, {**OPEN, "category": "news"}))
    assert one.identity_fields == other.identity_fields
    assert one.content_sha256 != other.content_sha256


def test_a_bounce_without_sg_message_id_is_known_by_its_smtp_id() -> None:
    bounce = {"event": "bounce", "email": "a@example.com", "timestamp": 1, "sg_message_id": ""}
    one, other = events_of(
        sendgrid, post({**bounce, "smtp-id": "<1@example.com>"}, {**bounce, "smtp-id": "<2@example.com>"})
    )
    assert one.identity_fields != other.identity_fields
    assert one.message_id.startswith("<1@example.com>#")


def test_a_missing_field_never_drops_an_event_nor_takes_two_for_one() -> None:
    found = events_of(
        sendgrid, post({"event": "unsubscribe"}, {"event": "unsubscribe", "n": 1}, {}, 1, None, "x", [], [1])
    )
    assert len(found) == len(identities(found)) == 8


def test_all_events_of_a_batch_come_in_its_order() -> None:
    batch = [{**OPEN, "timestamp": number} for number in range(1_000)]
    found = events_of(sendgrid, post(*batch))
    assert [json.loads(event.payload)["timestamp"] for event in found] == list(range(1_000))
    assert len(identities(found)) == 1_000


def test_an_event_tells_its_time_and_orders_by_message_and_recipient_without_showing_the_address() -> None:
    (event,) = events_of(sendgrid, post(OPEN))
    (other,) = events_of(sendgrid, post({**OPEN, "email": "Ada@Example.com", "event": "click"}))
    assert event.occurred_us == 1_764_068_280_000_000
    assert event.ordering_key == other.ordering_key
    assert event.ordering_key.startswith("m.1:")
    assert "ada" not in event.ordering_key + event.message_id
    assert "email" in sendgrid.PERSONAL_PATHS


def test_bodies_of_no_use_are_invalid_or_unsupported() -> None:
    for body in (b"", b"{}", b"[]", b"[", b"1", json.dumps([0] * 4_097).encode()):
        with pytest.raises(BodyInvalid):
            events_of(sendgrid, Sent(headers={"Content-Type": "application/json"}, body=body))
    with pytest.raises(ContentTypeUnsupported):
        events_of(sendgrid, Sent(headers={"Content-Type": "text/plain"}, body=BODY))


@pytest.mark.parametrize("depth", [900, 5_000, 9_990, 100_000])
def test_a_body_nested_too_deep_is_kept_as_an_event(depth: int) -> None:
    body = b'[{"a":' + b"[" * depth + b"]" * depth + b"}]"
    assert event_of(sendgrid, Sent(headers={"Content-Type": "application/json"}, body=body)).payload


def test_every_fixture_is_signed_verified_and_has_events_of_its_own() -> None:
    found: list[IdentifiedEvent] = []
    for body, _ in fixtures("sendgrid"):
        sent = signed(sendgrid, body, key=pkcs8(PRIVATE))
        assert accepts(sendgrid, sent, keys=[KEY])
        assert pypi_accepts(sent)
        found += events_of(sendgrid, sent)
    assert len(identities(found)) == len(found) >= 12
    assert {event.kind for event in found} >= {
        *(Kind.SENT, Kind.DELIVERED, Kind.DEFERRED, Kind.BOUNCED, Kind.REJECTED),
        *(Kind.OPENED, Kind.CLICKED, Kind.COMPLAINED, Kind.UNSUBSCRIBED),
    }
    assert all(event.occurred_us for event in found)


def test_a_single_event_to_sign_is_wrapped_into_an_array() -> None:
    assert len(events_of(sendgrid, signed(sendgrid, json.dumps(OPEN).encode(), key=pkcs8(PRIVATE)))) == 1


@bounded
@given(sent=malformed(NAMES, near=[str(NOW_SECONDS), "MEUCIQ=="]))
def test_no_request_raises_anything_but_the_adapters_errors(sent: Sent) -> None:
    never_raises_anything_else(sendgrid, sent, keys=[KEY])


@bounded
@given(
    elements=st.lists(
        st.dictionaries(
            st.sampled_from(["event", "email", "timestamp", "sg_message_id", "smtp-id", "ip", "url", "reason"]),
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats()
            | st.text(max_size=5)
            | st.lists(st.none(), max_size=1),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_no_event_of_known_fields_and_strange_values_is_dropped(elements: list[dict[str, object]]) -> None:
    assert len(events_of(sendgrid, post(*elements))) == len(elements)
