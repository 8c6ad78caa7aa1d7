"""Deliveries as a stored provider sends them: signed by its own adapter, with a fresh time for every attempt.

Imports no Django: it runs in the generator. What the service will find in a delivery is told by the adapter's own
`identify`, so a reconciliation proves what became of those events, not that the recipe of their identity is right.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from autocom.kernel.errors import ConfigurationError
from ingestion.providers import generic
from ingestion.providers.adapter import (
    Adapter,
    BodyInvalid,
    ContentTypeUnsupported,
    InboundDelivery,
    Refused,
    Secret,
)
from ingestion.providers.registry import adapter_of
from ingestion.replay.bodies import Body
from ingestion.replay.errors import RecordingError
from ingestion.replay.history import ExpectedEvent
from ingestion.replay.shapes import shaped

# Long ago, and an hour apart: a recorded signature is from the future then, so it cannot pass for a fresh one; and what
# differs between the two depends on the moment of signing.
PROBE_US: Final = 1_000_000_000_000_000
LATER_PROBE_US: Final = PROBE_US + 3_600_000_000


@dataclass(frozen=True, slots=True)
class SignedDelivery:
    """Ready to be sent but for its length."""

    headers: Mapping[str, str]
    content: bytes

    @property
    def sha256_hex(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def lowered(self) -> dict[str, str]:
        return {name.lower(): text for name, text in self.headers.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSigner:
    """What an adapter needs to sign for one provider. `url` is the one that the provider was given."""

    provider: str
    adapter: Adapter[Any]
    secret: Secret
    options: Any
    url: str
    beside: Mapping[str, str] = field(default_factory=dict, repr=False)  # headers of a second proof, if it asks for one
    makes_events: bool = False  # bodies are made here and take the provider's shape first

    def sign(self, body: Body, *, now_us: int) -> SignedDelivery:
        """Of a body that was made ready: its headers are those that no signature covers, and they stay."""
        headers, content = self._signed(body, now_us=now_us)
        kept = {name.lower() for name in body.headers}
        fresh = {name: text for name, text in {**self.beside, **headers}.items() if name.lower() not in kept}
        return SignedDelivery({**fresh, **body.headers}, content)

    def made_ready(self, body: Body, *, place: int) -> Body:
        """The body with the headers that may stay as recorded and the events that it holds.

        Raises RecordingError for one that the adapter cannot sign, or that is a handshake and so holds no event.
        """
        body = shaped(body, scheme=self.adapter.SCHEME) if self.makes_events else body
        where = f"webhook {place} of the recording"
        try:
            body = self._without_stale_headers(body)
            self._verify(body, self.sign(body, now_us=PROBE_US))
        except (Refused, BodyInvalid, ConfigurationError, UnicodeError, ValueError) as error:
            raise RecordingError(f"{where} cannot be signed for {self.provider}: {error}") from None
        if self.adapter.handshake(self._delivery(body, now_us=PROBE_US), options=self.options) is not None:
            raise RecordingError(f"{where} is a set-up request of {self.provider}: it holds no event, take it out")
        events = self._events(body)
        one = events[0] if events and len(events) == 1 else ExpectedEvent("", "", "")
        return replace(
            body, message_id=one.message_id, event_type=one.event_type, ordering_key=one.ordering_key, events=events
        )

    def _signed(self, body: Body, *, now_us: int) -> tuple[Mapping[str, str], bytes]:
        arguments: dict[str, Any] = {"secret": self.secret, "options": self.options, "now_us": now_us}
        arguments["url"] = self._url(body)
        again = getattr(self.adapter, "sign_again", None)  # where the id that identifies is in a signed header
        if again is None or not body.headers:
            return self.adapter.sign(body.content, **arguments)
        recorded = {name.lower(): text for name, text in body.headers.items()}
        signed: tuple[Mapping[str, str], bytes] = again(body.content, recorded=recorded, **arguments)
        return signed

    def _without_stale_headers(self, body: Body) -> Body:
        """A recorded header gives way to a fresh one of its name, unless the delivery holds with it too."""
        if not body.headers:
            return body
        fresh, _ = self._signed(body, now_us=PROBE_US)
        made_anew = {name.lower() for name in (*fresh, *self.beside)}
        kept = {name: text for name, text in body.headers.items() if name.lower() not in made_anew}
        for name, text in body.headers.items():
            if name.lower() in made_anew and self._holds(replace(body, headers={**kept, name: text})):
                kept[name] = text
        return replace(body, headers=kept)

    def _holds(self, body: Body) -> bool:
        try:
            self._verify(body, self.sign(body, now_us=PROBE_US))
        except Refused:
            return False
        return True

    def _verify(self, body: Body, signed: SignedDelivery) -> None:
        delivery = self._inbound(body, signed, now_us=PROBE_US)
        self.adapter.verify(delivery, secrets=[self.secret], options=self.options, now_us=PROBE_US)

    def _events(self, body: Body) -> tuple[ExpectedEvent, ...] | None:
        """None for a body that the service will not take: its answer is then all that there is to know."""
        try:
            found = [
                self.adapter.identify(self._delivery(body, now_us=now_us), options=self.options)
                for now_us in (PROBE_US, LATER_PROBE_US)
            ]
        except (BodyInvalid, ContentTypeUnsupported):
            return None
        return tuple(
            ExpectedEvent(
                one.message_id if one.message_id == other.message_id else "", one.event_type, one.ordering_key
            )
            for one, other in zip(*found, strict=True)
        )

    def _delivery(self, body: Body, *, now_us: int) -> InboundDelivery:
        return self._inbound(body, self.sign(body, now_us=now_us), now_us=now_us)

    def _inbound(self, body: Body, signed: SignedDelivery, *, now_us: int) -> InboundDelivery:
        return InboundDelivery(
            provider=self.provider,
            headers=signed.lowered,
            body=signed.content,
            url=self._url(body),
            received_us=now_us,
        )

    def _url(self, body: Body) -> str:
        return f"{self.url}?{body.query}" if body.query else self.url


def events_for_default(body: Body) -> tuple[ExpectedEvent, ...] | None:
    """What `default` finds in a recorded body; None for one that it will not take."""
    headers = {"content-type": "application/json"} | {name.lower(): text for name, text in body.headers.items()}
    delivery = InboundDelivery(provider="default", headers=headers, body=body.content, url="", received_us=PROBE_US)
    try:
        found = generic.identify(delivery, options=generic.Options())
    except (BodyInvalid, ContentTypeUnsupported):
        return None
    return tuple(ExpectedEvent(event.message_id, event.event_type, event.ordering_key) for event in found)


def provider_signer(
    *, provider: str, scheme: str, secret: str, options: str, url: str, beside: str, makes_events: str
) -> ProviderSigner:
    """From texts, as they reach the generator. Raises ConfigurationError for options that the scheme does not know."""
    adapter = adapter_of(scheme)
    return ProviderSigner(
        provider=provider,
        adapter=adapter,
        secret=Secret(value=secret, fingerprint=""),
        options=adapter.read_options(json.loads(options)),
        url=url,
        beside=json.loads(beside),
        makes_events=bool(makes_events),
    )
