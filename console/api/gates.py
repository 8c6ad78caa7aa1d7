"""`/api/v1/gates/`, `/api/v1/mode`: how the gates and the mode stand, for programs. Deciding stays with people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, override

from django.db import transaction
from django.http import Http404, HttpResponse, JsonResponse
from rest_framework.request import Request

from console.access import Permission
from console.actions.operator import RefusalRecorded, check
from console.api.authentication import operator_of
from console.api.evidence import EvidenceView
from console.api.problems import problem, problem_response
from console.management.gate.show import gate_json
from console.management.mode.show import mode_json
from evidence.audit import Act, record
from evidence.gates.spec import GateSpec, GateUnknown, gate_names
from evidence.gates.spec import gate as spec_of
from evidence.mode_standing import standing

NEVER = "service_accounts_never_decide"
WHY = "people decide, in the console or by `manage.py gate decide`: no program does"


class GateList(EvidenceView):
    """`GET /api/v1/gates/`."""

    def get(self, request: Request) -> HttpResponse:
        check(operator_of(request), Permission.GATE_READ, subject="list gates")
        return _json({"gates": [gate_json(spec_of(name)) for name in gate_names()]})


class GateItem(EvidenceView):
    """`GET /api/v1/gates/<gate>`."""

    def get(self, request: Request, gate: str) -> HttpResponse:
        check(operator_of(request), Permission.GATE_READ, subject=f"gate {gate[:64]}")
        return _json(gate_json(_spec(gate)))


class GateDecisions(EvidenceView):
    """`POST /api/v1/gates/<gate>/decisions` is refused to everybody, on record."""

    def post(self, request: Request, gate: str) -> HttpResponse:
        subject = f"gate {_spec(gate).name}"
        check(operator_of(request), Permission.GATE_DECIDE, subject=subject)
        with transaction.atomic():  # superusers hold everything, and decide nothing
            record(Act.DECISION_REFUSED, actor=operator_of(request).actor, subject=subject, reason=WHY)
        return problem_response(NEVER, WHY)

    @override
    def get_exception_handler(self) -> Any:
        return never


def never(error: Exception, context: Mapping[str, Any]) -> HttpResponse:
    """The same words for whoever lacks the permission, which is on record then."""
    return problem_response(NEVER, WHY) if isinstance(error, RefusalRecorded) else problem(error, context)


class ModeItem(EvidenceView):
    """`GET /api/v1/mode`."""

    def get(self, request: Request) -> HttpResponse:
        check(operator_of(request), Permission.MODE_READ, subject="read the mode")
        return _json(mode_json(standing()))


def _spec(name: str) -> GateSpec:
    try:
        return spec_of(name)
    except GateUnknown as error:
        raise Http404(str(error)) from error


def _json(told: object) -> HttpResponse:
    response = JsonResponse(told)
    response["Cache-Control"] = "no-store"
    return response
