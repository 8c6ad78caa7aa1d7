"""One cell of the table: a load, one fault in the middle of it, and what the oracle says afterwards."""

from __future__ import annotations

import json
import os
import random
import secrets
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from ingestion.replay.config import GeneratorConfig, target_of
from ingestion.replay.history import History
from ingestion.replay.run import Progress, run_generator
from ingestion.replay.signing import default_signer_spec
from tests.faults.results import Cell, Outcome
from tests.faults.stack import PATIENCE_SECONDS, Stack, StackOptions

PROJECT = Path(__file__).resolve().parents[2]
DRAIN_LIMIT_SECONDS = 120.0
STRIKE_SHARES = (0.25, 0.5)  # of the sends, between which the fault comes
GATHER_SECONDS = 6.0  # how long to wait for enough events in flight
PLAIN = StackOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What the senders do meanwhile."""

    count: int = 5_000
    rate: float = 1_000.0
    connections: int = 64
    in_flight_count: int = 1_000  # accepted and not committed, at least, when the fault strikes
    duplicates: float = 0.02
    conflicts: float = 0.0
    poison: float = 0.0
    retries: int = 14
    timeout_seconds: float = 5.0


@dataclass(slots=True)
class Strike:
    """What a scenario works with while its fault is at work."""

    stack: Stack
    rng: random.Random
    load_runs: threading.Event
    notes: list[str] = field(default_factory=list)

    def hold(self, seconds: float) -> None:
        """The fault lasts."""
        time.sleep(seconds)

    def until_load_ends(self) -> None:
        while self.load_runs.is_set():
            time.sleep(0.05)


type Fault = Callable[[Strike], None]
type Requirement = Callable[[History, Strike], Sequence[str]]


def nothing_more(_: History, __: Strike) -> Sequence[str]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A fault: `strike` does it to the running service and has healed it when it returns."""

    id: str
    title: str
    strike: Fault
    load: Mapping[str, Any] = field(default_factory=dict)
    options: StackOptions = PLAIN
    may_answer: frozenset[int] = frozenset({202, 503})  # beside broken connections
    may_happen: frozenset[str] = frozenset()  # kinds of lane incidents that the fault itself makes
    requires: Requirement = nothing_more
    untested: Callable[[], str] = lambda: ""  # why this machine cannot do it


def run_trial(
    stack: Stack, scenario: Scenario, *, seed: int, load: Load, drain_limit_seconds: float = DRAIN_LIMIT_SECONDS
) -> Cell:
    """Never raises for what the service does; what the suite itself cannot do is told in the cell."""
    before = _ask_oracle(stack)
    journal = stack.base / f"journal-{scenario.id}-{seed}-{secrets.token_hex(3)}.jsonl"
    sender = _Sender(stack, load, seed=seed, journal=journal)
    strike = Strike(stack, random.Random(f"{scenario.id}:{seed}"), sender.runs)
    cell = Cell(fault=scenario.id, title=scenario.title, seed=seed, planned_count=load.count)
    sender.start()
    try:
        _wait_for_sends(sender, round(load.count * strike.rng.uniform(*STRIKE_SHARES)))
        cell.in_flight_count = _gather(stack, sender, wanted=load.in_flight_count)
        scenario.strike(strike)
    except Exception as error:  # noqa: BLE001  (a scenario that could not be carried out proves nothing)
        cell.complaints.append(f"the fault could not be made: {type(error).__name__}: {error}")
        cell.outcome = Outcome.INCONCLUSIVE
    healed_at = time.monotonic()
    history = sender.finish()
    ended_at = max(healed_at, sender.ended_at)
    is_empty = stack.wait_until_empty(limit_seconds=drain_limit_seconds)
    cell.drained_after_seconds = round(time.monotonic() - ended_at, 1) if is_empty else None
    verdict = _ask_oracle(
        stack,
        journal,
        limit_seconds=5 if is_empty else 0.5,
        sends=min(1_000, load.count // 2),
        **before,
    )
    _fill(cell, history, verdict)
    if not is_empty:
        cell.complaints.append(f"lanes still hold {_depth(stack)} entries {drain_limit_seconds:.0f} s after the fault")
    if not stack.is_attended:
        cell.complaints.append("the supervision of processes and servers has crashed")
    cell.complaints += _unexpected_answers(history, scenario)
    cell.complaints += [
        f"incident: {each}" for each in verdict["incidents"] if each.split()[0] not in scenario.may_happen
    ]
    cell.complaints += [f"went back: {each}" for each in verdict["went_back"]]
    cell.complaints += [f"{each} is not proved by its rows" for each in verdict["unproved_batches"][:3]]
    cell.complaints += [f"the proof: {each}" for each in verdict["proof"]["findings"][:3]]
    cell.sealed_leaf_count = verdict["proof"]["sealed_leaves"]
    cell.complaints += scenario.requires(history, strike)
    cell.notes = strike.notes
    if load.in_flight_count and cell.in_flight_count < load.in_flight_count:
        cell.notes.append(f"only {cell.in_flight_count} in flight at the fault")
    cell.decide(doubts=verdict["doubts"])
    if cell.outcome is Outcome.PASS:
        journal.unlink()
    return cell


class _Sender:
    """The generator on a thread, and how far it is."""

    def __init__(self, stack: Stack, load: Load, *, seed: int, journal: Path) -> None:
        environ = stack.environ
        self._config = GeneratorConfig(
            run_id=f"f{secrets.token_hex(6)}",
            target=target_of(stack.target),
            path="/webhooks/default",
            signer=default_signer_spec(bearer=environ["WEBHOOK_BEARER_KEY"], secret=environ["WEBHOOK_HMAC_SECRET"]),
            journal_path=journal,
            count=load.count,
            rate=load.rate,
            connections=load.connections,
            duplicates=load.duplicates,
            conflicts=load.conflicts,
            poison=load.poison,
            retries=load.retries,
            timeout_seconds=load.timeout_seconds,
            seed=seed,
        )
        self.sent_count = 0
        self.runs = threading.Event()
        self.ended_at = 0.0
        self._result: History | None = None
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self.runs.set()
        self._thread.start()

    def finish(self) -> History:
        """Raises what the generator raised."""
        self._thread.join()
        if self._result is None:
            raise self._error or RuntimeError("the generator gave no history")
        return self._result

    def _run(self) -> None:
        try:
            self._result = run_generator(self._config, on_progress=self._heard).history
        except Exception as error:  # noqa: BLE001  (raised again by whoever waits for it)
            self._error = error
        finally:
            self.ended_at = time.monotonic()
            self.runs.clear()

    def _heard(self, progress: Progress) -> None:
        self.sent_count = progress.sent
        if progress.sent == progress.planned and progress.acked + progress.rejected == progress.planned:
            self.runs.clear()


def _wait_for_sends(sender: _Sender, wanted: int) -> None:
    while sender.runs.is_set() and sender.sent_count < wanted:
        time.sleep(0.02)


def _gather(stack: Stack, sender: _Sender, *, wanted: int) -> int:
    """How many entries wait: the drain workers are held until there are so many, or the load ends."""
    if not wanted:
        return stack.depth()
    deadline = time.monotonic() + GATHER_SECONDS
    depth = 0
    with stack.stopped(stack.pids("worker")):
        while sender.runs.is_set() and time.monotonic() < deadline and (depth := stack.depth()) < wanted:
            time.sleep(0.02)
    return depth


def _depth(stack: Stack) -> str:
    try:
        return f"{stack.depth():,}"
    except redis.RedisError as error:
        return f"unknown ({error})"


def _ask_oracle(stack: Stack, journal: Path | None = None, **options: Any) -> dict[str, Any]:
    words = [str(journal)] if journal else []
    for name, value in options.items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    environ = {**os.environ, **stack.environ, "PYTHONPATH": str(PROJECT)}
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:  # PostgreSQL may still be coming back
        done = subprocess.run(
            [sys.executable, "-m", "tests.faults.judge", *words],
            cwd=PROJECT,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0:
            answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
            return answer
        if time.monotonic() > deadline:
            raise RuntimeError(f"the oracle failed: {done.stderr[-2_000:]}")
        time.sleep(1)


def _fill(cell: Cell, history: History, verdict: Mapping[str, Any]) -> None:
    counts = verdict["counts"]
    cell.sent_count = sum(bool(send.attempts) for send in history.sends)
    cell.acknowledged_count = verdict["acknowledged"]
    cell.stored_count = verdict["stored"]
    cell.lost_count = counts["lost"]
    cell.duplicated_count = counts["duplicated"] + counts["mistaken"]
    cell.unexpected_count = counts["unexpected"]
    cell.corrupted_count = counts["corrupted"] + counts["misplaced"] + counts["no receipt"]
    cell.reordered_count = counts["commit order"] + counts["real-time order"] + counts["split key"]
    cell.recovered_count = verdict["recovered"]
    cell.unpromised_count = verdict["stored_without_ack"]
    cell.examples = verdict["examples"]
    firsts = [send.attempts[0] for send in history.sends if send.attempts]
    cell.first_answers = dict(Counter(first.status for first in firsts))
    answered = sorted((a.ack_ns - a.sent_ns) / 1e6 for send in history.sends for a in send.attempts if a.status)
    cell.slowest_answer_ms = round(answered[-1], 1) if answered else None
    good = sorted((first.ack_ns - first.sent_ns) / 1e6 for first in firsts if first.is_acknowledged)
    cell.accepted_p95_ms = round(good[int(0.95 * (len(good) - 1))], 1) if len(good) >= 200 else None
    never = sum(send.acknowledged is None and bool(send.attempts) for send in history.sends)
    cell.refused_count = never


def _unexpected_answers(history: History, scenario: Scenario) -> list[str]:
    allowed = scenario.may_answer | {0}
    seen = Counter(attempt.status for send in history.sends for attempt in send.attempts)
    return [f"{count} answers {status}" for status, count in seen.items() if status not in allowed]
