"""One attempt to bring one message to its destination."""

from __future__ import annotations

from autocom.kernel.clock import SYSTEM_CLOCK
from evidence.audit import Actor
from evidence.mode_standing import passes_canary
from evidence.outgoing.addresses import resolve_public
from evidence.outgoing.bodies import event_body
from evidence.outgoing.claims import Claim
from evidence.outgoing.errors import DestinationGone, DestinationRefused, OutsideCanary
from evidence.outgoing.mail import is_mail, recipient_of, send_mail
from evidence.outgoing.signature import signed_headers
from evidence.publishing.exchange import Limits, exchange
from evidence.sends import guard_external_mail, guard_external_send
from ingestion.secret_box import unseal

NOTIFIER = Actor.process("notifier")
PURPOSE = "notification"
LIMITS = Limits(connect_seconds=5, silence_seconds=10, answer_seconds=20)
GONE = 410


def send(claim: Claim) -> None:
    """The destination took it. Raises EvidenceError otherwise, ExternalSendForbidden before any look-up."""
    if is_mail(claim.address):
        guard_external_mail(recipient_of(claim.address), purpose=PURPOSE, actor=NOTIFIER)
        send_mail(claim)
        return
    guard_external_send(claim.address, purpose=PURPOSE, actor=NOTIFIER)
    body = _body(claim)
    destination = resolve_public(claim.address)
    answer = exchange(
        destination,
        method="POST",
        path=destination.path or "/",
        headers=_headers(claim, body),
        chunks=[body],
        size_bytes=len(body),
        limits=LIMITS,
    )
    if answer.status == GONE:
        raise DestinationGone(f"{destination.host} answered 410: it wants no more messages")
    if not 200 <= answer.status < 300:  # a redirect too: it could lead anywhere
        raise DestinationRefused(f"{destination.host} answered {answer.status}, not 2xx")


def _body(claim: Claim) -> bytes:
    """Raises OutsideCanary and EventGone."""
    if claim.event_id is None:
        return claim.body
    if not passes_canary(provider=claim.provider, ordering_key=claim.ordering_key):
        raise OutsideCanary("the mode has changed since: this event is in no canary")
    return event_body(claim.event_id)


def _headers(claim: Claim, body: bytes) -> dict[str, str]:
    now_seconds = SYSTEM_CLOCK.now_us() // 1_000_000
    secret = unseal(claim.secret_ciphertext)
    signed = signed_headers(body, message_id=claim.message_id, at_seconds=now_seconds, secret=secret)
    return {"Content-Type": "application/json", "User-Agent": "autocom", **signed}
