"""How the readers ask PostgreSQL: in a transaction that cannot write and does not wait for long."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction

STATEMENT_TIMEOUT_MS = 10_000


@contextmanager
def read_only() -> Iterator[None]:
    """Every write in it raises django.db.Error."""
    with transaction.atomic():
        rows("SET TRANSACTION READ ONLY")
        rows(f"SET LOCAL statement_timeout = {STATEMENT_TIMEOUT_MS}")
        yield


def rows(query: str, values: Sequence[Any] = ()) -> Sequence[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, values or None)
        return cursor.fetchall() if cursor.description else []


def value(query: str, values: Sequence[Any] = ()) -> Any:
    return rows(query, values)[0][0]
