"""Many letters at once: asked for, cancelled, and what is left of it asked for again."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.db import transaction

from console.actions.operator import Operator, check
from console.actions.set_aside import order_subject
from console.set_aside import orders
from console.set_aside.verbs import Verb
from evidence.audit import Act, record
from evidence.models import SetAsideOrder
from evidence.orders.stop import NotUnderWay, ask_to_cancel
from ingestion.redrive.place import SetAside


def order_letters(
    operator: Operator,
    *,
    place: SetAside,
    verb: Verb,
    event_ids: Sequence[UUID],
    reason: str,
    chosen: str,
    is_begun: bool = False,
) -> SetAsideOrder:
    """The order waits for the ops worker, unless this process begins it itself. On record.

    Raises RefusalRecorded, TooMany, AuditLogBusy, ValueError.
    """
    check(operator, verb.permission, subject=f"{verb.name} {len(event_ids)} letters")
    with transaction.atomic(durable=True):
        return orders.order(
            place, verb, event_ids, actor=operator.actor, reason=reason, chosen=chosen, is_begun=is_begun
        )


def cancel_letters(operator: Operator, number: int, *, place: SetAside, verb: Verb) -> SetAsideOrder:
    """No further letter has its turn; what was done stays done. Raises RefusalRecorded, NotUnderWay, AuditLogBusy."""
    subject = order_subject(place, number)
    check(operator, verb.permission, subject=f"cancel {subject}")
    with transaction.atomic(durable=True):
        kept = ask_to_cancel(_found(number, place=place, verb=verb), actor=operator.actor)
        facts = {"order": kept.pk, "verb": verb.name, "state": kept.state, "count": kept.count}
        facts["position"] = kept.position
        record(Act.SET_ASIDE_ORDER_CANCELLED, actor=operator.actor, subject=subject, facts=facts)
        return kept


def order_rest(operator: Operator, number: int, *, place: SetAside, verb: Verb) -> SetAsideOrder:
    """Of one that was cancelled, failed or died. Raises RefusalRecorded, NotUnderWay, NothingLeft, AuditLogBusy."""
    check(operator, verb.permission, subject=f"rest of {order_subject(place, number)}")
    orders.bury_the_dead()
    with transaction.atomic(durable=True):
        return orders.rest(_found(number, place=place, verb=verb), actor=operator.actor)


def _found(number: int, *, place: SetAside, verb: Verb) -> SetAsideOrder:
    found = orders.orders_of(place).filter(pk=number, verb=verb.name).first()
    if found is None:
        raise NotUnderWay("there is no such order")
    return found
