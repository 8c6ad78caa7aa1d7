"""A tampering for each column of each table that tells history: one value of one row is another afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from django.db import connection
from django.db.models import Model

from evidence.models import AuditEntry, AuditHead, LogIncarnation, LogKey, Seal, SealedBatch
from ingestion.models import (
    AgedEvent,
    Batch,
    BatchLeaves,
    DeadLetter,
    Delivery,
    Event,
    Lane,
    QuarantinedEvent,
    SuppressedDuplicate,
)
from tests.tamper.arena import Case
from tests.tamper.finders import STORED, VERIFY
from tests.tamper.table import Tampering

CHOSEN = "message_id = 'c-r20260101T000000-000000-00000005'"
# the row of each table that is changed
ROWS: dict[type[Model], str] = {
    Event: CHOSEN,
    DeadLetter: "message_id LIKE 'c-poison-%'",
    QuarantinedEvent: "message_id LIKE 'c-%'",
    Delivery: f"request_id = (SELECT id FROM ingestion_event WHERE {CHOSEN})",
    Batch: "number = (SELECT batch_id FROM ingestion_quarantinedevent WHERE message_id LIKE 'c-%')",
    BatchLeaves: "batch_id = 3",
    AgedEvent: "event_id = (SELECT event_id FROM ingestion_agedevent ORDER BY 1 LIMIT 1)",
    SuppressedDuplicate: "event_id = (SELECT event_id FROM ingestion_suppressedduplicate ORDER BY 1 DESC LIMIT 1)",
    Lane: "number = 0",
    SealedBatch: "batch_number = 20",
    Seal: "id = (SELECT id FROM evidence_seal ORDER BY id OFFSET 4 LIMIT 1)",
    LogIncarnation: "log = 'events'",
    LogKey: "true",
    AuditEntry: "number = 5",
    AuditHead: "true",
}
CHANGED = {
    "uuid": "gen_random_uuid()",
    "bytea": "set_byte({0}, 0, (get_byte({0}, 0) + 1) % 256)",
    "jsonb": "'{{\"forged\": true}}'",
    "json": "'{{\"forged\": true}}'",
    "boolean": "NOT {0}",
    "timestamp with time zone": "coalesce({0}, now()) + interval '1 second'",
}
NUMBERS = ("bigint", "integer", "smallint")


def changed(column: str, *, db_type: str) -> str:
    """SQL for another value than the column has."""
    kind = db_type.partition("(")[0]
    if kind in NUMBERS:
        return f"coalesce({column}, 0) + 1000"
    if kind == "varchar":
        return f"left('x' || {column}, {db_type.partition('(')[2].rstrip(')')})"
    if kind == "text":
        return f"{column} || 'x'"
    return CHANGED[kind].format(column)


def column_tamperings() -> Iterator[Tampering]:
    for model, where in ROWS.items():
        for field in model._meta.local_fields:
            column, table = str(field.column), model._meta.db_table
            if (table, column) == ("evidence_audithead", "id"):
                continue  # a constraint holds it
            statement = f"UPDATE {table} SET {column} = {changed(column, db_type=str(field.db_type(connection)))} WHERE {where}"
            yield Tampering(
                name=f"{table}.{column} changed",
                group=f"columns of {table}",
                do=partial(_run, statement),
                faults=FAULTS.get((table, column), FAULTS.get((table, "*"), frozenset({"changed"}))),
                finder=STORED if (table, column) in BY_SIGNATURE else VERIFY,
                why_unseen=UNSEEN.get((table, column), UNSEEN.get((table, "*"), "")),
            )


def _run(statement: str, case: Case) -> None:
    case.run(statement)


FAULTS: dict[tuple[str, str], frozenset[str]] = {}
BY_SIGNATURE: set[tuple[str, str]] = {("ingestion_delivery", "headers")}
UNSEEN: dict[tuple[str, str], str] = {}
