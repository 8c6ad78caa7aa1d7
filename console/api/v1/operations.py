"""`/api/v1/lanes/`, `/api/v1/providers/`, `/api/v1/alerts/`: is anything stuck, who sends, what should be known now."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal, TypedDict, override

from django.http import HttpResponse
from rest_framework.request import Request

from console.access import Permission
from console.api.authentication import operator_of
from console.api.v1.errors import NotHere
from console.api.v1.events import iso_of
from console.api.v1.operation import BY_NUMBER, Operation, choice, flag, paged, text
from console.api.v1.pages import listed
from console.api.v1.shapes import Address, Moment
from console.api.v1.view import ApiView, answered
from console.management.provider.printing import iso, state_json
from console.row_rights import visible
from evidence.models import Alert
from ingestion.models import Lane, Provider
from ingestion.provider_states import provider_states
from ingestion.selectors import LaneState, lane_states

SEES_PROVIDER = Permission.PROVIDER_READ  # by a role, or held on the provider's row


class LaneJson(TypedDict):
    """`state` says what happens to it; backing_off, full and unattended want a person. `settled_sequence`: everything
    up to it is committed, in the epoch `epoch` of Redis's data; null while nothing ever was. `oldest_age_ms` is null
    where nothing waits."""

    lane: int
    state: Literal["idle", "draining", "waiting", "backing_off", "full", "unattended"]
    depth_count: int
    size_bytes: int
    oldest_age_ms: float | None
    holder: str
    attempt_count: int
    resting_since: Moment | None
    next_attempt_at: Moment | None
    epoch: int | None
    settled_sequence: int | None


class LaneListJson(TypedDict):
    lanes: list[LaneJson]


class SecretJson(TypedDict):
    """Never a value. `source`: stored, or the variable that it comes from."""

    fingerprint: str
    phase: Literal["valid", "not yet", "ended", "unreadable"]
    source: str
    not_before: Moment | None
    not_after: Moment | None
    last_used_at: Moment | None


class ProviderJson(TypedDict):
    """`problem`: why the ingress cannot use it; empty when it can."""

    name: str
    scheme: str
    enabled: bool
    path: str
    options: dict[str, Any]
    problem: str
    secrets: list[SecretJson]


class ProviderListJson(TypedDict):
    providers: list[ProviderJson]


class AlertJson(TypedDict):
    """One trouble, from when it was first seen until it was over. Open while `closed_at` is null."""

    number: int
    kind: str
    subject: str
    severity: Literal["page", "ticket"]
    summary: str
    facts: dict[str, Any]
    opened_at: Moment
    last_seen_at: Moment
    seen_count: int
    closed_at: Moment | None


class AlertPageJson(TypedDict):
    alerts: list[AlertJson]
    next: Address | None
    searched_to: int | None


class LaneList(ApiView):
    """Every lane as Redis has it now, with what PostgreSQL has of it."""

    operations = {
        "GET": Operation(
            summary="Lanes", permission=Permission.LANE_READ, answer=LaneListJson, codes=("buffer_unavailable",)
        )
    }

    def get(self, _: Request) -> HttpResponse:
        settled = {row.number: row for row in Lane.objects.all()}
        return answered({"lanes": [_lane_json(each, settled.get(each.lane)) for each in lane_states()]})


class ProviderList(ApiView):
    """Every provider, with its secrets' fingerprints. Whoever holds rights on single ones sees those alone."""

    rows_of = Provider
    operations = {
        "GET": Operation(summary="Providers", permission=SEES_PROVIDER, on_row=SEES_PROVIDER, answer=ProviderListJson)
    }

    def get(self, request: Request) -> HttpResponse:
        found = provider_states(now=datetime.now(UTC))
        if not operator_of(request).has(SEES_PROVIDER):
            mine = set(visible(request.user, SEES_PROVIDER, Provider.objects.all()).values_list("name", flat=True))
            found = [each for each in found if each.name in mine]
        return answered({"providers": [state_json(each) for each in found]})


class ProviderItem(ApiView):
    """One provider. Whoever holds rights on single ones is not told which others there are."""

    operations = {
        "GET": Operation(
            summary="One provider",
            permission=SEES_PROVIDER,
            on_row=SEES_PROVIDER,
            answer=ProviderJson,
            codes=("not_found",),
        )
    }

    @override
    def row_asked(self) -> Provider | None:
        return Provider.objects.filter(name=self.kwargs["provider"]).first()

    def get(self, _: Request, provider: str) -> HttpResponse:
        for each in provider_states(now=datetime.now(UTC)):
            if each.name == provider:
                return answered(state_json(each))
        raise NotHere(f"no provider is called {provider[:64]!r}")


class AlertList(ApiView):
    """The newest first."""

    operations = {
        "GET": Operation(
            summary="Alerts",
            permission=Permission.ALERT_READ,
            answer=AlertPageJson,
            query=(
                flag("open", "true: those that are not over; false: the others."),
                text("kind", "Of this kind alone.", limit_chars=32),
                choice("severity", "Of this severity alone.", Alert.Severity.values),
                *paged(BY_NUMBER),
            ),
        )
    }

    def get(self, request: Request) -> HttpResponse:
        given: dict[str, Any] = {name: self.query[name] for name in ("kind", "severity") if name in self.query}
        if "open" in self.query:
            given["closed_at__isnull"] = self.query["open"]
        page = listed(request, Alert.objects.filter(**given), self.query, is_narrowed=bool(given))
        searched_to = None if page.searched_to is None else int(page.searched_to)
        return answered(
            {"alerts": [alert_json(row) for row in page.rows], "next": page.next, "searched_to": searched_to}
        )


def _lane_json(state: LaneState, row: Lane | None) -> dict[str, Any]:
    return {
        "lane": state.lane,
        "state": state.state,
        "depth_count": state.depth_count,
        "size_bytes": state.size_bytes,
        "oldest_age_ms": state.oldest_age_ms,
        "holder": state.holder,
        "attempt_count": state.attempt_count,
        "resting_since": iso(state.resting_since),
        "next_attempt_at": iso(state.next_attempt_at),
        "epoch": row.epoch if row else None,
        "settled_sequence": row.cursor if row else None,
    }


def alert_json(row: Alert) -> AlertJson:
    severity: Any = row.severity
    return {
        "number": row.pk,
        "kind": row.kind,
        "subject": row.subject,
        "severity": severity,
        "summary": row.summary,
        "facts": row.facts,
        "opened_at": iso_of(row.opened_at),
        "last_seen_at": iso_of(row.last_seen_at),
        "seen_count": row.seen_count,
        "closed_at": iso(row.closed_at),
    }
