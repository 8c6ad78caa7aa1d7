"""What waits: on the lanes, and for a person. Nothing here is broken by itself, so all of it is warnings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from autocom.doctor.finding import Check, Finding
from autocom.doctor.judgements.sizes import told_seconds

PROMISED_SECONDS = 60
FULL_WARNING_SHARE = 0.5

AGE = Check(
    "backlog.oldest_entry",
    "A receipt promises the event in PostgreSQL within 60 s.",
    "see processes and postgres above; more workers, up to LANES: WORKERS_MAX, manage.py worker",
)
FULL = Check(
    "backlog.fullest_lane",
    "A lane at its bound answers 503 until it is drained.",
    "more workers, or find out what slows PostgreSQL; LANE_BOUND only buys time, and needs memory in Redis",
)
DEAD_LETTERS = Check(
    "backlog.dead_letters",
    "Accepted events that could not be stored: somebody was promised that they would be looked after.",
    "look at Dead letters in the console, retry what was mended, discard the rest with a reason",
)
QUARANTINE = Check(
    "backlog.quarantine",
    "One identity came with two contents: one of them is not what its sender believes to be stored.",
    "compare both contents in the console, Quarantine, and ask the sender",
)
INCIDENTS = Check(
    "backlog.incidents",
    "A lane's sequence proves that entries were lost, or that Redis came back without its data.",
    "look at Lane incidents in the console (docs/operate.md, Incidents) and at redis.appendfsync",
)
LANE_CHECKS = (AGE, FULL)
PERSON_CHECKS = (DEAD_LETTERS, QUARANTINE, INCIDENTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneFacts:
    oldest_age_seconds: float | None  # None: nothing waits
    fullest_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonFacts:
    """Counts above `counted_at_most` mean: more."""

    open_dead_letter_count: int
    quarantined_count: int
    incident_count: int
    counted_at_most: int
    days: int


def judge_lanes(facts: LaneFacts) -> Iterator[Finding]:
    age = facts.oldest_age_seconds
    found = "nothing waits" if age is None else f"the oldest entry waits for {told_seconds(age)}"
    yield AGE.wished(holds=(age or 0) <= PROMISED_SECONDS, found=found)
    yield FULL.wished(
        holds=facts.fullest_share < FULL_WARNING_SHARE,
        found=f"the fullest lane is at {facts.fullest_share:.0%} of its bound",
    )


def judge_persons(facts: PersonFacts) -> Iterator[Finding]:
    counts = {
        DEAD_LETTERS: (facts.open_dead_letter_count, "open"),
        QUARANTINE: (facts.quarantined_count, f"in {facts.days} days"),
        INCIDENTS: (facts.incident_count, f"in {facts.days} days"),
    }
    for check, (count, what) in counts.items():
        shown = f"more than {facts.counted_at_most}" if count > facts.counted_at_most else str(count)
        yield check.wished(holds=not count, found=f"{shown if count else 'none'} {what}")
