"""Pages of a long list by key instead of by number: `?before=<pk>` and `?after=<pk>`, newest first.

A page costs the same wherever it lies: the primary key's index leads to it, nothing is counted and nothing is skipped.
Rows that come or go meanwhile do not shift it, so a link to a page keeps its meaning.

A condition that no index serves could make PostgreSQL read the whole table to fill one page. Such a page looks through
the next `SCAN_LIMIT_COUNT` rows only and says so; its link leads on from where it stopped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import Model, QuerySet

BEFORE = "before"
AFTER = "after"
SCAN_LIMIT_COUNT = 100_000


class CursorInvalid(ValueError):
    """The page's address names a key that cannot be one."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page starts: before a key (older rows), after a key (newer ones), or at the newest row."""

    before: Any = None
    after: Any = None

    @classmethod
    def from_parameters(cls, parameters: dict[str, str], *, model: type[Model]) -> Self:
        """Raises CursorInvalid for a malformed key and for both keys at once."""
        before, after = parameters.get(BEFORE), parameters.get(AFTER)
        if before and after:
            raise CursorInvalid("before and after exclude each other")
        return cls(before=_key(before, model), after=_key(after, model))

    @property
    def is_newest(self) -> bool:
        return self.before is None and self.after is None


@dataclass(frozen=True, slots=True)
class KeysetPage[Row: Model]:
    """Rows, newest first, and the keys that lead on. `searched_to` is set where the scan limit ended the search."""

    rows: Sequence[Row]
    older_before: Any = None
    newer_after: Any = None
    searched_to: Any = None


def keyset_page[Row: Model](
    queryset: QuerySet[Row],
    *,
    cursor: Cursor,
    size_count: int,
    is_indexed: bool,
    scan_limit_count: int = SCAN_LIMIT_COUNT,
) -> KeysetPage[Row]:
    """At most `size_count` rows on the cursor's side. `is_indexed`: an index (or nothing) narrows the rows."""
    upwards = cursor.after is not None
    rows = queryset.order_by("pk" if upwards else "-pk")
    if upwards:
        rows = rows.filter(pk__gt=cursor.after)
    elif cursor.before is not None:
        rows = rows.filter(pk__lt=cursor.before)
    edge = None if is_indexed else _scan_edge(queryset.model, cursor=cursor, limit_count=scan_limit_count)
    if edge is not None:
        rows = rows.filter(pk__lte=edge) if upwards else rows.filter(pk__gte=edge)
    found = list(rows[: size_count + 1])
    page, has_more = found[:size_count], len(found) > size_count
    if upwards:
        page.reverse()
    searched_to = None if has_more else edge
    return KeysetPage(
        rows=page,
        older_before=_older_before(page, cursor=cursor, has_more=has_more, searched_to=searched_to),
        newer_after=_newer_after(page, cursor=cursor, has_more=has_more, searched_to=searched_to),
        searched_to=searched_to,
    )


def _older_before(page: Sequence[Model], *, cursor: Cursor, has_more: bool, searched_to: Any) -> Any:
    if cursor.after is None:
        return page[-1].pk if has_more else searched_to
    return page[-1].pk if page else None  # the row of the cursor itself is older than this page


def _newer_after(page: Sequence[Model], *, cursor: Cursor, has_more: bool, searched_to: Any) -> Any:
    if cursor.after is not None:
        return page[0].pk if has_more else searched_to
    return page[0].pk if page and cursor.before is not None else None


def _scan_edge(model: type[Model], *, cursor: Cursor, limit_count: int) -> Any:
    """The key of the last row that a search from the cursor may look at; None when fewer rows are left."""
    upwards = cursor.after is not None
    table, key = connection.ops.quote_name(model._meta.db_table), connection.ops.quote_name(_key_column(model))
    bound = cursor.after if upwards else cursor.before
    condition = "" if bound is None else f"WHERE {key} {'>' if upwards else '<'} %(bound)s"
    first, last = ("ASC", "DESC") if upwards else ("DESC", "ASC")
    # the ORM cannot put a limit under an ORDER BY, and `min(uuid)` exists from PostgreSQL 18 on only
    edge_of_scan = (
        f"SELECT {key} FROM (SELECT {key} FROM {table} {condition} ORDER BY {key} {first} LIMIT %(limit)s) AS scanned"  # noqa: S608
        f" ORDER BY {key} {last} LIMIT 1"
    )
    with connection.cursor() as database:
        database.execute(edge_of_scan, {"bound": bound, "limit": limit_count})
        row = database.fetchone()
    if row is None:
        return None
    beyond = model._default_manager.filter(pk__gt=row[0]) if upwards else model._default_manager.filter(pk__lt=row[0])
    return row[0] if beyond.exists() else None


def _key_column(model: type[Model]) -> str:
    column = model._meta.pk.column
    assert column is not None  # noqa: S101  (Django's own models always have one)
    return column


def _key(text: str | None, model: type[Model]) -> Any:
    if not text:
        return None
    try:
        return model._meta.pk.to_python(text)
    except ValidationError as error:
        raise CursorInvalid(f"{text!r} is no key of {model._meta.verbose_name_plural}") from error
