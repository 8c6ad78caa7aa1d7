"""`/api/v1/gates/`, `/api/v1/mode`: how the gates and the mode stand, for programs. Deciding stays with people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypedDict, override

from django.db import transaction
from django.http import HttpResponse
from rest_framework.request import Request

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from console.access import Permission
from console.actions.operator import RefusalRecorded
from console.api.authentication import operator_of
from console.api.problems import problem, problem_response
from console.api.v1.bundles import bundle_json
from console.api.v1.events import iso_of
from console.api.v1.operation import BY_NUMBER, Operation, paged
from console.api.v1.pages import listed
from console.api.v1.shapes import Address, Moment, Sha256
from console.api.v1.view import ApiView, answered
from console.management.gate.show import gate_json
from console.management.mode.show import mode_json
from console.management.provider.printing import iso
from evidence.audit import Act, record
from evidence.gates.spec import GateSpec, gate_names
from evidence.gates.spec import gate as spec_of
from evidence.mode_standing import standing
from evidence.models import Approval, Bundle, Decision
from evidence.modes import Mode
from evidence.status.gate_status import gate_status

NEVER = "service_accounts_never_decide"
WHY = "people decide, in the console or by `manage.py gate decide`: no program does"


class FrozenJson(TypedDict):
    version: int
    sha256: Sha256
    at: Moment
    by: str
    audit_entry: int


class NewestBundleJson(TypedDict):
    sha256: Sha256
    run_id: str
    gate_version: int
    verdict: str
    made_at: Moment


class CriterionJson(TypedDict):
    """One threshold of the specification."""

    name: str
    metric: str
    operator: str
    threshold: float
    unit: str
    key: bool
    source: str
    max_age_hours: float | None


class GateJson(TypedDict):
    """The specification as the running code has it, what was frozen, and the newest bundle. A bundle without `frozen`
    of the same version and digest was judged by nothing that came before it."""

    gate: str
    version: int
    title: str
    sha256: Sha256
    grants: list[str]
    frozen: FrozenJson | None
    newest_bundle: NewestBundleJson | None
    criteria: list[CriterionJson]


class GateListJson(TypedDict):
    gates: list[GateJson]


class VerdictJson(TypedDict):
    """The newest bundle's own verdict.json, read from its stored bytes; null and `trouble` where it cannot be. `holds`:
    the specification that it was judged by is frozen and the running code's."""

    gate: str
    verdict: Literal["PASS", "FAIL", "INCONCLUSIVE"] | None
    holds: bool
    run_id: str | None
    sha256: Sha256 | None
    pass_until: Moment | None
    dri: str
    runs_since_freeze: dict[str, int]
    criteria: list[dict[str, Any]]
    missing: list[Any]
    doubts: list[Any]
    trouble: str


class ApprovalJson(TypedDict):
    by: str
    at: Moment
    reason: str


class DecisionJson(TypedDict):
    """GO holds once another person approved it, until it expires. `why_it_fails` is of the newest one alone."""

    audit_entry: int
    kind: Literal["GO", "NO-GO"]
    run_id: str
    verdict: str
    dri: str
    reason: str
    binding_sha256: str
    decided_at: Moment
    expires_at: Moment | None
    approval: ApprovalJson | None


class DecisionPageJson(TypedDict):
    decisions: list[DecisionJson]
    next: Address | None


class VerdictPageJson(TypedDict):
    """Every bundle of the gate, with its verdict."""

    verdicts: list[NewestBundleJson]
    next: Address | None


class ModeJson(TypedDict):
    """`why_not`: another mode was set and does not hold."""

    mode: Mode
    since: Moment | None
    why_not: str
    scope: dict[str, Any]
    cause: str | None
    by: str | None
    reason: str | None
    audit_entry: int | None


class GateList(ApiView):
    """Every gate that the code ships."""

    operations = {"GET": Operation(summary="Gates", permission=Permission.GATE_READ, answer=GateListJson)}

    def get(self, _: Request) -> HttpResponse:
        return answered({"gates": [gate_json(spec_of(name)) for name in gate_names()]})


class GateItem(ApiView):
    """One gate."""

    operations = {
        "GET": Operation(summary="One gate", permission=Permission.GATE_READ, answer=GateJson, codes=("gate_unknown",))
    }

    def get(self, _: Request, gate: str) -> HttpResponse:
        return answered(gate_json(spec_of(gate)))


class GateVerdict(ApiView):
    """May it go further, and why not: each criterion with what was measured."""

    operations = {
        "GET": Operation(
            summary="A gate's newest verdict",
            permission=Permission.GATE_READ,
            answer=VerdictJson,
            codes=("gate_unknown",),
        )
    }

    def get(self, _: Request, gate: str) -> HttpResponse:
        return answered(_verdict_json(spec_of(gate)))


class GateVerdicts(ApiView):
    """The verdicts of all bundles of the gate, the newest first."""

    operations = {
        "GET": Operation(
            summary="A gate's verdicts",
            permission=Permission.GATE_READ,
            answer=VerdictPageJson,
            query=paged(BY_NUMBER),
            codes=("gate_unknown",),
        )
    }

    def get(self, request: Request, gate: str) -> HttpResponse:
        rows = Bundle.objects.select_related("artifact").filter(gate=spec_of(gate).name)
        page = listed(request, rows, self.query)
        told = [bundle_json(request, row) for row in page.rows]
        wanted = ("sha256", "run_id", "gate_version", "verdict", "made_at")
        return answered(
            {"verdicts": [{name: each[name] for name in wanted} for each in told], "next": page.next}  # type: ignore[literal-required]
        )


class GateDecisions(ApiView):
    """What was decided, the newest first. A POST is refused to everybody, on record: people decide."""

    operations = {
        "GET": Operation(
            summary="A gate's decisions",
            permission=Permission.GATE_READ,
            answer=DecisionPageJson,
            query=paged(BY_NUMBER),
            codes=("gate_unknown",),
        ),
        "POST": Operation(
            summary="Refused: people decide",
            permission=Permission.GATE_DECIDE,
            answer=None,
            codes=("gate_unknown", "service_accounts_never_decide"),
        ),
    }

    @override
    def subject_of(self, request: Request) -> str:
        return f"gate {self.kwargs['gate']}" if request.method == "POST" else super().subject_of(request)

    def get(self, request: Request, gate: str) -> HttpResponse:
        rows = Decision.objects.filter(gate__name=spec_of(gate).name).select_related("dri")
        page = listed(request, rows, self.query)
        approvals = Approval.objects.filter(decision__in=page.rows).select_related("approver")
        by_decision = {each.decision_id: each for each in approvals}
        told = [_decision_json(row, by_decision.get(row.pk)) for row in page.rows]
        return answered({"decisions": told, "next": page.next})

    def post(self, request: Request, gate: str) -> HttpResponse:
        subject = f"gate {spec_of(gate).name}"
        with transaction.atomic():  # superusers hold everything, and decide nothing
            record(Act.DECISION_REFUSED, actor=operator_of(request).actor, subject=subject, reason=WHY)
        return problem_response(NEVER, WHY)

    @override
    def get_exception_handler(self) -> Any:
        return never


def never(error: Exception, context: Mapping[str, Any]) -> HttpResponse:
    """The same words for whoever lacks the permission to decide, which is on record then."""
    is_decision = context["request"].method == "POST" and isinstance(error, RefusalRecorded)
    return problem_response(NEVER, WHY) if is_decision else problem(error, context)


class ModeItem(ApiView):
    """How far the service goes in the outside world, since when and by whom."""

    operations = {"GET": Operation(summary="The mode", permission=Permission.MODE_READ, answer=ModeJson)}

    def get(self, _: Request) -> HttpResponse:
        return answered(mode_json(standing()))


def _verdict_json(spec: GateSpec) -> VerdictJson:
    found = gate_status(spec, now=datetime_of(us=SYSTEM_CLOCK.now_us()))
    told: Mapping[str, Any] = found.verdict.value or {}
    bundle = found.bundle
    return {
        "gate": spec.name,
        "verdict": told.get("verdict"),
        "holds": found.is_frozen and bundle is not None and bundle.gate_version == spec.version,
        "run_id": bundle.run_id if bundle else None,
        "sha256": bundle.artifact_id if bundle else None,
        "pass_until": iso(found.pass_until),
        "dri": found.dri,
        "runs_since_freeze": dict(found.runs_since),
        "criteria": [dict(each) for each in found.criteria],
        "missing": list(told.get("missing", ())),
        "doubts": list(told.get("doubts", ())),
        "trouble": found.verdict.why if bundle else "no bundle has been made for this gate",
    }


def _decision_json(row: Decision, approval: Approval | None) -> DecisionJson:
    kind: Any = row.kind
    return {
        "audit_entry": row.audit_number,
        "kind": kind,
        "run_id": row.run_id,
        "verdict": row.verdict,
        "dri": row.dri.get_username(),
        "reason": row.reason,
        "binding_sha256": row.binding_sha256,
        "decided_at": iso_of(row.decided_at),
        "expires_at": iso(row.expires_at),
        "approval": None
        if approval is None
        else {
            "by": approval.approver.get_username(),
            "at": iso_of(approval.approved_at),
            "reason": approval.reason,
        },
    }
