"""Days that pass at once, for retention."""

from __future__ import annotations

from datetime import timedelta

from autocom.kernel.clock import SYSTEM_CLOCK, ManualClock
from ingestion.pacing import Pace
from ingestion.retention.bounds import Bounds
from ingestion.retention.policy import RetentionPolicy
from ingestion.retention.run import RetentionReport, age_out

POLICY = RetentionPolicy(body_days=30, event_days=90, identity_days=0, figures_days=400)
AT_ONCE = Pace(pause=timedelta(0))


def in_days(days: float) -> ManualClock:
    """A clock that is so many days ahead, and whose budgets never end."""
    return ManualClock(wall_us=SYSTEM_CLOCK.now_us() + round(days * 86_400_000_000))


def age(
    *, days: float, policy: RetentionPolicy = POLICY, bounds: Bounds | None = None, pace: Pace = AT_ONCE
) -> RetentionReport:
    """Retention as it would run after so many days."""
    return age_out(policy, bounds=bounds or Bounds(), pace=pace, clock=in_days(days))
