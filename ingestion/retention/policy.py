"""How long things are kept, as moments: what is older goes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self
from uuid import UUID

from django.conf import settings

from autocom.kernel.clock import us_of


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPolicy:
    """Days; 0 is for ever."""

    body_days: int
    event_days: int
    identity_days: int
    figures_days: int

    @classmethod
    def from_settings(cls) -> Self:
        environment = settings.AUTOCOM
        return cls(
            body_days=environment.retention_body_days,
            event_days=environment.retention_event_days,
            identity_days=environment.retention_identity_days,
            figures_days=environment.retention_figures_days,
        )


def moment_before(now: datetime, *, days: int) -> datetime | None:
    """None where things are kept for ever."""
    return now - timedelta(days=days) if days else None


def earliest_id(moment: datetime) -> UUID:
    """Below every request and event id that was made at this moment or later."""
    return UUID(int=us_of(moment) // 1_000 << 80)
