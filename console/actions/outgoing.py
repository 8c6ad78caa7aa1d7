"""A person decides on messages that were given up or withheld; one audit entry for all of a call."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from console.access import Permission
from console.actions.operator import Operator, check
from evidence.alerts import close_alert
from evidence.audit import Act, record
from evidence.models import Outgoing
from evidence.outgoing.claims import now
from evidence.outgoing.errors import OutgoingNotThere

State = Outgoing.State


def retry(operator: Operator, numbers: Sequence[int], *, reason: str) -> int:
    """Dead messages are due again, with all attempts before them. Raises RefusalRecorded and OutgoingNotThere."""
    return _decide(operator, numbers, reason=reason, act=Act.OUTGOING_RETRIED, of=(State.DEAD,), to=State.WAITING)


def release(operator: Operator, numbers: Sequence[int], *, reason: str) -> int:
    """Withheld messages are due; the mode is asked again at the attempt. Raises as `retry`."""
    return _decide(operator, numbers, reason=reason, act=Act.OUTGOING_RELEASED, of=(State.WITHHELD,), to=State.WAITING)


def discard(operator: Operator, numbers: Sequence[int], *, reason: str) -> int:
    """Dead and withheld messages are given up. Raises as `retry`."""
    of = (State.DEAD, State.WITHHELD)
    return _decide(operator, numbers, reason=reason, act=Act.OUTGOING_DISCARDED, of=of, to=State.DISCARDED)


def _decide(
    operator: Operator, numbers: Sequence[int], *, reason: str, act: Act, of: Sequence[State], to: State
) -> int:
    """All or none."""
    wanted = sorted(set(numbers))
    check(operator, Permission.OUTGOING_DECIDE, subject="outgoing messages")
    with transaction.atomic():
        chosen = Outgoing.objects.filter(pk__in=wanted, state__in=of)
        rows = list(chosen.select_related("destination").select_for_update(of=("self",)).order_by("pk"))
        if missing := sorted(set(wanted) - {row.pk for row in rows}):
            raise OutgoingNotThere(f"no message {', '.join(map(str, missing))} is {' or '.join(of)}: nothing was done")
        _change(rows, to=to)
        record(act, actor=operator.actor, subject="outgoing messages", reason=reason, facts={"numbers": wanted})
    return len(rows)


def _change(rows: Sequence[Outgoing], *, to: State) -> None:
    ids = [row.pk for row in rows]
    if to == State.WAITING:
        Outgoing.objects.filter(pk__in=ids).update(state=to, attempt_count=0, next_attempt_at=now(), settled_at=None)
    else:
        Outgoing.objects.filter(pk__in=ids).update(state=to, settled_at=now())
    for destination in {row.destination for row in rows}:
        if not destination.outgoing.filter(state=State.DEAD).exists():
            close_alert("outgoing", destination.name)
