"""The page before an act and the act itself: preview, confirm, and a preview again where something changed between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse

from console.actions.operator import Operator, check
from console.actions.set_aside import ACT_LIMIT_COUNT
from console.guards import refuse_without
from console.originals import original_link
from console.set_aside.chosen import ChoiceInvalid, chosen_letters
from console.set_aside.decide_order import decide_order
from console.set_aside.forms import ReasonForm, list_address
from console.set_aside.kinds import Kind
from console.set_aside.plan import Plan, Planned
from console.set_aside.verbs import Verb
from console.shown import ID_TAIL_COUNT

if TYPE_CHECKING:
    from console.admin.set_aside import SetAsideAdmin

FORESEEN = "foreseen"  # `<id>:<fate>` of each letter of the preview


def decide_page(request: HttpRequest, *, admin: SetAsideAdmin, verb: Verb) -> HttpResponse:
    """A choice is answered by its preview, a confirmed preview by the act."""
    kind = admin.kind
    refuse_without(request, kind.read)
    operator = Operator.signed_in(request.user)
    check(operator, verb.permission, subject=f"{verb.name} {kind.noun}s")
    if request.method != "POST":
        messages.info(request, f"Choose letters to {verb.name} here first.")
        return _to_list(request, kind)
    try:
        if FORESEEN in request.POST:
            return _act(request, operator, admin=admin, verb=verb)
        chosen = chosen_letters(request, admin=admin)
    except ChoiceInvalid as refused:
        messages.warning(request, str(refused))
        return _to_list(request, kind)
    if len(chosen.event_ids) > ACT_LIMIT_COUNT:
        return decide_order(request, operator, chosen, admin=admin, verb=verb)
    plan = verb.plan(kind.place, chosen.event_ids)
    form = ReasonForm(is_needed=verb.needs_reason)
    return _preview(request, plan, form, admin=admin, verb=verb, has_more=chosen.has_more)


def _act(request: HttpRequest, operator: Operator, *, admin: SetAsideAdmin, verb: Verb) -> HttpResponse:
    foreseen = _foreseen(request.POST.getlist(FORESEEN))
    form = ReasonForm(request.POST, is_needed=verb.needs_reason)
    plan = verb.plan(admin.kind.place, sorted(foreseen))
    changed = foreseen_changes(plan, foreseen)
    if changed or not form.is_valid():
        return _preview(request, plan, form, admin=admin, verb=verb, changed=changed)
    entry = verb.perform(
        operator, place=admin.kind.place, event_ids=sorted(foreseen), reason=form.cleaned_data["reason"]
    )
    return HttpResponseRedirect(admin.kind.address("outcome", entry.number))


def foreseen_changes(plan: Plan, foreseen: Mapping[UUID, str]) -> Sequence[Planned]:
    """The letters that would now meet another fate than the preview said."""
    return [each for each in plan.letters if each.fate != foreseen[each.event_id]]


def _foreseen(given: Sequence[str]) -> Mapping[UUID, str]:
    """Raises ChoiceInvalid for what no preview of ours has."""
    try:
        found = {UUID(text.partition(":")[0]): text.partition(":")[2] for text in given}
    except ValueError:
        raise ChoiceInvalid("The preview cannot be read: choose the letters again.") from None
    if len(found) > ACT_LIMIT_COUNT:
        raise ChoiceInvalid(f"{len(found)} letters at once are too many: {ACT_LIMIT_COUNT} at most.")
    return found


def _preview(
    request: HttpRequest,
    plan: Plan,
    form: ReasonForm,
    *,
    admin: SetAsideAdmin,
    verb: Verb,
    has_more: bool = False,
    changed: Sequence[Planned] = (),
) -> TemplateResponse:
    kind = admin.kind
    context = {
        "title": f"{verb.name.capitalize()} {kind.counted(len(plan.letters))}",
        "kind": kind,
        "verb": verb,
        "plan": plan,
        "rows": [_row(each, kind, is_changed=each in changed) for each in plan.letters],
        "form": form,
        "changed_count": len(changed),
        "has_more": has_more,
        "limit_count": ACT_LIMIT_COUNT,
        "back": list_address(request, kind),
        "opts": admin.model._meta,
        "confirm": f"{verb.name.capitalize()} {kind.counted(len(plan.included))}",
    }
    page = {**admin.admin_site.each_context(request), **context}
    return TemplateResponse(request, "console/set_aside_preview.html", page, headers={"Cache-Control": "no-store"})


def _row(planned: Planned, kind: Kind, *, is_changed: bool) -> dict[str, Any]:
    return {
        "planned": planned,
        "short": str(planned.event_id)[-ID_TAIL_COUNT:],
        "link": kind.address("change", planned.event_id) if planned.letter else "",
        "original": original_link(planned.original_event_id, text="which") if planned.original_event_id else "",
        "is_changed": is_changed,
    }


def _to_list(request: HttpRequest, kind: Kind) -> HttpResponseRedirect:
    return HttpResponseRedirect(list_address(request, kind))
