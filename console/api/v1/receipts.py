"""`/api/v1/receipts/check`: what became of what was promised."""

from __future__ import annotations

from typing import Annotated, TypedDict

from django.conf import settings
from django.http import HttpResponse
from rest_framework.request import Request

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from console.access import Permission
from console.api.authentication import operator_of
from console.api.v1.operation import Operation
from console.api.v1.shapes import TEXT, EventId, Moment
from console.api.v1.view import ApiView, answered
from console.management.evidence.receipt import answer_json
from console.pages.receipts import PASTED_LIMIT_COUNT
from evidence.promises.answer import BROKEN, Verdict, answers
from ingestion.accept import receipt_keys
from ingestion.buffer.store import lane_buffer

type Line = Annotated[str, {"minLength": 1, "maxLength": 400, "pattern": TEXT}]


class ReceiptsJson(TypedDict):
    """Receipt lines as 202s answered them."""

    receipts: Annotated[list[Line], {"minItems": 1, "maxItems": PASTED_LIMIT_COUNT}]


class ReceiptAnswerJson(TypedDict):
    """`verdict`: sealed and committed are kept; waiting and not_yet are on their way; missing, differs and forged are
    broken; unknown could not be told. Null fields are not known."""

    verdict: str
    sentence: str
    event_id: EventId | None
    lane: int | None
    epoch: int | None
    sequence: int | None
    accepted_at: Moment | None
    fate: str | None
    original_event_id: EventId | None
    batch: int | None
    committed_at: Moment | None
    log_origin: str | None
    log_index: int | None
    seal: int | None
    checkpoint_size: int | None


class ReceiptAnswersJson(TypedDict):
    """`outcome` of all of them: PASS every promise is kept and sealed, FAIL one is broken, INCONCLUSIVE not yet or
    cannot tell."""

    outcome: str
    receipts: list[ReceiptAnswerJson]


class ReceiptCheck(ApiView):
    """In the order of the lines. What is missing or differs has its incident afterwards, so a check is a POST; it may
    be sent again at any time."""

    operations = {
        "POST": Operation(
            summary="Check receipts",
            permission=Permission.LOG_READ,
            answer=ReceiptAnswersJson,
            body=ReceiptsJson,
        )
    }

    def post(self, request: Request) -> HttpResponse:
        found = answers(
            self.body["receipts"],
            keys=receipt_keys(),
            buffer=lane_buffer(),
            lane_count=settings.AUTOCOM.lanes,
            now=datetime_of(us=SYSTEM_CLOCK.now_us()),
            asker=operator_of(request).actor,
        )
        verdicts = {answer.verdict for answer in found}
        outcome = "FAIL" if verdicts & BROKEN else "PASS" if verdicts == {Verdict.SEALED} else "INCONCLUSIVE"
        return answered({"outcome": outcome, "receipts": [answer_json(each) for each in found]})
