"""The providers' identity traps through the real view, lanes, drain and tables: nothing suppressed, nothing doubled.

Each trap says how many different events its posts hold; everything beyond that is a repetition of one of them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from ingestion.models import DeadLetter, Event, QuarantinedEvent, SuppressedDuplicate
from ingestion.providers.adapter import InboundDelivery
from tests.providers.requests import fixtures
from tests.support.lanes import LaneKit, assert_every_batch_is_proved
from tests.support.providers import KINDS, StoredProvider, drain_all, forget_providers, stored_provider
from tests.support.schemes import TOPIC

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield from forget_providers()


@dataclass(frozen=True, slots=True)
class Post:
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Trap:
    scheme: str
    what: str
    posts: Sequence[Post]
    event_count: int
    duplicate_count: int

    def __str__(self) -> str:
        return f"{self.scheme}: {self.what}"


def _post(value: object, **headers: str) -> Post:
    return Post(json.dumps(value).encode(), {name.replace("_", "-"): text for name, text in headers.items()})


MAIL = {"timestamp": "2026-11-01T11:59:00.000Z", "messageId": "ses-1", "destination": ["ada@example.com"]}
PEOPLE = ("ada@example.com", "bob@example.net", "cyd@example.org")


def _bounce(*addresses: str, name: str = "eventType", **more: object) -> dict[str, object]:
    recipients = [{"emailAddress": each, "status": "5.1.1"} for each in addresses]
    detail = {"bounceType": "Permanent", "timestamp": "2026-11-01T12:00:00.000Z", "bouncedRecipients": recipients}
    return {name: "Bounce", "mail": {**MAIL, "destination": list(addresses)}, "bounce": {**detail, **more}}


def _seen(kind: str, moment: str, **more: str) -> dict[str, object]:
    return {"eventType": kind, "mail": MAIL, kind.lower(): {"timestamp": f"2026-11-01T12:00:{moment}Z", **more}}


def _envelope(message: object, message_id: str) -> Post:
    return _post(
        {"Type": "Notification", "MessageId": message_id, "TopicArn": TOPIC, "Message": json.dumps(message)},
    )


def _sendgrid(sg_event_id: str, event: str = "open", *, at: int = 1_767_225_600, **more: object) -> dict[str, object]:
    told = {"event": event, "email": "ada@example.com", "timestamp": at, "sg_message_id": "sg-1", "ip": "192.0.2.1"}
    return {**told, "sg_event_id": sg_event_id, **more}


def _mandrill(event: str, *, at: int = 1_767_225_600, opens: int = 0, **more: object) -> dict[str, object]:
    message = {"email": "ada@example.com", "opens": [{"ts": at}] * opens}
    return {"event": event, "_id": "m-1", "ts": at, "ip": "192.0.2.1", "msg": message, **more}


def _postmark(moment: str, **more: object) -> Post:
    told = {"RecordType": "Open", "MessageID": "pm-1", "Recipient": "ada@example.com"}
    return _post({**told, "ReceivedAt": f"2026-11-01T12:00:{moment}Z", **more})


def _brevo(event: str = "click", *, at: int = 1_767_225_600, link: str = "https://example.com/1") -> dict[str, object]:
    told = {"event": event, "email": "ada@example.com", "id": 26224, "message-id": "<b-1@example.com>"}
    return {**told, "ts_event": at, "ts_epoch": at * 1_000, "link": link}


def _mailgun(event_id: str, *, at: float = 1_767_225_600.25, event: str = "opened") -> Post:
    return _post({"event": event, "id": event_id, "timestamp": at, "recipient": "ada@example.com"})


def _shopify(webhook_id: str, event_id: str, *, topic: str = "orders/paid", order: int = 42) -> Post:
    return _post({"id": order}, X_Shopify_Topic=topic, X_Shopify_Webhook_Id=webhook_id, X_Shopify_Event_Id=event_id)


def _github(delivery: str, hook: str = "1") -> Post:
    body = {"action": "opened", "repository": {"id": 42}, "issue": {"number": 7}}
    return _post(body, X_GitHub_Delivery=delivery, X_GitHub_Hook_ID=hook, X_GitHub_Event="issues")


def _slack(event_id: str, **headers: str) -> Post:
    event = {"type": "message", "channel": "C1", "ts": "1.1"}
    told = {"type": "event_callback", "team_id": "T1", "event_id": event_id, "event_time": 1_767_225_600}
    return _post({**told, "event": event}, **headers)


def _twilio(text: str) -> Post:
    return Post(text.encode())


STRIPE = {"id": "evt_1", "object": "event", "type": "invoice.paid", "created": 1_767_225_600}

TRAPS = (
    Trap("ses", "one bounce for many recipients is an event for each", [_post(_bounce(*PEOPLE))], 3, 0),
    Trap(
        "ses",
        "its recipients grouped in another way when it is sent again",
        [_post(_bounce(*PEOPLE)), _post(_bounce(PEOPLE[2], PEOPLE[0])), _post(_bounce(PEOPLE[1]))],
        *(3, 3),
    ),
    Trap(
        "ses",
        "SNS's ids and envelopes differ between attempts, and between notification and event publishing",
        [
            _envelope(_bounce("ada@example.com", feedbackId="f-1"), "sns-1"),
            _envelope(_bounce("ada@example.com", feedbackId="f-1"), "sns-2"),
            _envelope(_bounce("ada@example.com", name="notificationType", feedbackId="f-2"), "sns-3"),
        ],
        *(1, 2),
    ),
    Trap(
        "ses",
        "repeated opens and clicks",
        [
            *(_post(_seen("Open", moment)) for moment in ("10.000", "10.001", "11.000")),
            *(_post(_seen("Click", "10.000", link=f"https://example.com/{page}")) for page in (1, 2)),
            _post(_seen("Click", "10.001", link="https://example.com/1")),
            _post(_seen("Click", "10.001", link="https://example.com/1")),
        ],
        *(6, 1),
    ),
    Trap(
        "sendgrid",
        "every event gets a new sg_event_id when its batch is retried",
        [
            _post([_sendgrid("e1", "delivered"), _sendgrid("e2"), _sendgrid("e3", "click", url="https://example.com")]),
            _post([_sendgrid("r1", "delivered"), _sendgrid("r2"), _sendgrid("r3", "click", url="https://example.com")]),
        ],
        *(3, 3),
    ),
    Trap(
        "sendgrid",
        "repeated opens, clicks of two links in one second, deferrals, two people behind one address",
        [
            _post(
                [
                    *(_sendgrid(f"o{at}", at=1_767_225_600 + at) for at in range(3)),
                    *(_sendgrid(f"c{page}", "click", url=f"https://example.com/{page}") for page in range(2)),
                    *(_sendgrid(f"d{attempt}", "deferred", attempt=str(attempt)) for attempt in range(2)),
                    _sendgrid("p1", useragent="one"),
                    _sendgrid("p2", useragent="two"),
                ]
            )
        ],
        *(9, 0),
    ),
    Trap(
        "sendgrid",
        "the same event twice in one POST, and unsubscribes without a message id",
        [
            _post(
                [
                    *(_sendgrid("a"), _sendgrid("b")),
                    *({"event": "unsubscribe", "email": each, "timestamp": 1_767_225_600} for each in PEOPLE),
                ]
            )
        ],
        *(4, 1),
    ),
    Trap(
        "mandrill",
        "one message's events, opens apart in time and place, and a batch whose state grew before it was sent again",
        [
            _post([_mandrill("send"), _mandrill("open", opens=1), _mandrill("open", at=1_767_225_700, opens=2)]),
            _post([_mandrill("send", opens=2), _mandrill("open", opens=2)]),
            _post([_mandrill("open", ip="192.0.2.2"), _mandrill("click", url="https://example.com")]),
        ],
        *(5, 2),
    ),
    Trap(
        "mailgun",
        "an event sent again, its id used on another day, opens with ids of their own",
        [
            *(_mailgun("mg-1"), _mailgun("mg-1"), _mailgun("mg-1", at=1_767_225_600.25 + 86_400)),
            *(_mailgun("mg-2"), _mailgun("mg-3", at=1_767_225_601.5)),
        ],
        *(4, 1),
    ),
    Trap(
        "postmark",
        "repeated opens are events, a bounce that is sent again is not",
        [
            *(_postmark("10.1"), _postmark("10.2"), _postmark("10.2")),
            *[_post({"RecordType": "Bounce", "ID": 7, "MessageID": "pm-1", "Type": "HardBounce"})] * 2,
        ],
        *(3, 2),
    ),
    Trap(
        "brevo",
        "the id is the webhook's number, so it is the same in every event",
        [
            _post(_brevo("delivered")),
            _post(_brevo()),
            _post(_brevo(link="https://example.com/2")),
            _post(_brevo(at=1_767_225_601)),
            _post([_brevo(), _brevo("opened")]),
        ],
        *(5, 1),
    ),
    Trap(
        "shopify",
        "an event id is shared by topics and subscriptions, a webhook id by none",
        [
            *(_shopify("w1", "e1"), _shopify("w1", "e1"), _shopify("w2", "e1")),
            *(_shopify("w3", "e1", topic="orders/updated"), _shopify("w4", "e1", order=43), _shopify("w5", "e2")),
        ],
        *(4, 2),
    ),
    Trap(
        "github",
        "a redelivery keeps its id, two hooks may share one",
        [_github("d1"), _github("d1"), _github("d1", hook="2"), _github("d2")],
        *(3, 1),
    ),
    Trap(
        "slack",
        "a resend with its retry headers, and the same text said twice",
        [_slack("Ev1"), _slack("Ev1", X_Slack_Retry_Num="1", X_Slack_Retry_Reason="http_timeout"), _slack("Ev2")],
        *(2, 1),
    ),
    Trap(
        "twilio",
        "the states of one message and of one call",
        [
            *(_twilio(f"MessageSid=SM1&MessageStatus={state}") for state in ("sent", "delivered", "delivered")),
            *(_twilio(f"CallSid=CA1&CallStatus=in-progress&SequenceNumber={number}") for number in (1, 2, 2)),
        ],
        *(4, 2),
    ),
    Trap("stripe", "a retry is signed anew", [_post(STRIPE), _post(STRIPE), _post({**STRIPE, "id": "evt_2"})], 2, 1),
    Trap(
        "generic",
        "one id with two types, and one event in two deliveries",
        [
            _post([{"id": "1", "type": "sent"}, {"id": "1", "type": "opened"}]),
            _post([{"id": "2", "type": "sent"}, {"id": "1", "type": "opened"}]),
        ],
        *(3, 1),
    ),
)


def send(provider: StoredProvider, post: Post) -> None:
    posted = provider.post(post.body, extra=post.headers)
    assert posted.status == provider.adapter.ACK.success_status, posted


def assert_counted(provider: StoredProvider, *, events: int, duplicates: int) -> None:
    assert Event.objects.count() == events
    assert SuppressedDuplicate.objects.count() == duplicates
    assert (QuarantinedEvent.objects.count(), DeadLetter.objects.count()) == (0, 0)
    # every suppressed one is the repetition of an event that is stored
    originals = set(SuppressedDuplicate.objects.values_list("original_event_id", flat=True))
    assert originals <= set(Event.objects.values_list("pk", flat=True))
    recipes = set(Event.objects.values_list("recipe", flat=True))
    assert recipes == {getattr(provider.adapter, "RECIPE", "")}


@pytest.mark.parametrize("remembered_by", ["redis", "postgresql"])
@pytest.mark.parametrize("trap", TRAPS, ids=str)
def test_no_legitimate_event_is_suppressed_and_no_duplicate_is_stored(
    lanes: LaneKit, trap: Trap, remembered_by: str
) -> None:
    provider = stored_provider(trap.scheme)
    for post in trap.posts:
        send(provider, post)
        if remembered_by == "postgresql":  # Redis's window is over each time: the unique identity alone remembers
            drain_all(lanes)
            forget_identities(lanes)
    drain_all(lanes)
    assert_counted(provider, events=trap.event_count, duplicates=trap.duplicate_count)
    assert_every_batch_is_proved()


def forget_identities(lanes: LaneKit) -> None:
    found = list(lanes.buffer.client.scan_iter(match="*seen*", count=1_000))
    assert found
    lanes.buffer.client.delete(*found)


@dataclass(frozen=True, slots=True)
class Signed:
    headers: Mapping[str, str]
    body: bytes


def signed_fixtures(provider: StoredProvider) -> list[Signed]:
    """Each signed once: Mailgun's legacy forms have one time, which is the signature's and the event's."""
    found = []
    for body, headers in fixtures(provider.row.scheme):
        signed_headers, sent = provider.signed(body, recorded=headers)
        fresh = {name.lower() for name in signed_headers} if hasattr(provider.adapter, "sign_again") else set()
        kept = {name: value for name, value in headers.items() if name.lower() not in fresh}
        found.append(Signed({**signed_headers, **kept}, sent))
    return found


def expected_of(provider: StoredProvider, requests: Sequence[Signed]) -> Counter[Any]:
    """Every event of the fixtures as its adapter identifies it."""
    options = provider.adapter.read_options(provider.row.options)
    found: Counter[Any] = Counter()
    for request in requests:
        lowered = {name.lower(): value for name, value in request.headers.items()}
        delivery = InboundDelivery(
            provider=provider.row.name, headers=lowered, body=request.body, url=provider.url, received_us=0
        )
        if provider.adapter.handshake(delivery, options=options) is None:
            events = provider.adapter.identify(delivery, options=options)
            found.update((event.message_id, event.event_type) for event in events)
    return found


@pytest.mark.parametrize("scheme", sorted(KINDS))
def test_all_events_of_the_fixtures_are_stored_once_though_everything_comes_twice(lanes: LaneKit, scheme: str) -> None:
    provider = stored_provider(scheme)
    requests = signed_fixtures(provider)
    expected = expected_of(provider, requests)
    for request in requests * 2:
        posted = provider.post_as_is(request.body, request.headers)
        assert posted.status == provider.adapter.ACK.success_status, posted
    drain_all(lanes)
    assert Counter(Event.objects.values_list("message_id", "event_type")) == expected
    assert_counted(provider, events=expected.total(), duplicates=expected.total())
