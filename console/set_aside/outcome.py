"""The page of an act that was done: what the audit log has of it, and what has become of each letter since."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.safestring import SafeString

from console.access import Permission
from console.actions.set_aside import DISCARDED, RETRIED
from console.guards import refuse_without
from console.originals import original_link
from console.personal import Masked
from console.set_aside.kinds import Kind, Letter
from console.set_aside.verbs import DISCARD, RETRY
from console.shown import ID_TAIL_COUNT, moment
from evidence.models import AuditEntry
from ingestion.models import SetAsideAttempt, SetAsideState

if TYPE_CHECKING:
    from console.admin.set_aside import SetAsideAdmin


def outcome_page(request: HttpRequest, number: int, *, admin: SetAsideAdmin) -> HttpResponse:
    """For those who may read the letters. Safe to reload: it does nothing."""
    kind = admin.kind
    refuse_without(request, kind.read)
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
        "entry_link": _entry_link(request, number),
        "at": moment(entry.at),
        "rows": _rows(done, kind),
        "refused": [_refused(each, kind) for each in facts["refused"]],
        "back": kind.address("changelist"),
        "opts": admin.model._meta,
    }
    page = {**admin.admin_site.each_context(request), **context}
    return TemplateResponse(request, "console/set_aside_outcome.html", page, headers={"Cache-Control": "no-store"})


def _entry_link(request: HttpRequest, number: int) -> str:
    """Empty for those who may not read the audit log."""
    if not request.user.has_perm(Permission.AUDIT_READ):
        return ""
    return reverse("admin:evidence_auditentry_change", args=[number])


def _rows(done: Sequence[UUID], kind: Kind) -> list[dict[str, Any]]:
    letters: dict[UUID, Letter] = {row.pk: row for row in kind.rows.filter(pk__in=done)}
    tries = SetAsideAttempt.objects.filter(place=kind.place.value, event_id__in=done).order_by("number")
    last = {each.event_id: each for each in tries}
    return [_row(event_id, letters.get(event_id), last.get(event_id), kind) for event_id in done]


def _row(event_id: UUID, letter: Letter | None, last: SetAsideAttempt | None, kind: Kind) -> dict[str, Any]:
    return {
        "short": str(event_id)[-ID_TAIL_COUNT:],
        "event_id": event_id,
        "letter": letter,
        "link": kind.address("change", event_id) if letter else "",
        "now": "not here any more: retention removed it" if letter is None else became(letter, last),
        "stored": stored_link(event_id, last),
    }


def became(letter: Letter, last: SetAsideAttempt | None) -> str:
    """What has become of a letter, by its state and its last attempt."""
    match letter.state, last.outcome if last else None:
        case SetAsideState.RETRYING, _:
            return "on its way: not committed yet"
        case SetAsideState.RETRIED, SetAsideAttempt.Outcome.DUPLICATE:
            return "retried: the event was stored already, so nothing was stored twice"
        case SetAsideState.RETRIED, _:
            return "retried and stored"
        case SetAsideState.DISCARDED, _:
            return f"discarded: {letter.discard_reason}"
        case _, SetAsideAttempt.Outcome.LANE_FULL:
            return "open again: its lane was full, try later"
        case _, SetAsideAttempt.Outcome.FAILED:
            return f"open again, it failed once more: {Masked.of(letter).error(last.error) if last else ''}"
        case _:
            return "open"


def stored_link(event_id: UUID, last: SetAsideAttempt | None) -> SafeString | str:
    """To the event that a retry came to; empty where it came to none."""
    if last is None:
        return ""
    if last.outcome == SetAsideAttempt.Outcome.STORED:
        return original_link(event_id, text="the stored event")
    if last.outcome == SetAsideAttempt.Outcome.DUPLICATE and last.original_event_id is not None:
        return original_link(last.original_event_id, text="the stored event")
    return ""


def _refused(each: dict[str, str], kind: Kind) -> dict[str, str]:
    return {**each, "link": kind.address("change", each["event_id"])}
