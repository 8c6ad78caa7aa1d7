"""An order's work from its beginning to its end, the same for every kind."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from django.db import Error, connection, transaction

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from autocom.kernel.errors import AutocomError
from evidence.models import WorkOrder
from evidence.orders.life import living
from evidence.orders.stop import Cancelled

log = logging.getLogger(__name__)


def _nothing(_: WorkOrder) -> None:
    pass


def carried_out[Order: WorkOrder](
    order: Order,
    work: Callable[[Order], None],
    *,
    kept: Sequence[str] = (),
    ended: Callable[[Order], None] = _nothing,
) -> Order:
    """In the order's process: done, or not and why. `kept`: fields that the work sets. `ended` is called in the
    transaction that says so.

    Raises OSError where no lock can be had; django.db.Error where the end cannot be written.
    """
    with living(order):
        try:
            work(order)
            if order.is_open:
                order.state = WorkOrder.State.DONE
        except (AutocomError, OSError, Error) as error:
            log.warning("order_not_done", extra={"order": str(order), "error": str(error)})
            order.state = WorkOrder.State.CANCELLED if isinstance(error, Cancelled) else WorkOrder.State.FAILED
            order.why = str(error).partition("\n")[0]
            if isinstance(error, Error):
                connection.close()  # one that broke would not take the word of it
        order.step, order.settled_at = "", datetime_of(us=SYSTEM_CLOCK.now_us())
        with transaction.atomic():
            order.save(update_fields=[*kept, "state", "why", "step", "settled_at"])
            ended(order)
    return order
