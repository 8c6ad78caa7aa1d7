"""The letters that a person chose: those that they ticked, or the open ones that match the list's filter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import Max, QuerySet
from django.http import HttpRequest

from console.actions.set_aside import ACT_LIMIT_COUNT, ORDER_LIMIT_COUNT
from console.keyset import Cursor, keyset_page
from ingestion.models import Batch, SetAsideState

if TYPE_CHECKING:
    from console.admin.set_aside import SetAsideAdmin

PICK = "pick"
ALL = "all"
NEWEST_BATCH = "newest_batch"
SCANS_COUNT = 10  # as far as ten pages of the list would look: an act over all that match is rarer than a look
OLDEST = UUID(int=0)


class ChoiceInvalid(ValueError):
    """Nothing, or nothing that can be a letter, was chosen; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Oldest first. `has_more`: the filter matches more than one order takes, or more than was looked through.
    `rows`: the same ones where they were found by the list's filter; `newest_batch`: nothing was set aside later.
    """

    event_ids: tuple[UUID, ...]
    has_more: bool = False
    rows: QuerySet[Any] | None = None
    newest_batch: int = 0


def chosen_letters(request: HttpRequest, *, admin: SetAsideAdmin) -> Chosen:
    """Raises ChoiceInvalid."""
    if ALL in request.POST:
        return _matching(request, admin=admin)
    try:
        ticked = sorted({UUID(text) for text in request.POST.getlist(PICK)})
    except ValueError:
        raise ChoiceInvalid("One of the ticked letters has no valid id: reload the list and tick again.") from None
    if not ticked:
        raise ChoiceInvalid("Nothing was ticked: tick letters in the list, or take all that match.")
    if len(ticked) > ACT_LIMIT_COUNT:
        raise ChoiceInvalid(f"{len(ticked)} letters at once are too many: tick {ACT_LIMIT_COUNT} at most.")
    return Chosen(tuple(ticked))


def _matching(request: HttpRequest, *, admin: SetAsideAdmin) -> Chosen:
    """The oldest open letters that the list would show for this address, whatever its page. Those alone that were set
    aside when the preview was made: a launch that goes on adds some every minute.
    """
    try:
        listed = admin.get_changelist_instance(request)
    except IncorrectLookupParameters:
        raise ChoiceInvalid("The filter cannot be read: set it again in the list.") from None
    given = request.POST.get(NEWEST_BATCH, "")
    newest_batch = int(given) if given.isascii() and given.isdigit() and len(given) < 19 else _newest_batch()
    queryset = listed.queryset.filter(state=SetAsideState.OPEN, batch__lte=newest_batch).only("pk")
    page = keyset_page(
        queryset,
        cursor=Cursor(after=OLDEST),
        size_count=ORDER_LIMIT_COUNT,
        is_indexed=False,
        scan_limit_count=admin.scan_limit_count * SCANS_COUNT,
    )
    if not page.rows:
        raise ChoiceInvalid("No open letter matches the filter.")
    event_ids = tuple(sorted(row.pk for row in page.rows))
    return Chosen(
        event_ids,
        has_more=page.newer_after is not None,
        rows=queryset.filter(pk__lte=event_ids[-1]),
        newest_batch=newest_batch,
    )


def _newest_batch() -> int:
    found: int | None = Batch.objects.aggregate(newest=Max("number"))["newest"]
    return found or 0
