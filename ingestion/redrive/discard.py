"""Gives an event up that stands aside. Its row and bytes stay until retention takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from ingestion.models import SetAsideState
from ingestion.poison import storable
from ingestion.redrive.forecast import Forecast, not_open
from ingestion.redrive.place import SetAside

REASON_LIMIT_CHARS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscardResult:
    discarded: tuple[UUID, ...]
    refused: tuple[Forecast, ...]  # NOT_OPEN or UNKNOWN_ID


def discard(place: SetAside, event_ids: Sequence[UUID], *, reason: str) -> DiscardResult:
    """Open ones are DISCARDED, with the reason and the time; the others are as they were.

    Raises ValueError for a reason that is empty or too long.
    """
    told = _checked(reason)
    wanted = list(dict.fromkeys(event_ids))
    now = datetime_of(us=SYSTEM_CLOCK.now_us())
    with transaction.atomic():
        rows = place.model.objects.filter(pk__in=wanted).order_by("pk").select_for_update()
        states = dict(rows.values_list("pk", "state"))
        discarded = tuple(each for each in wanted if states.get(each) == SetAsideState.OPEN)
        place.model.objects.filter(pk__in=discarded).update(
            state=SetAsideState.DISCARDED, state_at=now, discard_reason=told
        )
    refused = tuple(not_open(each, state=states.get(each)) for each in wanted if each not in set(discarded))
    return DiscardResult(discarded=discarded, refused=refused)


def _checked(reason: str) -> str:
    told = storable(reason.strip())
    if not told:
        raise ValueError("a discard needs a reason, such as: test traffic of the staging system")
    if len(told) > REASON_LIMIT_CHARS:
        raise ValueError(f"a reason has {REASON_LIMIT_CHARS} characters at most, this has {len(told)}")
    return told
