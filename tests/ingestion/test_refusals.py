"""Diagnosis of refused deliveries: what is found, what is kept, and what a flood costs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
import redis
from django.conf import settings
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.test.utils import CaptureQueriesContext

from autocom.kernel.clock import ManualClock
from autocom.kernel.ids import new_request_id
from ingestion import metrics
from ingestion.buffer.store import LaneBuffer
from ingestion.housekeeping import Housekeeping
from ingestion.latency import LatencyRecorder
from ingestion.models import ProviderSecret, RefusalCount, RefusalSample
from ingestion.provider_book import BOOK
from ingestion.providers.adapter import InboundDelivery, Reason, Refused
from ingestion.receive import base_url
from ingestion.refusals import store
from ingestion.refusals.advice import BY_CAUSE, BY_REASON
from ingestion.refusals.causes import BODY_LIMIT_BYTES, Cause
from ingestion.refusals.record import BURST_COUNT, PENDING_LIMIT_COUNT, REFILL, RefusalRecorder
from ingestion.refusals.sample import BODY_START_BYTES, THE_SECRET_ITSELF
from tests.support.providers import KINDS, Posted, StoredProvider, forget_providers, stored_provider
from tests.support.senders import event_body, signed_headers

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield from forget_providers()


@pytest.fixture
def kit(buffer: LaneBuffer, monkeypatch: pytest.MonkeyPatch) -> Kit:
    """A recorder of this test's own at the receive view, and the housekeeping that empties it."""
    recorder = LatencyRecorder(process=f"test-{time.monotonic_ns()}")
    refusals = RefusalRecorder(recorder=recorder, clock=ManualClock())
    for module in ("ingestion.receive", "ingestion.housekeeping"):
        monkeypatch.setattr(f"{module}.REFUSALS", refusals)
    return Kit(refusals, Housekeeping(recorder=recorder, book=BOOK))


class Kit:
    def __init__(self, refusals: RefusalRecorder, housekeeping: Housekeeping) -> None:
        self.refusals = refusals
        self.housekeeping = housekeeping

    @property
    def clock(self) -> ManualClock:
        clock = self.refusals._clock
        assert isinstance(clock, ManualClock)
        return clock

    def sample(self, posted: Posted) -> RefusalSample:
        """Of the delivery that was just refused."""
        assert posted.answer["code"] == "unauthorized", posted
        self.housekeeping.turn()
        return RefusalSample.objects.latest("pk")


def spoiled(provider: StoredProvider, change: Callable[[bytes], bytes], body: bytes | None = None) -> Posted:
    """Signed by the sender, then changed by something on the way."""
    headers, sent = provider.signed(body or KINDS[provider.row.scheme].body)
    return provider.post_as_is(change(sent), headers)


NEAT = json.dumps({"id": "e-1", "type": "délivré", "price": 1.5}, ensure_ascii=False).encode()


@pytest.mark.parametrize("scheme", ["generic", "github", "stripe", "standard", "shopify", "slack"])
@pytest.mark.parametrize(
    ("body", "change", "cause"),
    [
        (b'{"id": "e-1",\n "type": "x"}', lambda body: body.replace(b"\n", b"\r\n"), Cause.LINE_ENDS),
        (b'{"id": "e-1",\r\n "type": "x"}', lambda body: body.replace(b"\r\n", b"\n"), Cause.LINE_ENDS),
        (b'{"id": "e-1"}\n', bytes.strip, Cause.LAST_LINE_END),
        (b'{"id": "e-1"}', lambda body: body + b"\n", Cause.LAST_LINE_END),
        (b'{"id": "e-1"}', lambda body: b"\xef\xbb\xbf" + body, Cause.BYTE_ORDER_MARK),
        (NEAT, lambda body: json.dumps(json.loads(body)).encode(), Cause.JSON_REWRITTEN),
        (
            json.dumps(json.loads(NEAT), separators=(",", ":"), ensure_ascii=False).encode(),
            lambda body: json.dumps(json.loads(body), indent=2).encode(),
            Cause.JSON_REWRITTEN,
        ),
    ],
)
def test_a_body_that_was_changed_on_the_way_is_told_from_a_wrong_secret(
    kit: Kit, scheme: str, body: bytes, change: Callable[[bytes], bytes], cause: Cause
) -> None:
    sample = kit.sample(spoiled(stored_provider(scheme), change, body))
    assert (sample.reason, sample.cause) == (Reason.WRONG_SIGNATURE, cause)


def test_a_form_that_was_encoded_anew_is_found(kit: Kit) -> None:
    provider = stored_provider("github")
    body = b"payload=%7B%22a%22%3A+%22b%20c%22%7D"
    headers, sent = provider.signed(urlencode([("payload", '{"a": "b c"}')]).encode())
    headers["Content-Type"] = "application/x-www-form-urlencoded"
    assert body != sent
    assert kit.sample(provider.post_as_is(body, headers)).cause == Cause.FORM_REWRITTEN


@pytest.mark.parametrize("scheme", ["stripe", "sendgrid", "ses", "twilio", "postmark", "mandrill"])
def test_an_ended_and_an_early_secret_are_named_by_their_fingerprint(kit: Kit, scheme: str) -> None:
    provider = stored_provider(scheme)
    far = timedelta(days=2)
    now = datetime.now(UTC)
    for cause, times in (
        (Cause.ENDED_SECRET, {"not_before": now - 2 * far, "not_after": now - far}),
        (Cause.EARLY_SECRET, {"not_before": now + far, "not_after": None}),
    ):
        ProviderSecret.objects.update(**times)
        BOOK._version = None  # an update of rows does not show in the version as a rotation does
        BOOK.refresh()
        sample = kit.sample(provider.post(KINDS[scheme].body))
        assert (sample.cause, sample.cause_detail) == (cause, provider.secret.fingerprint), scheme


def test_the_secret_of_another_provider_is_named_by_that_provider(kit: Kit) -> None:
    one, other = stored_provider("stripe"), stored_provider("stripe", name="stripe-eu")
    ProviderSecret.objects.filter(provider=other.row).delete()
    theirs = other.add_secret("whsec_the_other_account_0123456789")
    sample = kit.sample(one.post(KINDS["stripe"].body, secret=theirs))
    assert (sample.cause, sample.cause_detail) == (Cause.OTHER_PROVIDERS_SECRET, "stripe-eu")


def test_a_secret_copied_with_a_line_end_is_found(kit: Kit) -> None:
    provider = stored_provider("github")
    copied = replace(provider.secret, value=provider.secret.value + "\n")
    assert kit.sample(provider.post(KINDS["github"].body, secret=copied)).cause == Cause.SPACES_IN_SECRET


@pytest.mark.parametrize("scheme", ["twilio", "mandrill"])
@pytest.mark.parametrize("url", ["https{rest}", "http{rest}/", "https://hooks.example{path}"])
def test_another_url_is_found_and_named(kit: Kit, scheme: str, url: str) -> None:
    provider = stored_provider(scheme)
    signed_url = url.format(rest=base_url().removeprefix("http") + f"/webhooks/{scheme}", path=f"/webhooks/{scheme}")
    headers, sent = provider.adapter.sign(
        KINDS[scheme].body, secret=provider.secret, options=None, url=signed_url, now_us=0
    )
    sample = kit.sample(provider.post_as_is(sent, {**headers, "Host": "hooks.example"}))
    assert (sample.cause, sample.cause_detail) == (Cause.OTHER_URL, f"{signed_url} without a query")


def test_a_right_signature_beside_a_wrong_bearer_key_is_found(kit: Kit) -> None:
    body = event_body("e-1")
    provider = stored_provider("generic")
    sample = kit.sample(provider.post_as_is(body, signed_headers(body, bearer="wrong"), path="/webhooks"))
    assert (sample.provider, sample.reason) == ("default", Reason.WRONG_CREDENTIAL)
    assert sample.cause == Cause.CREDENTIAL_ALONE


def test_headers_of_another_scheme_are_named(kit: Kit) -> None:
    stripe, github = stored_provider("stripe"), stored_provider("github")
    headers, sent = github.signed(KINDS["github"].body)
    sample = kit.sample(stripe.post_as_is(sent, headers))
    assert (sample.reason, sample.cause, sample.cause_detail) == (Reason.MISSING_HEADER, Cause.OTHER_SCHEME, "github")


def test_a_secret_sent_instead_of_a_signature_is_found_and_not_kept(kit: Kit) -> None:
    provider = stored_provider("generic")
    headers, sent = provider.signed(KINDS["generic"].body)
    headers["x-webhook-signature"] = f"sha256={provider.secret.value}"
    sample = kit.sample(provider.post_as_is(sent, headers))
    assert (sample.cause, sample.signature_starts["x-webhook-signature"]) == (Cause.SECRET_SENT, THE_SECRET_ITSELF)


def test_a_strangers_signature_stays_unexplained(kit: Kit) -> None:
    provider = stored_provider("stripe")
    stranger = replace(provider.secret, value="whsec_" + "9" * 32)
    assert kit.sample(provider.post(KINDS["stripe"].body, secret=stranger)).cause == Cause.UNEXPLAINED


def test_a_long_body_is_not_tried_and_its_length_is_told(kit: Kit) -> None:
    body = json.dumps({"id": "e-1", "pad": "x" * BODY_LIMIT_BYTES}).encode()
    sample = kit.sample(spoiled(stored_provider("stripe"), lambda sent: sent + b"\n", body))
    assert (sample.cause, sample.body_bytes) == (Cause.NOT_TRIED, len(body) + 1)


@pytest.mark.parametrize(("seconds_ago", "reason"), [(4_000, Reason.TOO_OLD), (-4_000, Reason.IN_THE_FUTURE)])
def test_a_time_outside_the_window_is_told_with_its_distance(kit: Kit, seconds_ago: int, reason: Reason) -> None:
    provider = stored_provider("stripe")
    headers, sent = provider.signed(KINDS["stripe"].body, seconds_ago=seconds_ago)
    sample = kit.sample(provider.post_as_is(sent, headers))
    assert (sample.reason, sample.cause) == (reason, Cause.AS_REASON)
    assert "signed 4000 s" in sample.detail or "signed 3999 s" in sample.detail or "signed 4001 s" in sample.detail


def test_a_provider_without_a_secret_says_so(kit: Kit) -> None:
    provider = stored_provider("sendgrid")
    headers, sent = provider.signed(KINDS["sendgrid"].body)
    ProviderSecret.objects.all().delete()
    BOOK.refresh()
    assert kit.sample(provider.post_as_is(sent, headers)).reason == Reason.NO_SECRET


def test_every_reason_and_every_cause_has_its_meaning_and_a_next_step() -> None:
    assert set(BY_REASON) == set(Reason)
    assert set(BY_CAUSE) == set(Cause)
    for advice in (*BY_REASON.values(), *BY_CAUSE.values()):
        assert advice.meaning.endswith(".")
        assert advice.next_step.endswith(".")


# --- what is kept ---

HOSTILE = "<script>alert('x')</script>; DROP TABLE\x00\x1b[31m" + "A" * 500


def test_nothing_of_a_payload_or_a_credential_is_kept_beyond_its_masked_beginning(kit: Kit) -> None:
    provider = stored_provider("generic")
    body = b'{"card": "4242424242424242", "to": "ada@example.com"}'
    headers = {
        "Authorization": "Bearer a-credential-of-somebody",
        "Cookie": "session=1",
        "X-Webhook-Timestamp": "1767225600",
        "X-Webhook-Signature": "sha256=" + "ab" * 32,
        "X-Own-Token": "t-1234567890",
    }
    sample = kit.sample(provider.post_as_is(body, headers))
    kept = json.dumps({name: str(value) for name, value in vars(sample).items()})
    for secret in ("4242", "ada@", "credential-of", "session=1", "t-1234567890", "ababab", provider.secret.value):
        assert secret not in kept, secret
    assert sample.body_start == '{"aaaa": "00000000000000'
    assert len(sample.body_start) == BODY_START_BYTES
    assert sample.signature_starts == {
        "x-webhook-timestamp": "176722… 10 characters",
        "x-webhook-signature": "sha256… 71 characters",
    }
    assert {"authorization", "cookie", "x-own-token"} <= set(sample.header_names)


def test_hostile_texts_are_cut_masked_and_harmless(kit: Kit) -> None:
    provider = stored_provider("generic")
    headers = {"X-Webhook-Timestamp": HOSTILE[:40], "X-Webhook-Signature": HOSTILE[:80], "Content-Type": HOSTILE[:60]}
    sample = kit.sample(provider.post_as_is(HOSTILE.encode(), {**headers, "X-" + "N" * 300: "1"}))
    kept = json.dumps({name: str(value) for name, value in vars(sample).items()})
    assert "script" not in kept
    assert "DROP" not in kept
    assert "\\u001b" not in kept
    assert sample.content_type == "malformed"
    assert max(len(name) for name in sample.header_names) <= 40
    assert len(sample.body_start) <= 96


@pytest.mark.parametrize("scheme", sorted(KINDS))
def test_any_refused_delivery_of_any_scheme_is_sampled_without_its_secret(kit: Kit, scheme: str) -> None:
    provider = stored_provider(scheme)
    for body, headers in (
        (b"", {}),
        (b"\xff" * 100, {"Authorization": "Basic \xff"}),
        (b"[" * 5_000, provider.signed(KINDS[scheme].body)[0] if scheme not in ("postmark", "brevo") else {}),
    ):
        posted = provider.post_as_is(body, headers)
        if posted.status == 401:
            sample = kit.sample(posted)
            assert provider.secret.value not in json.dumps({name: str(value) for name, value in vars(sample).items()})


# --- a flood ---


def test_a_flood_is_counted_exactly_and_becomes_a_handful_of_rows(kit: Kit) -> None:
    provider = stored_provider("stripe")
    for _ in range(200):
        provider.post_as_is(b"{}", {"Stripe-Signature": f"t={int(time.time())},v1={'0' * 64}"})
    kit.housekeeping.turn()
    assert RefusalCount.objects.get().count == 200
    assert RefusalSample.objects.count() == BURST_COUNT
    kit.housekeeping.turn()
    assert RefusalCount.objects.count() == 1
    kit.clock.advance(REFILL)
    for _ in range(50):
        provider.post_as_is(b"{}", {"Stripe-Signature": f"t={int(time.time())},v1={'0' * 64}"})
    kit.housekeeping.turn()
    assert RefusalSample.objects.count() == BURST_COUNT + 1
    assert sum(RefusalCount.objects.values_list("count", flat=True)) == 250


def refused(kit: Kit, reason: Reason, *, body: bytes = b"{}") -> None:
    known = BOOK.named("default")
    assert known is not None
    delivery = InboundDelivery(provider="default", headers={}, body=body, url="", received_us=1_767_225_600_000_000)
    request_id = new_request_id(now_us=delivery.received_us)
    kit.refusals.note(known, delivery, Refused(reason), request_id=request_id)


def test_bodies_wait_in_memory_in_a_bounded_number_and_for_one_turn(kit: Kit) -> None:
    for reason in Reason:
        for _ in range(10):
            refused(kit, reason, body=b"x" * 1_000)
    assert len(kit.refusals._pending) == PENDING_LIMIT_COUNT
    kit.housekeeping.turn()
    assert kit.refusals._pending == []
    assert len(kit.refusals._allowances) <= len(Reason)


def test_samples_are_a_ring_for_each_provider_and_reason(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "KEPT_COUNT", 5)
    for _ in range(8):
        kit.clock.advance(REFILL * BURST_COUNT)
        refused(kit, Reason.MALFORMED)
        refused(kit, Reason.TOO_OLD)
        kit.housekeeping.turn()
    newest = list(RefusalSample.objects.filter(reason="malformed").values_list("pk", flat=True))
    assert len(newest) == RefusalSample.objects.filter(reason="too_old").count() == 5
    refused(kit, Reason.MALFORMED)
    kit.housekeeping.turn()
    assert RefusalSample.objects.filter(reason="malformed", pk__in=newest).count() == 4


def test_while_postgresql_is_away_samples_are_dropped_and_counts_wait(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise DatabaseError("away")

    refused(kit, Reason.TOO_OLD)
    with monkeypatch.context() as patch:
        patch.setattr("ingestion.latency_store.store", away)
        kit.housekeeping.turn()
    assert not RefusalCount.objects.exists()
    refused(kit, Reason.TOO_OLD)
    kit.housekeeping.turn()
    kit.housekeeping.turn()
    assert sum(RefusalCount.objects.values_list("count", flat=True)) == 2


def test_noting_a_refusal_asks_no_database_and_no_redis(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*_: object, **__: object) -> None:
        raise AssertionError("Redis was asked")

    provider = stored_provider("stripe")
    with CaptureQueriesContext(connection) as queries, monkeypatch.context() as patch:
        patch.setattr(redis.Redis, "execute_command", asked)
        posted = provider.post_as_is(b"{}", {"Stripe-Signature": "t=1,v1=0"})
    assert posted.status == 401
    assert len(queries) == 0


def test_the_sender_learns_nothing_of_the_reason(kit: Kit) -> None:
    provider = stored_provider("stripe")
    answers = []
    for headers in ({}, {"Stripe-Signature": "x"}, {"Stripe-Signature": f"t={int(time.time())},v1={'0' * 64}"}):
        posted = provider.post_as_is(b"{}", headers)
        answers.append({**posted.answer, "request_id": ""})
    assert answers[0] == answers[1] == answers[2]


# --- shown ---


def test_the_metric_counts_by_provider_and_reason(kit: Kit) -> None:
    provider = stored_provider("stripe")
    for _ in range(3):
        provider.post_as_is(b"{}", {})
    kit.housekeeping.turn()
    text = metrics.exposition().decode()
    assert 'autocom_refused_verifications_total{provider="stripe",reason="missing_header"} 3.0' in text


def diagnosed(name: str, capsys: pytest.CaptureFixture[str], *flags: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        call_command("provider", "diagnose", name, *flags)
    return int(ended.value.code or 0), capsys.readouterr().out


def test_diagnose_tells_counts_cause_and_what_to_do(kit: Kit, capsys: pytest.CaptureFixture[str]) -> None:
    provider = stored_provider("github")
    assert diagnosed("github", capsys) == (0, "provider github: nothing was refused in the last day\n")
    kit.sample(spoiled(provider, lambda body: body + b"\n"))
    provider.post_as_is(b"{}", {})
    kit.housekeeping.turn()
    RefusalCount.objects.filter(reason="missing_header").update(minute=datetime.now(UTC) - timedelta(hours=2))
    status, text = diagnosed("github", capsys)
    assert status == 0
    assert "wrong_signature: 1 in the last hour, 1 in the last day" in text
    assert "missing_header: 0 in the last hour, 1 in the last day" in text
    assert f"cause last_line_end: {BY_CAUSE[Cause.LAST_LINE_END].meaning}" in text
    assert BY_REASON[Reason.MISSING_HEADER].next_step in text
    told: dict[str, Any] = json.loads(diagnosed("github", capsys, "--json")[1])
    assert {each["reason"]: each["last_day_count"] for each in told["reasons"]} == {
        "wrong_signature": 1,
        "missing_header": 1,
    }
    assert {sample["cause"] for sample in told["samples"]} == {"last_line_end", "as_reason"}
    assert settings.AUTOCOM.webhook_hmac_secret not in text


def test_diagnose_of_an_unknown_provider_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert diagnosed("nobody", capsys)[0] == 2
