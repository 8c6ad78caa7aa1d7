"""From a verified delivery to a promise: what is put to Redis, and what the sender is told of the answer.

The step between the two, one round trip, is made by whoever serves the request: the ingress for all requests of the
moment at once
(`autocom.ingress.group_commit`), any other server for one (`buffer.store.LaneBuffer.append`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from uuid import UUID

from django.conf import settings

from autocom.kernel import json_text
from autocom.kernel.digest import derived_key, sha256
from ingestion.buffer.append import (
    Appended,
    AppendLimits,
    Code,
    DeliveryToAppend,
    append_args,
    delivery_header,
    read_answers,
)
from ingestion.identify import event_to_append, token_digest
from ingestion.problems import Problem, Reply, problem_reply
from ingestion.proof import kept_headers
from ingestion.provider_book import KnownProvider
from ingestion.providers.adapter import AckPolicy, InboundDelivery
from ingestion.receipts import ReceiptKey
from ingestion.retry_after import retry_after_seconds

DEDUPE_MARGIN = timedelta(hours=1)  # above the provider's longest retry, for its clock and its queue


@dataclass(frozen=True, slots=True)
class PromiseKeys:
    """Keys made from SECRET_KEY, each for one purpose."""

    receipt: ReceiptKey
    hop: bytes


@cache
def promise_keys() -> PromiseKeys:
    return PromiseKeys(
        receipt=ReceiptKey.derived(settings.SECRET_KEY), hop=derived_key(settings.SECRET_KEY, purpose="autocom.hop.v1")
    )


def receipt_keys() -> tuple[ReceiptKey, ...]:
    """Of SECRET_KEY and of those before it: receipts outlive the key that made them."""
    return tuple(ReceiptKey.derived(secret) for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS))


@cache
def lane_count() -> int:
    return settings.AUTOCOM.lanes  # settings look a name up anew each time: too slow for every request


@cache
def append_limits() -> AppendLimits:
    bounds = settings.AUTOCOM
    return AppendLimits(
        lane_bound_count=bounds.lane_bound_count,
        lane_bound_bytes=bounds.lane_bound_bytes,
        seen_bound_count=bounds.seen_bound_count,
    )


@dataclass(frozen=True, slots=True)
class Acceptance:
    """A delivery that is verified and identified and not yet promised."""

    provider: str
    policy: AckPolicy
    delivery: DeliveryToAppend

    def words(self) -> list[bytes]:
        """The command to Redis."""
        keys = promise_keys()
        return append_args(self.delivery, limits=append_limits(), hop_key=keys.hop, receipt_key_id=keys.receipt.id)

    def reply(self, answers: Sequence[Sequence[object]]) -> Reply:
        """What the sender is told, once Redis has answered."""
        keys = promise_keys()
        appended = read_answers(self.delivery, answers, receipt_key_id=keys.receipt.id)
        return _reply(self, appended, keys.receipt)

    def unavailable(self) -> Reply:
        """Redis did not answer, or refused: nothing is promised, whatever it may have stored."""
        return problem_reply(
            Problem.BUFFER_UNAVAILABLE,
            request_id=str(self.delivery.request_id),
            status=self.policy.busy_status,
            retry_after_seconds=retry_after_seconds(),
        )


def acceptance_of(
    provider: KnownProvider, inbound: InboundDelivery, *, request_id: UUID, verified_by: str = ""
) -> Acceptance:
    """Identifies the delivery's events and readies them for their lanes. Raises BodyInvalid, ContentTypeUnsupported."""
    adapter = provider.adapter
    identified = adapter.identify(inbound, options=provider.options)
    body_sha256 = sha256(inbound.body)
    kept = kept_headers(provider, inbound, verified_by=verified_by)
    body_is_payload = len(identified) == 1 and identified[0].payload == inbound.body
    events = [
        event_to_append(
            event,
            provider=provider.name,
            request_id=request_id,
            position=position,
            body_sha256=body_sha256,
            received_us=inbound.received_us,
            lane_count=lane_count(),
            headers=kept if body_is_payload else None,
        )
        for position, event in enumerate(identified)
    ]
    return Acceptance(
        provider=provider.name,
        policy=adapter.ACK,
        delivery=DeliveryToAppend(
            request_id=request_id,
            header=b""
            if body_is_payload
            else delivery_header(
                request_id=request_id,
                provider=provider.name,
                received_us=inbound.received_us,
                headers=kept,
                event_count=len(events),
            ),
            body=b"" if body_is_payload else inbound.body,
            body_sha256=body_sha256,
            events=events,
            dedupe_window_seconds=_window_seconds(adapter.RETRY_HORIZON),
            token_sha256=token_digest(identified[0].single_use_token, provider=provider.name),
        ),
    )


@cache
def _window_seconds(retry_horizon: timedelta) -> int:
    return int((retry_horizon + DEDUPE_MARGIN).total_seconds())


def _reply(acceptance: Acceptance, appended: Sequence[Appended], receipt_key: ReceiptKey) -> Reply:
    request_id = str(acceptance.delivery.request_id)
    policy = acceptance.policy
    codes = [each.code for each in appended]
    if Code.FULL in codes:
        wait_seconds = max(each.queue.wait_seconds for each in appended if each.queue)
        # the whole delivery comes again: what was stored of it is then a duplicate, so nothing is lost or doubled
        return problem_reply(
            Problem.LANE_FULL,
            request_id=request_id,
            status=policy.busy_status,
            retry_after_seconds=retry_after_seconds(wait_seconds),
            events=len(appended),
            refused=codes.count(Code.FULL),
        )
    if Code.TOKEN_REUSED in codes:
        return problem_reply(Problem.TOKEN_REUSED, request_id=request_id, status=policy.conflict_status)
    if all(code is Code.QUARANTINED for code in codes):
        return problem_reply(Problem.IDENTITY_CONFLICT, request_id=request_id, status=policy.conflict_status)
    status = "accepted" if Code.ACCEPTED in codes else "duplicate"
    body: dict[str, object] = {
        "request_id": request_id,
        "status": status,
        "events": len(appended),
        "receipt": "\n".join(each.receipt.line(receipt_key) for each in appended if each.receipt),
    }
    if len(appended) > 1:
        body |= {"duplicates": codes.count(Code.DUPLICATE), "quarantined": codes.count(Code.QUARANTINED)}
    return Reply(status=policy.success_status, body=json_text.dumps(body), code=status)
