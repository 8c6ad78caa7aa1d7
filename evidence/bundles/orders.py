"""Bundles that somebody asked for in the console: minutes of work for a million events, done by `evidence.orders`."""

from __future__ import annotations

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from evidence.audit import Actor, ActorKind
from evidence.bundles.export import export
from evidence.gates.spec import gate
from evidence.models import BundleOrder
from evidence.orders import start
from evidence.orders.start import Kind
from evidence.orders.steps import Steps
from evidence.orders.work import carried_out
from evidence.runs.folders import kept_run

BUNDLES = Kind(model=BundleOrder, words=("evidence", "export"))


def order(*, run_id: str, gate_name: str, actor: Actor) -> BundleOrder:
    """Waits from the caller's COMMIT on. One that waits for the same already is given back.

    Raises RunUnknown, GateUnknown.
    """
    folder, spec = kept_run(run_id), gate(gate_name)
    same = BundleOrder.objects.filter(run_id=folder.run_id, gate=spec.name, state=BundleOrder.State.WAITING)
    return same.first() or BundleOrder.objects.create(
        run_id=folder.run_id,
        gate=spec.name,
        actor_kind=actor.kind.value,
        actor=actor.name,
        asked_at=datetime_of(us=SYSTEM_CLOCK.now_us()),
    )


def start_next() -> int | None:
    """The order whose process was started; None where none waits or one is being made."""
    return start.start_next(BUNDLES)


def settle(number: int) -> BundleOrder:
    """Made, or not and why. Raises BundleOrder.DoesNotExist, OSError; django.db.Error where that cannot be written."""
    return carried_out(BundleOrder.objects.get(pk=number), _make, kept=["bundle"])


def _make(asked: BundleOrder) -> None:
    actor = Actor(ActorKind(asked.actor_kind), asked.actor)
    done = export(kept_run(asked.run_id), actor=actor, gate_name=asked.gate, on_step=Steps(asked))
    asked.bundle = done.bundle
