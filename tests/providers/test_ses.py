"""Amazon SES through SNS against the npm and the PyPI validator; recipients, formats and the traps of identities."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, HashAlgorithm
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st
from sns_message_validator import SNSMessageValidator

from autocom.kernel.errors import ConfigurationError
from ingestion.providers import ses, sns_envelope
from ingestion.providers.adapter import BodyInvalid, ContentTypeUnsupported, IdentifiedEvent, Kind, Reason
from tests.providers.oracles.node import node_accepts
from tests.providers.requests import (
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

TOPIC = "arn:aws:sns:us-east-1:123456789012:ses-events"
OPTIONS = ses.read_options({"topic_arns": [TOPIC]})
NAMES = ses.SIGNED_HEADERS
Fields = dict[str, Any]


def certificate(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.example")])
    builder = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=key.public_key(),
        serial_number=1,
        not_valid_before=datetime(2025, 1, 1, tzinfo=UTC),
        not_valid_after=datetime(2025, 2, 1, tzinfo=UTC),  # over: dates are set with the secret, not read here
    )
    return builder.sign(key, SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def private_pem(key: rsa.RSAPrivateKey) -> str:
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain).decode()


PRIVATE = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
CERTIFICATE, OTHER_CERTIFICATE = certificate(PRIVATE), certificate(OTHER)
SIGNING = CERTIFICATE + private_pem(PRIVATE)


def notification(message: object, **changes: object) -> Fields:
    return {
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": TOPIC,
        "Subject": "Amazon SES Email Event Notification",
        "Message": message if isinstance(message, str) else json.dumps(message),
        "Timestamp": "2025-12-31T23:59:50.123Z",
        "SignatureVersion": "2",
        "SigningCertURL": "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-1.pem",
        "UnsubscribeURL": "https://sns.us-east-1.amazonaws.com/?Action=Unsubscribe",
        **changes,
    }


def control(kind: str, **changes: object) -> Fields:
    fields = notification("You have chosen to subscribe.\nTo confirm, visit the SubscribeURL.", Type=kind)
    del fields["Subject"]
    return {
        **fields,
        "Token": "2336412f37",
        "SubscribeURL": "https://sns.us-east-1.amazonaws.com/?Action=Confirm",
        **changes,
    }


def vendor_text(fields: Fields) -> str:
    """The string to sign as Amazon's guide spells it."""
    if fields["Type"] == "Notification":
        names = ["Message", "MessageId", *(["Subject"] if fields.get("Subject") is not None else []), "Timestamp"]
        names += ["TopicArn", "Type"]
    else:
        names = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    return "".join(f"{name}\n{fields[name]}\n" for name in names)


def vendor_signs(fields: Fields, *, key: rsa.RSAPrivateKey = PRIVATE, text: str | None = None) -> Sent:
    digest: HashAlgorithm = SHA1() if fields["SignatureVersion"] == "1" else SHA256()  # noqa: S303
    signature = key.sign((text or vendor_text(fields)).encode(), PKCS1v15(), digest)
    return wire({**fields, "Signature": base64.b64encode(signature).decode()})


def wire(fields: Fields) -> Sent:
    headers = {"Content-Type": "text/plain; charset=UTF-8"}
    headers |= {"x-amz-sns-message-type": str(fields.get("Type")), "x-amz-sns-message-id": str(fields.get("MessageId"))}
    return Sent(headers=headers, body=json.dumps(fields, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def changed(sent: Sent, name: str, change: Callable[[Any], Any]) -> Sent:
    fields = json.loads(sent.body)
    fields[name] = change(fields.get(name, ""))
    if fields[name] is MISSING:
        del fields[name]
    return Sent(headers=sent.headers, body=json.dumps(fields).encode()) if name not in HEADED else wire(fields)


def set_to(value: object) -> Callable[[Any], Any]:
    return lambda _: value


MISSING = object()
HEADED = ("Type", "MessageId")


def node(sent: Sent, *, pem: str = CERTIFICATE) -> bool:
    return node_accepts("sns", sent, secrets=[pem])


def pypi(sent: Sent, *, pem: str = CERTIFICATE) -> bool:
    """The library's verdict; its exceptions are refusals. The certificate comes from here, not from Amazon."""
    validator = SNSMessageValidator()
    validator._cert_session = SimpleNamespace(get=lambda _url: SimpleNamespace(content=pem.encode()))
    try:
        validator.validate_message(json.loads(sent.body))
    except Exception:  # noqa: BLE001  (AttributeError and binascii.Error among them)
        return False
    return True


def ours(sent: Sent) -> bool:
    return accepts(ses, sent, keys=[CERTIFICATE], options=OPTIONS)


# --- against the libraries ---

MAIL = {"messageId": "0100018f", "timestamp": "2025-12-31T23:59:00.000Z", "destination": ["ada@example.com"]}
SEND: Fields = {"eventType": "Send", "mail": MAIL, "send": {}}

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_fields = st.sampled_from(
    [
        *("Message", "MessageId", "Subject", "TopicArn", "Type", "Signature", "SigningCertURL", "SignatureVersion"),
        *("SubscribeURL", "Token", "UnsubscribeURL", "Other"),
    ]
)
_changes = st.sampled_from(
    [
        lambda value: value,
        lambda value: value + "x",
        lambda value: value[:-1],
        lambda value: value.upper(),
        lambda _: "",
        lambda _: "1",
        lambda _: "3",
        lambda _: MISSING,
        lambda _: "Notification",
        lambda _: "SubscriptionConfirmation",
        lambda _: "https://sns.us-east-1.amazonaws.com.attacker.example/x.pem",
        lambda _: "https://sns.eu-west-1.amazonaws.com/x.pem",
        lambda _: "https://sns.cn-north-1.amazonaws.com.cn/x.pem",
        lambda _: "http://sns.us-east-1.amazonaws.com/x.pem",
        lambda _: "https://sns.us-east-1.amazonaws.com/x.txt",
        lambda _: "https://sns.us-east-1.amazonaws.com:8443/x.pem",
        lambda _: "https://sns.us.amazonaws.com/x.pem",
    ]
)


@bounded
@given(message=texts, subject=st.none() | texts, version=st.sampled_from(["1", "2"]))
def test_every_notification_is_judged_alike_by_us_and_node(message: str, subject: str | None, version: str) -> None:
    sent = vendor_signs(notification(message, Subject=subject, SignatureVersion=version))
    assert ours(sent)
    assert node(sent)
    assert pypi(sent) == (version == "1" and subject != "")  # it leaves an empty subject out of what is signed


@bounded
@given(
    key=st.sampled_from([PRIVATE, OTHER]),
    name=_fields,
    change=_changes,
    kind=st.sampled_from(["Notification", "SubscriptionConfirmation"]),
)
def test_a_changed_message_gets_nodes_verdict(
    key: rsa.RSAPrivateKey, name: str, change: Callable[[str], Any], kind: str
) -> None:
    fields = notification(SEND) if kind == "Notification" else control(kind)
    sent = changed(vendor_signs(fields, key=key), name, change)
    laxer = name in ("Signature", "Token")  # it reads base64 with junk in it, and overlooks a notification's token
    assert ours(sent) == node(sent) or (laxer and not ours(sent))


@bounded
@given(
    key=st.sampled_from([PRIVATE, OTHER]),
    name=_fields,
    change=_changes,
    kind=st.sampled_from(list(sns_envelope.MessageType)),
)
def test_a_changed_message_of_version_1_gets_pypis_verdict(
    key: rsa.RSAPrivateKey, name: str, change: Callable[[str], Any], kind: str
) -> None:
    fields = notification(SEND, SignatureVersion="1") if kind == "Notification" else control(kind, SignatureVersion="1")
    sent = changed(vendor_signs(fields, key=key), name, change)
    if name == "SigningCertURL":  # it takes any path and no host in China: each has a test of its own
        return
    laxer = name in ("Signature", "SubscribeURL", "Token") or (name == "Subject" and "Subject" not in fields)
    assert ours(sent) == pypi(sent) or (laxer and not ours(sent))


@bounded
@given(message=json_values)
def test_what_we_sign_both_accept(message: object) -> None:
    sent = signed(ses, json.dumps({"eventType": "Send", "x": message}).encode(), key=SIGNING, options=OPTIONS)
    assert ours(sent)
    assert node(sent)


# --- where the libraries are stricter, laxer, or break ---


def test_an_unsubscribe_confirmation_passes_here_and_in_pypi_while_node_forgets_its_token() -> None:
    sent = vendor_signs(control("UnsubscribeConfirmation", SignatureVersion="1"))
    assert ours(sent)
    assert pypi(sent)
    assert not node(sent)


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("kind", ["SubscriptionConfirmation", "UnsubscribeConfirmation"])
def test_the_token_of_a_confirmation_is_signed(kind: str, version: str) -> None:
    sent = vendor_signs(control(kind, SignatureVersion=version))
    assert ours(sent)
    assert not ours(changed(sent, "Token", lambda _: "another"))
    assert not ours(changed(sent, "SubscribeURL", lambda _: "https://attacker.example/"))


def test_credentials_or_a_query_in_the_certificates_url_pass_in_node_and_not_here() -> None:
    for url in (
        "https://user@sns.us-east-1.amazonaws.com/x.pem",
        "https://sns.us-east-1.amazonaws.com/x?y=.pem",
        "https://sns.US-EAST-1.amazonaws.com/x.pem",
    ):
        sent = vendor_signs(notification(SEND, SigningCertURL=url))
        assert node(sent)
        assert refusal(ses, sent, keys=[CERTIFICATE], options=OPTIONS) is Reason.NOT_ALLOWED


def test_junk_in_base64_passes_in_both_libraries_and_not_here() -> None:
    sent = changed(
        vendor_signs(notification(SEND, SignatureVersion="1")), "Signature", lambda value: f"{value[:9]}~{value[9:]}"
    )
    assert node(sent)
    assert pypi(sent)
    assert refusal(ses, sent, keys=[CERTIFICATE], options=OPTIONS) is Reason.MALFORMED


@pytest.mark.parametrize("path", ["x.txt", "../x.pem\n", "", "x.pem?x"])
def test_a_certificates_url_that_pypi_takes_is_refused_here_when_it_names_no_pem(path: str) -> None:
    sent = vendor_signs(
        notification(SEND, SignatureVersion="1", SigningCertURL=f"https://sns.us-east-1.amazonaws.com/{path}")
    )
    assert pypi(sent)
    assert refusal(ses, sent, keys=[CERTIFICATE], options=OPTIONS) is Reason.NOT_ALLOWED


def test_a_certificate_of_amazons_hosts_in_china_passes_here_and_in_node_and_not_in_pypi() -> None:
    url = "https://sns.cn-north-1.amazonaws.com.cn/SimpleNotificationService-1.pem"
    sent = vendor_signs(notification(SEND, SignatureVersion="1", SigningCertURL=url))
    assert ours(sent)
    assert node(sent)
    assert not pypi(sent)


def test_a_number_where_a_text_belongs_passes_in_node_and_not_here() -> None:
    fields = notification(SEND, MessageId=7)
    assert node(vendor_signs(fields))
    assert refusal(ses, vendor_signs(fields), keys=[CERTIFICATE], options=OPTIONS) is Reason.MALFORMED


def test_half_a_surrogate_pair_is_replaced_in_node_and_malformed_here() -> None:
    fields = notification(SEND)
    sent = vendor_signs(fields, text=vendor_text({**fields, "Subject": "\ufffd"}))
    sent = Sent(headers=sent.headers, body=sent.body.replace(fields["Subject"].encode(), b"\\ud800"))
    assert node(sent)
    assert refusal(ses, sent, keys=[CERTIFICATE], options=OPTIONS) is Reason.MALFORMED


def test_a_version_1_signature_does_not_pass_as_version_2_and_the_reverse() -> None:
    for version, other in (("1", "2"), ("2", "1")):
        sent = vendor_signs(notification(SEND, SignatureVersion=version))
        assert not ours(changed(sent, "SignatureVersion", set_to(other)))


def test_an_unsigned_field_that_is_signed_in_other_types_is_refused() -> None:
    for name in ("Token", "SubscribeURL"):
        assert not ours(changed(vendor_signs(notification(SEND)), name, lambda _: "https://attacker.example/"))
    assert not ours(changed(vendor_signs(control("SubscriptionConfirmation")), "Subject", lambda _: "x"))


# --- the edges ---


def test_only_our_topics_are_believed_even_under_a_right_signature() -> None:
    sent = vendor_signs(notification(SEND, TopicArn=TOPIC + "-of-somebody-else"))
    assert node(sent)
    assert refusal(ses, sent, keys=[CERTIFICATE], options=OPTIONS) is Reason.NOT_ALLOWED


@pytest.mark.parametrize("name", NAMES)
def test_the_headers_must_be_there_and_equal_the_body(name: str) -> None:
    sent = vendor_signs(notification(SEND))
    assert refusal(ses, sent.without_header(name), keys=[CERTIFICATE], options=OPTIONS) is Reason.MISSING_HEADER
    assert refusal(ses, sent.with_header(name, "x"), keys=[CERTIFICATE], options=OPTIONS) is Reason.MALFORMED


@pytest.mark.parametrize(
    ("age", "reason"),
    [
        (timedelta(minutes=70), None),
        (timedelta(minutes=70, seconds=1), Reason.TOO_OLD),
        (timedelta(seconds=-60), None),
        (timedelta(seconds=-61), Reason.IN_THE_FUTURE),
    ],
)
def test_the_window_holds_the_last_retry_of_the_longest_delivery_policy(age: timedelta, reason: Reason | None) -> None:
    moment = NOW_US - age // timedelta(microseconds=1)
    sent = vendor_signs(notification(SEND, Timestamp=sns_envelope.sns_time(moment)))
    if reason is None:
        assert accepts(ses, sent, keys=[CERTIFICATE], options=OPTIONS)
    else:
        assert refusal(ses, sent, keys=[CERTIFICATE], options=OPTIONS) is reason


@pytest.mark.parametrize(
    "moment", ["", "2025-12-31", "2025-12-31T23:59:50Z", "2025-13-31T23:59:50.123Z", "2025-12-31T23:59:50.123+00:00"]
)
def test_a_time_of_another_form_is_malformed(moment: str) -> None:
    sent = vendor_signs(notification(SEND, Timestamp=moment))
    assert refusal(ses, sent, keys=[CERTIFICATE], options=OPTIONS) is Reason.MALFORMED


def test_while_a_certificate_changes_either_verifies_and_the_one_that_matched_is_told() -> None:
    for key, pem in ((PRIVATE, CERTIFICATE), (OTHER, OTHER_CERTIFICATE)):
        sent = vendor_signs(notification(SEND), key=key)
        assert verified_by(ses, sent, keys=[CERTIFICATE, OTHER_CERTIFICATE], options=OPTIONS) == secret(pem)


def test_a_certificate_of_the_options_verifies_without_a_secret() -> None:
    options = ses.read_options({"topic_arns": TOPIC, "certificates": [OTHER_CERTIFICATE]})
    assert verified_by(ses, vendor_signs(notification(SEND), key=OTHER), keys=[], options=options) is None
    assert refusal(ses, vendor_signs(notification(SEND)), keys=[], options=options) is Reason.UNKNOWN_CERTIFICATE
    assert refusal(ses, vendor_signs(notification(SEND)), keys=[], options=OPTIONS) is Reason.UNKNOWN_CERTIFICATE


def test_no_certificate_is_ever_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(*_: object, **__: object) -> None:
        raise AssertionError("something was fetched")

    monkeypatch.setattr("socket.socket.connect", fetch)
    monkeypatch.setattr("socket.getaddrinfo", fetch)
    assert ours(vendor_signs(notification(SEND)))
    assert not ours(vendor_signs(notification(SEND), key=OTHER))
    assert len(events_of(ses, vendor_signs(control("SubscriptionConfirmation")), options=OPTIONS)) == 1


@pytest.mark.parametrize(
    "value",
    ["", "secret", CERTIFICATE[:200], private_pem(PRIVATE), certificate(ec.generate_private_key(ec.SECP256R1()))],
)
def test_what_is_no_rsa_certificate_is_refused_with_what_a_right_one_looks_like(value: str) -> None:
    with pytest.raises(ConfigurationError, match="the PEM of the certificate"):
        ses.check_secret(value)


def test_a_private_key_must_be_the_certificates_own() -> None:
    ses.check_secret(CERTIFICATE)
    ses.check_secret(SIGNING)
    with pytest.raises(ConfigurationError, match="not the certificate's"):
        ses.check_secret(CERTIFICATE + private_pem(OTHER))
    with pytest.raises(ConfigurationError, match="only Amazon can sign"):
        signed(ses, b"{}", key=CERTIFICATE, options=OPTIONS)


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"topic_arns": []},
        {"topic_arns": ["my-topic"]},
        {"topic_arns": [TOPIC, 7]},
        {"topic_arns": {"a": 1}},
        {"topic_arns": [TOPIC], "certificates": ["x"]},
        {"topic_arns": [TOPIC], "region": "eu"},
    ],
)
def test_options_are_strict_and_ask_for_the_topics(raw: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match=r"topic_arns|certificate"):
        ses.read_options(raw)
    assert ses.read_options({"topic_arns": [TOPIC, TOPIC.replace("aws", "aws-cn", 1) + ".fifo"]}).topic_arns


# --- events ---


def told(message: object, **envelope: object) -> list[IdentifiedEvent]:
    return list(events_of(ses, vendor_signs(notification(message, **envelope)), options=OPTIONS))


def bounce(*addresses: str, **changes: object) -> Fields:
    detail: Fields = {
        "bounceType": "Permanent",
        "bounceSubType": "General",
        "timestamp": "2025-12-31T23:59:10.000Z",
        "feedbackId": "0100018f-1",
        "bouncedRecipients": [{"emailAddress": each, "status": "5.1.1", "action": "failed"} for each in addresses],
        **changes,
    }
    return {"eventType": "Bounce", "mail": {**MAIL, "destination": list(addresses)}, "bounce": detail}


def test_one_bounce_for_many_recipients_is_an_event_for_each() -> None:
    found = told(bounce("ada@example.com", "bob@example.net", "cyd@example.org"))
    assert len(identities(found)) == 3
    assert len({event.ordering_key for event in found}) == 3
    for event, address in zip(found, ["ada@example.com", "bob@example.net", "cyd@example.org"], strict=True):
        payload = json.loads(event.payload)
        assert [each["emailAddress"] for each in payload["bounce"]["bouncedRecipients"]] == [address]
        assert address.partition("@")[0] not in event.ordering_key + event.message_id


def test_one_bounce_in_two_groupings_of_its_recipients_is_the_same_events() -> None:
    together = told(bounce("ada@example.com", "bob@example.net"))
    apart = told(bounce("bob@example.net")) + told(bounce("ada@example.com"))
    assert identities(together) == identities(apart)
    assert {each.content_sha256 for each in together} == {each.content_sha256 for each in apart}


def test_a_notification_and_an_event_publication_of_one_bounce_are_one_event() -> None:
    published = {**bounce("ada@example.com", reportingMTA="dsn; a"), "mail": {**MAIL, "tags": {"x": ["1"]}}}
    notified = bounce("ada@example.com", remoteMtaIp="192.0.2.1", feedbackId="0100018f-2")
    notified["notificationType"] = notified.pop("eventType")
    (one,), (other,) = told(published, MessageId="1"), told(notified, MessageId="2")
    assert one.identity_fields == other.identity_fields
    assert one.content_sha256 == other.content_sha256
    assert one.message_id == other.message_id


def test_a_second_bounce_of_one_recipient_at_another_time_is_another_event() -> None:
    assert (
        len(
            identities(
                told(bounce("a@example.com")) + told(bounce("a@example.com", timestamp="2026-01-01T00:00:00.000Z"))
            )
        )
        == 2
    )


def test_a_bounce_that_says_something_else_is_another_content_of_the_same_identity() -> None:
    (one,), (other,) = told(bounce("a@example.com")), told(bounce("a@example.com", bounceType="Transient"))
    assert one.identity_fields == other.identity_fields
    assert one.content_sha256 != other.content_sha256


def test_repeated_opens_and_clicks_are_events_of_their_own() -> None:
    def click(link: str, moment: str) -> Fields:
        return {"eventType": "Click", "mail": MAIL, "click": {"link": link, "timestamp": f"2025-12-31T23:59:{moment}Z"}}

    def opened(moment: str) -> Fields:
        return {"eventType": "Open", "mail": MAIL, "open": {"timestamp": f"2025-12-31T23:59:{moment}Z"}}

    sent = [click("https://example.com/1", "10.000"), click("https://example.com/2", "10.000")]
    sent += [click("https://example.com/1", "10.001"), opened("10.000"), opened("10.001")]
    found = [event for message in sent for event in told(message)]
    assert len(identities(found)) == 5
    assert {event.kind for event in found} == {Kind.CLICKED, Kind.OPENED}
    assert len({event.ordering_key for event in found}) == 1


def test_an_open_of_a_message_to_one_recipient_is_ordered_with_its_delivery() -> None:
    delivery = {"timestamp": "2025-12-31T23:59:05.000Z", "recipients": ["ada@example.com"], "smtpResponse": "250 ok"}
    (delivered,) = told({"eventType": "Delivery", "mail": MAIL, "delivery": delivery})
    (opened,) = told({"eventType": "Open", "mail": MAIL, "open": {"timestamp": "2025-12-31T23:59:06.000Z"}})
    assert delivered.ordering_key == opened.ordering_key


def test_the_time_of_an_event_is_that_of_the_event_and_not_of_the_mail() -> None:
    assert told(bounce("a@example.com"))[0].occurred_us == NOW_US - 50_000_000
    assert told(SEND)[0].occurred_us == NOW_US - 60_000_000


def test_a_retry_of_sns_is_the_same_event_and_so_is_a_message_in_another_envelope() -> None:
    assert told(SEND) == told(SEND, MessageId="another", Timestamp="2025-12-31T23:59:59.000Z", Subject=None)


def test_a_message_without_its_list_of_recipients_is_kept_as_one_event() -> None:
    odd: list[object] = [None, [], "ada", {}, [{}] * 4_097]
    for recipients in odd:
        (event,) = told(bounce(bouncedRecipients=recipients))
        assert event.event_type == "Bounce"
    (event,) = told({"eventType": "Bounce"})
    (other,) = told({"eventType": "Bounce", "bounce": 1})
    assert event.identity_fields != other.identity_fields


def test_recipients_of_any_form_are_each_an_event() -> None:
    assert len(told(bounce(bouncedRecipients=[{}, 1, None, "x", {"emailAddress": 1}]))) == 5


@pytest.mark.parametrize("kind", ["SubscriptionConfirmation", "UnsubscribeConfirmation"])
def test_a_confirmation_is_stored_for_an_operator_and_answered_like_any_event(kind: str) -> None:
    sent = vendor_signs(control(kind))
    assert ses.handshake(sent.delivery(), options=OPTIONS) is None
    event = event_of(ses, sent, options=OPTIONS)
    assert (event.event_type, event.ordering_key) == (kind, TOPIC)
    assert json.loads(event.payload)["SubscribeURL"]


@pytest.mark.parametrize(
    "message", ["Successfully validated SNS topic for Amazon SES event publishing.", "", "[]", "{}", "1"]
)
def test_a_notification_that_is_no_event_of_ses_is_kept_under_snss_own_id(message: str) -> None:
    (event,) = told(message)
    assert (event.event_type, event.message_id) == ("Notification", "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324")


def test_bodies_of_no_use_are_invalid_or_unsupported() -> None:
    text = {"Content-Type": "text/plain; charset=UTF-8"}
    for body in (b"", b"{}", b"[]", b"\xff", b"[" * 100_000):
        with pytest.raises(BodyInvalid):
            events_of(ses, Sent(headers=text, body=body), options=OPTIONS)
    with pytest.raises(ContentTypeUnsupported):
        events_of(ses, vendor_signs(notification(SEND)).with_header("Content-Type", "application/xml"), options=OPTIONS)


@pytest.mark.parametrize("depth", [900, 5_000, 9_990, 100_000])
def test_a_message_nested_too_deep_is_kept_as_an_event(depth: int) -> None:
    (event,) = told('{"eventType":"Open","open":' + "[" * depth + "]" * depth + "}")
    assert event.payload


def test_every_fixture_is_signed_verified_and_has_events_of_its_own() -> None:
    found: list[IdentifiedEvent] = []
    for body, _ in fixtures("ses"):
        sent = signed(ses, body, key=SIGNING, options=OPTIONS)
        assert ours(sent)
        assert node(sent) or b"UnsubscribeConfirmation" in body
        found += events_of(ses, sent, options=OPTIONS)
    assert len(identities(found)) == len(found) >= 15
    assert {event.kind for event in found} == set(Kind) - {Kind.PAYMENT}
    assert all(event.occurred_us for event in found)


@bounded
@given(sent=malformed(NAMES, near=["Notification", "22b80b92"]))
def test_no_request_raises_anything_but_the_adapters_errors(sent: Sent) -> None:
    never_raises_anything_else(ses, sent, keys=[CERTIFICATE], options=OPTIONS)


@bounded
@given(name=st.sampled_from(list(notification(""))), value=json_values)
def test_no_envelope_of_strange_values_raises_anything_else(name: str, value: object) -> None:
    fields = {**notification(SEND), "Signature": "AAAA", name: value}
    never_raises_anything_else(ses, wire(fields), keys=[CERTIFICATE], options=OPTIONS)


@bounded
@given(
    kind=st.sampled_from(["Bounce", "Click", "Rendering Failure", "Send", "", "New Thing"]),
    parts=st.dictionaries(st.sampled_from(["mail", "bounce", "click", "failure", "new Thing"]), json_values),
)
def test_no_event_of_known_fields_and_strange_values_is_dropped(kind: str, parts: dict[str, object]) -> None:
    assert told({"eventType": kind, **parts})
