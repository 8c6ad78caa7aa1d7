from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
from argparse import ArgumentTypeError
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from autocom.kernel.clock import SYSTEM_CLOCK
from autocom.kernel.memory import settle_memory
from autocom.supervisor import Supervisor
from autocom.worker_pool import WorkerPool
from ingestion.autoscale.decide import Decision, ScalingPolicy
from ingestion.autoscale.scaler import Scaler, Workers, shown
from ingestion.buffer.store import lane_buffer
from ingestion.drain import DrainPolicy
from ingestion.management.with_examples import WithExamples
from ingestion.selectors import drain_workers_alive_count

TICK_SECONDS = 0.5
ONCE_SECONDS = 3.0  # rates need a few observations
STOP_SECONDS = 12.0  # below what `up` gives this process itself
WRONG_USAGE, CANNOT_TELL = 2, 3

log = logging.getLogger(__name__)


class Command(WithExamples):
    help = (
        "Run the drain workers: between --min and --max, the fewest that keep the commit lag below --target-ms. One of "
        "these per installation. Exit 0: stopped, or (--once) told. 2: wrong usage. 3: (--once) Redis cannot be asked."
    )
    examples = ("autoscale --min 2 --max 4", "autoscale --once --json")
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        environment = settings.AUTOCOM
        add = parser.add_argument
        add("--min", type=_whole(1, 64), default=environment.workers_min, help="workers that always run (WORKERS_MIN)")
        add("--max", type=_whole(1, 64), default=environment.workers_max, help="workers at most (WORKERS_MAX)")
        add(
            "--target-ms",
            type=_whole(100, 60_000),
            default=environment.commit_lag_target_ms,
            help="P95 of the time from accept to commit to stay below (COMMIT_LAG_TARGET_MS)",
        )
        add("--hold-seconds", type=_whole(1, 600), default=30, help="of quiet before one worker is stopped (30)")
        add("--dry-run", action="store_true", help="start and stop nothing: print what it would do, and why")
        add("--advise", action="store_true", help="start and stop nothing: publish the wanted number in /metrics")
        add("--once", action="store_true", help="look for three seconds, print what it would do, and end")
        add("--json", action="store_true", help="print one JSON object a line; with --dry-run, --advise or --once")

    def handle(self, *, dry_run: bool, advise: bool, once: bool, json: bool, **words: Any) -> None:
        policy = _policy(words)
        if json and not (dry_run or advise or once):
            raise CommandError("--json needs --dry-run, --advise or --once", returncode=WRONG_USAGE)
        settle_memory()
        if dry_run or advise or once:
            self._watch(policy, is_rehearsal=dry_run or once, once=once, as_json=json)
        else:
            self._run(policy)

    def _run(self, policy: ScalingPolicy) -> None:
        supervisor = Supervisor(children=[], say=self._say, stop_seconds=STOP_SECONDS)
        logs = settings.AUTOCOM.data_dir / "logs"
        _make(logs)
        scaler = _scaler(policy, WorkerPool(supervisor=supervisor, logs=logs))
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, supervisor.request_stop)
        scaler.begin()
        try:
            supervisor.run(each_turn=_paced(scaler.turn))
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)  # a second one must not leave half of them running
            supervisor.stop()

    def _watch(self, policy: ScalingPolicy, *, is_rehearsal: bool, once: bool, as_json: bool) -> None:
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        scaler = _scaler(policy, RegisteredWorkers(), is_rehearsal=is_rehearsal)
        scaler.begin()
        turns_left = round(ONCE_SECONDS / TICK_SECONDS) + 1 if once else -1
        while not stop.is_set():
            decision = scaler.turn()
            turns_left -= 1
            if not once or not turns_left:
                self._print(decision, as_json=as_json)
            if not turns_left:
                sys.exit(0 if decision.figures else CANNOT_TELL)
            stop.wait(TICK_SECONDS)

    def _print(self, decision: Decision, *, as_json: bool) -> None:
        self.stdout.write(as_line(decision) if not as_json else json.dumps(as_object(decision)))
        self.stdout.flush()

    def _say(self, sentence: str) -> None:
        """For whoever started `up`; the log has it too."""
        log.info("workers_tended", extra={"what": sentence})
        if not os.environ.get("AUTOCOM_SUPERVISED"):
            return
        try:
            self.stdout.write(f"autocom: {sentence}")
            self.stdout.flush()
        except OSError:
            return  # nobody listens any more; that ends no worker


@dataclass(frozen=True, slots=True)
class RegisteredWorkers:
    """The workers that somebody else runs, as Redis lists them."""

    def alive_count(self) -> int:
        return drain_workers_alive_count()

    def scale_to(self, count: int) -> None:
        """Somebody else's part."""


def _scaler(policy: ScalingPolicy, workers: Workers, *, is_rehearsal: bool = False) -> Scaler:
    return Scaler(buffer=lane_buffer(), clock=SYSTEM_CLOCK, policy=policy, workers=workers, is_rehearsal=is_rehearsal)


def _policy(words: dict[str, Any]) -> ScalingPolicy:
    if words["min"] > words["max"]:
        raise CommandError(f"--min {words['min']} is above --max {words['max']}", returncode=WRONG_USAGE)
    drain = DrainPolicy()
    return ScalingPolicy(
        minimum_count=words["min"],
        maximum_count=words["max"],
        target_ms=words["target_ms"],
        lanes_count=settings.AUTOCOM.lanes,
        hold_s=words["hold_seconds"],
        turn_ms=1_000 * (drain.turn + drain.gather).total_seconds(),
        batch_count=drain.batch_limit_count,
    )


def _paced(turn: Callable[[], Decision]) -> Callable[[], Sequence[str]]:
    """The supervisor comes by more often than decisions are due."""
    due_ns = 0

    def each_turn() -> Sequence[str]:
        nonlocal due_ns
        now_ns = SYSTEM_CLOCK.monotonic_ns()
        if now_ns >= due_ns:
            due_ns = now_ns + int(TICK_SECONDS * 1e9)
            turn()
        return ()

    return each_turn


def _whole(at_least: int, at_most: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if text.isascii() and text.isdigit() and at_least <= int(text) <= at_most:
            return int(text)
        raise ArgumentTypeError(f"{text!r} is no whole number from {at_least} to {at_most}")

    return number


def _make(logs: Path) -> None:
    try:
        logs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(
            f"the workers' logs cannot be written to {logs} ({error}): set AUTOCOM_DATA_DIR to a directory of yours"
        ) from None


def as_line(decision: Decision) -> str:
    figures = decision.figures
    if figures is None:
        return f"{decision.wanted_count} workers ({decision.action}): {decision.why}"
    return (
        f"{decision.wanted_count} workers ({decision.action}): {decision.why}; oldest {figures.worst_age_ms:,.0f} ms, "
        f"{figures.depth_count:,} waiting, {figures.arrival_per_s:,.0f}/s in, {figures.drain_per_s:,.0f}/s out, "
        f"{figures.busy_lanes_count} lanes busy, {figures.resting_lanes_count} resting"
    )


def as_object(decision: Decision) -> dict[str, Any]:
    return {"action": decision.action, "wanted": decision.wanted_count, **shown(decision)}
