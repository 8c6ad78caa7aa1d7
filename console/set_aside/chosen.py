"""The letters that a person chose: those that they ticked, or the open ones that match the list's filter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from django.contrib.admin.options import IncorrectLookupParameters
from django.http import HttpRequest

from console.actions.set_aside import ACT_LIMIT_COUNT
from console.keyset import Cursor, keyset_page
from ingestion.models import SetAsideState

if TYPE_CHECKING:
    from console.admin.set_aside import SetAsideAdmin

PICK = "pick"
ALL = "all"
OLDEST = UUID(int=0)


class ChoiceInvalid(ValueError):
    """Nothing, or nothing that can be a letter, was chosen; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Oldest first. `has_more`: the filter matches more than one act takes, or more than was looked through."""

    event_ids: tuple[UUID, ...]
    has_more: bool = False


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
    """The oldest open letters that the list would show for this address, whatever its page."""
    try:
        listed = admin.get_changelist_instance(request)
    except IncorrectLookupParameters:
        raise ChoiceInvalid("The filter cannot be read: set it again in the list.") from None
    queryset = listed.queryset.filter(state=SetAsideState.OPEN).only("pk")
    page = keyset_page(
        queryset,
        cursor=Cursor(after=OLDEST),
        size_count=ACT_LIMIT_COUNT,
        is_indexed=False,
        scan_limit_count=admin.scan_limit_count,
    )
    if not page.rows:
        raise ChoiceInvalid("No open letter matches the filter.")
    return Chosen(tuple(sorted(row.pk for row in page.rows)), has_more=page.newer_after is not None)
