"""Standard Webhooks v1 against the PyPI and the npm library, v1a against published vectors and cryptography."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Self, cast

import pytest
import standardwebhooks.webhooks
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import assume, given
from hypothesis import strategies as st

from autocom.kernel.errors import ConfigurationError
from ingestion.providers import standard
from ingestion.providers.adapter import BodyInvalid, ContentTypeUnsupported, Kind, Reason
from tests.providers.oracles.node import node_accepts, node_signs
from tests.providers.requests import (
    NOW_SECONDS,
    NOW_US,
    Sent,
    Spoiling,
    accepts,
    bounded,
    event_of,
    fixtures,
    malformed,
    never_raises_anything_else,
    refusal,
    signed,
    spoilings,
    texts,
    verified_by,
)

KEY = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OLD_KEY = "whsec_" + base64.b64encode(bytes(range(1, 33))).decode()
NAMES = standard.SIGNED_HEADERS
BODY = b'{"type":"user.created","timestamp":"2025-12-31T23:59:00.123456Z","data":{"id":"usr_1"}}'
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PRIVATE_KEY = "whsk_" + base64.b64encode(bytes(range(32))).decode()
PUBLIC_KEY = "whpk_" + base64.b64encode(PRIVATE.public_key().public_bytes_raw()).decode()
JSON = {"content-type": "application/json"}


class FixedDatetime(datetime):
    """The library's clock, standing still."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return cast("Self", datetime.fromtimestamp(NOW_SECONDS, tz=tz))


@pytest.fixture(autouse=True, scope="module")
def _library_clock() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(standardwebhooks.webhooks, "datetime", FixedDatetime)
        yield


def pypi_accepts(sent: Sent, *, keys: list[str]) -> bool:
    """The library's verdict; an exception of any kind is a refusal."""
    return any(_pypi_verifies(sent, key=key) for key in keys)


def _pypi_verifies(sent: Sent, *, key: str) -> bool:
    try:
        standardwebhooks.Webhook(key).verify(sent.body, sent.lowered(), json_parse=False)
    except Exception:  # noqa: BLE001  (it lets out ValueError, binascii.Error and others)
        return False
    return True


def pypi_signs(body: bytes, *, key: str = KEY, message_id: str = "msg_1", seconds: int = NOW_SECONDS) -> Sent:
    moment = datetime.fromtimestamp(seconds, tz=UTC)
    signature = standardwebhooks.Webhook(key).sign(message_id, moment, body.decode())
    headers = {"webhook-id": message_id, "webhook-timestamp": str(seconds), "webhook-signature": signature}
    return Sent(headers={**JSON, **headers}, body=body)


def ed25519_signed(body: bytes, *, message_id: str = "msg_1", timestamp: str = str(NOW_SECONDS)) -> Sent:
    signature = PRIVATE.sign(f"{message_id}.{timestamp}.".encode() + body)
    return Sent(
        headers={
            **JSON,
            "webhook-id": message_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": f"v1a,{base64.b64encode(signature).decode()}",
        },
        body=body,
    )


def laxer_in_python_or_node(sent: Sent) -> bool:
    """What the libraries take and we do not: each kind has a test of its own below."""
    headers = sent.lowered()
    timestamp, signature = headers.get("webhook-timestamp", ""), headers.get("webhook-signature", "")
    ten_digits = timestamp.isascii() and timestamp.isdigit() and len(timestamp) == 10
    return (
        not ten_digits
        or int(timestamp) > NOW_SECONDS + 60
        or not _strict_id(headers.get("webhook-id", ""))
        or not all(_strict_entry(entry) for entry in signature.split(" "))
    )


def _strict_id(text: str) -> bool:
    return 0 < len(text) <= 256 and all("!" <= character <= "~" for character in text)


def _strict_entry(entry: str) -> bool:
    version, comma, encoded = entry.partition(",")
    if not comma:
        return False
    if version not in ("v1", "v1a"):
        return True
    try:
        return base64.b64encode(base64.b64decode(encoded, validate=True)).decode() == encoded
    except ValueError:
        return False


# --- published vectors ---


def test_the_published_v1_vector_verifies() -> None:
    sent = Sent(
        headers={
            "webhook-id": "msg_loFOjxBNrRLzqYUf",
            "webhook-timestamp": "1731705121",
            "webhook-signature": "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=",
        },
        body=b'{"event_type":"ping","data":{"success":true}}',
    )
    assert accepts(standard, sent, keys=["whsec_plJ3nmyCDGBKInavdOK15jsl"], now_us=1_731_705_121_000_000)


V1A_VECTOR = Sent(
    headers={
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1a,"
        "hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==",
    },
    body=b'{"test": 2432232314}',
)
V1A_VECTOR_KEY = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="


def test_the_published_v1a_vector_verifies() -> None:
    assert accepts(standard, V1A_VECTOR, keys=[V1A_VECTOR_KEY], now_us=1_614_265_330_000_000)


def test_the_published_v1a_vector_under_another_id_does_not_verify() -> None:
    sent = V1A_VECTOR.with_header("webhook-id", "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk")
    assert refusal(standard, sent, keys=[V1A_VECTOR_KEY], now_us=1_614_265_330_000_000) is Reason.WRONG_SIGNATURE


# --- differential ---


@bounded
@given(body=texts, message_id=st.from_regex(r"[A-Za-z0-9_.-]{1,40}", fullmatch=True), age=st.integers(-60, 300))
def test_what_the_python_library_signs_is_accepted(body: str, message_id: str, age: int) -> None:
    sent = pypi_signs(body.encode(), message_id=message_id, seconds=NOW_SECONDS - age)
    assert accepts(standard, sent, keys=[KEY])
    assert pypi_accepts(sent, keys=[KEY])


@bounded
@given(body=texts)
def test_what_the_node_library_signs_is_accepted(body: str) -> None:
    unsigned = Sent(headers={**JSON, "webhook-id": "msg_n"}, body=body.encode())
    assert accepts(standard, node_signs("standard", unsigned, secret=KEY, now_seconds=NOW_SECONDS), keys=[KEY])


@bounded
@given(body=texts)
def test_what_we_sign_both_libraries_accept(body: str) -> None:
    sent = signed(standard, body.encode(), key=KEY)
    assert pypi_accepts(sent, keys=[KEY])
    assert node_accepts("standard", sent, secrets=[KEY], now_seconds=NOW_SECONDS)


@bounded
@given(spoil=spoilings(NAMES, timestamp="webhook-timestamp"), again=spoilings(NAMES, timestamp="webhook-timestamp"))
def test_our_verdict_on_a_spoilt_request_is_that_of_both_libraries(spoil: Spoiling, again: Spoiling) -> None:
    sent = again(spoil(pypi_signs(BODY)))
    ours = accepts(standard, sent, keys=[KEY])
    python, node = (
        pypi_accepts(sent, keys=[KEY]),
        node_accepts("standard", sent, secrets=[KEY], now_seconds=NOW_SECONDS),
    )
    if laxer_in_python_or_node(sent):
        assert not ours
    else:
        assert ours == python == node


@bounded
@given(spoil=spoilings(NAMES, timestamp="webhook-timestamp"))
def test_our_verdict_on_a_spoilt_ed25519_request_is_that_of_cryptography(spoil: Spoiling) -> None:
    sent = spoil(ed25519_signed(BODY))
    headers = sent.lowered()
    entries = [entry.partition(",") for entry in headers.get("webhook-signature", "").split(" ")]
    assume(not laxer_in_python_or_node(sent))
    message = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + sent.body
    signatures = [base64.b64decode(encoded) for version, _, encoded in entries if version == "v1a"]
    fresh = NOW_SECONDS - int(headers["webhook-timestamp"]) <= 300
    assert accepts(standard, sent, keys=[PUBLIC_KEY]) == (fresh and any(_holds(one, message) for one in signatures))


def _holds(signature: bytes, message: bytes) -> bool:
    try:
        PRIVATE.public_key().verify(signature, message)
    except InvalidSignature:
        return False
    return True


# --- where the libraries are laxer, or crash ---


def resigned(timestamp: str, *, signed_as: int = NOW_SECONDS) -> Sent:
    """A timestamp spelt otherwise, over a signature of the number that the libraries read in it."""
    return pypi_signs(BODY, seconds=signed_as).with_header("webhook-timestamp", timestamp)


@pytest.mark.parametrize(
    "timestamp",
    [f" {NOW_SECONDS}", "1_767_225_600", f"{NOW_SECONDS}.0", "1.7672256e9", f"+{NOW_SECONDS}", f"0{NOW_SECONDS}"],
)
def test_odd_spellings_of_the_time_pass_in_python_and_are_malformed_here(timestamp: str) -> None:
    sent = resigned(timestamp)
    assert pypi_accepts(sent, keys=[KEY])
    assert refusal(standard, sent, keys=[KEY]) is Reason.MALFORMED


def test_letters_after_the_time_pass_in_node_and_are_malformed_here() -> None:
    sent = resigned(f"{NOW_SECONDS}abc")
    assert node_accepts("standard", sent, secrets=[KEY], now_seconds=NOW_SECONDS)
    assert refusal(standard, sent, keys=[KEY]) is Reason.MALFORMED


def test_a_time_one_to_five_minutes_ahead_passes_in_the_libraries_and_not_here() -> None:
    sent = pypi_signs(BODY, seconds=NOW_SECONDS + 61)
    assert pypi_accepts(sent, keys=[KEY])
    assert refusal(standard, sent, keys=[KEY]) is Reason.IN_THE_FUTURE


def test_junk_inside_base64_passes_in_python_and_is_malformed_here() -> None:
    sent = pypi_signs(BODY)
    signature = sent.headers["webhook-signature"]
    sent = sent.with_header("webhook-signature", f"{signature[:10]}~{signature[10:]}")
    assert pypi_accepts(sent, keys=[KEY])
    assert refusal(standard, sent, keys=[KEY]) is Reason.MALFORMED


def test_base64_with_unused_bits_set_passes_in_python_and_is_malformed_here() -> None:
    sent = pypi_signs(BODY)
    signature = sent.headers["webhook-signature"]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = alphabet[alphabet.index(signature[-2]) ^ 1]  # 32 bytes leave two bits of the last character unused
    sent = sent.with_header("webhook-signature", f"{signature[:-2]}{last}=")
    assert pypi_accepts(sent, keys=[KEY])
    assert refusal(standard, sent, keys=[KEY]) is Reason.MALFORMED


@pytest.mark.parametrize(
    "spoil",
    [
        lambda signature: signature.replace(",", ""),
        lambda signature: signature.replace("v1,", "v1,x,"),
        lambda signature: f"{signature}  {signature}"[len(signature) + 1 :],
    ],
)
def test_headers_that_crash_the_python_library_are_malformed_here(spoil: Callable[[str], str]) -> None:
    sent = pypi_signs(BODY)
    sent = sent.with_header("webhook-signature", spoil(sent.headers["webhook-signature"]))
    with pytest.raises(ValueError, match="unpack"):
        standardwebhooks.Webhook(KEY).verify(sent.body, sent.lowered())
    assert refusal(standard, sent, keys=[KEY]) is Reason.MALFORMED


def test_a_signed_body_that_is_not_utf8_crashes_the_library_and_is_only_an_invalid_body_here() -> None:
    sent = signed(standard, b'{"a":"\xff"}', key=KEY)
    with pytest.raises(UnicodeDecodeError):
        standardwebhooks.Webhook(KEY).verify(sent.body, sent.lowered())
    assert accepts(standard, sent, keys=[KEY])
    with pytest.raises(BodyInvalid):
        event_of(standard, sent)


def test_more_than_five_signatures_pass_in_the_libraries_and_are_malformed_here() -> None:
    sent = pypi_signs(BODY)
    other = pypi_signs(BODY, key=OLD_KEY).headers["webhook-signature"]
    many = " ".join([*[other] * 5, sent.headers["webhook-signature"]])
    sent = sent.with_header("webhook-signature", many)
    assert pypi_accepts(sent, keys=[KEY])
    assert refusal(standard, sent, keys=[KEY]) is Reason.MALFORMED


# --- the edges ---


@pytest.mark.parametrize(
    ("age_seconds", "reason"), [(300, None), (301, Reason.TOO_OLD), (-60, None), (-61, Reason.IN_THE_FUTURE)]
)
def test_the_window_is_300_seconds_back_and_60_ahead(age_seconds: int, reason: Reason | None) -> None:
    sent = pypi_signs(BODY, seconds=NOW_SECONDS - age_seconds)
    if reason is None:
        assert accepts(standard, sent, keys=[KEY])
    else:
        assert refusal(standard, sent, keys=[KEY]) is reason


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_header_is_named(name: str) -> None:
    sent = pypi_signs(BODY).without_header(name)
    assert refusal(standard, sent, keys=[KEY]) is Reason.MISSING_HEADER


def test_a_stale_request_with_a_wrong_signature_says_wrong_signature() -> None:
    sent = pypi_signs(BODY, key=OLD_KEY, seconds=NOW_SECONDS - 4_000)
    assert refusal(standard, sent, keys=[KEY]) is Reason.WRONG_SIGNATURE


def test_while_a_secret_rotates_either_verifies_and_the_one_that_matched_is_told() -> None:
    for key in (KEY, OLD_KEY):
        matched = verified_by(standard, pypi_signs(BODY, key=key), keys=[KEY, OLD_KEY])
        assert matched is not None
        assert matched.value == key


def test_a_sender_that_signs_with_both_secrets_is_accepted_under_either() -> None:
    sent = pypi_signs(BODY)
    both = f"{pypi_signs(BODY, key=OLD_KEY).headers['webhook-signature']} {sent.headers['webhook-signature']}"
    sent = sent.with_header("webhook-signature", f"v9,future {both}")
    assert accepts(standard, sent, keys=[KEY])
    assert accepts(standard, sent, keys=[OLD_KEY])


def test_an_hmac_under_the_public_key_is_no_signature() -> None:
    forged = pypi_signs(BODY, key=PUBLIC_KEY.removeprefix("whpk_"))
    assert refusal(standard, forged, keys=[PUBLIC_KEY]) is Reason.WRONG_SIGNATURE


def test_a_signature_under_the_name_of_the_other_version_is_no_signature() -> None:
    hmac_as_v1a = pypi_signs(BODY)
    hmac_as_v1a = hmac_as_v1a.with_header(
        "webhook-signature", hmac_as_v1a.headers["webhook-signature"].replace("v1,", "v1a,")
    )
    assert refusal(standard, hmac_as_v1a, keys=[KEY, PUBLIC_KEY]) is Reason.WRONG_SIGNATURE
    ed25519_as_v1 = ed25519_signed(BODY)
    signature = ed25519_as_v1.headers["webhook-signature"].replace("v1a,", "v1,")
    ed25519_as_v1 = ed25519_as_v1.with_header("webhook-signature", signature)
    assert refusal(standard, ed25519_as_v1, keys=[KEY, PUBLIC_KEY]) is Reason.WRONG_SIGNATURE


def test_shared_and_public_keys_stand_side_by_side() -> None:
    assert accepts(standard, pypi_signs(BODY), keys=[PUBLIC_KEY, KEY])
    assert accepts(standard, ed25519_signed(BODY), keys=[PUBLIC_KEY, KEY])


def test_the_private_key_signs_and_verifies_and_the_public_one_only_verifies() -> None:
    sent = signed(standard, BODY, key=PRIVATE_KEY)
    assert accepts(standard, sent, keys=[PRIVATE_KEY])
    assert accepts(standard, sent, keys=[PUBLIC_KEY])
    with pytest.raises(ConfigurationError, match="whsk_"):
        signed(standard, BODY, key=PUBLIC_KEY)


def test_a_secret_without_padding_is_the_same_secret() -> None:
    unpadded = KEY.rstrip("=")
    assert unpadded != KEY
    standard.check_secret(unpadded)
    assert accepts(standard, pypi_signs(BODY), keys=[unpadded])
    assert pypi_accepts(pypi_signs(BODY), keys=[unpadded])


@pytest.mark.parametrize(
    "value",
    [
        "",
        "whsec_",
        "secret",
        "whsec_not base64",
        "whpk_AAAA",
        "whsk_AAAA",
        f"whpk_{base64.b64encode(bytes(64)).decode()}",
    ],
)
def test_a_malformed_secret_is_refused_with_what_a_right_one_looks_like(value: str) -> None:
    with pytest.raises(ConfigurationError, match="whsec_ and the base64"):
        standard.check_secret(value)


@pytest.mark.parametrize("value", [KEY, PUBLIC_KEY, PRIVATE_KEY, "whsec_plJ3nmyCDGBKInavdOK15jsl"])
def test_a_right_secret_is_taken_also_a_short_one(value: str) -> None:
    standard.check_secret(value)


def test_options_are_strict() -> None:
    assert standard.read_options({"ordering_key_path": "data.user.id"}).ordering_key_path == ("data", "user", "id")
    for wrong in ({"orderingKey": "data"}, {"ordering_key_path": 3}, {"ordering_key_path": "data..id"}):
        with pytest.raises(ConfigurationError):
            standard.read_options(wrong)


# --- events ---


def test_the_id_is_the_identity_and_a_retry_with_a_new_time_the_same_event() -> None:
    first = pypi_signs(BODY)
    second = pypi_signs(BODY, seconds=NOW_SECONDS + 30)
    assert event_of(standard, first) == event_of(standard, second)


def test_equal_bodies_under_two_ids_are_two_events() -> None:
    one, other = event_of(standard, pypi_signs(BODY)), event_of(standard, pypi_signs(BODY, message_id="msg_2"))
    assert one.identity_fields != other.identity_fields
    assert one.content_sha256 == other.content_sha256


def test_an_event_tells_its_type_time_and_ordering_key() -> None:
    event = event_of(standard, pypi_signs(BODY))
    assert (event.message_id, event.event_type, event.ordering_key) == ("msg_1", "user.created", "usr_1")
    assert event.occurred_us == (NOW_SECONDS - 60) * 1_000_000 + 123_456
    assert event.payload == BODY


def test_every_fixture_verifies_and_is_one_event() -> None:
    kinds = set()
    for body, _ in fixtures("standard"):
        sent = signed(standard, body, key=KEY)
        assert accepts(standard, sent, keys=[KEY])
        event = event_of(standard, sent)
        assert event.event_type == json.loads(body)["type"]
        assert event.occurred_us is not None
        kinds.add(event.kind)
    assert kinds == set(Kind) - {Kind.SENT, Kind.REJECTED, Kind.MESSAGE}


def test_a_body_that_is_no_object_is_invalid_and_a_text_unsupported() -> None:
    for body in (b"[]", b"1", b"", b"{", b"\xff"):
        with pytest.raises(BodyInvalid):
            event_of(standard, signed(standard, body, key=KEY))
    with pytest.raises(ContentTypeUnsupported):
        event_of(standard, signed(standard, BODY, key=KEY).with_header("content-type", "text/plain"))


def test_a_body_nested_too_deep_is_kept_as_an_event() -> None:
    event = event_of(standard, signed(standard, b'{"a":' * 100_000 + b"1" + b"}" * 100_000, key=KEY))
    assert event.event_type == "unknown"


@bounded
@given(sent=malformed(NAMES, near=[str(NOW_SECONDS), "v1,AAAA", "v1a,AAAA", "msg_1"]))
def test_no_request_raises_anything_but_the_adapters_errors(sent: Sent) -> None:
    never_raises_anything_else(standard, sent, keys=[KEY, PUBLIC_KEY])


@bounded
@given(spoil=spoilings(NAMES, timestamp="webhook-timestamp"))
def test_no_spoilt_request_raises_anything_but_the_adapters_errors(spoil: Spoiling) -> None:
    never_raises_anything_else(standard, spoil(pypi_signs(BODY)), keys=[KEY, PUBLIC_KEY])


def test_an_old_recording_is_fresh_at_its_own_time() -> None:
    long_ago = NOW_US - timedelta(days=400) // timedelta(microseconds=1)
    assert accepts(standard, signed(standard, BODY, key=KEY, now_us=long_ago), keys=[KEY], now_us=long_ago)
