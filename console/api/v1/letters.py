"""`/api/v1/dead-letters/` and `/api/v1/quarantine/`: what was set aside, and deciding over it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, TypedDict
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse
from rest_framework.request import Request

from console.access import Permission
from console.actions.set_aside import ACT_LIMIT_COUNT
from console.admin.dead_letters import LETTER_QUALIFIERS
from console.admin.filters import AgeFilter
from console.admin.quarantine import QUARANTINE_QUALIFIERS
from console.api.authentication import operator_of
from console.api.v1.errors import NotHere, RequestInvalid
from console.api.v1.events import PROVIDER, SEARCH, may_reveal
from console.api.v1.idempotency import once
from console.api.v1.operation import BY_ID, Operation, Query, choice, paged, text
from console.api.v1.pages import listed
from console.api.v1.shapes import TEXT, TEXT_NOT_BLANK, Address, EventId, Moment, Sha256
from console.api.v1.view import ApiView, answered
from console.management.deadletters.printing import attempt_json, letter_json, planned_json
from console.personal import Masked
from console.search import Qualifier, matched_events
from console.selectors import earliest_id
from console.set_aside.kinds import KINDS, Kind
from console.set_aside.plan import retry_plan
from console.set_aside.verbs import DISCARD, RETRY, Verb
from evidence.models import AuditEntry
from ingestion.models import SetAsideState
from ingestion.redrive.discard import REASON_LIMIT_CHARS
from ingestion.redrive.place import SetAside
from ingestion.redrive.selectors import attempts_of

QUALIFIERS = {SetAside.DEAD_LETTER: LETTER_QUALIFIERS, SetAside.QUARANTINE: QUARANTINE_QUALIFIERS}
FILTERS: tuple[Query, ...] = (
    SEARCH,
    choice("state", "In this state alone.", SetAsideState.values),
    PROVIDER,
    choice("age", "Received in the last hour, day or week, or longer ago than a week.", list(AgeFilter.LENGTHS)),
    *paged(BY_ID),
)
FINGERPRINT = text("error", "With this error fingerprint alone.", limit_chars=16)


class LetterJson(TypedDict):
    """Of both kinds. Place and times are those of the first receipt."""

    event_id: EventId
    state: SetAsideState
    state_at: Moment | None
    discard_reason: str
    provider: str
    event_type: str
    message_id: str
    ordering_key: str
    lane: int
    epoch: int
    sequence: int
    received_at: Moment
    body_sha256: Sha256
    attempt_count: int


class DeadLetterJson(LetterJson):
    """`error` is the first line: the others may quote the payload."""

    error_class: str
    error: str
    fingerprint: str
    dead_at: Moment


class QuarantinedJson(LetterJson):
    original_event_id: EventId | None


class ForecastJson(TypedDict):
    """What a retry would do now."""

    event_id: EventId
    fate: str
    included: bool
    sentence: str
    original_event_id: EventId | None


class AttemptJson(TypedDict):
    number: int
    asked_at: Moment
    outcome: str
    settled_at: Moment | None
    error_class: str
    error: str
    original_event_id: EventId | None
    lane: int | None
    sequence: int | None


class DeadLetterDetailJson(DeadLetterJson):
    retry_now: ForecastJson
    attempts: list[AttemptJson]


class QuarantinedDetailJson(QuarantinedJson):
    retry_now: ForecastJson
    attempts: list[AttemptJson]


class DeadLetterPageJson(TypedDict):
    """As of events."""

    dead_letters: list[DeadLetterJson]
    next: Address | None
    searched_to: EventId | None
    understood: list[str]
    problem: str


class QuarantinePageJson(TypedDict):
    """As of events."""

    quarantined: list[QuarantinedJson]
    next: Address | None
    searched_to: EventId | None
    understood: list[str]
    problem: str


type EventIds = Annotated[list[EventId], {"minItems": 1, "maxItems": ACT_LIMIT_COUNT}]


class RetryJson(TypedDict):
    event_ids: EventIds
    reason: Annotated[str, {"maxLength": REASON_LIMIT_CHARS, "pattern": TEXT}]


class DiscardJson(TypedDict):
    event_ids: EventIds
    reason: Annotated[str, {"minLength": 1, "maxLength": REASON_LIMIT_CHARS, "pattern": TEXT_NOT_BLANK}]


class RefusedJson(TypedDict):
    event_id: EventId
    fate: str
    why: str


class DoneJson(TypedDict):
    """`done` was done to, the rest is as it was. A retried letter goes to its lane: ask for it to see how it ended."""

    audit_entry: int
    done: list[EventId]
    refused: list[RefusedJson]


class _LetterView(ApiView):
    place: ClassVar[SetAside]

    @property
    def kind(self) -> Kind:
        return KINDS[self.place]


class _LetterList(_LetterView):
    many: ClassVar[str]

    def get(self, request: Request) -> HttpResponse:
        rows, query = self.kind.rows, self.query
        rows, is_narrowed = _filtered(rows, query)
        qualifiers: dict[str, Qualifier] = dict(QUALIFIERS[self.place])
        matched = matched_events(query.get("q", ""), rows, qualifiers=qualifiers, may_reveal=may_reveal(request))
        page = listed(request, rows, query, matched=matched, is_narrowed=is_narrowed)
        return answered(
            {
                self.many: [_shown(letter_json(row)) for row in page.rows],
                "next": page.next,
                "searched_to": page.searched_to,
                "understood": list(matched.told),
                "problem": matched.problem,
            }
        )


class _LetterItem(_LetterView):
    def get(self, _: Request, event_id: UUID) -> HttpResponse:
        row = self.kind.rows.filter(pk=event_id).first()
        if row is None:
            raise NotHere(f"there is no such {self.kind.noun}; GET /api/v1/lineage tells what it is")
        (planned,) = retry_plan(self.place, [row.pk]).letters
        content = Masked.of(row)
        attempts = [_shown(attempt_json(each, content)) for each in attempts_of(self.place, row.pk)]
        return answered({**_shown(letter_json(row)), "retry_now": planned_json(planned), "attempts": attempts})


class _LetterAct(_LetterView):
    verb: ClassVar[Verb]

    @once
    def post(self, request: Request) -> HttpResponse:
        event_ids = [_uuid(each) for each in self.body["event_ids"]]
        entry = self.verb.perform(
            operator_of(request), place=self.place, event_ids=event_ids, reason=self.body["reason"]
        )
        return answered(_done(entry))


class DeadLetterList(_LetterList):
    """What can never be stored as it is, the newest first."""

    place, many = SetAside.DEAD_LETTER, "dead_letters"
    operations = {
        "GET": Operation(
            summary="Dead letters",
            permission=Permission.DEAD_LETTER_READ,
            answer=DeadLetterPageJson,
            query=(*FILTERS, FINGERPRINT),
        )
    }


class DeadLetterItem(_LetterItem):
    """One dead letter: why, what was tried, and what a retry would do now."""

    place = SetAside.DEAD_LETTER
    operations = {
        "GET": Operation(
            summary="One dead letter",
            permission=Permission.DEAD_LETTER_READ,
            answer=DeadLetterDetailJson,
            codes=("not_found",),
        )
    }


class QuarantineList(_LetterList):
    """The identity of a stored event with another content, the newest first."""

    place, many = SetAside.QUARANTINE, "quarantined"
    operations = {
        "GET": Operation(
            summary="Quarantined events",
            permission=Permission.QUARANTINE_READ,
            answer=QuarantinePageJson,
            query=FILTERS,
        )
    }


class QuarantineItem(_LetterItem):
    """One quarantined event: of which original, what was tried, and what a retry would do now."""

    place = SetAside.QUARANTINE
    operations = {
        "GET": Operation(
            summary="One quarantined event",
            permission=Permission.QUARANTINE_READ,
            answer=QuarantinedDetailJson,
            codes=("not_found",),
        )
    }


def _acting(verb: Verb, noun: str, body: Any) -> dict[str, Operation]:
    return {
        "POST": Operation(
            summary=f"{verb.name.capitalize()} {noun}",
            permission=verb.permission,
            answer=DoneJson,
            body=body,
            is_idempotent=True,
        )
    }


class DeadLetterRetry(_LetterAct):
    """Sends open dead letters back to their lanes, oldest first. On record with what was refused."""

    place, verb = SetAside.DEAD_LETTER, RETRY
    operations = _acting(RETRY, "dead letters", RetryJson)


class DeadLetterDiscard(_LetterAct):
    """Gives open dead letters up, with a reason. On record with what was refused."""

    place, verb = SetAside.DEAD_LETTER, DISCARD
    operations = _acting(DISCARD, "dead letters", DiscardJson)


class QuarantineRetry(_LetterAct):
    """Sends quarantined events whose identity is free again back to their lanes."""

    place, verb = SetAside.QUARANTINE, RETRY
    operations = _acting(RETRY, "quarantined events", RetryJson)


class QuarantineDiscard(_LetterAct):
    """Gives quarantined events up, with a reason."""

    place, verb = SetAside.QUARANTINE, DISCARD
    operations = _acting(DISCARD, "quarantined events", DiscardJson)


def _filtered(rows: QuerySet[Any], query: dict[str, Any]) -> tuple[QuerySet[Any], bool]:
    """As the console's filters. And whether one of them has no index that leads to its rows in order."""
    exact = {"state": "state", "provider": "provider", "error": "fingerprint"}
    given = {exact[name]: query[name] for name in exact if name in query}
    rows = rows.filter(**given)
    if (age := query.get("age")) is not None:
        edge = earliest_id(datetime.now(UTC) - AgeFilter.LENGTHS[age][1])
        rows = rows.filter(pk__lt=edge) if age == "older" else rows.filter(pk__gte=edge)
    return rows, bool(given.keys() - {"state"})


def _shown(told: dict[str, Any]) -> dict[str, Any]:
    """PostgreSQL's second line of an error may quote what it refused."""
    return {**told, "error": str(told["error"]).partition("\n")[0]} if "error" in told else told


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise RequestInvalid(f"{text[:40]!r} is no event id") from None


def _done(entry: AuditEntry) -> DoneJson:
    refused: Sequence[RefusedJson] = entry.facts["refused"]
    return {"audit_entry": entry.number, "done": entry.facts["done"], "refused": list(refused)}
