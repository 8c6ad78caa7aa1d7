"""Dead letters that failed alike, a line for each error: how many, since when, and where they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from console.guards import refuse_without
from console.selectors import letters_where
from console.set_aside.verbs import VERBS
from console.shown import ID_TAIL_COUNT, folded, moment
from ingestion.models import DeadLetter, Provider, SetAsideState
from ingestion.redrive.selectors import ErrorGroup, error_groups

if TYPE_CHECKING:
    from console.admin.dead_letters import DeadLetterAdmin

GROUPS_LIMIT_COUNT = 100
ERROR_SHOWN_COUNT = 120
EVERY_STATE = "all"


def groups_page(request: HttpRequest, *, admin: DeadLetterAdmin) -> HttpResponse:
    """`?state=` open (the default), another state, or all; `?provider=` narrows it."""
    refuse_without(request, admin.kind.read)
    state = request.GET.get("state", SetAsideState.OPEN.value)
    provider = request.GET.get("provider", "")
    condition = letters_where(state=None if state == EVERY_STATE else state, provider=provider or None)
    groups = error_groups(DeadLetter.objects.filter(condition), limit_count=GROUPS_LIMIT_COUNT + 1)
    query = {
        name: value for name, value in (("state", state), ("provider", provider)) if value not in ("", EVERY_STATE)
    }
    context = {
        "title": "Dead letters by error",
        "rows": [_row(group, query, admin) for group in groups[:GROUPS_LIMIT_COUNT]],
        "has_more": len(groups) > GROUPS_LIMIT_COUNT,
        "limit_count": GROUPS_LIMIT_COUNT,
        "state": state,
        "states": [*SetAsideState.values, EVERY_STATE],
        "provider": provider,
        "providers": list(Provider.objects.values_list("name", flat=True)),
        "acts": [admin.offered(verb, request) for verb in VERBS],
        "may_act": state in (SetAsideState.OPEN, EVERY_STATE),
        "back": admin.kind.address("changelist"),
        "opts": DeadLetter._meta,
    }
    page = {**admin.admin_site.each_context(request), **context}
    return TemplateResponse(request, "console/dead_letter_groups.html", page)


def _row(group: ErrorGroup, filters: dict[str, str], admin: DeadLetterAdmin) -> dict[str, Any]:
    query = urlencode({**filters, "error": group.fingerprint})
    return {
        "group": group,
        "error": folded(group.error[:ERROR_SHOWN_COUNT] or "no message", group.error),
        "first": moment(group.first_dead_at),
        "last": moment(group.last_dead_at),
        "query": query,
        "link": f"{admin.kind.address('changelist')}?{query}",
        "example": admin.kind.address("change", group.example),
        "example_short": str(group.example)[-ID_TAIL_COUNT:],
    }
