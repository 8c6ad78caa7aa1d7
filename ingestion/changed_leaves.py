"""Which rows of a batch were changed, where its root is not that of its leaves and no row is missing.

What the deliveries say is put in place of what the rows say until the root is right: that proves which rows, and which
columns. A change of what no delivery knows (place, time of acceptance) cannot be told from another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from autocom.kernel.digest import sha256
from autocom.kernel.ids import position_of
from autocom.kernel.merkle import root_of_hashes
from ingestion.dead_letters import RECEIPT_MISMATCH
from ingestion.identified_again import Identifier, short_texts
from ingestion.leaf import REDRIVEN, STORED
from ingestion.models import Batch
from ingestion.row_finding import RowFinding
from ingestion.stored_rows import Posted, StoredRow

type Columns = dict[str, object]


def told_otherwise(posted: Posted, *, identifier: Identifier) -> Iterator[tuple[str, Columns]]:
    """By the row's name: the columns of its leaf of which its delivery says something else."""
    delivery = posted.delivery
    if delivery is None or sha256(bytes(delivery.body)) != bytes(delivery.body_sha256):
        return
    events = identifier.events(delivery)
    common: Columns = {"provider": delivery.provider, "body_sha256": bytes(delivery.body_sha256)}
    for row in posted.rows:
        told, position = dict(common), position_of(row.event_id)
        if position < len(events):
            told |= short_texts(events[position]) | {"content_sha256": events[position].content_sha256}
        if row.error_class != RECEIPT_MISMATCH:
            yield row.name, {name: value for name, value in told.items() if getattr(row, name) != value}


def changed_rows(batch: Batch, leaves: Sequence[StoredRow], told: Mapping[str, Columns]) -> list[RowFinding]:
    """Empty where no replacement gives the root."""
    hashes, root = [row.leaf_hash() for row in leaves], bytes(batch.merkle_root)
    all_told = [_repaired(row, told.get(row.name, {})) for row in leaves]
    if root_of_hashes([row.leaf_hash() for row in all_told]) == root:
        return [_finding(row, told[row.name]) for row in leaves if told.get(row.name)]
    for at, row in enumerate(leaves):
        for columns in _guesses(row, told.get(row.name, {})):
            if root_of_hashes([*hashes[:at], _repaired(row, columns).leaf_hash(), *hashes[at + 1 :]]) == root:
                return [_finding(row, columns)]
    return []


def _guesses(row: StoredRow, told: Columns) -> Iterator[Columns]:
    yield from ({name: value} for name, value in told.items())
    if row.is_event:
        yield {"leaf_kind": STORED if row.leaf_kind == REDRIVEN else REDRIVEN}


def _repaired(row: StoredRow, columns: Columns) -> StoredRow:
    return replace(row, **columns) if columns else row  # type: ignore[arg-type]  # columns of its own


def _finding(row: StoredRow, columns: Columns) -> RowFinding:
    names = ["redriven_at" if name == "leaf_kind" else name for name in columns]
    return RowFinding("changed", row.name, f"with another {', '.join(names)} its batch has its root")
