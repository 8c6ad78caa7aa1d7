"""Work in steps: each is told to the order, and is the place where a cancelled one ends."""

from __future__ import annotations

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from evidence.models import WorkOrder
from evidence.orders.stop import Cancelled


def no_step(_: str) -> None:
    """For work that nobody watches."""


class Steps[Order: WorkOrder]:
    """Called with what is done next. Raises Cancelled, django.db.Error."""

    def __init__(self, order: Order) -> None:
        self._rows = type(order)._default_manager.filter(pk=order.pk)

    def __call__(self, step: str) -> None:
        self._rows.update(step=step, seen_at=datetime_of(us=SYSTEM_CLOCK.now_us()))
        by = self._rows.filter(cancel_asked_at__isnull=False).values_list("cancel_asked_by", flat=True).first()
        if by is not None:
            raise Cancelled(f"cancelled by {by} before {step}")
