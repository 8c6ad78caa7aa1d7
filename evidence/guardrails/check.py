"""One look at all rules: what is known is kept, alerts open and close, and a breach takes the mode to OBSERVER.

Readings are taken before the transaction, so that a slow figure holds no lock. Of two looks at once one goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from evidence.alerts import close_alert, raise_alert
from evidence.audit import Act, Actor, record
from evidence.guardrails.judge import Judgement, Since, Standing, judge
from evidence.guardrails.readings import Reading, read
from evidence.guardrails.rules import Action, Rule, shipped_rules
from evidence.mode_changes import change_mode
from evidence.models import GuardrailState, ModeChange, RollbackDrill
from evidence.modes import Mode, current_mode

LOCK = 0x0A07_0C37  # of PostgreSQL's advisory locks: one look at a time
ACTOR = Actor.process("guardrails")
DRILL = "drill"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    rule: Rule
    reading: Reading
    judgement: Judgement
    was_breached: bool

    @property
    def is_breached(self) -> bool:
        return self.judgement.standing is Standing.BREACHED


def check_rules(rules: Sequence[Rule] | None = None) -> list[Look] | None:
    """What was found, or None where another look is under way. Raises django.db.Error and AuditLogBusy."""
    rules = shipped_rules() if rules is None else rules
    readings = [(rule, read(rule.metric, window=timedelta(seconds=rule.window_seconds))) for rule in rules]
    with transaction.atomic():
        if not _has_lock():
            return None
        looks = _judged(readings, mode=current_mode(), now=datetime_of(us=SYSTEM_CLOCK.now_us()))
        for look in looks:
            _tell(look)
        _answer(looks)
    return looks


def _has_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
        return bool(cursor.fetchone()[0])


def _judged(readings: Sequence[tuple[Rule, Reading]], *, mode: Mode, now: datetime) -> list[Look]:
    known = {state.rule: state for state in GuardrailState.objects.all()}
    GuardrailState.objects.exclude(rule__in=[rule.name for rule, _ in readings]).delete()
    return [_look(rule, reading, known.get(rule.name), mode=mode, now=now) for rule, reading in readings]


def _look(rule: Rule, reading: Reading, state: GuardrailState | None, *, mode: Mode, now: datetime) -> Look:
    before = Since(beyond=state.beyond_since, unknown=state.unknown_since) if state else Since()
    judgement = judge(rule, reading, before=before, mode=mode, now=now)
    breached_since = state.breached_since if state else None
    is_breached = judgement.standing is Standing.BREACHED
    kept = {
        "standing": judgement.standing,
        "reading": reading.value,
        "sample_count": reading.sample_count,
        "why": judgement.why,
        "looked_at": now,
        "beyond_since": judgement.since.beyond,
        "unknown_since": judgement.since.unknown,
        "breached_since": (breached_since or now) if is_breached else None,
    }
    GuardrailState.objects.update_or_create(rule=rule.name, defaults=kept)
    return Look(rule=rule, reading=reading, judgement=judgement, was_breached=breached_since is not None)


def _tell(look: Look) -> None:
    """The alert of a breach closes when the rule is known to hold again, not when nothing is known of it."""
    rule, why = look.rule, look.judgement.why
    if look.is_breached:
        raise_alert(rule.alert, rule.name, severity=rule.severity, summary=why, facts=_facts(look))
    elif look.judgement.standing in (Standing.OK, Standing.INSUFFICIENT_DATA):
        close_alert(rule.alert, rule.name)
    if look.is_breached and not look.was_breached and rule.action is Action.RETURN:
        log.warning("guardrail_breached", extra={"rule": rule.name, "why": why})
        record(Act.GUARDRAIL_BREACHED, actor=ACTOR, subject=rule.name, reason=why, facts=_facts(look))


def _answer(looks: Sequence[Look]) -> None:
    """Back to OBSERVER, once, whatever number of rules is breached. A drill is answered in OBSERVER too."""
    breached = [look for look in looks if look.is_breached and look.rule.action is Action.RETURN]
    is_drill = any(look.rule.name == DRILL for look in breached)
    if not breached or (current_mode() is Mode.OBSERVER and not is_drill):
        return
    is_only_drill = all(look.rule.name == DRILL for look in breached)
    change = change_mode(
        Mode.OBSERVER,
        cause=ModeChange.Cause.DRILL if is_only_drill else ModeChange.Cause.GUARDRAIL,
        actor=ACTOR,
        reason="; ".join(look.judgement.why for look in breached),
    )
    if is_drill:
        open_drills = RollbackDrill.objects.filter(answered_at=None, ended_at=None)
        open_drills.update(answered_at=change.changed_at, change=change)


def _facts(look: Look) -> dict[str, object]:
    """As JSON of the audit log: numbers as text, for it takes no floats."""
    rule = look.rule
    return {
        "metric": rule.metric,
        "reading": None if look.reading.value is None else f"{look.reading.value:g}",
        "operator": rule.operator,
        "threshold": f"{rule.threshold:g}",
        "unit": rule.unit,
        "window_seconds": rule.window_seconds,
        "sample_count": look.reading.sample_count,
        "action": rule.action.value,
    }
