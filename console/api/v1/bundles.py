"""`/api/v1/bundles/`: evidence bundles: ask for one, see what is in it, verify it. Its bytes are an artifact's."""

from __future__ import annotations

from typing import Annotated, TypedDict, override

from django.http import HttpResponse
from django.urls import reverse
from rest_framework.request import Request

from console.access import Permission
from console.actions.bundles import ask_for_bundle, cancel_bundle
from console.actions.verify_bundle import verify_artifact
from console.api.authentication import operator_of
from console.api.v1.errors import BundleTooLarge, NotHere
from console.api.v1.events import iso_of
from console.api.v1.idempotency import once
from console.api.v1.operation import BY_NUMBER, Operation, paged, text
from console.api.v1.orders import OrderState, accepted, state_of
from console.api.v1.pages import listed
from console.api.v1.shapes import Address, Moment, Sha256
from console.api.v1.view import ApiView, absolute, answered
from console.management.provider.printing import iso
from console.pages.bundles import VERIFIED_LIMIT_BYTES, contents_of
from console.row_rights import visible
from evidence.bundles.verify import Report
from evidence.models import Bundle, BundleOrder
from evidence.store.reads import bundle_of

VERDICTS = {0: "PASS", 1: "FAIL", 3: "INCONCLUSIVE"}


class BundleJson(TypedDict):
    """`verdict` is the gate's. `missing`: required files whose source does not exist. `link`: its bytes."""

    sha256: Sha256
    run_id: str
    gate: str
    gate_version: int
    verdict: str
    size_bytes: int
    sums_sha256: Sha256
    missing: list[str]
    made_at: Moment
    made_by: str
    link: Address


class BundlePageJson(TypedDict):
    bundles: list[BundleJson]
    next: Address | None
    searched_to: int | None


class FileJson(TypedDict):
    path: str
    size_bytes: int
    sha256: Sha256


class BundleDetailJson(BundleJson):
    """`trouble`: why the archive cannot be read."""

    files: list[FileJson]
    trouble: str


class OrderJson(TypedDict):
    """`sha256` of the bundle once it is made; `step` what is done now; `why` where it was not done."""

    number: int
    run_id: str
    gate: str
    state: OrderState
    step: str
    why: str
    asked_by: str
    asked_at: Moment
    settled_at: Moment | None
    sha256: Sha256 | None


class AskJson(TypedDict):
    run_id: Annotated[str, {"pattern": "^r[0-9]{8}T[0-9]{6}-[0-9a-f]{6}$"}]
    gate: Annotated[str, {"pattern": "^[-a-zA-Z0-9_]{1,64}$"}]


class FindingJson(TypedDict):
    fault: str
    where: str
    what: str


class VerifiedJson(TypedDict):
    """What somebody who does not trust us would find: PASS everything fits, FAIL with `findings`, INCONCLUSIVE with
    what could not be checked. It is not the gate's verdict."""

    sha256: Sha256
    outcome: str
    findings: list[FindingJson]
    unknown: list[str]
    warnings: list[str]


class BundleList(ApiView):
    """The newest first. Whoever holds rights on single bundles sees those alone."""

    rows_of = Bundle
    operations = {
        "GET": Operation(
            summary="Bundles",
            permission=Permission.EVIDENCE_READ,
            on_row=Permission.BUNDLE_READ,
            answer=BundlePageJson,
            query=(
                text("gate", "For this gate alone.", limit_chars=64),
                text("run_id", "Of this run alone.", limit_chars=64),
                *paged(BY_NUMBER),
            ),
        )
    }

    def get(self, request: Request) -> HttpResponse:
        given = {name: self.query[name] for name in ("gate", "run_id") if name in self.query}
        every = Bundle.objects.select_related("artifact")
        rows = visible(request.user, Permission.EVIDENCE_READ, every, on_row=Permission.BUNDLE_READ)
        # of rights on rows there are few; where a search of all would have stopped is a bundle that is not theirs
        is_narrowed = "gate" in given and operator_of(request).has(Permission.EVIDENCE_READ)
        page = listed(request, rows.filter(**given), self.query, is_narrowed=is_narrowed)
        searched_to = None if page.searched_to is None else int(page.searched_to)
        told: BundlePageJson = {
            "bundles": [bundle_json(request, row) for row in page.rows],
            "next": page.next,
            "searched_to": searched_to,
        }
        return answered(told)


class OneBundle(ApiView):
    """For who reads all evidence, and for who holds a right on this bundle, who is not told of any other."""

    @override
    def row_asked(self) -> Bundle | None:
        return bundle_of(self.kwargs["sha256"])


class BundleItem(OneBundle):
    """One bundle, with the digest of every file as its archive has it."""

    operations = {
        "GET": Operation(
            summary="One bundle",
            permission=Permission.EVIDENCE_READ,
            on_row=Permission.BUNDLE_READ,
            answer=BundleDetailJson,
            codes=("not_found",),
        )
    }

    def get(self, request: Request, sha256: str) -> HttpResponse:
        row = _bundle(sha256)
        found, trouble = contents_of(row)
        files: list[FileJson] = [
            {"path": each.path, "size_bytes": each.size_bytes, "sha256": each.sha256} for each in found
        ]
        told: BundleDetailJson = {**bundle_json(request, row), "files": files, "trouble": trouble}
        return answered(told)


class BundleVerify(OneBundle):
    """The stored bytes are verified now, as an outsider would; on record with how it ended."""

    operations = {
        "POST": Operation(
            summary="Verify a bundle",
            permission=Permission.EVIDENCE_READ,
            on_row=Permission.BUNDLE_READ,
            answer=VerifiedJson,
            codes=(
                *("not_found", "bundle_too_large", "evidence_missing", "evidence_changed"),
                "evidence_store_unavailable",
            ),
            is_idempotent=True,
        )
    }

    @once
    def post(self, request: Request, sha256: str) -> HttpResponse:
        row = _bundle(sha256)
        if row.artifact.size_bytes > VERIFIED_LIMIT_BYTES:
            raise BundleTooLarge(f"above {VERIFIED_LIMIT_BYTES} bytes: use manage.py evidence verify")
        return answered(_verified(sha256, verify_artifact(operator_of(request), row.artifact, bundle=row)))


class OrderList(ApiView):
    """Asks for the bundle of a run. It is made on the ops worker: `Location` tells how far it is."""

    operations = {
        "POST": Operation(
            summary="Ask for a bundle",
            permission=Permission.EVIDENCE_EXPORT,
            answer=OrderJson,
            status=202,
            body=AskJson,
            codes=("run_unknown", "gate_unknown"),
            is_idempotent=True,
        )
    }

    @once
    def post(self, request: Request) -> HttpResponse:
        order = ask_for_bundle(operator_of(request), run_id=self.body["run_id"], gate_name=self.body["gate"])
        return _accepted(request, order)


class OrderItem(ApiView):
    """How far a bundle is that was asked for."""

    operations = {
        "GET": Operation(
            summary="One order", permission=Permission.EVIDENCE_READ, answer=OrderJson, codes=("not_found",)
        )
    }

    def get(self, _: Request, number: int) -> HttpResponse:
        return answered(_order_json(_order(number)))


class OrderCancel(ApiView):
    """Its making ends before its next step, and no bundle is made."""

    operations = {
        "POST": Operation(
            summary="Cancel an order",
            permission=Permission.EVIDENCE_EXPORT,
            answer=OrderJson,
            status=202,
            codes=("not_found", "order_not_under_way"),
            is_idempotent=True,
        )
    }

    @once
    def post(self, request: Request, number: int) -> HttpResponse:
        return _accepted(request, cancel_bundle(operator_of(request), str(_order(number).pk)))


def bundle_json(request: Request, row: Bundle) -> BundleJson:
    return {
        "sha256": row.artifact_id,
        "run_id": row.run_id,
        "gate": row.gate,
        "gate_version": row.gate_version,
        "verdict": row.verdict,
        "size_bytes": row.artifact.size_bytes,
        "sums_sha256": row.sums_sha256,
        "missing": row.missing,
        "made_at": iso_of(row.made_at),
        "made_by": row.actor,
        "link": absolute(request, reverse("api_evidence_item", args=[row.artifact_id])),
    }


def _bundle(sha256: str) -> Bundle:
    row = bundle_of(sha256)
    if row is None:
        raise NotHere("no bundle has this digest")
    return row


def _order(number: int) -> BundleOrder:
    order = BundleOrder.objects.select_related("bundle").filter(pk=number).first()
    if order is None:
        raise NotHere(f"nothing was asked for under {number}")
    return order


def _accepted(request: Request, order: BundleOrder) -> HttpResponse:
    return accepted(request, _order_json(order), address=reverse("api_bundle_order", args=[order.pk]))


def _verified(sha256: str, report: Report) -> VerifiedJson:
    return {
        "sha256": sha256,
        "outcome": VERDICTS[report.exit_status],
        "findings": [{"fault": each.fault, "where": each.where, "what": each.what} for each in report.findings],
        "unknown": list(report.unknown),
        "warnings": list(report.warnings),
    }


def _order_json(order: BundleOrder) -> OrderJson:
    return {
        "number": order.pk,
        "run_id": order.run_id,
        "gate": order.gate,
        "state": state_of(order),
        "step": order.step,
        "why": order.why,
        "asked_by": order.actor,
        "asked_at": iso_of(order.asked_at),
        "settled_at": iso(order.settled_at),
        "sha256": None if order.bundle is None else order.bundle.artifact_id,
    }
