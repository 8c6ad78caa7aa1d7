"""`/api/v1/audit/`, `/api/v1/rbac/`: who did what, and who may do what."""

from __future__ import annotations

from typing import Any, TypedDict

from django.http import HttpResponse
from rest_framework.request import Request

from console.access import Permission
from console.admin.audit import audit_matched
from console.api.v1.errors import NotHere
from console.api.v1.events import iso_of
from console.api.v1.operation import BY_NUMBER, Operation, choice, paged, text
from console.api.v1.pages import listed
from console.api.v1.shapes import Address, Moment, Sha256
from console.api.v1.view import ApiView, answered
from console.models import RbacRun
from console.rbac.runs import is_stale
from evidence.audit import Act, ActorKind
from evidence.models import AuditEntry

AUDIT_SEARCH = text("q", 'As in the console: act:…, actor:…, subject:"…", or the number of an entry.', limit_chars=500)


class AuditEntryJson(TypedDict):
    """`entry_sha256` covers all of it and the entry before: `docs/verify.md` says how to check the chain."""

    number: int
    at: Moment
    act: str
    actor_kind: ActorKind
    actor: str
    subject: str
    reason: str
    facts: dict[str, Any]
    previous_sha256: Sha256
    entry_sha256: Sha256


class AuditPageJson(TypedDict):
    entries: list[AuditEntryJson]
    next: Address | None
    searched_to: int | None
    understood: list[str]
    problem: str


class RbacRunJson(TypedDict):
    """One probe of the matrix. `is_stale`: of other code than what runs, so it says nothing about this."""

    number: int
    at: Moment
    outcome: str
    commit: str
    build: str
    is_stale: bool
    cell_count: int
    match_count: int
    mismatch_count: int
    untested_count: int
    seconds: float
    asked_by: str
    matrix_sha256: Sha256


class RbacPageJson(TypedDict):
    runs: list[RbacRunJson]
    next: Address | None


class RbacLineJson(TypedDict):
    """The methods of a route that answered alike. `cells`: what each persona got and the verdict, in their order."""

    route: str
    rule: str
    methods: list[str]
    cells: list[list[str]]


class RbacRunDetailJson(RbacRunJson):
    personas: list[str]
    lines: list[RbacLineJson]


class AuditList(ApiView):
    """The newest first."""

    operations = {
        "GET": Operation(
            summary="Audit entries",
            permission=Permission.AUDIT_READ,
            answer=AuditPageJson,
            query=(
                AUDIT_SEARCH,
                choice("act", "Of this act alone.", [act.value for act in Act]),
                choice("actor_kind", "Of this kind of actor alone.", [kind.value for kind in ActorKind]),
                *paged(BY_NUMBER),
            ),
        )
    }

    def get(self, request: Request) -> HttpResponse:
        given = {name: self.query[name] for name in ("act", "actor_kind") if name in self.query}
        matched = audit_matched(self.query.get("q", ""))
        rows = AuditEntry.objects.filter(**given)
        page = listed(request, rows, self.query, matched=matched, is_narrowed="actor_kind" in given)
        return answered(
            {
                "entries": [_entry_json(row) for row in page.rows],
                "next": page.next,
                "searched_to": None if page.searched_to is None else int(page.searched_to),
                "understood": list(matched.told),
                "problem": matched.problem,
            }
        )


class AuditItem(ApiView):
    """One entry."""

    operations = {
        "GET": Operation(
            summary="One audit entry", permission=Permission.AUDIT_READ, answer=AuditEntryJson, codes=("not_found",)
        )
    }

    def get(self, _: Request, number: int) -> HttpResponse:
        row = AuditEntry.objects.filter(pk=number).first()
        if row is None:
            raise NotHere(f"the log has no entry {number}")
        return answered(_entry_json(row))


class RbacRunList(ApiView):
    """Probes of the matrix of permissions, the newest first."""

    operations = {
        "GET": Operation(
            summary="RBAC runs", permission=Permission.RBAC_READ, answer=RbacPageJson, query=paged(BY_NUMBER)
        )
    }

    def get(self, request: Request) -> HttpResponse:
        page = listed(request, RbacRun.objects.defer("lines"), self.query)
        return answered({"runs": [_run_json(row) for row in page.rows], "next": page.next})


class RbacRunItem(ApiView):
    """One probe, with every route and what each persona got."""

    operations = {
        "GET": Operation(
            summary="One RBAC run", permission=Permission.RBAC_READ, answer=RbacRunDetailJson, codes=("not_found",)
        )
    }

    def get(self, _: Request, number: int) -> HttpResponse:
        row = RbacRun.objects.filter(pk=number).first()
        if row is None:
            raise NotHere(f"there is no run {number}")
        return answered({**_run_json(row), "personas": row.personas, "lines": row.lines})


def _entry_json(row: AuditEntry) -> AuditEntryJson:
    return {
        "number": row.number,
        "at": iso_of(row.at),
        "act": row.act,
        "actor_kind": ActorKind(row.actor_kind),
        "actor": row.actor,
        "subject": row.subject,
        "reason": row.reason,
        "facts": row.facts,
        "previous_sha256": bytes(row.previous_sha256).hex(),
        "entry_sha256": bytes(row.entry_sha256 or b"").hex(),
    }


def _run_json(row: RbacRun) -> RbacRunJson:
    return {
        "number": row.pk,
        "at": iso_of(row.at),
        "outcome": row.outcome,
        "commit": row.commit,
        "build": row.build,
        "is_stale": is_stale(row),
        "cell_count": row.cell_count,
        "match_count": row.match_count,
        "mismatch_count": row.mismatch_count,
        "untested_count": row.untested_count,
        "seconds": row.seconds,
        "asked_by": row.asked_by,
        "matrix_sha256": row.matrix_sha256,
    }
