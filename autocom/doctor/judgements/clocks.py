"""Do this machine, Redis and PostgreSQL agree on the time?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from autocom.doctor.finding import Check, Finding

SKEW_WARNING_SECONDS = 0.5
SKEW_FAIL_SECONDS = 5.0
MEND = "run a time service (chrony, systemd-timesyncd) on each machine: chronyc tracking, timedatectl"

REDIS = Check(
    "clocks.redis",
    "Receipts bear Redis's time, signatures are judged by this machine's: skew refuses good deliveries.",
    MEND,
)
POSTGRES = Check(
    "clocks.postgres",
    "What PostgreSQL stamps (secrets' validity, incidents, error budgets) is compared with times of this machine.",
    MEND,
)
BETWEEN = Check(
    "clocks.redis_postgres",
    "An event is accepted by Redis's clock and kept by PostgreSQL's: between them latencies would lie.",
    MEND,
)
CRON_ZONE = Check(
    "clocks.cron_time_zone",
    "A cron expression means local time: in a zone with summer time a job runs twice, or never, on two nights a year.",
    "start cron with TZ=UTC",
)
CHECKS = (REDIS, POSTGRES, BETWEEN, CRON_ZONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A server's clock minus this machine's, in seconds, known to within half the round trip."""

    offset_seconds: float
    round_trip_seconds: float

    @property
    def uncertainty_seconds(self) -> float:
        return self.round_trip_seconds / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockFacts:
    """None for a server that could not be asked, `trouble` says why."""

    redis: Reading | None
    postgres: Reading | None
    trouble: str
    cron_expression_count: int | None  # jobs of running schedulers that are due by cron expression; None: not asked
    zone_is_utc: bool


def judge(facts: ClockFacts) -> Iterator[Finding]:
    yield _skew(REDIS, facts.redis, trouble=facts.trouble)
    yield _skew(POSTGRES, facts.postgres, trouble=facts.trouble)
    yield _skew(BETWEEN, _between(facts.redis, facts.postgres), trouble=facts.trouble)
    zone = "in UTC" if facts.zone_is_utc else "in another time zone than UTC"
    if facts.cron_expression_count is None:
        yield CRON_ZONE.unknown(facts.trouble)
    elif not facts.cron_expression_count:
        yield CRON_ZONE.fine("periodic jobs run by interval, which no time zone moves")
    else:
        yield CRON_ZONE.wished(
            holds=facts.zone_is_utc, found=f"{facts.cron_expression_count} jobs by cron expression, {zone}"
        )


def _between(redis: Reading | None, postgres: Reading | None) -> Reading | None:
    if redis is None or postgres is None:
        return None
    return Reading(
        offset_seconds=redis.offset_seconds - postgres.offset_seconds,
        round_trip_seconds=redis.round_trip_seconds + postgres.round_trip_seconds,
    )


def _skew(check: Check, reading: Reading | None, *, trouble: str) -> Finding:
    """What the round trip leaves open is given in neither direction: it is told, and too much of it is UNKNOWN."""
    if reading is None:
        return check.unknown(trouble)
    skew, doubt = abs(reading.offset_seconds), reading.uncertainty_seconds
    found = f"{skew * 1_000:.1f} ms apart, give or take {doubt * 1_000:.1f} ms"
    if skew - doubt > SKEW_FAIL_SECONDS:
        return check.fail(found)
    if skew - doubt > SKEW_WARNING_SECONDS:
        return check.warning(found)
    if skew + doubt > SKEW_FAIL_SECONDS:
        return check.unknown(found)
    return check.wished(holds=skew + doubt <= SKEW_WARNING_SECONDS, found=found)
