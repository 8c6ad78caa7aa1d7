"""What a reading means: a pure function of the rule, the reading, the last look and the mode."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from evidence.guardrails.readings import Reading
from evidence.guardrails.rules import Rule
from evidence.models import GuardrailState
from evidence.modes import Mode

Standing = GuardrailState.Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """What has to be remembered from one look to the next. None: not so."""

    beyond: datetime | None = None
    unknown: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    standing: GuardrailState.Standing
    since: Since
    why: str = ""


def judge(rule: Rule, reading: Reading, *, before: Since, mode: Mode, now: datetime) -> Judgement:
    if reading.value is None and reading.why:
        return _unknown(rule, reading, since=before.unknown or now, mode=mode, now=now)
    if reading.value is None or (reading.sample_count or 0) < rule.minimum_count:
        return Judgement(standing=Standing.INSUFFICIENT_DATA, since=Since(), why=_too_few(rule, reading))
    if not rule.is_beyond(reading.value):
        return Judgement(standing=Standing.OK, since=Since())
    since = Since(beyond=before.beyond or now)
    is_long_enough = since.beyond is not None and now - since.beyond >= timedelta(seconds=rule.for_seconds)
    standing = Standing.BREACHED if is_long_enough else Standing.OK
    return Judgement(standing=standing, since=since, why=_beyond(rule, reading))


def _unknown(rule: Rule, reading: Reading, *, since: datetime, mode: Mode, now: datetime) -> Judgement:
    """Who sends to the outside has to know; in OBSERVER not to know does no harm."""
    is_too_long = now - since > timedelta(seconds=rule.unknown_at_most_seconds) and mode is not Mode.OBSERVER
    if not is_too_long:
        return Judgement(standing=Standing.UNKNOWN, since=Since(unknown=since), why=reading.why)
    why = f"{rule.title} is unknown for more than {rule.unknown_at_most_seconds} s: {reading.why}"
    return Judgement(standing=Standing.BREACHED, since=Since(unknown=since), why=why)


def _too_few(rule: Rule, reading: Reading) -> str:
    return f"{reading.sample_count or 0} samples in {rule.window_seconds} s, fewer than {max(rule.minimum_count, 1)}"


WORDS = {">": "more than", ">=": "at least", "<": "less than", "<=": "at most"}


def _beyond(rule: Rule, reading: Reading) -> str:
    told = f"{rule.title}: {reading.value:g}, {WORDS[rule.operator]} {rule.threshold:g} {rule.unit}"
    return f"{told}: {reading.why}" if reading.why else told
