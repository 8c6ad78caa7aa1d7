"""Letters, plans and outcomes as lines and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from console.management.provider.printing import iso, told
from console.personal import Masked
from console.set_aside.kinds import Kind, Letter
from console.set_aside.plan import Plan, Planned
from evidence.models import SetAsideOrder
from evidence.orders.life import is_dead
from ingestion.models import DeadLetter, SetAsideAttempt


def visible(text: str, *, keep: str = "") -> str:
    """A sender's text must not steer the terminal."""
    return "".join(c if c in keep or c.isprintable() else ascii(c)[1:-1] for c in text)


def letter_line(letter: Letter) -> str:
    names = f"{visible(letter.event_type)} {visible(letter.message_id)}"
    why = f"  {visible(letter.error_class)} {letter.fingerprint}" if isinstance(letter, DeadLetter) else ""
    return f"{letter.pk}  {letter.state:<9}  {told(letter.received_at, none='')}  {letter.provider}  {names}{why}"


def letter_lines(letter: Letter, kind: Kind) -> Iterator[str]:
    masked = Masked.of(letter)
    yield f"{kind.noun} {letter.pk}"
    facts = {
        "state": f"{letter.state}{f': {letter.discard_reason}' if letter.discard_reason else ''}",
        "provider": letter.provider,
        "type": letter.event_type,
        "message id": letter.message_id,
        "ordering key": masked.ordering_key,
        "lane": f"{letter.lane} / {letter.sequence}",
        "received": told(letter.received_at, none=""),
        "body sha256": bytes(letter.body_sha256).hex(),
    }
    if isinstance(letter, DeadLetter):
        facts |= {"error": f"{letter.error_class} {letter.fingerprint}: {masked.error(letter.error)}"}
    else:
        facts |= {"original": str(letter.original_event_id or "not known")}
    for name, value in facts.items():
        yield f"  {name:<12}  {visible(value)}"


def letter_json(letter: Letter) -> dict[str, Any]:
    masked = Masked.of(letter)
    found: dict[str, Any] = {
        "event_id": str(letter.pk),
        "state": letter.state,
        "state_at": iso(letter.state_at),
        "discard_reason": letter.discard_reason,
        "provider": letter.provider,
        "event_type": letter.event_type,
        "message_id": letter.message_id,
        "ordering_key": masked.ordering_key,
        "lane": letter.lane,
        "epoch": letter.epoch,
        "sequence": letter.sequence,
        "received_at": iso(letter.received_at),
        "body_sha256": bytes(letter.body_sha256).hex(),
        "attempt_count": letter.attempt_count,
    }
    if isinstance(letter, DeadLetter):
        return {
            **found,
            "error_class": letter.error_class,
            "error": masked.error(letter.error),
            "fingerprint": letter.fingerprint,
            "dead_at": iso(letter.dead_at),
        }
    return {**found, "original_event_id": None if letter.original_event_id is None else str(letter.original_event_id)}


def attempt_line(attempt: SetAsideAttempt, masked: Masked) -> str:
    error = f"  {visible(attempt.error_class)}: {visible(masked.error(attempt.error))}" if attempt.error else ""
    return f"{attempt.number}  {told(attempt.asked_at, none='')}  {attempt.outcome}{error}"


def attempt_json(attempt: SetAsideAttempt, masked: Masked) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "asked_at": iso(attempt.asked_at),
        "outcome": attempt.outcome,
        "settled_at": iso(attempt.settled_at),
        "error_class": attempt.error_class,
        "error": masked.error(attempt.error),
        "original_event_id": None if attempt.original_event_id is None else str(attempt.original_event_id),
        "lane": attempt.lane,
        "sequence": attempt.sequence,
    }


def planned_line(planned: Planned) -> str:
    mark = " " if planned.is_included else "!"
    return f"{mark} {planned.event_id}  {planned.fate:<12}  {visible(planned.sentence)}"


def planned_json(planned: Planned) -> dict[str, Any]:
    return {
        "event_id": str(planned.event_id),
        "fate": planned.fate,
        "included": planned.is_included,
        "sentence": planned.sentence,
        "original_event_id": None if planned.original_event_id is None else str(planned.original_event_id),
    }


def order_line(order: SetAsideOrder) -> str:
    figures = f"{order.position:,} of {order.count:,} had their turn, {order.done_count:,} done"
    retried = f" ({order.stored_count:,} stored, {order.reopened_count:,} failed once more)"
    left = f"{order.refused_count:,} left as they were"
    words = f"{figures}{retried if order.verb == 'retry' else ''}, {left}"
    state = "died" if is_dead(order) else order.state
    return f"order {order.pk}  {order.place} {order.verb}  {state:<9}  {words}{f'; {order.why}' if order.why else ''}"


def order_json(order: SetAsideOrder) -> dict[str, Any]:
    names = ("place", "verb", "count", "position", "done_count", "refused_count", "stored_count", "reopened_count")
    return {
        "order": order.pk,
        "state": "died" if is_dead(order) else order.state,
        **{name: getattr(order, name) for name in names},
        "asked_by": order.actor,
        "asked_at": iso(order.asked_at),
        "settled_at": iso(order.settled_at),
        "why": order.why,
    }


def sum_lines(plan: Plan) -> Iterator[str]:
    for each in plan.sums:
        yield f"{each.count:>7,} {each.told}{'' if each.is_included else '  (left out)'}"
