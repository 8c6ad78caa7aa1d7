"""Orders as a person reads them, of whatever kind: state in icon, word and colour, how far it is, and how old that is.

The pages of replays, bundles, letters and verifications share these and the templates `_order_….html`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from console.shown import UNKNOWN, age
from evidence.models import WorkOrder
from evidence.orders.life import is_dead

POLL_SECONDS = 2
SILENT_AFTER = timedelta(seconds=10)
WAITS = "Waits for the ops worker, which looks every few seconds; without one, start manage.py worker --queue ops."
State = WorkOrder.State


@dataclass(frozen=True, slots=True)
class StateShown:
    """`tone` is good, bad or none."""

    icon: str
    word: str
    tone: str = ""


DIED = StateShown("report", "died", "bad")
STATES: Mapping[str, StateShown] = {
    State.WAITING: StateShown("schedule", "waiting"),
    State.RUNNING: StateShown("play_circle", "running"),
    State.DONE: StateShown("check", "done"),
    State.CANCELLED: StateShown("block", "cancelled"),
    State.FAILED: StateShown("error", "failed", "bad"),
    State.DIED: DIED,
}


@dataclass(frozen=True, slots=True)
class FigureShown:
    title: str
    value: str


@dataclass(frozen=True, slots=True)
class Progress:
    """`done` of `total`, in what `words` name; the figures beside it."""

    done: int
    total: int
    words: str
    figures: Sequence[FigureShown]


def is_live(order: WorkOrder) -> bool:
    """False where its process is gone, though nobody has written it down yet."""
    return order.is_open and not is_dead(order)


def shown_state(order: WorkOrder) -> StateShown:
    """A process that is gone is never shown as running."""
    return DIED if is_dead(order) else STATES[order.state]


def silence_of(order: WorkOrder, *, now: datetime) -> str:
    """Empty while its process has been heard lately."""
    seen_at = order.seen_at or order.started_at
    if order.state != State.RUNNING or seen_at is None or now - seen_at < SILENT_AFTER:
        return ""
    return f"No word from its process for {age(now - seen_at)}: these figures are that old."


def elapsed_of(order: WorkOrder, *, now: datetime) -> FigureShown:
    lasted = (order.settled_at or now) - order.started_at if order.started_at else None
    return FigureShown("Elapsed", age(lasted) if lasted is not None else "not begun")


def count_shown(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:,}"


def under_way(order: WorkOrder, *, cancelled: str) -> str:
    """The sentence of one that is open. `cancelled`: what it still does after somebody cancelled it."""
    if order.state == State.WAITING:
        others = type(order)._default_manager.filter(state=State.RUNNING).only("state", "started_at")
        before = next((each for each in others if not is_dead(each)), None)
        return WAITS if before is None else f"Waits until order {before.pk} has ended: one is carried out at a time."
    if order.cancel_asked_at is not None:
        return f"{order.cancel_asked_by} cancelled it: {cancelled}."
    return f"Under way: {order.step}."
