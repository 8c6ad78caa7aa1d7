"""Orders of long work, a bundle's and a replay's: how far they are, and the answer to whoever asked."""

from __future__ import annotations

from typing import Literal

from django.http import HttpResponse
from rest_framework.request import Request

from console.api.v1.view import absolute, answered
from evidence.models import WorkOrder
from evidence.orders.life import is_dead

type OrderState = Literal["waiting", "running", "done", "failed", "cancelled", "died"]


def state_of(order: WorkOrder) -> OrderState:
    state: OrderState = "died" if is_dead(order) else order.state  # type: ignore[assignment]
    return state


def accepted(request: Request, told: object, *, address: str) -> HttpResponse:
    """It is done elsewhere, and `Location` tells how far it is."""
    return answered(told, status=202, location=absolute(request, address))
