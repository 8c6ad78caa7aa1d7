"""`/api/v1/replays/`: runs, from whoever started them: ask for one, watch it, cancel it, read how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, NotRequired, TypedDict

from django.http import HttpResponse
from django.urls import reverse
from rest_framework.request import Request

from console.access import Permission
from console.actions.replays import cancel_replay, start_replay
from console.api.authentication import operator_of
from console.api.v1.events import iso_of
from console.api.v1.idempotency import once
from console.api.v1.operation import LIMIT, PAGE_DEFAULT_COUNT, Operation, text
from console.api.v1.orders import OrderState, accepted, state_of
from console.api.v1.pages import link_before
from console.api.v1.shapes import TEXT, TEXT_NOT_BLANK, Address, Moment, Schema, Sha256
from console.api.v1.view import ApiView, answered
from console.management.provider.printing import iso
from evidence.models import Bundle, ReplayOrder
from evidence.runs.asked import BOUNDS, COUNT, DUPLICATES, KEYS, RATE, SEED, Asked, Bound
from evidence.runs.folders import RunUnknown
from evidence.runs.orders import REASON_LIMIT_CHARS
from evidence.runs.results import KnownRun, known_run, known_runs, verdicts_by_run


def _within(bound: Bound) -> Schema:
    return {"minimum": bound.at_least, "maximum": bound.at_most, "default": bound.default}


class StartReplayJson(TypedDict):
    """A run to the ingress of this machine, as the console starts one. `reason` goes into the audit log; `gate` is what
    the run is judged for."""

    reason: Annotated[str, {"minLength": 1, "maxLength": REASON_LIMIT_CHARS, "pattern": TEXT_NOT_BLANK}]
    count: NotRequired[Annotated[int, _within(COUNT)]]
    rate: NotRequired[Annotated[int, _within(RATE)]]
    keys: NotRequired[Annotated[int, _within(KEYS)]]
    duplicates_percent: NotRequired[Annotated[int, _within(DUPLICATES)]]
    seed: NotRequired[Annotated[int, _within(SEED)]]
    provider: NotRequired[Annotated[str, {"pattern": "^[-a-zA-Z0-9_]{1,64}$"}]]
    gate: NotRequired[Annotated[str, {"pattern": "^[-a-zA-Z0-9_]{1,64}$"}]]


class CancelReplayJson(TypedDict):
    """`reason` goes into the audit log."""

    reason: NotRequired[Annotated[str, {"maxLength": REASON_LIMIT_CHARS, "pattern": TEXT}]]


class ReplayOrderJson(TypedDict):
    """What was asked, by whom, and how far it is, as the run's process told last (`seen_at`). `rejected`: not accepted
    at once. `committed`: rows of the run in PostgreSQL; null while that is not known. `why` it was not done."""

    state: OrderState
    step: str
    why: str
    reason: str
    asked_by: str
    asked_at: Moment
    started_at: Moment | None
    seen_at: Moment | None
    settled_at: Moment | None
    cancel_asked_by: str
    cancel_asked_at: Moment | None
    count: int
    rate: int
    keys: int
    duplicates_percent: int
    seed: int
    sent: int
    acked: int
    rejected: int
    retried: int
    committed: int | None
    ack_p95_ms: float | None


class ReplayJson(TypedDict):
    """`verdict` is the replay's own, of its figures alone, null without one; a gate's verdict is that of a bundle.
    `state`: of a run that the console or the API started; null for one of a command line. `provider` and `gate` are
    null where nobody wrote them down."""

    run_id: str
    state: OrderState | None
    provider: str | None
    gate: str | None
    verdict: str | None
    began_at: Moment


class ReplayPageJson(TypedDict):
    replays: list[ReplayJson]
    next: Address | None


class ReplayDetailJson(ReplayJson):
    """`order`: of a run that the console or the API started; figures are live while it is open. `summary`: the run's
    summary.json, whose figures have their units in their names; null until it is written, and where its files are
    elsewhere. `bundles`: made of it, by digest."""

    order: ReplayOrderJson | None
    summary: dict[str, Any] | None
    bundles: list[Sha256]


class ReplayList(ApiView):
    """GET: the runs that anything here knows of, the newest first. POST asks for one: it is run on the ops worker, one
    at a time; `Location` tells how far it is."""

    operations = {
        "GET": Operation(
            summary="Replays",
            permission=Permission.EVIDENCE_READ,
            answer=ReplayPageJson,
            query=(LIMIT, text("before", "Runs older than this one; `next` of an answer has it.", limit_chars=64)),
        ),
        "POST": Operation(
            summary="Start a replay",
            permission=Permission.REPLAY_START,
            answer=ReplayDetailJson,
            status=202,
            body=StartReplayJson,
            codes=("replay_refused", "replay_under_way"),
            is_idempotent=True,
        ),
    }

    def get(self, request: Request) -> HttpResponse:
        before, limit_count = self.query.get("before"), self.query.get("limit", PAGE_DEFAULT_COUNT)
        found = [run_id for run_id in verdicts_by_run() if before is None or run_id < before]
        page = found[:limit_count]
        following = link_before(request, page[-1]) if len(found) > limit_count else None
        return answered({"replays": [_json(run) for run in known_runs(page)], "next": following})

    @once
    def post(self, request: Request) -> HttpResponse:
        given: Mapping[str, Any] = self.body
        # JSON has 5.0 too
        load: dict[str, Any] = {bound.name: int(given[bound.name]) for bound in BOUNDS if bound.name in given}
        load |= {name: given[name] for name in ("provider", "gate") if name in given}
        made = start_replay(operator_of(request), Asked(**load), reason=given["reason"])
        return _accepted(request, made.run_id)


class ReplayItem(ApiView):
    """One run: how far it is, or how it ended."""

    operations = {
        "GET": Operation(
            summary="One replay", permission=Permission.EVIDENCE_READ, answer=ReplayDetailJson, codes=("run_unknown",)
        )
    }

    def get(self, _: Request, run_id: str) -> HttpResponse:
        return answered(_detail(_known(run_id)))


class ReplayCancel(ApiView):
    """Nothing more is sent within seconds, and what was acknowledged is reconciled."""

    operations = {
        "POST": Operation(
            summary="Cancel a replay",
            permission=Permission.REPLAY_START,
            answer=ReplayDetailJson,
            status=202,
            body=CancelReplayJson,
            codes=("run_unknown", "order_not_under_way"),
            is_idempotent=True,
        )
    }

    @once
    def post(self, request: Request, run_id: str) -> HttpResponse:
        found = _known(run_id)
        cancel_replay(operator_of(request), found.run_id, reason=self.body.get("reason", ""))
        return _accepted(request, found.run_id)


def _known(run_id: str) -> KnownRun:
    found = known_run(run_id)
    if found is None:
        raise RunUnknown(f"no run {run_id[:80]!r} is known here: it never existed, or its files are elsewhere")
    return found


def _accepted(request: Request, run_id: str) -> HttpResponse:
    return accepted(request, _detail(_known(run_id)), address=reverse("api_replay", args=[run_id]))


def _json(run: KnownRun) -> ReplayJson:
    return {
        "run_id": run.run_id,
        "state": None if run.order is None else state_of(run.order),
        "provider": _provider(run),
        "gate": run.gate or None,
        "verdict": run.verdict or None,
        "began_at": iso_of(run.began_at),
    }


def _provider(run: KnownRun) -> str | None:
    if run.order is not None:
        return run.order.provider
    return (run.told or (run.entry.facts if run.entry else {})).get("provider")


def _detail(run: KnownRun) -> ReplayDetailJson:
    bundles = Bundle.objects.filter(run_id=run.run_id).values_list("artifact_id", flat=True)
    return {
        **_json(run),
        "order": None if run.order is None else _order_json(run.order),
        "summary": None if run.told is None else dict(run.told),
        "bundles": list(bundles),
    }


def _order_json(order: ReplayOrder) -> ReplayOrderJson:
    return {
        "state": state_of(order),
        "step": order.step,
        "why": order.why,
        "reason": order.reason,
        "asked_by": order.actor,
        "asked_at": iso_of(order.asked_at),
        "started_at": iso(order.started_at),
        "seen_at": iso(order.seen_at),
        "settled_at": iso(order.settled_at),
        "cancel_asked_by": order.cancel_asked_by,
        "cancel_asked_at": iso(order.cancel_asked_at),
        "count": order.count,
        "rate": order.rate,
        "keys": order.keys,
        "duplicates_percent": order.duplicates_percent,
        "seed": order.seed,
        "sent": order.sent_count,
        "acked": order.acked_count,
        "rejected": order.rejected_count,
        "retried": order.retried_count,
        "committed": order.committed_count,
        "ack_p95_ms": None if order.p95_us is None else order.p95_us / 1_000,
    }
