"""`manage.py provider verify-stored`: for every scheme, over deliveries that were really accepted and committed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command

from autocom.kernel.digest import sha256
from autocom.kernel.ids import new_request_id
from ingestion.models import Delivery, Event, Provider, ProviderSecret
from ingestion.providers.adapter import SIGNED_URL, VERIFIED_BY
from ingestion.secret_box import fingerprint_of
from tests.support.ageing import age
from tests.support.lanes import LaneKit
from tests.support.providers import KINDS, Posted, drain_all, forget_providers, stored_provider
from tests.support.senders import event_body, signed_headers

pytestmark = pytest.mark.django_db(transaction=True)

CREDENTIAL_ONLY = ("brevo", "postmark")
SIGNING = sorted(set(KINDS) - set(CREDENTIAL_ONLY))


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield from forget_providers()


@dataclass(frozen=True, slots=True)
class Told:
    status: int
    verdict: dict[str, Any]

    @property
    def why(self) -> str:
        return str(self.verdict["why"])


type Verify = Callable[[object], Told]


@pytest.fixture
def verify(capsys: pytest.CaptureFixture[str]) -> Verify:
    def ask(request_id: object) -> Told:
        with pytest.raises(SystemExit) as ended:
            call_command("provider", "verify-stored", str(request_id), "--json")
        return Told(int(ended.value.code or 0), json.loads(capsys.readouterr().out or "{}"))

    return ask


def committed(lanes: LaneKit, posted: Posted) -> Delivery:
    assert posted.status in (200, 202), posted
    drain_all(lanes)
    return Delivery.objects.get(pk=posted.request_id)


def tampered(row: Delivery, **changes: Any) -> None:
    """As somebody who can write to the table leaves it; headers are JSON text."""
    if "headers" in changes:
        changes["headers"] = json.dumps(changes["headers"])
    Delivery.objects.filter(pk=row.pk).update(**changes)


def altered(body: bytes) -> bytes:
    """One word of what the event says, of the same length."""
    for word, other in ((b"ada", b"eve"), (b"delivered", b"redeliver"), (b"42", b"43"), (b"e", b"i")):
        if word in body:
            return body.replace(word, other, 1)
    raise AssertionError(body)


@pytest.mark.parametrize("scheme", SIGNING)
def test_a_committed_delivery_verifies_again_and_says_by_which_secret(
    lanes: LaneKit, verify: Verify, scheme: str
) -> None:
    provider = stored_provider(scheme)
    posted = provider.post(KINDS[scheme].body)
    row = committed(lanes, posted)
    assert bytes(row.body) == posted.body
    told = verify(row.pk)
    assert (told.status, told.verdict["outcome"]) == (0, "verified"), told
    assert told.verdict["secret"] == fingerprint_of(provider.secret.value)
    assert provider.secret.value not in json.dumps(told.verdict)


@pytest.mark.parametrize("scheme", ["generic", "sendgrid", "mandrill"])
def test_a_delivery_of_several_events_verifies_again_byte_for_byte(lanes: LaneKit, verify: Verify, scheme: str) -> None:
    bodies = {
        "generic": b'[ {"id": "a", "type": "x"},\r\n  {"id": "b", "type": "x"} ]\r\n',
        "sendgrid": b'[{"event":"open","email":"a@example.com","timestamp":1},\r\n{"event":"click","timestamp":2}]\r\n',
        "mandrill": b"mandrill_events=%5B%7B%22_id%22%3A%221%22%7D%2C+%7B%22_id%22%3A%222%22%7D%5D",
    }
    posted = stored_provider(scheme).post(bodies[scheme])
    row = committed(lanes, posted)
    assert (row.event_count, bytes(row.body)) == (2, posted.body)
    event_id = Event.objects.order_by("-pk").values_list("pk", flat=True)[0]
    assert verify(event_id).status == 0  # any of its events leads to the delivery


@pytest.mark.parametrize("scheme", SIGNING)
def test_a_changed_body_is_found_even_where_its_digest_was_changed_along(
    lanes: LaneKit, verify: Verify, scheme: str
) -> None:
    row = committed(lanes, stored_provider(scheme).post(KINDS[scheme].body))
    other = altered(bytes(row.body))
    tampered(row, body=other)
    told = verify(row.pk)
    assert told.status == 1
    assert "recorded with the delivery" in told.why
    tampered(row, body=other, body_sha256=sha256(other))
    told = verify(row.pk)
    assert told.status == 1
    assert "was committed with" in told.why


@pytest.mark.parametrize("scheme", sorted(set(SIGNING) - {"mailgun"}))  # Mailgun signs no event: only digests show it
def test_a_changed_body_is_found_by_the_signature_alone(lanes: LaneKit, verify: Verify, scheme: str) -> None:
    row = committed(lanes, stored_provider(scheme).post(KINDS[scheme].body))
    other = altered(bytes(row.body))
    tampered(row, body=other, body_sha256=sha256(other))
    Event.objects.update(body_sha256=sha256(other))
    told = verify(row.pk)
    assert (told.status, told.verdict["outcome"]) == (1, "not_verified"), told
    assert "digest" not in told.why


@pytest.mark.parametrize("scheme", sorted(set(SIGNING) - {"mailgun"}))  # Mailgun's signature is in the body
def test_changed_or_missing_headers_are_found(lanes: LaneKit, verify: Verify, scheme: str) -> None:
    row = committed(lanes, stored_provider(scheme).post(KINDS[scheme].body))
    signed = {name for name in row.headers if "signature" in name or "hmac" in name or name.startswith("x-amz")}
    assert signed
    for name in sorted(signed):
        text = row.headers[name]
        swapped = {"A": "B", "a": "b"}.get(text[-8], "A" if scheme in ("shopify", "twilio", "mandrill") else "a")
        changed = text[:-8] + swapped + text[-7:]
        tampered(row, headers={**row.headers, name: changed})
        assert verify(row.pk).status == 1, (name, text, changed)
        tampered(row, headers={key: value for key, value in row.headers.items() if key != name})
        told = verify(row.pk)
        assert told.status == 1, (name, told)


@pytest.mark.parametrize("scheme", ["twilio", "mandrill"])
def test_the_url_is_part_of_what_is_kept_where_it_is_signed(lanes: LaneKit, verify: Verify, scheme: str) -> None:
    provider = stored_provider(scheme)
    row = committed(lanes, provider.post(KINDS[scheme].body, query="?team=blue"))
    assert row.headers[SIGNED_URL] == f"{provider.url}?team=blue"
    assert verify(row.pk).status == 0
    tampered(row, headers={**row.headers, SIGNED_URL: f"{provider.url}?team=red"})
    assert verify(row.pk).status == 1
    tampered(row, headers={name: value for name, value in row.headers.items() if name != SIGNED_URL})
    assert verify(row.pk).status == 3


@pytest.mark.parametrize("scheme", CREDENTIAL_ONLY)
def test_where_a_credential_is_all_the_proof_the_answer_is_inconclusive_and_the_credential_is_not_stored(
    lanes: LaneKit, verify: Verify, scheme: str
) -> None:
    provider = stored_provider(scheme)
    row = committed(lanes, provider.post(KINDS[scheme].body))
    assert "authorization" not in row.headers
    told = verify(row.pk)
    assert told.status == 3
    assert "credential" in told.why


def test_the_default_provider_verifies_by_its_signature_and_says_that_the_bearer_key_is_not_checked(
    lanes: LaneKit, verify: Verify
) -> None:
    provider = stored_provider("generic")  # only to post; the path below is the default's
    body = event_body("evt-default")
    row = committed(lanes, provider.post_as_is(body, signed_headers(body), path="/webhooks"))
    assert row.provider == "default"
    told = verify(row.pk)
    assert (told.status, told.verdict["not_checked"]) == (0, "the credential, which is not kept")
    assert told.verdict["secret"] == fingerprint_of(settings.AUTOCOM.webhook_hmac_secret)
    assert settings.AUTOCOM.webhook_bearer_key not in json.dumps(row.headers)


def test_header_names_of_the_options_are_kept_and_verified(lanes: LaneKit, verify: Verify) -> None:
    options = {"signature_header": "X-Acme-Sign", "timestamp_header": "X-Acme-Time", "encoding": "base64", "prefix": ""}
    row = committed(lanes, stored_provider("generic", options=options).post(KINDS["generic"].body))
    assert {"x-acme-sign", "x-acme-time"} <= set(row.headers)
    assert verify(row.pk).status == 0
    tampered(row, headers={**row.headers, "x-acme-time": "1767225600"})
    assert verify(row.pk).status == 1


def test_a_secret_that_has_ended_since_still_verifies_what_it_signed(lanes: LaneKit, verify: Verify) -> None:
    provider = stored_provider("stripe")
    row = committed(lanes, provider.post(KINDS["stripe"].body))
    ProviderSecret.objects.update(not_after=row.received_at + timedelta(milliseconds=1))
    provider.add_secret("whsec_another_one_that_came_later_01")
    told = verify(row.pk)
    assert (told.status, told.verdict["secret"]) == (0, provider.secret.fingerprint)


def test_a_signature_by_a_secret_that_was_not_valid_then_does_not_verify(lanes: LaneKit, verify: Verify) -> None:
    provider = stored_provider("stripe")
    row = committed(lanes, provider.post(KINDS["stripe"].body))
    ProviderSecret.objects.update(not_after=row.received_at - timedelta(minutes=5))
    told = verify(row.pk)
    assert told.status == 1
    assert f"…{provider.secret.fingerprint}, which was not valid then" in told.why


def test_freshness_counts_from_receipt_and_not_from_today(lanes: LaneKit, verify: Verify) -> None:
    row = committed(lanes, stored_provider("stripe").post(KINDS["stripe"].body))
    ProviderSecret.objects.update(not_before=row.received_at - timedelta(days=90))
    tampered(row, received_at=row.received_at + timedelta(hours=1))
    told = verify(row.pk)
    assert told.status == 1
    assert "time of receipt" in told.why


def test_what_is_missing_is_inconclusive_and_never_a_failure(lanes: LaneKit, verify: Verify) -> None:
    provider = stored_provider("stripe")
    row = committed(lanes, provider.post(KINDS["stripe"].body))
    provider.add_secret("whsec_another_one_that_stays_here_01")
    ProviderSecret.objects.filter(fingerprint=provider.secret.fingerprint).update(ciphertext=b"of another SECRET_KEY")
    told = verify(row.pk)
    assert (told.status, "opens with no key" in told.why) == (3, True)
    ProviderSecret.objects.filter(fingerprint=provider.secret.fingerprint).delete()
    told = verify(row.pk)
    assert (told.status, "is not stored any more" in told.why) == (3, True)
    Provider.objects.update(scheme="gone")
    assert verify(row.pk).status == 3
    Provider.objects.all().delete()
    assert (verify(row.pk).status, "is not configured any more" in verify(row.pk).why) == (3, True)
    Delivery.objects.all().delete()
    told = verify(row.pk)
    assert (told.status, "not kept any more, only its events" in told.why) == (3, True)
    assert verify(new_request_id(now_us=1_767_225_600_000_000)).status == 3


def test_a_delivery_that_aged_out_is_said_to_have_and_when(lanes: LaneKit, verify: Verify) -> None:
    row = committed(lanes, stored_provider("stripe").post(KINDS["stripe"].body))
    for days in (31, 91):
        age(days=days)
        told = verify(row.pk)
        assert told.status == 3
        assert "no longer kept: they aged out on" in told.why


def test_the_delivery_of_a_duplicate_is_kept_and_verifies_too(lanes: LaneKit, verify: Verify) -> None:
    provider = stored_provider("stripe")
    provider.post(KINDS["stripe"].body)
    again = provider.post(KINDS["stripe"].body)
    assert again.answer["status"] == "duplicate"
    assert verify(committed(lanes, again).pk).status == 0


def test_what_can_be_no_id_is_wrong_usage(verify: Verify) -> None:
    assert verify("evt_1").status == 2


def test_whatever_stands_in_the_tables_is_answered_and_not_a_crash(lanes: LaneKit, verify: Verify) -> None:
    row = committed(lanes, stored_provider("generic").post(KINDS["generic"].body))
    oddities: list[object] = [
        *([], "text", 7, None),
        *({}, {VERIFIED_BY: 7}, {VERIFIED_BY: []}, {"x-webhook-signature": None, VERIFIED_BY: "x"}),
        *(
            {"x-webhook-signature": "sha256=" + "0" * 64, "x-webhook-timestamp": []},
            {SIGNED_URL: {}},
            {VERIFIED_BY: {"a": 1}},
        ),
    ]
    for headers in oddities:
        tampered(row, headers=headers)
        assert verify(row.pk).status in (1, 3)


def test_the_text_names_delivery_digest_and_secret(lanes: LaneKit, capsys: pytest.CaptureFixture[str]) -> None:
    provider = stored_provider("github")
    row = committed(lanes, provider.post(KINDS["github"].body))
    with pytest.raises(SystemExit):
        call_command("provider", "verify-stored", str(row.pk))
    text = capsys.readouterr().out
    assert f"request {row.pk}  provider github  received {row.received_at.astimezone(UTC):%Y-%m-%d}" in text
    assert f"SHA-256 {sha256(KINDS['github'].body).hex()}" in text
    assert f"VERIFIED: the signature holds over the {len(row.body):,} stored bytes, by secret …" in text
