"""Many rows into one table in one statement with one parameter, for the two tables that grow with every event.

`bulk_create` writes a placeholder for each value; at 500 rows of 18 columns psycopg spends more time on splitting
that text than PostgreSQL on the rows.
Here the rows travel as one JSON array and PostgreSQL unfolds it by the table's own row type. Columns, types and
conversions stay those of the model.
`docs/decisions/0004-one-parameter-insert.md` has the figures.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import orjson
from django.db import connection, models

from autocom.kernel.errors import AutocomError


class NotRepresentable(AutocomError, ValueError):
    """A value cannot be written as JSON, such as a text with a lone surrogate: the data's fault."""

    code = "not_representable"


def raw_json(text: bytes) -> orjson.Fragment:
    """JSON text that goes into a jsonb column as it is."""
    return orjson.Fragment(text)


def insert_new(model: type[models.Model], rows: Sequence[dict[str, Any]]) -> int:
    """Inserts the rows that conflict with none, in order; how many those were. Keys are column names, all rows have the
    same.

    Raises django.db.Error, and NotRepresentable.
    """
    if not rows:
        return 0
    try:
        text = orjson.dumps(rows, default=_as_bytea).decode()
    except TypeError as error:
        raise NotRepresentable(str(error)) from error
    with connection.cursor() as cursor:
        cursor.execute(_statement(model, tuple(rows[0])), [text])
        return int(cursor.rowcount)


def _as_bytea(value: object) -> str:
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    raise TypeError(f"{type(value).__name__} has no column type here")


@cache
def _statement(model: type[models.Model], columns: Iterable[str]) -> str:
    table = connection.ops.quote_name(model._meta.db_table)
    names = ", ".join(connection.ops.quote_name(column) for column in columns)
    return (
        f"INSERT INTO {table} ({names}) SELECT {names} "  # noqa: S608  (names of the model's own columns)
        f"FROM jsonb_populate_recordset(NULL::{table}, %s::jsonb) ON CONFLICT DO NOTHING"
    )
