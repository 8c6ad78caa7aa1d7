"""Runs of the generator and histories made by hand."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

from ingestion.replay.config import GeneratorConfig, target_of
from ingestion.replay.findings import Place, StoredRow
from ingestion.replay.history import Attempt, History, PlannedSend, SelfCheck, Send, sends_of
from ingestion.replay.run import GeneratorResult, Progress, run_generator
from ingestion.replay.signing import default_signer_spec

RUN_ID = "r20260102T030405-0a0b0c"
BEARER = "bearer-for-tests"
SECRET = "secret-for-tests"
HEADER: dict[str, Any] = {
    "run_id": RUN_ID,
    "rate": 1_000.0,
    "provider": "default",
    "is_generated": True,
    "wall_minus_monotonic_ns": 0,
    "seed": 1,
    "target": "http://127.0.0.1:1",
    "path": "/webhooks/default",
}


def config(url: str, folder: Path, **changes: Any) -> GeneratorConfig:
    given: dict[str, Any] = {"count": 60, "rate": 400.0, "connections": 8, "keys": 5, "duplicates": 0.1, "seed": 3}
    return GeneratorConfig(
        run_id=RUN_ID,
        target=target_of(url),
        path="/webhooks/default",
        signer=default_signer_spec(bearer=BEARER, secret=SECRET),
        journal_path=folder / "journal.jsonl",
        **(given | changes),
    )


def run(url: str, folder: Path, on_progress: Callable[[Progress], None] = print, **changes: Any) -> GeneratorResult:
    return run_generator(config(url, folder, **changes), on_progress=on_progress)


def self_check(**changes: Any) -> SelfCheck:
    given: dict[str, Any] = {
        "own_delay_p99_ms": 1.0,
        "own_delay_max_ms": 2.0,
        "sent_count": 0,
        "waited_count": 0,
        "stall_count": 0,
        "stall_max_ms": 1.0,
        "cpu_seconds": 0.1,
        "was_interrupted": False,
    }
    return SelfCheck(**(given | changes))


def event_id(number: int) -> UUID:
    return UUID(int=(number + 1) << 12)


def planned(n: int, *, key: str = "k", event: int | None = None, intended_ns: int | None = None) -> PlannedSend:
    """The n-th send; `event` names the event that it repeats."""
    number = n if event is None else event
    return PlannedSend(
        n=n,
        message_id=f"{RUN_ID}-{number:08d}",
        event_type="email.delivered",
        ordering_key=key,
        body_sha256=digest(number),
        body_bytes=900,
        intended_ns=n * 1_000_000 if intended_ns is None else intended_ns,
        duplicate_of=event,
    )


def digest(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def receipt(number: int, sequence: int, *, lane: int = 0, epoch: int = 1) -> str:
    return f"acr1 {event_id(number)} {lane} {epoch} {sequence} {digest(number)} 1767225600000000 0a0b0c0d {'ab' * 32}"


def answer(number: int, sequence: int, *, lane: int = 0, epoch: int = 1, status: str = "accepted") -> str:
    line = receipt(number, sequence, lane=lane, epoch=epoch)
    return f'{{"request_id":"{event_id(number)}","status":"{status}","events":1,"receipt":"{line}"}}'


def attempt(n: int, sent_ns: int, ack_ns: int, text: str, *, status: int = 202, number: int = 1) -> Attempt:
    return Attempt(n, number, sent_ns, ack_ns, status, text, "" if status else "connection_lost")


def history(sends: list[PlannedSend], attempts: list[Attempt], **changes: Any) -> History:
    joined: list[Send] = sends_of(sends, attempts, start_ns=0, is_open_loop=True)
    check = self_check(sent_count=sum(bool(send.attempts) for send in joined))
    given: dict[str, Any] = {"header": HEADER, "sends": joined, "start_ns": 0, "self_check": check}
    return History(**(given | changes))


def row(number: int, sequence: int, **changes: Any) -> StoredRow:
    given: dict[str, Any] = {
        "place": Place.EVENT,
        "event_id": event_id(number),
        "message_id": f"{RUN_ID}-{number:08d}",
        "event_type": "email.delivered",
        "ordering_key": "k",
        "body_sha256": digest(number),
        "lane": 0,
        "epoch": 1,
        "sequence": sequence,
        "batch": 1 + sequence // 10,
    }
    return StoredRow(**(given | changes))
