"""Lanes, workers and a database in simulated time, paced as `ingestion.drain` paces them, under `decide`.

A worker takes the lane that waits longest, commits batches, gathers between small ones, yields after its turn. A lane
whose commit is refused rests with full jitter. A started worker needs seconds before its first lane.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ingestion.autoscale.decide import Decision, ScalerState, ScalingPolicy, decide, first_state
from ingestion.autoscale.figures import LaneSeen, Seen

STEP_S = 0.01
TICK_S = 0.5
START_S = 2.0
BATCH_COUNT, GATHER_BELOW_COUNT, GATHER_S, TURN_S, OVERHEAD_S = 500, 200, 0.1, 0.25, 0.02
REST_AT_MOST_S = 20.0


@dataclass(slots=True)
class Lane:
    entries: deque[tuple[float, int]] = field(default_factory=deque)  # accepted at, how many
    depth: int = 0
    appended: int = 0
    is_held: bool = False
    due_since_s: float = 0.0
    attempt: int = 0
    retry_at_s: float = 0.0

    def append(self, now_s: float, count: int) -> None:
        if not self.depth and not self.is_held:
            self.due_since_s = now_s
        self.entries.append((now_s, count))
        self.depth += count
        self.appended += count

    def take(self, count: int) -> list[tuple[float, int]]:
        taken = []
        while count and self.entries:
            at_s, waiting = self.entries.popleft()
            used = min(waiting, count)
            if used < waiting:
                self.entries.appendleft((at_s, waiting - used))
            taken.append((at_s, used))
            count -= used
        self.depth -= sum(used for _, used in taken)
        return taken


@dataclass(slots=True)
class Worker:
    ready_at_s: float
    lane: Lane | None = None
    turn_ends_s: float = 0.0
    batch: int = 0
    at_s: float = 0.0  # when the batch is committed, or the gathering ends


@dataclass(slots=True, kw_only=True)
class Simulation:
    """`arrivals` gives the events a second of each lane at a moment; `worker_per_s` what a worker commits."""

    policy: ScalingPolicy
    arrivals: Callable[[float], Sequence[float]]
    worker_per_s: float | Callable[[float], float] = 1_000.0
    is_database_down: Callable[[float], bool] = lambda _: False
    is_redis_down: Callable[[float], bool] = lambda _: False
    fixed_count: int | None = None  # so many workers, and nobody decides
    seed: int = 1
    now_s: float = 0.0
    lanes: list[Lane] = field(default_factory=list)
    workers: list[Worker] = field(default_factory=list)
    lags: list[tuple[float, float, int]] = field(default_factory=list)  # committed at, lag, how many
    decisions: list[tuple[float, Decision]] = field(default_factory=list)
    state: ScalerState = field(init=False)

    def run(self, seconds: float) -> Simulation:
        chance = random.Random(self.seed)
        self.lanes = [Lane() for _ in range(self.policy.lanes_count)]
        self.state = first_state(self.policy, wanted_count=0)
        self._scale(self.fixed_count or self.state.wanted_count)
        owed = [0.0] * len(self.lanes)
        for step in range(round(seconds / STEP_S)):
            self.now_s = step * STEP_S
            for i, per_s in enumerate(self.arrivals(self.now_s)):
                owed[i] += per_s * STEP_S
                if owed[i] >= 1:
                    self.lanes[i].append(self.now_s, int(owed[i]))
                    owed[i] -= int(owed[i])
            for worker in self.workers:
                self._work(worker, chance)
            self.workers = [worker for worker in self.workers if worker.ready_at_s >= 0 or worker.lane]
            if self.fixed_count is None and step % round(TICK_S / STEP_S) == 0:
                self._tick()
        return self

    def _tick(self) -> None:
        seen = None if self.is_redis_down(self.now_s) else self._seen()
        self.state, decision = decide(self.state, seen, self.policy)
        self.decisions.append((self.now_s, decision))
        self._scale(decision.wanted_count)

    def _seen(self) -> Seen:
        lanes = [
            LaneSeen(
                depth_count=lane.depth,
                age_ms=1_000 * (self.now_s - lane.entries[0][0]) if lane.entries else 0.0,
                appended_count=lane.appended,
                is_held=lane.is_held,
                is_resting=lane.attempt > 0,
            )
            for lane in self.lanes
        ]
        return Seen(at_s=self.now_s, lanes=lanes, workers_count=sum(1 for w in self.workers if w.ready_at_s >= 0))

    def _scale(self, count: int) -> None:
        staying = [worker for worker in self.workers if worker.ready_at_s >= 0]
        first = not self.workers
        for _ in range(count - len(staying)):
            self.workers.append(Worker(ready_at_s=0.0 if first else self.now_s + START_S))
        for worker in staying[count:]:
            worker.ready_at_s = -1.0  # ends after the batch in hand

    def _work(self, worker: Worker, chance: random.Random) -> None:
        if worker.lane is None:
            if 0 <= worker.ready_at_s <= self.now_s:
                self._claim(worker, chance)
        elif self.now_s >= worker.at_s:
            self._go_on(worker, worker.lane, chance)

    def _claim(self, worker: Worker, chance: random.Random) -> None:
        due = [each for each in self.lanes if each.depth and not each.is_held and each.retry_at_s <= self.now_s]
        if not due:
            return
        lane = min(due, key=lambda each: each.due_since_s)
        lane.is_held = True
        worker.lane, worker.turn_ends_s = lane, self.now_s + TURN_S
        self._begin(worker, lane, chance)

    def _begin(self, worker: Worker, lane: Lane, chance: random.Random) -> None:
        if self.is_database_down(self.now_s):
            rest_s = chance.random() * min(0.5 * 2 ** min(lane.attempt, 16), REST_AT_MOST_S)
            lane.attempt, lane.retry_at_s = lane.attempt + 1, self.now_s + rest_s
            self._leave(worker, lane)
            return
        per_s = self.worker_per_s(self.now_s) if callable(self.worker_per_s) else self.worker_per_s
        worker.batch = min(lane.depth, BATCH_COUNT)
        worker.at_s = self.now_s + OVERHEAD_S + worker.batch / per_s

    def _go_on(self, worker: Worker, lane: Lane, chance: random.Random) -> None:
        if worker.batch:
            for at_s, count in lane.take(worker.batch):
                self.lags.append((self.now_s, self.now_s - at_s, count))
            worker.batch, lane.attempt = 0, 0
            if lane.depth < GATHER_BELOW_COUNT and worker.ready_at_s >= 0:
                worker.at_s = self.now_s + GATHER_S
                return
        others_wait = any(e.depth and not e.is_held and e.retry_at_s <= self.now_s for e in self.lanes)
        if worker.ready_at_s < 0 or not lane.depth or (self.now_s > worker.turn_ends_s and others_wait):
            self._leave(worker, lane)
        else:
            self._begin(worker, lane, chance)

    def _leave(self, worker: Worker, lane: Lane) -> None:
        lane.is_held, lane.due_since_s = False, self.now_s
        worker.lane = None

    def changes(self) -> list[tuple[float, int]]:
        """When the wanted number changed, and to what."""
        found: list[tuple[float, int]] = []
        before = self.decisions[0][1].wanted_count
        for at_s, decision in self.decisions:
            if decision.wanted_count != before:
                found.append((at_s, decision.wanted_count))
            before = decision.wanted_count
        return found

    def lag_p95_s(self, *, since: float = 0.0, until: float = math.inf) -> float:
        """Nearest rank over the events committed in the range."""
        lags = sorted((lag, count) for at_s, lag, count in self.lags if since <= at_s < until)
        rank = math.ceil(0.95 * sum(count for _, count in lags))
        for lag, count in lags:
            rank -= count
            if rank <= 0:
                return lag
        raise AssertionError("no event was committed in the range")

    def committed_count(self) -> int:
        return sum(count for _, _, count in self.lags)
