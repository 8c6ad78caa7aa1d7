"""What retry and discard have in common: which letters, what would happen, and with --yes the act."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from console.actions.letter_orders import order_letters
from console.actions.operator import Operator
from console.actions.set_aside import ACT_LIMIT_COUNT
from console.management.deadletters.arguments import wanted
from console.management.deadletters.printing import (
    order_json,
    order_line,
    planned_json,
    planned_line,
    sum_lines,
    visible,
)
from console.management.errors import UsageWrong
from console.management.provider.printing import say, say_json
from console.set_aside.kinds import KINDS, Kind
from console.set_aside.orders import digest_of, settle, under_way_for
from console.set_aside.verbs import Verb
from ingestion.models import SetAsideState
from ingestion.redrive.place import SetAside

DONE, SOMETHING_REFUSED = 0, 1


@dataclass(frozen=True, slots=True)
class Meant:
    """The letters that the arguments mean, oldest first."""

    event_ids: Sequence[UUID]
    has_more: bool


def act(
    verb: Verb,
    *,
    ids: Sequence[UUID],
    place: str,
    provider: str | None,
    error: str | None,
    since: datetime | None,
    limit: int,
    reason: str,
    yes: bool,
    actor: str | None,
    json: bool,
) -> int:
    """Prints what would happen, or does it and prints what happened. Raises UsageWrong."""
    kind = KINDS[SetAside(place)]
    filters = {"provider": provider, "error": error, "since": since}
    meant = _meant(kind, ids=ids, filters=filters, limit=limit, verb=verb)
    if not meant.event_ids:
        say_json({"letters": []}) if json else say(f"no open {kind.noun} matches: nothing to {verb.name}")
        return DONE
    if not yes:
        return _foretell(verb, kind, meant, json=json)
    if len(meant.event_ids) > ACT_LIMIT_COUNT:
        chosen = urlencode({name: str(value) for name, value in filters.items() if value is not None})
        return _do_many(verb, kind, meant, reason=reason, actor=actor, json=json, chosen=chosen)
    return _do(verb, kind, meant, reason=reason, actor=actor, json=json)


def _meant(kind: Kind, *, ids: Sequence[UUID], filters: dict[str, Any], limit: int, verb: Verb) -> Meant:
    is_filtered = any(value is not None for value in filters.values())
    if ids and is_filtered:
        raise UsageWrong("ids and filters exclude each other: name the letters, or say which ones")
    if ids:
        if len(set(ids)) > limit:
            raise UsageWrong(f"{len(set(ids))} ids are too many at once: {limit} at most")
        return Meant(sorted(set(ids)), has_more=False)
    if not is_filtered:
        raise UsageWrong(
            f"which letters? Name ids, or a filter: deadletters {verb.name} --provider NAME, --error FINGERPRINT"
            " or --since 24h"
        )
    condition = wanted(kind.place, state=SetAsideState.OPEN.value, **filters)
    found = list(kind.rows.filter(condition).order_by("pk").values_list("pk", flat=True)[: limit + 1])
    return Meant(found[:limit], has_more=len(found) > limit)


def _foretell(verb: Verb, kind: Kind, meant: Meant, *, json: bool) -> int:
    plan = verb.plan(kind.place, meant.event_ids)
    status = SOMETHING_REFUSED if plan.left_out_count else DONE
    if json:
        letters = [planned_json(each) for each in plan.letters]
        sums = {each.fate: each.count for each in plan.sums}
        say_json({**_head(verb, kind, meant), "is_dry_run": True, "letters": letters, "sums": sums})
        return status
    say(*map(planned_line, plan.letters), *sum_lines(plan))
    say(f"dry run: nothing was done. --yes does it for {kind.counted(len(plan.included))}", *_more(meant))
    return status


def _do(verb: Verb, kind: Kind, meant: Meant, *, reason: str, actor: str | None, json: bool) -> int:
    operator = Operator.command_line(actor)
    entry = verb.perform(operator, place=kind.place, event_ids=meant.event_ids, reason=reason)
    done, refused = entry.facts["done"], entry.facts["refused"]
    if json:
        result = {"audit_entry": entry.number, "done": done, "refused": refused}
        say_json({**_head(verb, kind, meant), "is_dry_run": False, **result})
    else:
        say(*(f"! {each['event_id']}  {each['fate']:<12}  {visible(each['why'])}" for each in refused))
        say(f"{kind.counted(len(done))} {verb.done}, {len(refused)} refused; audit entry {entry.number}", *_more(meant))
    return SOMETHING_REFUSED if refused else DONE


def _do_many(verb: Verb, kind: Kind, meant: Meant, *, reason: str, actor: str | None, json: bool, chosen: str) -> int:
    """An order that this process carries out; the console shows how far it is, and can cancel it."""
    if (same := under_way_for(kind.place, verb, digest_of(meant.event_ids))) is not None:
        raise UsageWrong(f"order {same.pk} is under way for the same letters: deadletters orders says how far it is")
    made = order_letters(
        Operator.command_line(actor),
        place=kind.place,
        verb=verb,
        event_ids=meant.event_ids,
        reason=reason,
        chosen=chosen,
        is_begun=True,
    )
    if not json:
        say(f"order {made.pk} over {kind.counted(made.count)}: the console and deadletters orders say how far it is")
    order = settle(made.pk)
    if json:
        say_json({**_head(verb, kind, meant), "is_dry_run": False, **order_json(order)})
    else:
        say(order_line(order), *_more(meant))
    is_whole = order.state == order.State.DONE and not order.refused_count and not order.reopened_count
    return DONE if is_whole else SOMETHING_REFUSED


def _head(verb: Verb, kind: Kind, meant: Meant) -> dict[str, Any]:
    return {"verb": verb.name, "place": kind.place.value, "has_more": meant.has_more}


def _more(meant: Meant) -> Sequence[str]:
    return ["more letters match: run it again for them"] if meant.has_more else []
