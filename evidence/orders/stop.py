"""A person stops an order: one that waits at once, one that runs as soon as its process sees it."""

from __future__ import annotations

from django.db import transaction

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from evidence.audit import Actor
from evidence.errors import EvidenceError
from evidence.models import WorkOrder


class NotUnderWay(EvidenceError):
    """The order is settled, or somebody has asked to cancel it already. Nothing was done."""

    code = "order_not_under_way"


class Cancelled(EvidenceError):
    """Somebody asked to cancel what is under way. Raised where the work looks, between two steps."""

    code = "order_cancelled"


def ask_to_cancel[Order: WorkOrder](order: Order, *, actor: Actor) -> Order:
    """In the caller's transaction. Raises NotUnderWay."""
    assert transaction.get_connection().in_atomic_block  # noqa: S101  (the row stays locked until the act ends)
    kept = type(order)._default_manager.select_for_update().get(pk=order.pk)
    if not kept.is_open:
        raise NotUnderWay(f"it is {kept.state} already: there is nothing to cancel")
    if kept.cancel_asked_at is not None:
        raise NotUnderWay(f"{kept.cancel_asked_by} has asked to cancel it already")
    kept.cancel_asked_at, kept.cancel_asked_by = datetime_of(us=SYSTEM_CLOCK.now_us()), actor.name
    if kept.state == WorkOrder.State.WAITING:
        kept.state, kept.why = WorkOrder.State.CANCELLED, "cancelled before it began"
        kept.settled_at = kept.cancel_asked_at
    kept.save(update_fields=["state", "why", "settled_at", "cancel_asked_at", "cancel_asked_by"])
    return kept
