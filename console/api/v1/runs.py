"""`/api/v1/replays/`: runs that came to their end. A start belongs beside `ReplayList`, as its POST."""

from __future__ import annotations

import json
from typing import Any, TypedDict

from django.http import HttpResponse
from rest_framework.request import Request

from console.access import Permission
from console.api.v1.events import iso_of
from console.api.v1.operation import LIMIT, PAGE_DEFAULT_COUNT, Operation, text
from console.api.v1.pages import link_before
from console.api.v1.shapes import Address, Moment
from console.api.v1.view import ApiView, answered
from evidence.models import Bundle
from evidence.runs.folders import SUMMARY, RunFolder, kept_run, runs


class ReplayJson(TypedDict):
    """`verdict` is the replay's own, of its figures alone; a gate's verdict is that of a bundle."""

    run_id: str
    provider: str
    verdict: str
    began_at: Moment


class ReplayPageJson(TypedDict):
    replays: list[ReplayJson]
    next: Address | None


class ReplayDetailJson(ReplayJson):
    """`summary` is the run's summary.json, whose figures have their units in their names. `bundles`: made of it, by
    digest."""

    summary: dict[str, Any]
    bundles: list[str]


class ReplayList(ApiView):
    """The runs below EVIDENCE_ROOT, the newest first."""

    operations = {
        "GET": Operation(
            summary="Replays",
            permission=Permission.EVIDENCE_READ,
            answer=ReplayPageJson,
            query=(LIMIT, text("before", "Runs older than this one; `next` of an answer has it.", limit_chars=64)),
        )
    }

    def get(self, request: Request) -> HttpResponse:
        before, limit_count = self.query.get("before"), self.query.get("limit", PAGE_DEFAULT_COUNT)
        found = [run for run in runs() if before is None or run.run_id < before]
        page = found[:limit_count]
        following = link_before(request, page[-1].run_id) if len(found) > limit_count else None
        return answered({"replays": [_json(run) for run in page], "next": following})


class ReplayItem(ApiView):
    """One run with its figures."""

    operations = {
        "GET": Operation(
            summary="One replay", permission=Permission.EVIDENCE_READ, answer=ReplayDetailJson, codes=("run_unknown",)
        )
    }

    def get(self, _: Request, run_id: str) -> HttpResponse:
        run = kept_run(run_id)
        bundles = Bundle.objects.filter(run_id=run.run_id).values_list("artifact_id", flat=True)
        summary = json.loads((run.path / SUMMARY).read_bytes())
        return answered({**_json(run), "summary": summary, "bundles": list(bundles)})


def _json(run: RunFolder) -> ReplayJson:
    return {
        "run_id": run.run_id,
        "provider": run.provider,
        "verdict": run.verdict,
        "began_at": iso_of(run.began_at),
    }
