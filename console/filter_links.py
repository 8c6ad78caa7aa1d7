"""Filters and pages of our own lists as links: the address is the state, so Back works and a link can be given away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Model
from django.http import HttpRequest
from django.utils.http import urlencode

from console.keyset import AFTER, BEFORE, Cursor, CursorInvalid, KeysetPage


@dataclass(frozen=True, slots=True)
class Choice:
    text: str
    address: str
    is_current: bool


@dataclass(frozen=True, slots=True)
class Filters:
    """`wanted` is what the address says; `plain` what it means where it says nothing."""

    wanted: Mapping[str, str]
    plain: Mapping[str, str]

    def address(self, **changes: Any) -> str:
        """Without a page, unless `changes` names one."""
        given = {name: str(value) for name, value in {**self.wanted, **changes}.items()}
        return f"?{urlencode({name: value for name, value in given.items() if value != self.plain.get(name, '')})}"

    def choices(self, name: str, offered: Sequence[tuple[str, str]]) -> Sequence[Choice]:
        """Of (value, text) pairs."""
        return [Choice(text, self.address(**{name: value}), value == self.wanted[name]) for value, text in offered]

    def keyset_links[Row: Model](self, cursor: Cursor, page: KeysetPage[Row]) -> Sequence[tuple[str, str]]:
        links = [] if cursor.is_newest else [("Newest", self.address())]
        if page.newer_after is not None:
            links.append(("Newer", self.address(**{AFTER: page.newer_after})))
        if page.older_before is not None:
            links.append(("Older", self.address(**{BEFORE: page.older_before})))
        return links


def cursor_of(request: HttpRequest, model: type[Model]) -> tuple[Cursor, str]:
    """Where the page begins; at the newest row, and why, where the address names a key that is none."""
    given = {name: request.GET[name] for name in (BEFORE, AFTER) if request.GET.get(name)}
    try:
        return Cursor.from_parameters(given, model=model), ""
    except CursorInvalid as error:
        return Cursor(), str(error)
