"""The oracle, in a process of its own: `python -m tests.faults.judge JOURNAL --batches-after N --incidents-after N`.

Waits until everything promised is stored, reads every place where an event can be, and prints one JSON object: what the
replay's `reconcile` finds, and what only PostgreSQL can tell. It takes nothing from the processes under trial.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import django


def judge(journal: Path, *, batches_after: int, incidents_after: int, limit: timedelta, sends: int) -> dict[str, Any]:
    from django.db import connection

    from ingestion.models import Batch, LaneIncident
    from ingestion.replay.findings import Kind
    from ingestion.replay.journal import read_journal
    from ingestion.replay.reconcile import reconcile
    from ingestion.replay.stored import stored_rows, wait_until_stored
    from tests.faults.proof import proof

    history = read_journal(journal)
    is_stored = wait_until_stored(history, limit=limit)
    stored = stored_rows(history)
    found = reconcile(history, rows=stored.rows, aliases=stored.aliases, sends_at_least_count=sends)
    with connection.cursor() as cursor:
        cursor.execute("SELECT lane, told FROM faults_lane_went_back ORDER BY at LIMIT 20")
        went_back = [f"lane {lane}: {told}" for lane, told in cursor.fetchall()]
        cursor.execute("TRUNCATE faults_lane_went_back")
    return {
        "counts": {kind.value: found.count(kind) for kind in Kind},
        "examples": {
            kind.value: f"{each[0].subject}: {each[0].witness}" for kind, each in found.findings.items() if each
        },
        "doubts": list(found.doubts),
        "acknowledged": found.acknowledged_count,
        "stored": found.stored_count,
        "stored_without_ack": found.stored_without_ack_count,
        "recovered": found.recovered_count,
        "is_stored": is_stored,
        "last_committed_at": stored.last_committed_at.isoformat() if stored.last_committed_at else None,
        "unproved_batches": _unproved(Batch.objects.filter(number__gt=batches_after).order_by("number")),
        "incidents": [
            f"{each.kind} lane {each.lane}: {each.first_sequence}-{each.last_sequence}"
            for each in LaneIncident.objects.filter(pk__gt=incidents_after).order_by("pk")
        ],
        "went_back": went_back,
        "proof": proof(),
    }


def _unproved(batches: Any) -> list[str]:
    """Batches whose Merkle root or counts are not those of their rows."""
    from autocom.kernel.merkle import leaf_hash, root_of_hashes
    from ingestion.models import DeadLetter, Event, QuarantinedEvent
    from tests.support.lanes import leaf_of_row

    first = batches.first()
    if first is None:
        return []
    leaves: dict[int, list[tuple[int, bytes]]] = defaultdict(list)
    stored: Counter[int] = Counter()
    for model in (
        Event,
        DeadLetter,
        QuarantinedEvent,
    ):  # each table once: a question a batch would read it all each time
        for row in model._default_manager.filter(batch_id__gte=first.number).iterator():
            leaves[row.batch_id].append((row.sequence, leaf_hash(leaf_of_row(row))))
            stored[row.batch_id] += model is Event
    return [
        f"batch {batch.number}"
        for batch in batches
        if bytes(batch.merkle_root) != root_of_hashes([hash_ for _, hash_ in sorted(leaves[batch.number])])
        or batch.event_count != stored[batch.number]
    ]


def marks() -> dict[str, int]:
    """Where batches and incidents stand before a trial."""
    from django.db.models import Max

    from ingestion.models import Batch, LaneIncident

    return {
        "batches_after": Batch.objects.aggregate(last=Max("number"))["last"] or 0,
        "incidents_after": LaneIncident.objects.aggregate(last=Max("pk"))["last"] or 0,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("journal", type=Path, nargs="?")
    parser.add_argument("--batches-after", type=int, default=0)
    parser.add_argument("--incidents-after", type=int, default=0)
    parser.add_argument("--limit-seconds", type=float, default=120)
    parser.add_argument("--sends", type=int, default=1)
    given = parser.parse_args()
    django.setup()
    if given.journal is None:
        print(json.dumps(marks()))
        return
    verdict = judge(
        given.journal,
        batches_after=given.batches_after,
        incidents_after=given.incidents_after,
        limit=timedelta(seconds=given.limit_seconds),
        sends=given.sends,
    )
    print(json.dumps(verdict))


if __name__ == "__main__":
    main()
