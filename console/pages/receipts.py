"""Check a receipt: paste what a 202 answered, see what became of it, take the proof away."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, override
from uuid import UUID

from django.conf import settings
from django.contrib.admin import AdminSite
from django.db import Error
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from autocom.kernel.errors import AutocomError
from console.access import Permission
from console.guards import GuardedPage
from console.shown import moment
from evidence.audit import Actor
from evidence.log.proofs import event_proof
from evidence.promises.answer import BROKEN, Answer, Verdict, answers
from evidence.promises.lines import NoReceipts, receipt_lines
from ingestion.accept import receipt_keys
from ingestion.buffer.store import lane_buffer

PASTED_LIMIT_COUNT = 500  # a page is for people; the command takes ten thousand


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """An answer as the page draws it."""

    answer: Answer
    is_bad: bool
    is_good: bool
    accepted: SafeString | str
    committed: SafeString | str


class ReceiptsPage(GuardedPage):
    """The form, and the answers to what was posted. A receipt is no secret; a long list fits no address."""

    permission = Permission.LOG_READ
    template_name = "console/receipts.html"
    http_method_names = ["get", "post", "head", "options"]
    site: AdminSite | None = None

    def post(self, request: HttpRequest) -> HttpResponse:
        pasted = request.POST.get("receipts", "")
        return self.render_to_response(self.get_context_data(pasted=pasted, **_checked(request, pasted)))

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        assert self.site is not None  # noqa: S101  (set by the site that routes here)
        self.request.current_app = self.site.name
        title = {"title": "Check a receipt", "subtitle": None, "limit_count": PASTED_LIMIT_COUNT}
        return {**self.site.each_context(self.request), **super().get_context_data(**kwargs), **title}


class ReceiptProof(GuardedPage):
    """The proof of one event as a file."""

    permission = Permission.LOG_READ
    site: AdminSite | None = None

    @override
    def get(self, request: HttpRequest, *args: Any, event_id: UUID, **kwargs: Any) -> HttpResponse:
        try:
            text = event_proof(event_id).text
        except AutocomError as error:
            return HttpResponse(f"{error}\n", status=404, content_type="text/plain; charset=utf-8")
        name = f"autocom-proof-{event_id}.txt"
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}
        return HttpResponse(text, content_type="text/plain; charset=utf-8", headers=headers)


def _checked(request: HttpRequest, pasted: str) -> dict[str, Any]:
    """What became of each, or why nothing was checked."""
    try:
        lines = receipt_lines(pasted)
    except NoReceipts as error:
        return {"problem": str(error)}
    if len(lines) > PASTED_LIMIT_COUNT:
        many = f"This page checks {PASTED_LIMIT_COUNT} receipts at most, these are {len(lines):,}"
        return {"problem": f"{many}: use manage.py evidence receipt FILE"}
    try:
        found = answers(
            lines,
            keys=receipt_keys(),
            buffer=lane_buffer(),
            lane_count=settings.AUTOCOM.lanes,
            now=datetime_of(us=SYSTEM_CLOCK.now_us()),
            asker=Actor.person(request.user),
        )
    except (AutocomError, Error) as error:
        return {"problem": f"UNKNOWN: {error}"}
    return {"answers": [_shown(answer) for answer in found], "sums": _sums(found), "read_at": datetime.now(UTC)}


def _shown(answer: Answer) -> Shown:
    return Shown(
        answer=answer,
        is_bad=answer.verdict in BROKEN,
        is_good=answer.verdict is Verdict.SEALED,
        accepted="" if answer.receipt is None else moment(datetime_of(us=answer.receipt.accepted_us)),
        committed="" if answer.batch is None else moment(answer.batch.committed_at),
    )


def _sums(found: list[Answer]) -> list[str]:
    counts = {verdict: sum(1 for answer in found if answer.verdict is verdict) for verdict in Verdict}
    return [f"{count:,} {verdict}" for verdict, count in counts.items() if count]
