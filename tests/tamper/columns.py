# ruff: noqa: S608  (the statements are the attacker's)
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
            statement = (
                f"UPDATE {table} SET {column} = {changed(column, db_type=str(field.db_type(connection)))} WHERE {where}"
            )
            yield Tampering(
                name=f"{table}.{column} changed",
                group=f"columns of {table}",
                do=partial(_run, statement),
                faults=FAULTS.get((table, column), FAULTS.get((table, "*"), frozenset({"changed"}))),
                why_unseen=UNSEEN.get((table, column), UNSEEN.get((table, "*"), "")),
            )


def _run(statement: str, case: Case) -> None:
    case.run(statement)


M, C, G, H = ({"missing"}, {"changed"}, {"gap"}, {"head"})
_DECIDED = "what people decide later changes it on purpose: each act is an entry of the audit log"
_WHY_ASIDE = "why it stands aside is not in its leaf"
_NO_LEAF = "nothing was stored for a repetition but this row; how many there were is sealed with each batch"
_AGED = "its leaf is proved by the batch's kept leaves; this index of what aged out is covered by nothing"
_WHO = "who committed a batch is not in its line"
_PAUSE = "who paused a lane, when and why stands in the audit log; a lane paused by hand loses nothing"
_ADDRESS = "a number inside the database, in no proof"

FAULTS: dict[tuple[str, str], frozenset[str]] = {
    (table, column): frozenset(faults)
    for table, column, faults in (
        ("ingestion_event", "lane", M),
        ("ingestion_event", "epoch", M),
        ("ingestion_event", "sequence", M),
        ("ingestion_event", "batch_id", M),
        ("ingestion_deadletter", "batch_id", M),
        ("ingestion_deadletter", "lane", M | C),
        ("ingestion_deadletter", "epoch", M | C),
        ("ingestion_deadletter", "sequence", M | C),
        ("ingestion_quarantinedevent", "batch_id", M),
        ("ingestion_quarantinedevent", "lane", M | C),
        ("ingestion_quarantinedevent", "epoch", M | C),
        ("ingestion_quarantinedevent", "sequence", M | C),
        ("ingestion_delivery", "request_id", M),
        ("ingestion_batch", "number", M),
        ("ingestion_batch", "events_aged_at", M),
        ("ingestion_batchleaves", "batch_id", M),
        ("ingestion_lane", "number", M),
        ("evidence_sealedbatch", "batch_number", M),
        ("evidence_seal", "incarnation_id", G),
        ("evidence_seal", "tree_size", M),
        ("evidence_logincarnation", "id", M),
        ("evidence_logincarnation", "token", M),
        ("evidence_logkey", "vkey", {"invalid"}),
        ("evidence_audithead", "number", M),
        ("evidence_audithead", "entry_sha256", H),
    )
}
_SET_ASIDE = {
    **dict.fromkeys(("is_whole", "state", "state_at", "attempt_count", "discard_reason"), _DECIDED),
    **dict.fromkeys(
        ("error_class", "error", "fingerprint", "dead_at", "original_event_id", "original_content_sha256"), _WHY_ASIDE
    ),
}
UNSEEN: dict[tuple[str, str], str] = {
    **{
        (table, column): why
        for table in ("ingestion_deadletter", "ingestion_quarantinedevent")
        for column, why in _SET_ASIDE.items()
    },
    ("ingestion_event", "redriven_from_sequence"): "of an event that was never retried it says nothing",
    ("ingestion_batch", "worker"): _WHO,
    ("ingestion_batch", "fence"): _WHO,
    ("ingestion_batch", "claimed_at"): _WHO,
    ("ingestion_batch", "leaf_format"): "any format from 2 on is read as 2",
    ("ingestion_agedevent", "*"): _AGED,
    ("ingestion_suppressedduplicate", "*"): _NO_LEAF,
    ("ingestion_lane", "fence"): "the fence only refuses drains that were overtaken; it tells no history",
    ("ingestion_lane", "updated_at"): "when a cursor moved last, is told by the batches",
    ("ingestion_lane", "paused_at"): _PAUSE,
    ("ingestion_lane", "paused_by"): _PAUSE,
    ("ingestion_lane", "pause_reason"): _PAUSE,
    ("evidence_seal", "id"): _ADDRESS,
    (
        "evidence_logincarnation",
        "started_at",
    ): "the start's moment stands in the audit log, and is compared with nothing",
    ("evidence_logkey", "first_used_at"): "a key's first use stands in the audit log, and is compared with nothing",
}
