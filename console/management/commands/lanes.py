"""`manage.py lanes [pause|resume|wake]`: each lane as it is now, or an act on one, on record."""

from __future__ import annotations

import json as json_text
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, override

from django.core.management.base import CommandError, CommandParser
from django.db import Error

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from console.actions.lanes import LaneRefused, pause_lane, resume_lane, wake_lane
from console.actions.operator import Operator
from console.management.deadletters.arguments import name
from evidence.models import AuditEntry
from ingestion.buffer.store import BufferUnavailable
from ingestion.management.with_examples import WithExamples
from ingestion.selectors import STUCK_STATES, LaneState, lane_states

WELL, STUCK, REFUSED, CANNOT_TELL = 0, 1, 1, 3
VERBS: dict[str, tuple[Callable[..., AuditEntry], str]] = {
    "pause": (pause_lane, "is paused: it takes events until its bound and commits none"),
    "resume": (resume_lane, "is drained again"),
    "wake": (wake_lane, "has a drain job"),
}


class Command(WithExamples):
    help = (
        "Print each lane: entries that wait, state, who holds it; of a lane that rests, its failed attempts, the next "
        "one and the error. Exit 0: all well. 1: a lane is full, unattended or resting. 3: Redis cannot be asked. "
        "With a verb: pause, resume or wake a lane. Exit 0: done. 1: refused. 3: PostgreSQL or Redis cannot be asked."
    )
    examples = ("lanes", "lanes --json")
    requires_system_checks = ()

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("verb", nargs="?", choices=sorted(VERBS), help="without one: print the lanes")
        parser.add_argument("lane", nargs="?", type=int, metavar="LANE")
        parser.add_argument("--reason", default="", help="why, for the audit log; needed with a verb")
        parser.add_argument("--actor", metavar="NAME", type=name, help="for the audit log (default: who runs this)")
        parser.add_argument("--json", action="store_true", help="print one JSON array instead of text")

    @override
    def handle(
        self, *, verb: str | None, lane: int | None, reason: str, actor: str | None, json: bool, **_: Any
    ) -> None:
        if verb is not None:
            sys.exit(self._act(verb, lane, reason=reason, actor=actor))
        try:
            lanes = lane_states()
        except BufferUnavailable as error:
            self.stderr.write(f"lanes: Redis cannot be asked: {error}")
            sys.exit(CANNOT_TELL)
        for line in [as_json(lanes)] if json else as_text(lanes, now=datetime_of(us=SYSTEM_CLOCK.now_us())):
            self.stdout.write(line)
        sys.exit(STUCK if any(lane.state in STUCK_STATES for lane in lanes) else WELL)

    def _act(self, verb: str, lane: int | None, *, reason: str, actor: str | None) -> int:
        if lane is None:
            raise CommandError(f"which lane? lanes {verb} LANE --reason WHY")
        act, done = VERBS[verb]
        try:
            entry = act(Operator.command_line(actor), lane, reason=reason)
        except LaneRefused as error:
            self.stderr.write(f"lanes {verb}: {error}")
            return REFUSED
        except (BufferUnavailable, Error) as error:
            self.stderr.write(f"lanes {verb}: nothing was done, as it cannot be asked: {error}")
            return CANNOT_TELL
        needed = "" if entry.facts.get("rung", True) else " (it has no entries, or somebody is at work)"
        self.stdout.write(f"lane {lane} {done}{needed}; audit entry {entry.number}")
        return WELL


def as_text(lanes: list[LaneState], *, now: datetime) -> Iterator[str]:
    yield f"{'lane':>4}  {'waiting':>9}  {'oldest':>9}  {'state':<12}  holder"
    for lane in lanes:
        oldest = "none" if lane.oldest_age_ms is None else f"{lane.oldest_age_ms / 1_000:,.1f} s"
        state = lane.state.replace("_", " ")
        yield f"{lane.lane:>4}  {lane.depth_count:>9,}  {oldest:>9}  {state:<12}  {lane.holder or 'nobody'}"
        if lane.paused_since:
            since = _moment(lane.paused_since, now=now)
            yield f"      paused since {since}; manage.py lanes resume {lane.lane} --reason WHY ends it"
        if lane.attempt_count:
            yield f"      {_rest(lane, now=now)}"


def _rest(lane: LaneState, *, now: datetime) -> str:
    since = f" since {_moment(lane.resting_since, now=now)}" if lane.resting_since else ""
    following = f"; next {_moment(lane.next_attempt_at, now=now)}" if lane.next_attempt_at else ""
    return f"failed attempts {lane.attempt_count:,}{since}{following}; {_printable(lane.last_error)}"


def _moment(at: datetime, *, now: datetime) -> str:
    seconds = (at - now).total_seconds()
    told = f"in {seconds:,.1f} s" if seconds >= 0 else f"{-seconds:,.1f} s ago"
    return f"{at.astimezone(UTC):%H:%M:%S} UTC ({told})"


def _printable(text: str) -> str:
    """An error quotes what others wrote: it must not steer the terminal."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def as_json(lanes: list[LaneState]) -> str:
    return json_text.dumps([_as_json(lane) for lane in lanes], indent=2)


def _as_json(lane: LaneState) -> dict[str, object]:
    times = {
        name: None if at is None else at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        for name, at in (
            ("resting_since", lane.resting_since),
            ("next_attempt_at", lane.next_attempt_at),
            ("paused_since", lane.paused_since),
        )
    }
    return asdict(lane) | times
