"""The page of an act that was done: what the audit log has of it, and what has become of each letter since."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from console.actions.set_aside import DISCARDED, RETRIED
from console.set_aside.kinds import Kind, Letter
from console.set_aside.verbs import DISCARD, RETRY
from console.shown import moment
from evidence.models import AuditEntry

if TYPE_CHECKING:
    from console.admin.set_aside import SetAsideAdmin


def outcome_page(request: HttpRequest, number: int, *, admin: SetAsideAdmin) -> HttpResponse:
    """For those who may read the letters. Safe to reload: it does nothing."""
    kind = admin.kind
    if not admin.has_view_permission(request):
        raise PermissionDenied(kind.read.value)
    entry = AuditEntry.objects.filter(
        number=number, act__in=[RETRIED[kind.place].value, DISCARDED[kind.place].value]
    ).first()
    if entry is None:
        raise Http404(f"audit entry {number} is no act on a {kind.noun}")
    verb = RETRY if entry.act == RETRIED[kind.place].value else DISCARD
    facts: dict[str, Any] = entry.facts
    done = [UUID(text) for text in facts["done"]]
    context = {
        "title": f"{kind.counted(len(done)).capitalize()} {verb.done}",
        "kind": kind,
        "verb": verb,
        "entry": entry,
        "at": moment(entry.at),
        "rows": _rows(done, kind),
        "refused": [_refused(each, kind) for each in facts["refused"]],
        "back": kind.address("changelist"),
        "opts": admin.model._meta,
    }
    page = {**admin.admin_site.each_context(request), **context}
    return TemplateResponse(request, "console/set_aside_outcome.html", page, headers={"Cache-Control": "no-store"})


def _rows(done: Sequence[UUID], kind: Kind) -> list[dict[str, Any]]:
    letters: dict[UUID, Letter] = {
        row.pk: row for row in kind.model._default_manager.filter(pk__in=done).defer("payload_bytes")
    }
    return [
        {"event_id": event_id, "letter": letters.get(event_id), "link": kind.address("change", event_id)}
        for event_id in done
    ]


def _refused(each: dict[str, str], kind: Kind) -> dict[str, str]:
    return {"event_id": each["event_id"], "why": each["why"], "link": kind.address("change", each["event_id"])}
