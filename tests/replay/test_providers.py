"""Every provider's recorded deliveries, sent again by `manage.py replay --input` to a real ingress and worker."""

from __future__ import annotations

import io
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command

from ingestion.buffer.store import lane_buffer
from ingestion.models import DeadLetter, Event, QuarantinedEvent
from ingestion.receive import base_url
from tests.providers.requests import FIXTURES
from tests.replay.provider_kit import Sender, senders, stored
from tests.support.ingress import Ingress, running_ingress
from tests.support.workers import database_url, running_worker

pytestmark = pytest.mark.django_db  # the tests only read: what they look at was committed by other processes

SENDERS = senders()
NOTHING_WRONG = dict.fromkeys(
    ("rejected", "unsent", "lost", "duplicates", "order_violations", "corrupted", "unexpected", "without_receipt"), 0
)


@dataclass(frozen=True)
class Service:
    ingress: Ingress
    folder: Path

    def replay(self, name: str, path: Path | None, *more: str) -> tuple[int, dict[str, Any]]:
        """Exit status and figures of the command, one delivery after the other."""
        status, out, err = self.command(name, path, *more)
        assert out, err
        return status, json.loads(out)

    def command(self, name: str, path: Path | None, *more: str) -> tuple[int, str, str]:
        given = ["--provider", name, "--target", f"http://127.0.0.1:{self.ingress.port}", "--json"]
        given += ["--rate", "0", "--connections", "1", "--duplicates", "0"]
        given += ["--input", str(path), "--count", str(len(path.read_text().splitlines()))] if path else []
        out, err = io.StringIO(), io.StringIO()
        with pytest.raises(SystemExit) as ended:
            call_command("replay", *given, *more, stdout=out, stderr=err)
        return int(ended.value.code or 0), out.getvalue(), err.getvalue()

    def key_of(self, name: str) -> list[str]:
        """The option that a provider with a public key needs."""
        if not SENDERS[name].signing_key:
            return []
        path = self.folder / f"{name}.key"
        path.write_text(SENDERS[name].signing_key)
        return ["--signing-key-file", str(path)]


@pytest.fixture(scope="module")
def service(
    django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """Ingress and worker with every provider in the database; empty again afterwards."""
    with django_db_blocker.unblock():
        lane_buffer().client.flushdb()
        for name, sender in SENDERS.items():
            stored(name, sender)
            stored(other(name), sender)
        try:
            with (
                running_ingress(
                    redis_url=settings.AUTOCOM.redis_url, db_url=database_url(), APP_BASE_URL=base_url()
                ) as ingress,
                running_worker(),
            ):
                yield Service(ingress, tmp_path_factory.mktemp("replay"))
        finally:
            call_command("flush", interactive=False, verbosity=0)
            lane_buffer().client.flushdb()


def other(name: str) -> str:
    """A provider like it, for the tests that add to what the recording left."""
    return f"{name}-other"


def recording_of(scheme: str) -> Path:
    (path,) = (FIXTURES / scheme).glob("*.ndjson")
    return path


def committed(name: str) -> list[tuple[str, str]]:
    """Type and kind of the provider's events in the order of their acceptance: with one connection, of the file."""
    return [(event.event_type, event.kind) for event in Event.objects.filter(provider=name).order_by("id")]


# What each line of a recording tells, by hand: `|` parts deliveries; the kind stands where the type does not end in it.
TOLD = {
    "brevo": (
        "request=sent|delivered|soft_bounce=bounced|"
        "unique_opened=opened opened opened click=clicked click=clicked unsubscribe=unsubscribed spam=complained|"
        "deferred|hard_bounce=bounced|blocked=rejected|delivered|inbound=message"
    ),
    "generic": (
        "message.delivered|message.opened message.clicked|message.bounced heartbeat=other|heartbeat=other|"
        "message.deferred|message.complained|message.unsubscribed"
    ),
    "github": (
        "ping=other|push=other|issues.opened=other|issue_comment.created=other|pull_request.synchronize=other|"
        "workflow_run.completed=other|release.published=other|organization.member_added=other"
    ),
    "mailgun": (
        "accepted=other|delivered|failed.permanent=bounced|failed.temporary=deferred|opened|opened|clicked|"
        "unsubscribed|complained|rejected|bounced|inbound=message"
    ),
    "mandrill": (
        "send=sent deferral=deferred|hard_bounce=bounced soft_bounce=bounced reject=rejected|"
        "open=opened open=opened click=clicked|spam=complained unsub=unsubscribed|"
        "blacklist.add=other whitelist.remove=other|inbound=message|delivered"
    ),
    "postmark": (
        "Delivery=delivered|Bounce.HardBounce=bounced|Bounce.Transient=deferred|SpamComplaint=complained|"
        "Open=opened|Open=opened|Click=clicked|Click=clicked|SubscriptionChange=unsubscribed|"
        "SubscriptionChange=other|Inbound=message"
    ),
    "sendgrid": (
        "processed=sent delivered|deferred deferred bounce=bounced|dropped=rejected|"
        "open=opened open=opened click=clicked click=clicked|"
        "spamreport=complained unsubscribe=unsubscribed group_unsubscribe=unsubscribed group_resubscribe=other"
    ),
    "ses": (
        "Send=sent|Delivery=delivered|Bounce=bounced Bounce=bounced|Bounce=bounced|Complaint=complained|"
        "DeliveryDelay=deferred|Reject=rejected|Rendering_Failure=rejected|Open=opened|Open=opened|Click=clicked|"
        "Subscription=unsubscribed|Received=message|SubscriptionConfirmation=other|UnsubscribeConfirmation=other|"
        "Notification=other"
    ),
    "shopify": (
        "orders/create=other|orders/paid=payment|products/update=other|refunds/create=payment|app/uninstalled=other|"
        "Product/update=other|orders/cancelled=other|customers/create=other"
    ),
    "slack": (
        "message|app_mention=message|reaction_added=other|channel_created=other|team_join=other|"
        "app_rate_limited=other|slash_command=other|block_actions=other|view_closed=other"
    ),
    "standard": (
        "contact.created=other|message.delivered|message.bounced|invoice.payment|message.opened|message.opened|"
        "message.clicked|message.complained|message.deferred|message.unsubscribed"
    ),
    "stripe": (
        "payment_intent.succeeded=payment|charge.refunded=payment|invoice.paid=payment|"
        "checkout.session.completed=payment|customer.subscription.deleted=other|"
        "v1.billing.meter.error_report_triggered=other|payment_intent.payment_failed=payment|"
        "charge.dispute.created=payment|payout.paid=payment|customer.updated=other|payment_intent.succeeded=payment"
    ),
    "svix": (
        "email.sent|email.delivered|email.delivery_delayed=deferred|email.bounced|email.complained|email.opened|"
        "email.clicked|email.failed=rejected|contact.created=other|invoice.paid=other|email.suppressed=rejected|"
        "email.received=message|contact.updated=other"
    ),
    "twilio": (
        "message.queued=other|message.sent|message.delivered|message.undelivered=bounced|message.failed=rejected|"
        "message.read=opened|call.initiated=other|call.in-progress=other|call.completed=other|"
        "recording.completed=other|conference.participant-join=other"
    ),
}
KNOWN_BY_ITS_SIGNING_TIME_COUNT = {"mailgun": 2}  # a form without an event id: signed again, it is another event


# The one status that each takes for success, from its documentation; 202 where any 2xx will do.
SUCCESS_STATUS = {"brevo": 200, "mailgun": 200, "mandrill": 200, "postmark": 200, "slack": 200}


def deliveries_told(name: str) -> list[list[tuple[str, str]]]:
    return [[_type_and_kind(word) for word in line.split()] for line in TOLD[SENDERS[name].scheme].split("|")]


def _type_and_kind(word: str) -> tuple[str, str]:
    event_type, _, kind = word.partition("=")
    return event_type.replace("_F", " F"), kind or event_type.rpartition(".")[2]


@pytest.mark.parametrize("name", SENDERS)
def test_a_recording_is_committed_whole_once_and_in_order(service: Service, name: str, tmp_path: Path) -> None:
    path, expected = recording_of(SENDERS[name].scheme), deliveries_told(name)
    status, figures = service.replay(name, path, *service.key_of(name), "--out", str(tmp_path))
    assert statuses(tmp_path) == {SUCCESS_STATUS.get(SENDERS[name].scheme, 202)}
    assert {key: figures[key] for key in NOTHING_WRONG} == NOTHING_WRONG, figures["examples"]
    assert (figures["sent"], figures["accepted"], figures["answered_duplicate"]) == (len(expected), len(expected), 0)
    assert status == 3  # too few to judge by, and nothing else
    assert not [doubt for doubt in figures["doubts"] if "history is too small" not in doubt]
    assert [each["name"] for each in figures["criteria"] if each["outcome"] != "PASS"] == ["ack P95"]

    events = [event for delivery in expected for event in delivery]
    assert figures["stored"] == figures["events_expected"] == len(events)
    assert figures["events_named_by"] == "the adapter's own identify"
    assert committed(name) == events
    assert not DeadLetter.objects.filter(provider=name).exists()
    assert not QuarantinedEvent.objects.filter(provider=name).exists()
    assert Event.objects.filter(provider=name).values("identity").distinct().count() == len(events)
    assert_order_of_the_file(name)

    _, again = service.replay(name, path, *service.key_of(name))
    anew = KNOWN_BY_ITS_SIGNING_TIME_COUNT.get(name, 0)
    assert {key: again[key] for key in NOTHING_WRONG} == NOTHING_WRONG, again["examples"]
    assert again["answered_duplicate"] >= len(expected) - anew
    assert len(events) <= Event.objects.filter(provider=name).count() <= len(events) + anew


def statuses(folder: Path) -> set[int]:
    lines = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    return {line["status"] for line in lines if line["kind"] == "attempt"}


def assert_order_of_the_file(name: str) -> None:
    """Commit order within each key is the file's order, which the ids have: they begin with the time of acceptance."""
    keys = defaultdict(list)
    for event in Event.objects.filter(provider=name).order_by("batch__number", "sequence"):
        keys[event.ordering_key].append(event.id)
    assert max(map(len, keys.values())) > 1, "no key has two events: nothing was shown"
    assert all(ids == sorted(ids) for ids in keys.values())


@pytest.mark.parametrize("name", SENDERS)
def test_a_load_made_for_a_provider_has_its_layout_and_is_committed(service: Service, name: str) -> None:
    load = ["--count", "40", "--keys", "4", "--duplicates", "0.25", "--connections", "4"]
    _, figures = service.replay(other(name), None, *service.key_of(name), *load)
    assert {key: figures[key] for key in NOTHING_WRONG} == NOTHING_WRONG, figures["examples"]
    assert (figures["accepted"], figures["answered_duplicate"]) == (40, 10)
    made = Event.objects.order_by("-id").filter(provider=other(name))[:30]
    assert len(made) == 30
    assert not {event.event_type for event in made} & {"unknown", "unreadable", "Notification"}


def test_what_was_really_sent_is_in_the_journal_and_no_secret_is(service: Service, tmp_path: Path) -> None:
    """Mailgun's signature is in the body, so each attempt has another digest than the plan."""
    service.replay("mailgun-other", None, "--count", "5", "--out", str(tmp_path))
    lines = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    planned = {line["body_sha256"] for line in lines if line["kind"] == "plan"}
    sent = {line["body_sha256"] for line in lines if line["kind"] == "attempt"}
    assert len(sent) == 5
    assert not sent & planned
    stored_digests = Event.objects.filter(provider="mailgun-other").values_list("body_sha256", flat=True)
    assert sent <= {bytes(digest).hex() for digest in stored_digests}
    left = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert not [value for value in SENDERS["mailgun"].secrets if value.removeprefix("basic:").encode() in left]


def test_a_batch_of_a_thousand_is_one_delivery_and_a_thousand_events(service: Service, tmp_path: Path) -> None:
    events = [
        {"email": f"r{n % 40}@example.com", "event": "open", "timestamp": 1_764_068_000 + n} for n in range(1_000)
    ]
    path = tmp_path / "batch.ndjson"
    path.write_text(json.dumps({"body": [{**each, "sg_message_id": "batch-of-1000"} for each in events]}) + "\n")
    _, figures = service.replay(other("sendgrid"), path, *service.key_of("sendgrid"))
    assert {key: figures[key] for key in NOTHING_WRONG} == NOTHING_WRONG, figures["examples"]
    assert (figures["sent"], figures["accepted"], figures["stored"]) == (1, 1, 1_000)
    assert Event.objects.filter(provider=other("sendgrid"), message_id__startswith="batch-of-1000").count() == 1_000


def test_a_recorded_batch_for_default_is_reconciled_event_by_event(service: Service, tmp_path: Path) -> None:
    path = tmp_path / "default.ndjson"
    path.write_text(json.dumps({"body": [{"id": f"d{n}", "type": "t", "ordering_key": "k"} for n in range(3)]}) + "\n")
    _, figures = service.replay("default", path)
    assert {key: figures[key] for key in NOTHING_WRONG} == NOTHING_WRONG, figures["examples"]
    assert (figures["accepted"], figures["stored"], figures["events_expected"]) == (1, 3, 3)


def test_a_recorded_query_is_part_of_the_signed_url(service: Service, tmp_path: Path) -> None:
    event = {"specversion": "1.0", "id": "EZ0001", "type": "com.twilio.messaging.message.delivered", "data": {}}
    body = json.dumps([event])
    path = tmp_path / "streams.ndjson"
    query = f"bodySHA256={sha256(body.encode()).hexdigest()}"
    path.write_text(json.dumps({"body_text": body, "query": query}) + "\n")
    _, figures = service.replay(other("twilio"), path)
    assert {key: figures[key] for key in NOTHING_WRONG} == NOTHING_WRONG, figures["examples"]
    assert Event.objects.get(provider=other("twilio"), message_id__startswith="EZ0001").kind == "delivered"


def test_a_conflict_that_the_provider_is_told_is_a_success_is_found_in_quarantine(
    service: Service, tmp_path: Path
) -> None:
    headers = {"X-Shopify-Topic": "orders/updated", "X-Shopify-Event-Id": "conflict-1"}
    lines = [json.dumps({"body": {"id": 1, "total": total}, "headers": headers}) for total in ("1.00", "2.00")]
    path = tmp_path / "conflict.ndjson"
    path.write_text("\n".join(lines) + "\n")
    _, figures = service.replay(other("shopify"), path)
    assert {key: figures[key] for key in NOTHING_WRONG} == NOTHING_WRONG, figures["examples"]
    assert (figures["accepted"], figures["stored"]) == (2, 2)
    for model in (Event, QuarantinedEvent):
        assert model.objects.filter(provider=other("shopify"), message_id="conflict-1:1").count() == 1


@pytest.mark.parametrize("name", ["sendgrid", "ses", "standard-v1a"])
def test_a_stored_public_key_signs_nothing_and_the_command_says_what_to_do(service: Service, name: str) -> None:
    status, out, err = service.command(name, recording_of(SENDERS[name].scheme))
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "--signing-key-file FILE" in err


@pytest.mark.parametrize("name", ["sendgrid", "standard-v1a"])
def test_a_key_that_is_not_the_providers_is_refused_before_anything_is_sent(
    service: Service, tmp_path: Path, name: str
) -> None:
    path = tmp_path / "other.key"
    path.write_text(senders()[name].signing_key)  # made anew: a right key, of somebody else
    status, out, err = service.command(name, recording_of(SENDERS[name].scheme), "--signing-key-file", str(path))
    assert (status, out) == (2, "")
    assert "is not believed" in err
    assert SENDERS[name].secrets[0] not in err


def test_a_provider_that_cannot_be_replayed_is_named_with_the_reason(service: Service) -> None:
    resting = stored("resting", Sender(scheme="github", secrets=("github-secret-for-tests",)))
    resting.enabled = False
    resting.save()
    stored("bare", Sender(scheme="github", secrets=()))
    for name, complaint in (
        ("resting", "disabled"),
        ("bare", "no secret of it is valid"),
        ("none", "no such provider"),
    ):
        status, out, err = service.command(name, None)
        assert (status, out) == (2, "")
        assert f"--provider {name}: " in err
        assert complaint in err


def test_a_recorded_set_up_request_is_refused_by_its_place(service: Service, tmp_path: Path) -> None:
    path = tmp_path / "recorded.ndjson"
    path.write_text('{"body": {"type": "url_verification", "challenge": "c"}}\n')
    status, _, err = service.command("slack", path)
    assert status == 2
    assert "webhook 1 of the recording is a set-up request of slack" in err
