"""The page before an order: how many letters, which errors, what would become of the oldest; confirmed, it waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.db.models import Count
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse

from console.actions.letter_orders import order_letters
from console.actions.operator import Operator
from console.actions.set_aside import ACT_LIMIT_COUNT, ORDER_LIMIT_COUNT
from console.set_aside.chosen import Chosen
from console.set_aside.forms import ReasonForm, list_address
from console.set_aside.kinds import Kind
from console.set_aside.orders import digest_of
from console.set_aside.verbs import Verb
from ingestion.redrive.place import SetAside
from ingestion.redrive.selectors import error_groups

if TYPE_CHECKING:
    from console.admin.set_aside import SetAsideAdmin

LETTERS = "letters"  # the digest of their ids
GROUPS_SHOWN_COUNT = 10


def decide_order(
    request: HttpRequest, operator: Operator, chosen: Chosen, *, admin: SetAsideAdmin, verb: Verb
) -> HttpResponse:
    """The preview of these letters; where its form was sent and they are still the same ones, the order."""
    digest, kind = digest_of(chosen.event_ids), admin.kind
    if LETTERS not in request.POST:
        form = ReasonForm(is_needed=verb.needs_reason)
        return _preview(request, chosen, form, digest=digest, admin=admin, verb=verb)
    form, has_changed = ReasonForm(request.POST, is_needed=verb.needs_reason), request.POST[LETTERS] != digest
    if has_changed or not form.is_valid():
        return _preview(request, chosen, form, digest=digest, admin=admin, verb=verb, has_changed=has_changed)
    made = order_letters(
        operator,
        place=kind.place,
        verb=verb,
        event_ids=chosen.event_ids,
        reason=form.cleaned_data["reason"],
        chosen=request.GET.urlencode(),
    )
    messages.success(request, f"Order {made.pk} is asked for: this page shows how far it is.")
    return HttpResponseRedirect(kind.address("order", made.pk))


def _preview(
    request: HttpRequest,
    chosen: Chosen,
    form: ReasonForm,
    *,
    digest: str,
    admin: SetAsideAdmin,
    verb: Verb,
    has_changed: bool = False,
) -> TemplateResponse:
    kind, count = admin.kind, len(chosen.event_ids)
    oldest = verb.plan(kind.place, chosen.event_ids[:ACT_LIMIT_COUNT])
    context = {
        **admin.admin_site.each_context(request),
        "title": f"{verb.name.capitalize()} {kind.counted(count)}",
        "kind": kind,
        "verb": verb,
        "count": f"{count:,}",
        "groups": _groups(chosen, kind),
        "groups_by": "error" if kind.place is SetAside.DEAD_LETTER else "provider",
        "plan": oldest,
        "oldest_count": len(oldest.letters),
        "form": form,
        "digest": digest,
        "newest_batch": chosen.newest_batch,
        "has_changed": has_changed,
        "has_more": chosen.has_more,
        "limit_count": f"{ORDER_LIMIT_COUNT:,}",
        "batch_count": ACT_LIMIT_COUNT,
        "back": list_address(request, kind),
        "opts": admin.model._meta,
        "confirm": f"{verb.name.capitalize()} {kind.counted(count)}",
    }
    headers = {"Cache-Control": "no-store"}
    return TemplateResponse(request, "console/set_aside_order_preview.html", context, headers=headers)


def _groups(chosen: Chosen, kind: Kind) -> list[dict[str, Any]]:
    """The largest ones: of dead letters by their error, of quarantined events by who sent them."""
    assert chosen.rows is not None  # noqa: S101  (so many are never ticked one by one)
    if kind.place is SetAside.DEAD_LETTER:
        groups = error_groups(chosen.rows.defer(None), limit_count=GROUPS_SHOWN_COUNT)
        return [{"name": f"{each.error_class}: {each.error}", "count": f"{each.count:,}"} for each in groups]
    counted = chosen.rows.order_by().values("provider").annotate(count=Count("pk")).order_by("-count", "provider")
    return [{"name": each["provider"], "count": f"{each['count']:,}"} for each in counted[:GROUPS_SHOWN_COUNT]]
