"""Is everybody at work: ingress, drain workers, ops worker, and cron exactly once?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from autocom.doctor.finding import Check, Finding
from autocom.doctor.judgements.sizes import listed

INGRESS = Check(
    "processes.ingress",
    "Where no ingress answers, providers get connection errors; one of other code may keep another promise.",
    "start it (manage.py ingress, or the service's unit) and restart it after each deployment; "
    "one elsewhere: --ingress-url",
)
WORKERS = Check(
    "processes.workers",
    "Drain workers move events from Redis to PostgreSQL: too few, and the 60 s of the promise pass.",
    "start WORKERS_MIN of them: manage.py worker",
)
LANES = Check(
    "processes.lanes",
    "A lane with entries and nobody at work keeps events back, whatever its receipts promised.",
    "start workers, cron and the ops worker, whose sweeper rings for such lanes; the overview shows a lane's error",
)
CRON = Check(
    "processes.cron",
    "Without cron no sweeper runs, and a lost drain job leaves its lane waiting; two do all periodic work twice.",
    "keep exactly one manage.py cron for the installation",
)
OPS = Check(
    "processes.ops_worker",
    "Cron only rings: without an ops worker neither the sweeper nor any other periodic work runs.",
    "start one: manage.py worker --queue ops",
)
CHECKS = (INGRESS, WORKERS, OPS, LANES, CRON)


@dataclass(frozen=True, slots=True, kw_only=True)
class IngressFacts:
    """`build` is what it says of its code; empty where it says nothing."""

    url: str
    answers: bool
    detail: str
    build: str
    own_build: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessFacts:
    """Redis knows who is alive. `trouble` is why it could not be asked; then what it knows is None."""

    ingress: IngressFacts
    trouble: str
    alive_drain_workers: Sequence[str] | None
    alive_ops_workers: Sequence[str] | None
    workers_min: int
    workers_max: int
    unattended_lanes: Sequence[int] | None
    busy_lane_count: int
    alive_crons: Sequence[str] | None


def judge(facts: ProcessFacts) -> Iterator[Finding]:
    yield _ingress(facts.ingress)
    if facts.alive_drain_workers is None or facts.alive_ops_workers is None:
        yield WORKERS.unknown(facts.trouble)
        yield OPS.unknown(facts.trouble)
    else:
        yield _workers(facts.alive_drain_workers, facts)
        found = f"{len(facts.alive_ops_workers)} alive"
        yield OPS.required(holds=bool(facts.alive_ops_workers), found=found)
    if facts.unattended_lanes is None:
        yield LANES.unknown(facts.trouble)
    else:
        yield _lanes(facts.unattended_lanes, busy_count=facts.busy_lane_count)
    yield _cron(facts.alive_crons, trouble=facts.trouble)


def _ingress(ingress: IngressFacts) -> Finding:
    if not ingress.answers:
        return INGRESS.fail(f"{ingress.url} does not answer: {ingress.detail}")
    if not ingress.build:
        return INGRESS.fail(f"what answers on {ingress.url} is no ingress of this release")
    if ingress.build != ingress.own_build:
        return INGRESS.fail(f"{ingress.url} runs other code, or with another SECRET_KEY, than this command")
    return INGRESS.fine(f"{ingress.url} answers and runs this code")


def _workers(alive: Sequence[str], facts: ProcessFacts) -> Finding:
    found = f"{len(alive)} alive, {facts.workers_min} to {facts.workers_max} wanted"
    if len(alive) < facts.workers_min:
        return WORKERS.fail(found)
    return WORKERS.wished(
        holds=len(alive) <= facts.workers_max, found=found, mend="stop some, or raise WORKERS_MAX: postgres.connections"
    )


def _lanes(unattended: Sequence[int], *, busy_count: int) -> Finding:
    if unattended:
        return LANES.fail(f"nobody at work on lane {listed(unattended)}")
    return LANES.fine(
        f"{busy_count} lanes hold entries, none without somebody" if busy_count else "all lanes are empty"
    )


def _cron(alive: Sequence[str] | None, *, trouble: str) -> Finding:
    if alive is None:
        return CRON.unknown(trouble)
    if len(alive) == 1:
        return CRON.fine(f"one: {alive[0]}")
    return CRON.fail(f"{len(alive)} run: {listed(alive)}" if alive else "none runs")
