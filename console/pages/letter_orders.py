"""The page of an order over many letters: how far it is, cancel, and asking again for what is left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, override
from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from autocom.kernel.errors import AutocomError
from console.access import Permission
from console.actions.letter_orders import cancel_letters, order_rest
from console.actions.operator import Operator
from console.actions.set_aside import order_subject
from console.guards import GuardedPage
from console.offers import offer
from console.orders import (
    FigureShown,
    Progress,
    StateShown,
    elapsed_of,
    is_live,
    shown_state,
    under_way,
)
from console.pages.orders import Offered, OrderProgress, parts_of
from console.set_aside.kinds import Kind
from console.set_aside.orders import orders_of
from console.set_aside.verbs import DISCARD, RETRY, VERB_BY_NAME, Verb
from console.shown import moment
from evidence.models import SetAsideOrder
from evidence.orders.life import is_dead
from ingestion.redrive.place import SetAside

if TYPE_CHECKING:
    from console.admin.set_aside import SetAsideAdmin

LISTED_COUNT = 5


class LetterOrderProgress(OrderProgress):
    """Of one kind of letters: its admin says which, and who may read them."""

    permission = Permission.DEAD_LETTER_READ
    result_template = "console/_letter_order_result.html"
    admin: SetAsideAdmin | None = None

    @property
    def kind(self) -> Kind:
        assert self.admin is not None  # noqa: S101  (set by the admin that routes here)
        return self.admin.kind

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        found = orders_of(self.kind.place).select_related("rest_of").filter(pk=kwargs["number"]).first()
        if found is None:
            raise Http404(f"there is no order {kwargs['number']} of {self.kind.noun}s")
        verb, live = VERB_BY_NAME[found.verb], is_live(found)
        may_act = offer(self.request.user, verb.permission, act="it")
        return {
            **super().get_context_data(**kwargs),
            "verb": verb,
            "kind": self.kind,
            **parts_of(
                found,
                state=shown_state(found),
                sentence=sentence_of(found, verb),
                is_live=live,
                progress=progress_of(found, verb),
                poll_address=self.kind.address("order_progress", found.pk),
                cancel=Offered(
                    address=self.kind.address(f"{verb.name}_cancel", found.pk),
                    words="Cancel the order",
                    why_not=may_act.why_not,
                    then="it ends after the letters that are having their turn",
                ),
                again=self._again(found, verb, may_act.why_not) if left_of(found) and not live else None,
            ),
            "rests": [] if live else list(found.rests.defer("event_ids").order_by("id")),
            "entries_address": self._entries(found),
            "left": f"{left_of(found):,}",
        }

    def _again(self, order: SetAsideOrder, verb: Verb, why_not: str) -> Offered:
        words = f"{verb.name.capitalize()} the {self.kind.counted(left_of(order))} that {_are(left_of(order))} left"
        return Offered(address=self.kind.address(f"{verb.name}_rest", order.pk), words=words, why_not=why_not)

    def _entries(self, order: SetAsideOrder) -> str:
        """Empty for those who may not read the audit log."""
        if not self.request.user.has_perm(Permission.AUDIT_READ):
            return ""
        query = urlencode({"q": f'subject:"{order_subject(self.kind.place, order.pk)}"'})
        return f"{reverse('admin:evidence_auditentry_changelist')}?{query}"


class LetterOrderPage(LetterOrderProgress):
    """Complete without JavaScript; safe to reload."""

    is_part = False
    template_name = "console/letter_order.html"

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        order: SetAsideOrder = context["order"]
        assert self.admin is not None  # noqa: S101  (set by the admin that routes here)
        self.request.current_app = self.admin.admin_site.name
        return {
            **self.admin.admin_site.each_context(self.request),
            **context,
            "title": f"{context['verb'].name.capitalize()} {self.kind.counted(order.count)}",
            "asked": moment(order.asked_at),
            "chosen_address": f"{self.kind.address('changelist')}{f'?{order.chosen}' if order.chosen else ''}",
            "back": self.kind.address("changelist"),
            "opts": self.admin.model._meta,
        }


class QuarantineOrderProgress(LetterOrderProgress):
    permission = Permission.QUARANTINE_READ


class QuarantineOrderPage(LetterOrderPage):
    permission = Permission.QUARANTINE_READ


class _LetterOrderAct(GuardedPage):
    """Posted to alone."""

    http_method_names = ["post", "options"]
    verb: ClassVar[Verb]
    admin: SetAsideAdmin | None = None

    def post(self, request: HttpRequest, number: int) -> HttpResponse:
        assert self.admin is not None  # noqa: S101  (set by the admin that routes here)
        kind = self.admin.kind
        try:
            shown, told = self.act(Operator.signed_in(request.user), number, kind.place)
        except AutocomError as error:
            messages.error(request, str(error).capitalize())
            exists = orders_of(kind.place).filter(pk=number).exists()
            return HttpResponseRedirect(kind.address("order", number) if exists else kind.address("changelist"))
        messages.success(request, told)
        return HttpResponseRedirect(kind.address("order", shown.pk))

    def act(self, operator: Operator, number: int, place: SetAside) -> tuple[SetAsideOrder, str]:
        """The order whose page comes next, and what that says."""
        raise NotImplementedError


class CancelRetries(_LetterOrderAct):
    permission = Permission.SET_ASIDE_RETRY
    verb = RETRY

    @override
    def act(self, operator: Operator, number: int, place: SetAside) -> tuple[SetAsideOrder, str]:
        kept = cancel_letters(operator, number, place=place, verb=self.verb)
        return kept, "Cancelled: no further letter has its turn, and what was done stays done."


class CancelDiscards(CancelRetries):
    permission = Permission.SET_ASIDE_DISCARD
    verb = DISCARD


class RetryRest(_LetterOrderAct):
    permission = Permission.SET_ASIDE_RETRY
    verb = RETRY

    @override
    def act(self, operator: Operator, number: int, place: SetAside) -> tuple[SetAsideOrder, str]:
        made = order_rest(operator, number, place=place, verb=self.verb)
        return made, f"Order {made.pk} is asked for: this page shows how far it is."


class DiscardRest(RetryRest):
    permission = Permission.SET_ASIDE_DISCARD
    verb = DISCARD


PAGES: Mapping[SetAside, tuple[type[LetterOrderPage], type[LetterOrderProgress]]] = {
    SetAside.DEAD_LETTER: (LetterOrderPage, LetterOrderProgress),
    SetAside.QUARANTINE: (QuarantineOrderPage, QuarantineOrderProgress),
}
ACTS: Mapping[str, type[_LetterOrderAct]] = {
    "retry/cancel": CancelRetries,
    "retry/rest": RetryRest,
    "discard/cancel": CancelDiscards,
    "discard/rest": DiscardRest,
}


def left_of(order: SetAsideOrder) -> int:
    return order.count - order.position


def sentence_of(order: SetAsideOrder, verb: Verb) -> str:
    """How it went, or how it goes."""
    so_far = f"{order.position:,} of {order.count:,}"
    untouched = f"The other {left_of(order):,} stay as they were."
    if is_dead(order) or order.state == SetAsideOrder.State.DIED:
        return (
            f"Its process died after {so_far} letters. {untouched}"
            if left_of(order)
            else "Its process died at the end."
        )
    if order.is_open:
        return under_way(order, cancelled=f"it ends after the letters that are having their turn, at {so_far}")
    if order.state == SetAsideOrder.State.DONE:
        return f"{order.done_count:,} {verb.done}, {order.refused_count:,} left as they were."
    return f"Stopped after {so_far} letters: {order.why}. {untouched if left_of(order) else ''}".strip()


def progress_of(order: SetAsideOrder, verb: Verb) -> Progress:
    is_retry = verb is RETRY
    stored = [
        FigureShown("Stored", f"{order.stored_count:,}"),
        FigureShown("Failed once more", f"{order.reopened_count:,}"),
    ]
    figures = [
        FigureShown("Letters", f"{order.count:,}"),
        FigureShown("Sent back" if is_retry else "Discarded", f"{order.done_count:,}"),
        *(stored if is_retry else []),
        FigureShown("Left as they were", f"{order.refused_count:,}"),
        FigureShown("Still to come", f"{left_of(order):,}"),
        elapsed_of(order, now=datetime_of(us=SYSTEM_CLOCK.now_us())),
    ]
    return Progress(order.position, order.count, "Letters that have had their turn", figures)


def listed_orders(kind: Kind) -> list[dict[str, Any]]:
    """For the list of the letters: the newest orders, whatever became of them."""
    return [_listed(order, kind) for order in orders_of(kind.place)[:LISTED_COUNT]]


def _listed(order: SetAsideOrder, kind: Kind) -> dict[str, Any]:
    state: StateShown = shown_state(order)
    return {
        "order": order,
        "address": kind.address("order", order.pk),
        "words": f"{order.verb.capitalize()} {kind.counted(order.count)}",
        "state": state,
        "so_far": f"{order.position:,} of {order.count:,}",
        "asked": moment(order.asked_at),
    }


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
