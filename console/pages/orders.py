"""The page of an order and the part of it that is polled, whatever the order is for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, override

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from console.guards import STOP_POLLING, GuardedPage
from console.orders import POLL_SECONDS, Progress, StateShown, silence_of
from evidence.models import WorkOrder

NO_STORE = {"Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """A button of the page. `why_not` is empty for those who may press it; `then` is what follows."""

    address: str
    words: str
    why_not: str
    then: str = ""
    takes_reason: bool = False


class OrderProgress(GuardedPage):
    """How far it is, for its page to poll. Each part names the element that it replaces.

    A subclass with `is_part = False` and a template of its own is the whole page, complete without JavaScript.
    """

    is_part: ClassVar[bool] = True
    template_name = "console/order_progress.html"
    result_template: ClassVar[str]
    site: AdminSite | None = None

    @override
    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        context = self.get_context_data(**kwargs)
        status = answer_to_poll(context["is_live"]) if self.is_part else None
        return self.render_to_response(context, status=status, headers=NO_STORE)

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return {**super().get_context_data(**kwargs), "result_template": self.result_template}


def parts_of(
    order: WorkOrder | None,
    *,
    state: StateShown,
    sentence: str,
    is_live: bool,
    progress: Progress | None,
    poll_address: str,
    cancel: Offered,
    again: Offered | None = None,
) -> dict[str, Any]:
    """What the templates `_order_….html` show. Without an order: of work that was started elsewhere."""
    now = datetime_of(us=SYSTEM_CLOCK.now_us())
    return {
        "order": order,
        "state": state,
        "sentence": sentence,
        "is_live": is_live,
        "progress": progress,
        "silence": silence_of(order, now=now) if order is not None else "",
        "cancel": cancel,
        "again": again,
        "poll_address": poll_address,
        "poll_seconds": POLL_SECONDS,
        "read_at": now,
    }


def answer_to_poll(is_live: bool) -> int:
    return 200 if is_live else STOP_POLLING
