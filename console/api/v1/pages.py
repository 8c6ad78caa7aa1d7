"""Pages of long lists by key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.db.models import Model, QuerySet
from rest_framework.request import Request

from console.api.v1.errors import RequestInvalid
from console.api.v1.operation import PAGE_DEFAULT_COUNT
from console.api.v1.view import absolute
from console.keyset import BEFORE, Cursor, CursorInvalid, KeysetPage, keyset_page
from console.search import Matched


@dataclass(frozen=True, slots=True)
class Listed[Row: Model]:
    """`searched_to`: the search stopped at this row; `next` goes on from there."""

    rows: list[Row]
    next: str | None
    searched_to: str | None


def listed[Row: Model](
    request: Request,
    rows: QuerySet[Row],
    query: Mapping[str, Any],
    *,
    matched: Matched | None = None,
    is_narrowed: bool = False,
) -> Listed[Row]:
    """The newest first. `is_narrowed`: by a filter that no index serves. Raises RequestInvalid."""
    is_indexed = not is_narrowed
    if matched is not None and matched.condition is not None:
        rows, is_indexed = rows.filter(matched.condition), matched.is_indexed
    page = keyset_page(
        rows,
        cursor=_cursor(query, rows.model),
        size_count=query.get("limit", PAGE_DEFAULT_COUNT),
        is_indexed=is_indexed,
    )
    return Listed(list(page.rows), _next(request, page), None if page.searched_to is None else str(page.searched_to))


def link_before(request: Request, key: object) -> str:
    """The same address from this key on."""
    given = {name: str(value) for name, value in request.query_params.items()}
    return absolute(request, f"{request.path}?{urlencode({**given, BEFORE: str(key)})}")


def _cursor(query: Mapping[str, Any], model: type[Model]) -> Cursor:
    before = query.get(BEFORE)
    try:
        return Cursor.from_parameters({} if before is None else {BEFORE: str(before)}, model=model)
    except CursorInvalid as error:
        raise RequestInvalid(str(error)) from error


def _next(request: Request, page: KeysetPage[Any]) -> str | None:
    return None if page.older_before is None else link_before(request, page.older_before)
