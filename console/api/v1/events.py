"""`/api/v1/events/`: what was accepted and stored. Never a payload."""

from __future__ import annotations

from typing import Any, TypedDict
from uuid import UUID

from django.http import HttpResponse
from rest_framework.request import Request

from autocom.kernel.errors import AutocomError
from autocom.kernel.ids import request_id_of
from autocom.kernel.trace_ids import trace_id
from console.access import Permission
from console.api.authentication import operator_of
from console.api.v1.errors import NotHere, ProofMissing
from console.api.v1.operation import BY_ID, Operation, paged, text
from console.api.v1.pages import listed
from console.api.v1.shapes import Address, EventId, Moment, Sha256, TraceId
from console.api.v1.view import ApiView, answered
from console.management.provider.printing import iso
from console.personal import listed_key
from console.receipts import receipt_line
from console.search import matched_events
from evidence.log.proofs import event_proof
from evidence.promises.answer import sealed_at
from ingestion.aged import aged_event
from ingestion.models import Event

COLUMNS = (
    *("id", "provider", "event_type", "message_id", "ordering_key", "recipe", "kind", "lane", "epoch", "sequence"),
    *("received_at", "accepted_at", "batch__committed_at"),
)
SEARCH = text(
    "q", "As in the console: an id, a message id or an ordering key, or type:…, key:…, message:…", limit_chars=500
)
PROVIDER = text("provider", "Of this provider alone.", limit_chars=64)


class EventJson(TypedDict):
    """One accepted event. Its id is its request id plus its position in the delivery."""

    event_id: EventId
    request_id: EventId
    provider: str
    event_type: str
    message_id: str
    ordering_key: str
    kind: str
    lane: int
    epoch: int
    sequence: int
    received_at: Moment
    accepted_at: Moment
    committed_at: Moment
    batch: int


class EventPageJson(TypedDict):
    """`understood`: how `q` was read; `problem`: why it can match nothing. `searched_to`: a search that no index
    serves stopped at this id, and `next` goes on from there."""

    events: list[EventJson]
    next: Address | None
    searched_to: EventId | None
    understood: list[str]
    problem: str


class SealedJson(TypedDict):
    """Where the event's batch stands in the public log."""

    log_origin: str
    log_index: int
    seal: int
    checkpoint_size: int


class EventDetailJson(EventJson):
    """`receipt` is null where a retried event's letter, which has the promised place, has aged out. `trace_id`: of its
    delivery, in log lines, Sentry and OpenTelemetry."""

    trace_id: TraceId
    occurred_at: Moment | None
    recipe: str
    identity_sha256: Sha256
    body_sha256: Sha256
    content_sha256: Sha256
    redriven_at: Moment | None
    receipt: str | None
    sealed: SealedJson | None


class EventList(ApiView):
    """The newest first, by the filters of the console's list."""

    operations = {
        "GET": Operation(
            summary="Events",
            permission=Permission.EVENT_READ,
            answer=EventPageJson,
            query=(SEARCH, PROVIDER, *paged(BY_ID)),
        )
    }

    def get(self, request: Request) -> HttpResponse:
        rows = Event.objects.select_related("batch").only(*COLUMNS)
        if provider := self.query.get("provider"):
            rows = rows.filter(provider=provider)
        matched = matched_events(self.query.get("q", ""), rows, may_reveal=may_reveal(request))
        page = listed(request, rows, self.query, matched=matched, is_narrowed=bool(provider))
        told: EventPageJson = {
            "events": [event_json(row) for row in page.rows],
            "next": page.next,
            "searched_to": page.searched_to,
            "understood": list(matched.told),
            "problem": matched.problem,
        }
        return answered(told)


class EventItem(ApiView):
    """One event, with its receipt as its sender has it and its place in the public log."""

    operations = {
        "GET": Operation(
            summary="One event", permission=Permission.EVENT_READ, answer=EventDetailJson, codes=("not_found",)
        )
    }

    def get(self, _: Request, event_id: UUID) -> HttpResponse:
        row = Event.objects.select_related("batch").defer("payload").filter(pk=event_id).first()
        if row is None:
            raise NotHere(_gone(event_id))
        sealed = sealed_at(row.batch_id)
        told: EventDetailJson = {
            **event_json(row),
            "trace_id": trace_id(request_id_of(row.pk)),
            "occurred_at": iso(row.occurred_at),
            "recipe": row.recipe,
            "identity_sha256": bytes(row.identity).hex(),
            "body_sha256": bytes(row.body_sha256).hex(),
            "content_sha256": bytes(row.content_sha256).hex(),
            "redriven_at": iso(row.redriven_at),
            "receipt": receipt_line(row),
            "sealed": None
            if sealed is None
            else {
                "log_origin": sealed.seal.incarnation.origin,
                "log_index": sealed.index,
                "seal": sealed.seal.number,
                "checkpoint_size": sealed.seal.tree_size,
            },
        }
        return answered(told)


class EventProof(ApiView):
    """The proof that the event is in the public log, as a text that `docs/verify.md` says how to check."""

    operations = {
        "GET": Operation(
            summary="Proof of an event",
            permission=Permission.LOG_READ,
            answer=None,
            statuses={"200": {"description": "The proof.", "content": {"text/plain": {"schema": {"type": "string"}}}}},
            codes=("proof_missing",),
        )
    }

    def get(self, _: Request, event_id: UUID) -> HttpResponse:
        try:
            proof = event_proof(event_id).text
        except AutocomError as error:
            raise ProofMissing(str(error)) from error
        return HttpResponse(proof, content_type="text/plain; charset=utf-8", headers={"Cache-Control": "no-store"})


def may_reveal(request: Request) -> bool:
    """Whoever may not see personal data may not ask for it by search either."""
    return operator_of(request).has(Permission.PERSONAL_REVEAL)


def event_json(row: Event) -> EventJson:
    return {
        "event_id": str(row.pk),
        "request_id": str(request_id_of(row.pk)),
        "provider": row.provider,
        "event_type": row.event_type,
        "message_id": row.message_id,
        "ordering_key": listed_key(row),
        "kind": row.kind,
        "lane": row.lane,
        "epoch": row.epoch,
        "sequence": row.sequence,
        "received_at": iso_of(row.received_at),
        "accepted_at": iso_of(row.accepted_at),
        "committed_at": iso_of(row.batch.committed_at),
        "batch": row.batch_id,
    }


def iso_of(at: Any) -> str:
    return iso(at) or ""


def _gone(event_id: UUID) -> str:
    aged = aged_event(str(event_id))
    if aged is None:
        return "there is no such event; GET /api/v1/lineage tells whether it is a dead letter or on its way"
    return f"it was stored and aged out at {iso(aged.aged_at)}; its leaf is kept"
