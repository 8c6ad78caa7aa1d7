"""Ten minutes without PostgreSQL, simulated: how often do resting lanes try, and do they all come back at once?

    python -m bench.retry_storm [--lanes 16] [--workers 2] [--outage-seconds 600] [--seed 1] [--json FILE]

Discrete events, seeded, no clock and no server. The rests are drawn from `ingestion.back_off.BackOff`, the policy that
the drain itself uses, and beside it from two that it might have been: the same limits without jitter, and a fixed rest.
The rest of the model is the drain's as well: one queue, workers that take one lane at a time, an attempt that fails
after a moment (refused) or after the connect timeout (packets swallowed), a lane that is rung by its next append when
the rest is over (busy) or only by the sweeper's next round (quiet), and turns that lanes with a backlog take once the
database is back. Attempts are what the database sees of resting lanes; turns of lanes that work again do not count.

A storm is more attempts in one round of the sweeper than lanes make that know nothing of each other: the steady budget
(lanes / half the longest rest) and five standard deviations of chance. Exit 0: the drain's policy stays below it and
every lane works again within the longest rest, a round of the sweeper and its wait for a worker. 1: it does not.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import random
import statistics
import sys
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from itertools import count
from pathlib import Path

from ingestion.back_off import BackOff

SWEEP_SECONDS = 2.0  # ingestion.worker.SWEEP_EVERY_SECONDS
TURN_SECONDS = 0.25  # ingestion.drain.DrainPolicy.turn: lanes that work again share the workers
REFUSED_SECONDS = 0.005
SWALLOWED_SECONDS = 3.0  # connect_timeout of the settings
SETTLED_AFTER_SECONDS = 60.0  # by then every limit has reached its most
WATCHED_AFTER_SECONDS = 60.0  # after the outage
CHANCE_DEVIATIONS = 5.0

type Rest = Callable[[int, float], float]  # failed attempts before, share drawn from [0, 1): seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What goes wrong, for whom."""

    lanes: int
    workers: int
    outage_seconds: float
    attempt_seconds: float
    is_busy: bool  # appends go on on every lane, so the end of a rest is heard at once

    @property
    def title(self) -> str:
        how = "refused" if self.attempt_seconds == REFUSED_SECONDS else "swallowed"
        return f"{self.lanes} lanes, {self.workers} workers, {how}, {'busy' if self.is_busy else 'quiet'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One policy in one scene. `peak_` are attempts within one round of the sweeper (2 s)."""

    policy: str
    scene: str
    attempts: int
    settled_per_second: float
    budget_per_second: float
    storm_above: float
    peak_at_first: int  # the first minute: every limit is short
    peak_settled: int
    peak_after: int  # once the database is back
    at_once_at_most: int
    back_after_median_seconds: float
    back_after_all_seconds: float

    @property
    def is_storm(self) -> bool:
        return max(self.peak_settled, self.peak_after) > self.storm_above


@dataclass(slots=True)
class Simulation:
    """The lanes from the first failure on. `at` of the events is seconds since PostgreSQL went away."""

    scene: Scene
    rest: Rest
    rng: random.Random
    attempts_at: list[float] = field(default_factory=list)
    back_at: dict[int, float] = field(default_factory=dict)
    at_once_at_most: int = 0
    _events: list[tuple[float, int, str, int]] = field(default_factory=list)
    _order: count[int] = field(default_factory=count)
    _rung: deque[int] = field(default_factory=deque)
    _failed: Counter[int] = field(default_factory=Counter)
    _free: int = 0
    _attempting: int = 0

    def run(self) -> None:
        """Until every lane works again and a minute has passed."""
        self._free = self.scene.workers
        self._rung.extend(range(self.scene.lanes))  # the worst beginning: all fail at once
        self._start_what_can(0.0)
        end = self.scene.outage_seconds + WATCHED_AFTER_SECONDS
        while self._events:
            at, _, what, lane = heapq.heappop(self._events)
            if at > end and len(self.back_at) == self.scene.lanes:
                return
            getattr(self, f"_{what}")(at, lane)
            self._start_what_can(at)

    def _start_what_can(self, at: float) -> None:
        while self._free and self._rung:
            self._free -= 1
            lane = self._rung.popleft()
            if lane in self.back_at:
                self._later(at + TURN_SECONDS, "turn_over", lane)
            elif at < self.scene.outage_seconds:
                self.attempts_at.append(at)
                self._attempting += 1
                self.at_once_at_most = max(self.at_once_at_most, self._attempting)
                self._later(at + self.scene.attempt_seconds, "attempt_failed", lane)
            else:
                self.attempts_at.append(at)
                self.back_at[lane] = at
                self._later(at + TURN_SECONDS, "turn_over", lane)

    def _attempt_failed(self, at: float, lane: int) -> None:
        self._free += 1
        self._attempting -= 1
        rest_over = at + self.rest(self._failed[lane], self.rng.random())
        self._failed[lane] += 1
        heard_at = rest_over if self.scene.is_busy else math.ceil(rest_over / SWEEP_SECONDS) * SWEEP_SECONDS
        self._later(heard_at, "ring", lane)

    def _ring(self, _: float, lane: int) -> None:
        self._rung.append(lane)

    def _turn_over(self, _: float, lane: int) -> None:
        self._free += 1
        self._rung.append(lane)  # ten minutes of backlog: it goes to the end of the queue

    def _later(self, at: float, what: str, lane: int) -> None:
        heapq.heappush(self._events, (at, next(self._order), what, lane))


def policies() -> dict[str, Rest]:
    ours, half_second = BackOff(), timedelta(seconds=0.5)
    return {
        "full jitter": lambda failed, share: ours.rest(failed_before_count=failed, share=share).total_seconds(),
        "no jitter": lambda failed, _: ours.limit(failed_before_count=failed).total_seconds(),
        "fixed 500 ms": lambda _failed, _share: half_second.total_seconds(),
    }


def outcome_of(policy: str, scene: Scene, *, seed: int) -> Outcome:
    simulation = Simulation(scene=scene, rest=policies()[policy], rng=random.Random(seed))
    simulation.run()
    end = scene.outage_seconds
    rounds = Counter(int(at // SWEEP_SECONDS) for at in simulation.attempts_at)
    settled_from = min(SETTLED_AFTER_SECONDS, end / 2)
    settled_count = sum(settled_from <= at < end for at in simulation.attempts_at)
    back = sorted(at - end for at in simulation.back_at.values())
    budget = scene.lanes / (BackOff().at_most.total_seconds() / 2)

    def peak(since: float, until: float) -> int:
        return max((n for number, n in rounds.items() if since <= number * SWEEP_SECONDS < until), default=0)

    return Outcome(
        policy=policy,
        scene=scene.title,
        attempts=len(simulation.attempts_at),
        settled_per_second=round(settled_count / (end - settled_from), 2),
        budget_per_second=budget,
        storm_above=round(budget * SWEEP_SECONDS + CHANCE_DEVIATIONS * math.sqrt(budget * SWEEP_SECONDS), 1),
        peak_at_first=peak(0, settled_from),
        peak_settled=peak(settled_from, end),
        peak_after=peak(end, math.inf),
        at_once_at_most=simulation.at_once_at_most,
        back_after_median_seconds=round(statistics.median(back), 2),
        back_after_all_seconds=round(back[-1], 2),
    )


def back_within_seconds(scene: Scene) -> float:
    """The longest a lane may stay away: rest, sweep, the attempt that failed last, and a queue of everybody's turns."""
    turns = math.ceil(scene.lanes / scene.workers) + 1
    waits_for_attempts = turns * scene.attempt_seconds
    return BackOff().at_most.total_seconds() + SWEEP_SECONDS + waits_for_attempts + turns * TURN_SECONDS


def scenes(*, lanes: int, workers: int, outage_seconds: float) -> list[Scene]:
    return [
        Scene(
            lanes=lanes,
            workers=workers,
            outage_seconds=outage_seconds,
            attempt_seconds=attempt_seconds,
            is_busy=is_busy,
        )
        for attempt_seconds in (REFUSED_SECONDS, SWALLOWED_SECONDS)
        for is_busy in (True, False)
    ]


def table(found: Sequence[Outcome]) -> str:
    head = (
        f"{'scene':<40} {'policy':<13} {'attempts':>8} {'per s':>7} {'budget':>7} {'storm>':>7} "
        f"{'first':>6} {'settled':>8} {'after':>6} {'at once':>8} {'back P50':>9} {'back all':>9}"
    )
    lines = [
        f"{each.scene:<40} {each.policy:<13} {each.attempts:>8,} {each.settled_per_second:>7.2f} "
        f"{each.budget_per_second:>7.2f} {each.storm_above:>7.1f} {each.peak_at_first:>6} {each.peak_settled:>8} "
        f"{each.peak_after:>6} {each.at_once_at_most:>8} {each.back_after_median_seconds:>7.1f} s "
        f"{each.back_after_all_seconds:>7.1f} s{'  STORM' if each.is_storm else ''}"
        for each in found
    ]
    return "\n".join([head, *lines])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lanes", type=int, default=16)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--outage-seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.lanes < 1 or options.workers < 1 or options.outage_seconds <= 0:
        parser.error("--lanes, --workers: 1 or more; --outage-seconds: above 0, such as 600")
    found, is_well = [], True
    for scene in scenes(lanes=options.lanes, workers=options.workers, outage_seconds=options.outage_seconds):
        for policy in policies():
            outcome = outcome_of(policy, scene, seed=options.seed)
            found.append(outcome)
            if policy == "full jitter":
                is_well = is_well and not outcome.is_storm
                is_well = is_well and outcome.back_after_all_seconds <= back_within_seconds(scene)
    print(table(found))
    print(
        "per s: attempts once settled. first, settled, after: most attempts within 2 s. back: until lanes work again."
    )
    if options.json:
        options.json.write_text(json.dumps([asdict(each) for each in found], indent=1))
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
