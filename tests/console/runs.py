"""Runs for console tests, as a replay leaves them: a folder with a summary, a journal's first line, a histogram."""

from __future__ import annotations

import json
from typing import Any

from django.db import transaction

from evidence.audit import Act, Actor, record
from evidence.models import ReplayOrder
from evidence.runs.folders import runs_root
from ingestion.replay.histogram_log import histogram_of, write_log
from tests.console.rows import ago

# newer than what other tests left in the audit log, from which nothing goes away
RUN = "r20990102T030405-0a0b0c"
OTHER = "r20990103T030405-0a0b0d"
UNDER_WAY = "r20990104T030405-0a0b0e"
ZEROS = ("lost", "duplicates", "idempotency_violations", "order_violations", "corrupted", "unexpected", "misplaced")


def criterion(name: str, outcome: str, *, actual: float | None = 0, unit: str = "events", reason: str = "") -> Any:
    told = {"name": name, "metric": name, "operator": "==", "threshold": 0, "actual": actual, "unit": unit}
    return {**told, "outcome": outcome, "reason": reason, "margin": 0}


def summary(run_id: str = RUN, **changes: Any) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "verdict": "PASS",
        "gate": "a",
        "provider": "default",
        "target": "http://127.0.0.1:8001",
        "planned": 30_000,
        "sent": 30_000,
        "accepted": 30_000,
        "accepted_ratio": 1.0,
        "accepted_after_retry": 0,
        "rejected": 0,
        "acknowledged": 30_000,
        "stored": 29_400,
        "without_receipt": 0,
        **dict.fromkeys(ZEROS, 0),
        "ack_ms": {"count": 30_000, "p50": 2.1, "p95": 7.0, "p99": 13.8, "p999": 40.0, "max": 81.0},
        "rate_achieved": 999.9,
        "drained_after_seconds": 0.31,
        "kept_pace": True,
        "criteria": [criterion("lost", "PASS"), criterion("ack P95", "PASS", actual=7.0, unit="ms")],
        "doubts": [],
        "examples": [],
        "refusals": {},
        "generator": {"own_delay_p99_ms": 1.2, "own_delay_max_ms": 3.4, "waited_count": 0},
        "seed": 1,
        **changes,
    }


def folder(run_id: str = RUN, *, acks_ms: tuple[float, ...] = (2.0, 3.0, 7.0, 80.0, 150.0), **changes: Any) -> None:
    """With an entry in the audit log, of which the command line is the actor."""
    path = runs_root() / run_id
    path.mkdir(parents=True, exist_ok=True)
    (path / "summary.json").write_text(json.dumps(told := summary(run_id, **changes)))
    header = {"kind": "header", "count": 30_000, "rate": 1_000.0, "keys": 500, "seed": 1, "is_generated": True}
    (path / "journal.jsonl").write_text(json.dumps(header) + "\n")
    histogram = histogram_of(round(each * 1_000) for each in acks_ms)
    write_log(path / "ack.hlog", histogram, what="acks", start_seconds=0.0, end_seconds=1.0)
    entered(run_id, verdict=told["verdict"])


def entered(run_id: str, *, verdict: str = "PASS") -> None:
    counts = {"planned": 30_000, "accepted": 30_000, "stored": 29_400, **dict.fromkeys(ZEROS, 0)}
    facts = {"run_id": run_id, "provider": "default", "gate": "a", "verdict": verdict, "seed": 1, "counts": counts}
    with transaction.atomic():
        record(Act.REPLAY_RUN, actor=Actor.command_line("ada"), subject=f"run {run_id}", facts=facts)


def order_row(run_id: str = UNDER_WAY, **changes: Any) -> ReplayOrder:
    """Of a run that the console started and whose process lives as far as anybody can tell."""
    given = {
        "reason": "a rehearsal of the launch",
        "actor_kind": "person",
        "actor": "dri",
        "asked_at": ago(seconds=20),
        "started_at": ago(seconds=18),
        "seen_at": ago(seconds=1),
        "state": "running",
        "step": "sending",
        "count": 30_000,
        "rate": 1_000,
        "keys": 500,
        "duplicates_percent": 2,
        "seed": 1,
        "provider": "default",
        "gate": "a",
        "sent_count": 12_000,
        "acked_count": 11_990,
        "rejected_count": 3,
        "committed_count": 11_700,
        "p95_us": 7_100,
    }
    return ReplayOrder.objects.create(run_id=run_id, **{**given, **changes})
