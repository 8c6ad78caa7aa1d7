"""Runs that somebody asked for in the console: asked, started, watched, cancelled, settled, each on record."""

from __future__ import annotations

import random
from datetime import UTC, datetime

from django.db import Error, IntegrityError, transaction

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from autocom.kernel.errors import AutocomError
from evidence.audit import Act, Actor, ActorKind, record
from evidence.models import ReplayOrder
from evidence.models.orders import IS_OPEN
from evidence.orders import start
from evidence.orders.life import is_dead
from evidence.orders.start import Kind
from evidence.orders.stop import Cancelled, ask_to_cancel
from evidence.orders.work import carried_out
from evidence.runs.asked import Asked, ReplayRefused, ReplayUnderWay, refuse_what_cannot_be
from evidence.runs.configure import generator_config
from evidence.runs.finish import keep_run, subject_of
from evidence.runs.folders import runs_root
from evidence.runs.watch import Watcher
from ingestion.replay.events import new_run_id
from ingestion.replay.files import prepare_folder
from ingestion.replay.report import Report
from ingestion.replay.run import run_generator
from ingestion.replay.trial import judged

REASON_LIMIT_CHARS = 500
OPS = Actor.process("ops")
State = ReplayOrder.State


def order(asked: Asked, *, actor: Actor, reason: str) -> ReplayOrder:
    """Waits from the caller's COMMIT on. Raises ReplayRefused."""
    if not reason.strip():
        raise ReplayRefused("say why the run is made: the reason goes into the audit log")
    if "\x00" in reason:
        raise ReplayRefused("the reason holds a NUL character")
    if len(reason) > REASON_LIMIT_CHARS:
        raise ReplayRefused(f"the reason has {len(reason)} characters: {REASON_LIMIT_CHARS} at most")
    refuse_what_cannot_be(asked)
    refuse_while_another_is_under_way()
    try:
        with transaction.atomic():
            made = ReplayOrder.objects.create(
                run_id=new_run_id(now=datetime.now(UTC), rng=random.SystemRandom()),
                reason=reason.strip(),
                actor_kind=actor.kind.value,
                actor=actor.name,
                asked_at=datetime_of(us=SYSTEM_CLOCK.now_us()),
                count=asked.count,
                rate=asked.rate,
                keys=asked.keys,
                duplicates_percent=asked.duplicates_percent,
                seed=asked.seed,
                provider=asked.provider,
                gate=asked.gate,
            )
    except IntegrityError as error:  # two people at the same moment
        raise ReplayUnderWay("another run was asked for at this moment: see how far it is") from error
    record(Act.REPLAY_ASKED, actor=actor, subject=subject_of(made.run_id), reason=made.reason, facts=_facts(made))
    return made


def refuse_while_another_is_under_way() -> None:
    """Raises ReplayUnderWay. One whose process died is in nobody's way."""
    for other in ReplayOrder.objects.filter(IS_OPEN):
        if is_dead(other):
            start.bury_the_dead(REPLAYS)
        else:
            raise ReplayUnderWay(
                f"run {other.run_id} of {other.actor} is under way: two would spoil each other's figures"
            )


def cancel(order: ReplayOrder, *, actor: Actor, reason: str) -> ReplayOrder:
    """In the caller's transaction: it sends nothing more within seconds. Raises NotUnderWay."""
    kept = ask_to_cancel(order, actor=actor)
    facts = {"run_id": kept.run_id, "state": kept.state, "sent": kept.sent_count}
    record(Act.REPLAY_CANCELLED, actor=actor, subject=subject_of(kept.run_id), reason=reason.strip(), facts=facts)
    return kept


def start_next() -> int | None:
    """The order whose process was started. Raises OSError, django.db.Error, AuditLogBusy."""
    return start.start_next(REPLAYS)


def settle(number: int) -> ReplayOrder:
    """Run, or not and why. Raises ReplayOrder.DoesNotExist, OSError; django.db.Error where that cannot be written."""
    asked = ReplayOrder.objects.get(pk=number)
    return carried_out(asked, _run, kept=SETTLED_FIELDS, ended=_ended)


def _ended(order: ReplayOrder) -> None:
    if order.state == State.FAILED:
        _record_broken_off(order, actor=_actor(order))


SETTLED_FIELDS = ("sent_count", "acked_count", "rejected_count", "retried_count", "p95_us", "committed_count")


def _run(order: ReplayOrder) -> None:
    if order.cancel_asked_at is not None:
        raise Cancelled("cancelled before it began: nothing was sent")
    folder = runs_root() / order.run_id
    journal_path = prepare_folder(folder)
    try:
        config = generator_config(
            run_id=order.run_id, journal_path=journal_path, provider=order.provider, load=_asked(order).load
        )
        with Watcher(order) as watcher:
            result = run_generator(config, on_progress=watcher)
            watcher.step = "waiting for the last commits, then reconciling"
            report = judged(result, gate=order.gate)
            watcher.step = "writing its files"
            order.why = _kept(order, report)
    except AutocomError:
        if not journal_path.exists():
            folder.rmdir()  # nothing was sent: there is no run
        raise
    _tell_the_end(order, report)


def _kept(order: ReplayOrder, report: Report) -> str:
    """Why the audit log has no entry of the run; empty where it has."""
    try:
        keep_run(runs_root() / order.run_id, report, actor=_actor(order))
    except (Error, AutocomError) as error:
        return f"the audit log has no entry of this run: {str(error).partition('\n')[0]}"
    return ""


def _tell_the_end(order: ReplayOrder, report: Report) -> None:
    figures, found = report.result.figures, report.reconciliation
    order.sent_count, order.acked_count = figures.sent, figures.acknowledged
    order.rejected_count, order.retried_count = figures.sent - figures.acknowledged, figures.retries
    order.p95_us = None if figures.ack_ms.p95 is None else round(figures.ack_ms.p95 * 1_000)
    order.committed_count = found.stored_count if found else None
    check = report.result.history.self_check
    order.state = State.DONE
    if check is None:
        order.state, order.why = State.FAILED, "the generator died on the way: what it had sent is judged"
    elif check.was_interrupted:
        order.refresh_from_db(fields=["cancel_asked_at", "cancel_asked_by"])
        by = f"cancelled by {order.cancel_asked_by}" if order.cancel_asked_by else "its process was told to end"
        order.state, order.why = State.CANCELLED, f"{by}{f'; {order.why}' if order.why else ''}"


def _asked(order: ReplayOrder) -> Asked:
    return Asked(
        count=order.count,
        rate=order.rate,
        keys=order.keys,
        duplicates_percent=order.duplicates_percent,
        seed=order.seed,
        provider=order.provider,
        gate=order.gate,
    )


def _actor(order: ReplayOrder) -> Actor:
    return Actor(ActorKind(order.actor_kind), order.actor)


def _facts(order: ReplayOrder) -> dict[str, object]:
    names = ("run_id", "count", "rate", "keys", "duplicates_percent", "seed", "provider", "gate")
    return {name: getattr(order, name) for name in names}


def _record_started(order: ReplayOrder) -> None:
    facts = {"run_id": order.run_id, "order": order.pk}
    record(Act.REPLAY_STARTED, actor=OPS, subject=subject_of(order.run_id), facts=facts)


def _record_broken_off(order: ReplayOrder, *, actor: Actor = OPS) -> None:
    """A run without a result of its own; one that ended has its entry `replay.run`."""
    facts = {"run_id": order.run_id, "state": order.state, "planned": order.count, "sent": order.sent_count}
    record(Act.REPLAY_BROKEN_OFF, actor=actor, subject=subject_of(order.run_id), reason=order.why, facts=facts)


REPLAYS = Kind(model=ReplayOrder, words=("replay",), started=_record_started, died=_record_broken_off)
