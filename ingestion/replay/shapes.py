"""A made event in the layout of each provider, so that a load without a recording is one that its adapter can read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from ingestion.replay.bodies import Body

type Event = Mapping[str, Any]


def shaped(body: Body, *, scheme: str) -> Body:
    """The same event as the scheme's provider would tell it; as it is where the scheme has no layout of its own."""
    shape = _SHAPES.get(scheme)
    if shape is None:
        return body
    event = json.loads(body.content)
    return replace(body, content=shape(event), headers=_headers(scheme, event))


def _headers(scheme: str, event: Event) -> dict[str, str]:
    """Only what a signature does not cover and an adapter would otherwise make up."""
    if scheme == "github":
        return {"X-GitHub-Event": "issues", "X-GitHub-Delivery": event["id"], "X-GitHub-Hook-ID": "1"}
    if scheme == "shopify":
        return {"X-Shopify-Topic": "orders/updated", "X-Shopify-Event-Id": event["id"]}
    return {}


def _word(event: Event, names: Mapping[str, str]) -> str:
    word = str(event["type"]).rpartition(".")[2]
    return names.get(word, word)


def _seconds(event: Event) -> float:
    return datetime.fromisoformat(event["occurred_at"]).timestamp()


def _text(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _named(event: Event) -> bytes:
    """Svix and Standard Webhooks: an envelope around an object with an id."""
    data = {**event["data"], "id": event["ordering_key"], "event_id": event["id"]}
    return _text({"type": event["type"], "timestamp": event["occurred_at"], "data": data})


def _stripe(event: Event) -> bytes:
    charge = {"object": "charge", "id": event["ordering_key"], "metadata": event["data"]}
    names = {"id": event["id"], "object": "event", "type": "charge.updated", "created": int(_seconds(event))}
    return _text({**names, "data": {"object": charge}})


def _github(event: Event) -> bytes:
    issue = {"number": event["ordering_key"], "title": event["data"]["subject"], "updated_at": event["occurred_at"]}
    return _text({"action": "edited", "issue": issue, "repository": {"id": 1}, "changes": event["data"]})


def _shopify(event: Event) -> bytes:
    return _text({"id": event["ordering_key"], "email": event["data"]["recipient"], "note_attributes": event["data"]})


def _slack(event: Event) -> bytes:
    message = {"type": "message", "channel": event["ordering_key"], "text": event["data"]["subject"]}
    names = {"type": "event_callback", "event_id": event["id"], "event_time": int(_seconds(event))}
    return _text({**names, "team_id": "T0001", "api_app_id": "A0001", "event": {**message, "data": event["data"]}})


def _twilio(event: Event) -> bytes:
    parties = {"To": "+15555550101", "From": "+15555550100", "ErrorMessage": event["data"]["diagnostic"]}
    return urlencode({"MessageSid": event["id"], "MessageStatus": _word(event, {}), **parties}).encode()


def _sendgrid(event: Event) -> bytes:
    names = {"opened": "open", "clicked": "click", "bounced": "bounce", "complained": "spamreport"}
    said = {"email": event["ordering_key"], "timestamp": int(_seconds(event)), "sg_message_id": event["id"]}
    return _text(
        [{**said, "event": _word(event, names), "sg_event_id": event["id"], "category": event["data"]["tags"]}]
    )


def _mailgun(event: Event) -> bytes:
    message = {"headers": {"message-id": event["data"]["campaign"], "to": event["ordering_key"]}}
    said = {"event": _word(event, {}), "id": event["id"], "timestamp": _seconds(event), "message": message}
    return _text({"event-data": {**said, "recipient": event["ordering_key"], "user-variables": event["data"]}})


def _postmark(event: Event) -> bytes:
    said = {"RecordType": "Delivery", "MessageID": event["id"], "Recipient": event["ordering_key"], "ServerID": 1}
    return _text({**said, "DeliveredAt": event["occurred_at"], "Metadata": event["data"]})


def _ses(event: Event) -> bytes:
    mail = {"messageId": event["id"], "timestamp": event["occurred_at"], "destination": [event["ordering_key"]]}
    delivery = {"timestamp": event["occurred_at"], "recipients": [event["ordering_key"]]}
    return _text({"eventType": "Delivery", "mail": {**mail, "tags": event["data"]}, "delivery": delivery})


def _mandrill(event: Event) -> bytes:
    names = {
        "opened": "open",
        "clicked": "click",
        "bounced": "hard_bounce",
        "complained": "spam",
        "deferred": "deferral",
    }
    message = {"email": event["ordering_key"], "metadata": event["data"]}
    return _text([{"event": _word(event, names), "_id": event["id"], "ts": int(_seconds(event)), "msg": message}])


def _brevo(event: Event) -> bytes:
    names = {"clicked": "click", "bounced": "hard_bounce", "complained": "spam"}
    said = {"event": _word(event, names), "message-id": event["id"], "email": event["ordering_key"]}
    return _text({**said, "ts_event": int(_seconds(event)), "subject": event["data"]["subject"]})


_SHAPES: Final[Mapping[str, Callable[[Event], bytes]]] = {
    "brevo": _brevo,
    "github": _github,
    "mailgun": _mailgun,
    "mandrill": _mandrill,
    "postmark": _postmark,
    "sendgrid": _sendgrid,
    "ses": _ses,
    "shopify": _shopify,
    "slack": _slack,
    "standard": _named,
    "stripe": _stripe,
    "svix": _named,
    "twilio": _twilio,
}
