"""More letters than one act takes: an order, carried out act by act in a process of its own (`evidence.orders`).

Which letters is fixed when it is asked. Each act is what a person does on the pages: the rights of whoever asked are
looked at anew, the rows are locked, what cannot be done stays as it is, and an entry in the audit log has the ids. How
far the order is stands in the same transaction, so a killed process leaves neither a letter that counts twice nor one
that counts not at all. A retry waits until its letters are committed before it sends the next ones: of an order never
more than one act's letters are on the lanes, where webhooks come first.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import batched
from uuid import UUID

from django.db.models import F, QuerySet

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from autocom.kernel.digest import sha256
from autocom.kernel.errors import AutocomError
from console.actions.operator import Operator, RefusalRecorded
from console.actions.set_aside import ACT_LIMIT_COUNT, ORDER_LIMIT_COUNT, Part, TooMany, order_subject
from console.set_aside.verbs import RETRY, VERB_BY_NAME, Verb
from evidence.audit import Act, Actor, ActorKind, record
from evidence.models import AuditEntry, SetAsideOrder
from evidence.models.orders import IS_OPEN
from evidence.orders import start
from evidence.orders.life import is_dead
from evidence.orders.start import Kind
from evidence.orders.steps import Steps
from evidence.orders.work import carried_out
from ingestion.models import SetAsideAttempt
from ingestion.redrive.place import SetAside
from ingestion.redrive.selectors import last_outcomes

LOOK_EVERY_SECONDS = 0.5
ID_BYTES = 16
OPS = Actor.process("ops")
Outcome = SetAsideAttempt.Outcome
IS_STORED = (Outcome.STORED, Outcome.DUPLICATE)


class NothingLeft(AutocomError):
    """Every letter of the order has had its turn, or it is under way."""

    code = "order_has_no_rest"


class RightsGone(AutocomError):
    """Whoever asked may no longer do it. What is left was not touched."""

    code = "order_rights_gone"


class TurnTaken(AutocomError):
    """Another process has had these letters, or the order was settled meanwhile. Nothing was done."""

    code = "order_turn_taken"


def packed(event_ids: Sequence[UUID]) -> bytes:
    """Each once, the oldest first."""
    return b"".join(each.bytes for each in sorted(set(event_ids)))


def letters_of(order: SetAsideOrder) -> list[UUID]:
    return [UUID(bytes=bytes(each)) for each in batched(bytes(order.event_ids), ID_BYTES)]


def digest_of(event_ids: Sequence[UUID]) -> str:
    return sha256(packed(event_ids)).hex()


def orders_of(place: SetAside) -> QuerySet[SetAsideOrder]:
    """The newest first, without the ids of their letters."""
    return SetAsideOrder.objects.filter(place=place.value).defer("event_ids")


def under_way_for(place: SetAside, verb: Verb, ids_sha256: str) -> SetAsideOrder | None:
    """The same verb over the same letters, waiting or with a process that lives."""
    same = SetAsideOrder.objects.filter(IS_OPEN, place=place.value, verb=verb.name, ids_sha256=ids_sha256)
    return next((each for each in same if not is_dead(each)), None)


def order(
    place: SetAside,
    verb: Verb,
    event_ids: Sequence[UUID],
    *,
    actor: Actor,
    reason: str,
    chosen: str,
    rest_of: SetAsideOrder | None = None,
    is_begun: bool = False,
) -> SetAsideOrder:
    """Waits from the caller's COMMIT on, on record. One that is under way for the same is given back. `is_begun`:
    this very process carries it out. Raises TooMany, and ValueError where the verb needs a reason and there is none.
    """
    ids = packed(event_ids)
    count, digest = len(ids) // ID_BYTES, sha256(ids).hex()
    if not 1 <= count <= ORDER_LIMIT_COUNT:
        raise TooMany(f"{count:,} letters are no order: 1 to {ORDER_LIMIT_COUNT:,}")
    if verb.needs_reason and not reason.strip():
        raise ValueError("a discard needs a reason")
    if (same := under_way_for(place, verb, digest)) is not None:
        return same
    now = datetime_of(us=SYSTEM_CLOCK.now_us())
    made = SetAsideOrder.objects.create(
        place=place.value,
        verb=verb.name,
        reason=reason.strip(),
        chosen=chosen,
        event_ids=ids,
        ids_sha256=digest,
        count=count,
        rest_of=rest_of,
        actor_kind=actor.kind.value,
        actor=actor.name,
        asked_at=now,
        **({"state": SetAsideOrder.State.RUNNING, "started_at": now} if is_begun else {}),
    )
    facts = {"order": made.pk, "verb": verb.name, "count": count, "chosen": chosen, "ids_sha256": digest}
    facts |= {} if rest_of is None else {"rest_of": rest_of.pk}
    record(Act.SET_ASIDE_ORDERED, actor=actor, subject=order_subject(place, made.pk), reason=made.reason, facts=facts)
    return made


def rest(whole: SetAsideOrder, *, actor: Actor) -> SetAsideOrder:
    """An order of the letters that have not had their turn. In the caller's transaction. Raises NothingLeft."""
    kept = SetAsideOrder.objects.select_for_update().get(pk=whole.pk)
    if kept.is_open:
        raise NothingLeft(f"it is {kept.state}: cancel it first, or let it end")
    left = letters_of(kept)[kept.position :]
    if not left:
        raise NothingLeft("every letter has had its turn: nothing is left to ask for")
    place, verb = SetAside(kept.place), VERB_BY_NAME[kept.verb]
    return order(place, verb, left, actor=actor, reason=kept.reason, chosen=kept.chosen, rest_of=kept)


def start_next() -> int | None:
    """The order whose process was started. Raises OSError, django.db.Error, AuditLogBusy."""
    return start.start_next(ORDERS)


def bury_the_dead() -> int:
    return start.bury_the_dead(ORDERS)


def settle(number: int) -> SetAsideOrder:
    """Carried out, or not and why. Raises SetAsideOrder.DoesNotExist, OSError, django.db.Error."""
    return carried_out(SetAsideOrder.objects.get(pk=number), _carry_out, ended=_record_ended)


def _carry_out(order: SetAsideOrder) -> None:
    steps = Steps(order)
    for batch in batches_left(order):
        steps(f"{VERB_BY_NAME[order.verb].doing} letters {order.position + 1:,} to {order.position + len(batch):,}")
        follow(order, act_on(order, batch), steps)


def batches_left(order: SetAsideOrder) -> Iterator[Sequence[UUID]]:
    yield from batched(letters_of(order)[order.position :], ACT_LIMIT_COUNT)


def act_on(order: SetAsideOrder, batch: Sequence[UUID]) -> AuditEntry:
    """One act, counted in its own transaction. Raises RightsGone, TurnTaken, AuditLogBusy."""
    verb, actor = VERB_BY_NAME[order.verb], Actor(ActorKind(order.actor_kind), order.actor)
    part = Part(order=order.pk, counted=partial(_count, order, len(batch)))
    try:
        entry = verb.perform(
            Operator.as_now(actor), place=SetAside(order.place), event_ids=batch, reason=order.reason, part=part
        )
    except RefusalRecorded as refused:
        raise RightsGone(f"{order.actor} does not hold {refused} any more: what is left was not touched") from None
    order.position += len(batch)
    return entry


def _count(order: SetAsideOrder, batch_count: int, done_count: int, refused_count: int) -> None:
    ours = SetAsideOrder.objects.filter(IS_OPEN, pk=order.pk, position=order.position)
    moved = ours.update(
        position=F("position") + batch_count,
        done_count=F("done_count") + done_count,
        refused_count=F("refused_count") + refused_count,
    )
    if not moved:
        raise TurnTaken(f"order {order.pk} is not at letter {order.position + 1:,} any more, or it is settled")


def follow(order: SetAsideOrder, entry: AuditEntry, steps: Steps[SetAsideOrder]) -> None:
    """Until what was sent is off the lanes; a discard is done at once. A cancel ends the waiting too."""
    sent = [UUID(each) for each in entry.facts["done"]]
    if order.verb != RETRY.name or not sent:
        return
    place = SetAside(order.place)
    while (found := last_outcomes(place, sent))[Outcome.UNDER_WAY]:
        steps(f"waiting until {found[Outcome.UNDER_WAY]:,} of the last {len(sent):,} letters are committed")
        time.sleep(LOOK_EVERY_SECONDS)
    stored_count = sum(found[each] for each in IS_STORED)
    SetAsideOrder.objects.filter(pk=order.pk).update(
        stored_count=F("stored_count") + stored_count,
        reopened_count=F("reopened_count") + found.total() - stored_count,
    )


def _record_ended(order: SetAsideOrder, *, actor: Actor | None = None) -> None:
    names = ("position", "done_count", "refused_count", "stored_count", "reopened_count")
    order.refresh_from_db(fields=names)
    facts = {"order": order.pk, "verb": order.verb, "state": order.state, "count": order.count}
    record(
        Act.SET_ASIDE_ORDER_ENDED,
        actor=actor or Actor(ActorKind(order.actor_kind), order.actor),
        subject=order_subject(SetAside(order.place), order.pk),
        reason=order.why,
        facts=facts | {name: getattr(order, name) for name in names},
    )


ORDERS = Kind(model=SetAsideOrder, words=("deadletters", "carry-out"), died=partial(_record_ended, actor=OPS))
