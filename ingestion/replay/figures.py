"""Counts and times of a run. Pure.

Every planned send is in exactly one of: accepted (2xx at the first attempt, within five seconds of the moment at which
the sender meant to send), rejected (sent, and not that) and unsent. A rejected send that a later attempt brought home
is counted in `accepted_after_retry` too; the gate looks at the first attempt alone, as the sender's error budget does.
Ack latency runs from the intended moment to the end of the answer, over every first attempt answered 2xx, late ones
included; service time runs from the moment of sending and hides what waited, so it is shown and never judged.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Self

from ingestion.replay.history import NS_PER_MS, Answer, Attempt, History, Send
from ingestion.replay.percentiles import P50, P95, P99, P999, nearest_rank, samples_needed
from ingestion.replay.schedule import NS_PER_SECOND

KEPT_RATE_SHARE: Final = 0.99
OWN_DELAY_LIMIT_MS: Final = 20.0
TOP_REFUSALS_COUNT: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantiles:
    """Milliseconds, nearest rank; None where there are too few samples (ten beyond the percentile are needed)."""

    count: int
    p50: float | None
    p95: float | None
    p99: float | None
    p999: float | None
    max: float | None

    @classmethod
    def of(cls, samples_us: Iterable[int]) -> Self:
        ordered = sorted(samples_us)
        return cls(
            count=len(ordered),
            p50=_quantile_ms(ordered, P50),
            p95=_quantile_ms(ordered, P95),
            p99=_quantile_ms(ordered, P99),
            p999=_quantile_ms(ordered, P999),
            max=ordered[-1] / 1_000 if ordered else None,
        )


def _quantile_ms(ordered: Sequence[int], percent: Fraction) -> float | None:
    return nearest_rank(ordered, percent=percent) / 1_000 if len(ordered) >= samples_needed(percent) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a run comes to, before the database is asked."""

    planned: int
    sent: int
    unsent: int
    accepted: int
    rejected: int
    accepted_after_retry: int
    acknowledged: int  # answered 2xx at any attempt: each one is a promise
    answered_duplicate: int
    retries: int
    unknown: int  # the last word on the send is missing or no answer: it may or may not have been stored
    ack_ms: Quantiles
    service_ms: Quantiles
    rate_offered: float
    rate_achieved: float
    sending_seconds: float
    kept_pace: bool
    was_on_time: bool  # the generator's own part of keeping pace: delays in the figures are the service's
    refusals: tuple[tuple[str, int], ...]  # first attempts by code or error, the most frequent first

    @property
    def accepted_ratio(self) -> float | None:
        """Of what the sender intended, sent or not. None for an empty plan."""
        return self.accepted / self.planned if self.planned else None


def figures_of(history: History) -> Figures:
    """The figures of a run, complete or broken off."""
    sends = history.sends
    started = [send for send in sends if send.attempts]
    acknowledged = [send for send in started if send.acknowledged]
    accepted_count = sum(send.is_accepted for send in started)
    rejected = [send for send in started if not send.is_accepted]
    rate_achieved, sending_seconds = _rate(history, started)
    return Figures(
        planned=len(sends),
        sent=len(started),
        unsent=len(sends) - len(started),
        accepted=accepted_count,
        rejected=len(rejected),
        accepted_after_retry=sum(_is_after_retry(send) for send in rejected),
        acknowledged=len(acknowledged),
        answered_duplicate=sum(send.answer.status == "duplicate" for send in acknowledged),
        retries=sum(len(send.attempts) - 1 for send in started),
        unknown=sum(not send.acknowledged and send.attempts[-1].status == 0 for send in started),
        ack_ms=Quantiles.of(ack_latencies_us(sends)),
        service_ms=Quantiles.of(_service_times_us(sends)),
        rate_offered=history.rate,
        rate_achieved=rate_achieved,
        sending_seconds=sending_seconds,
        kept_pace=_was_on_time(history) and _has_rate(history, started, rate_achieved=rate_achieved),
        was_on_time=_was_on_time(history),
        refusals=tuple(Counter(map(_refusal, rejected)).most_common(TOP_REFUSALS_COUNT)),
    )


def ack_latencies_us(sends: Iterable[Send]) -> list[int]:
    """From the intended moment, for every first attempt that was answered 2xx, in the order of the plan."""
    return [(first.ack_ns - send.intended_ns) // 1_000 for send, first in _acknowledged_first(sends)]


def _service_times_us(sends: Iterable[Send]) -> list[int]:
    return [(first.ack_ns - first.sent_ns) // 1_000 for _, first in _acknowledged_first(sends)]


def _acknowledged_first(sends: Iterable[Send]) -> Iterable[tuple[Send, Attempt]]:
    return ((send, send.attempts[0]) for send in sends if send.attempts and send.attempts[0].is_acknowledged)


def _is_after_retry(send: Send) -> bool:
    acknowledged = send.acknowledged
    return acknowledged is not None and acknowledged.attempt > 1


def _rate(history: History, started: Sequence[Send]) -> tuple[float, float]:
    """Sends a second and the seconds they took. A plan of n sends is meant to take n / rate seconds."""
    if not started:
        return 0.0, 0.0
    moments_ns = [send.attempts[0].sent_ns for send in started]
    if not history.rate:
        span_ns = max(1, max(moments_ns) - min(moments_ns))
        return len(started) * NS_PER_SECOND / span_ns, span_ns / NS_PER_SECOND
    meant_ns = round(len(started) * NS_PER_SECOND / history.rate)
    late_ns = max(0, max(moments_ns) - started[-1].intended_ns)
    return len(started) * NS_PER_SECOND / (meant_ns + late_ns), (meant_ns + late_ns) / NS_PER_SECOND


def _was_on_time(history: History) -> bool:
    """True when the run came to its end and the generator's own delay stayed below 20 ms at P99.

    Its own delay runs from the intended moment until it takes the send up; waits for a free connection are not in it.
    """
    check = history.self_check
    return check is not None and not check.was_interrupted and check.own_delay_p99_ms < OWN_DELAY_LIMIT_MS


def _has_rate(history: History, started: Sequence[Send], *, rate_achieved: float) -> bool:
    """Whether 99 % of the offered rate was reached. A last send less than 20 ms late is as good, for short runs' sake.

    Waits for a free connection count here: with too few connections the rate was never really offered.
    """
    if not started or not history.rate:
        return bool(started)
    last = started[-1]
    last_late_ms = (last.attempts[0].sent_ns - last.intended_ns) / NS_PER_MS
    return rate_achieved >= KEPT_RATE_SHARE * history.rate or last_late_ms < OWN_DELAY_LIMIT_MS


def _refusal(send: Send) -> str:
    """Why the first attempt does not count: the service's own code where it gave one."""
    first = send.attempts[0]
    if first.is_acknowledged:
        return "2xx after more than 5 s"
    if not first.status:
        return re.sub(r"[^\w :.-]", "", first.error)
    code = Answer.from_text(first.answer).code
    return f"{first.status} {code}".strip()
