"""`manage.py lanes`: each lane as it is now, and of one that rests after trouble when it tries again."""

from __future__ import annotations

import json as json_text
import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, override

from django.core.management.base import CommandParser

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from ingestion.buffer.store import BufferUnavailable
from ingestion.management.with_examples import WithExamples
from ingestion.selectors import STUCK_STATES, LaneState, lane_states

WELL, STUCK, CANNOT_TELL = 0, 1, 3


class Command(WithExamples):
    help = (
        "Print each lane: entries that wait, state, who holds it; of a lane that rests, its failed attempts, the next "
        "one and the error. Exit 0: all well. 1: a lane is full, unattended or resting. 3: Redis cannot be asked."
    )
    examples = ("lanes", "lanes --json")
    requires_system_checks = ()

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON array instead of text")

    @override
    def handle(self, *, json: bool, **_: Any) -> None:
        try:
            lanes = lane_states()
        except BufferUnavailable as error:
            self.stderr.write(f"lanes: Redis cannot be asked: {error}")
            sys.exit(CANNOT_TELL)
        for line in [as_json(lanes)] if json else as_text(lanes, now=datetime_of(us=SYSTEM_CLOCK.now_us())):
            self.stdout.write(line)
        sys.exit(STUCK if any(lane.state in STUCK_STATES for lane in lanes) else WELL)


def as_text(lanes: list[LaneState], *, now: datetime) -> Iterator[str]:
    yield f"{'lane':>4}  {'waiting':>9}  {'oldest':>9}  {'state':<12}  holder"
    for lane in lanes:
        oldest = "none" if lane.oldest_age_ms is None else f"{lane.oldest_age_ms / 1_000:,.1f} s"
        state = lane.state.replace("_", " ")
        yield f"{lane.lane:>4}  {lane.depth_count:>9,}  {oldest:>9}  {state:<12}  {lane.holder or 'nobody'}"
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
        for name, at in (("resting_since", lane.resting_since), ("next_attempt_at", lane.next_attempt_at))
    }
    return asdict(lane) | times
