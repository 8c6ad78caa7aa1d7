"""The way back, measured as it really goes: a breach is planted, the ops worker's guardrails answer it.

The clock stops when this process, which is none of theirs, reads OBSERVER by the change that they wrote.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.db import IntegrityError, connection, transaction

from autocom.build import build
from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from evidence.audit import Act, Actor, record
from evidence.errors import EvidenceError
from evidence.models import RollbackDrill
from evidence.modes import Mode, current_mode
from evidence.runs.environment import commit

FORMAT = "autocom-rollback-drill/1"
LIMIT_SECONDS = 60.0
GIVE_UP_SECONDS = 120.0
POLL_SECONDS = 0.1


class DrillRefused(EvidenceError):
    """No drill was begun."""

    code = "drill_refused"


@dataclass(frozen=True, slots=True)
class Step:
    at: datetime
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """`seconds` None: nobody answered in time, and nothing is known of how long it takes."""

    began_at: datetime
    mode_before: Mode
    seconds: float | None
    steps: tuple[Step, ...]

    @property
    def outcome(self) -> str:
        if self.seconds is None:
            return "INCONCLUSIVE"
        return "PASS" if self.seconds <= LIMIT_SECONDS else "FAIL"

    @property
    def sentence(self) -> str:
        if self.seconds is None:
            return (
                f"INCONCLUSIVE: no guardrail answered within {GIVE_UP_SECONDS:g} s: are cron and the ops worker alive?"
            )
        return f"{self.outcome}: OBSERVER after {self.seconds:.3f} s, {LIMIT_SECONDS:g} s are allowed"

    def as_json(self) -> dict[str, object]:
        return {
            "format": FORMAT,
            "at": self.began_at.isoformat(),
            "commit": commit()["commit"],
            "build": build(),
            "mode_before": self.mode_before.value,
            "seconds": self.seconds,
            "limit_seconds": LIMIT_SECONDS,
            "outcome": self.outcome,
            "steps": [{"at": step.at.isoformat(), "what": step.what} for step in self.steps],
        }


def drill(*, actor: Actor, give_up_seconds: float = GIVE_UP_SECONDS) -> Drill:
    """Waits for the answer. Raises DrillRefused where another drill is under way."""
    mode_before, began_at, began = current_mode(), _now(), time.monotonic()
    planted = _planted(actor, mode_before, began_at)
    try:
        is_answered = _wait(planted, until=began + give_up_seconds)
        seconds = time.monotonic() - began if is_answered else None
    finally:
        RollbackDrill.objects.filter(pk=planted.pk).update(ended_at=_now())
    planted.refresh_from_db()
    steps = [Step(began_at, f"the breach was planted in mode {mode_before}")]
    if planted.answered_at and seconds is not None:
        steps.append(Step(planted.answered_at, "a guardrail wrote the change of the mode"))
        steps.append(Step(_now(), f"another process read {Mode.OBSERVER}"))
    return Drill(began_at=began_at, mode_before=mode_before, seconds=seconds, steps=tuple(steps))


def keep(told: Drill) -> Path:
    """On record, and left for the bundle below EVIDENCE_ROOT. Raises OSError, django.db.Error."""
    facts = {
        "outcome": told.outcome,
        "milliseconds": None if told.seconds is None else round(told.seconds * 1_000),
        "mode_before": told.mode_before.value,
    }
    with transaction.atomic():
        record(Act.ROLLBACK_DRILLED, actor=Actor.process("rollback_drill"), subject="rollback", facts=facts)
    path: Path = settings.AUTOCOM.evidence_root / "rollback/drill.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(".part")
    half.write_text(json.dumps(told.as_json(), indent=2) + "\n", encoding="utf-8")
    half.rename(path)
    return path


def _planted(actor: Actor, mode_before: Mode, at: datetime) -> RollbackDrill:
    try:
        with transaction.atomic():
            return RollbackDrill.objects.create(planted_at=at, planted_by=actor.name, mode_before=mode_before.value)
    except IntegrityError as error:
        raise DrillRefused("another drill is under way: wait until it has ended") from error


def _wait(planted: RollbackDrill, *, until: float) -> bool:
    while time.monotonic() < until:
        planted.refresh_from_db()
        if planted.change_id is not None and current_mode() is Mode.OBSERVER:
            return True
        if connection.in_atomic_block:  # nobody else sees the breach
            return False
        time.sleep(POLL_SECONDS)
    return False


def _now() -> datetime:
    return datetime_of(us=SYSTEM_CLOCK.now_us())
