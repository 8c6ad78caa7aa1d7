"""What a latency page was asked for: ranges, provider and stage, all in its address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from autocom.kernel.errors import AutocomError
from console.pages.overview_figures import STAGE_TITLES
from console.time_range import RangeInvalid, TimeRange
from ingestion.latency import Stage
from ingestion.latency_series import (
    MERGED_AT_MOST,
    Grid,
    RolledUpMeanwhile,
    StageSeries,
    TooManyRows,
    grid_of,
    stage_series,
)
from ingestion.models import Provider

PROVIDER_LIMIT_CHARACTERS = 64
PROVIDERS_OFFERED = 200


class Unreadable(AutocomError):
    """The figures cannot be shown; the message says what to do."""

    code = "latency_unreadable"


@dataclass(frozen=True, slots=True)
class Choice:
    value: str
    title: str
    is_asked: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """`provider` None: all of them. `stage` None: all four."""

    provider: str | None
    stage: Stage | None

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> Asked:
        """Raises RangeInvalid for a stage that does not exist; a provider may be one that is long gone."""
        provider = parameters.get("provider", "").replace("\x00", "\N{REPLACEMENT CHARACTER}")
        stage = parameters.get("stage", "")
        if stage and stage not in list(Stage):
            raise RangeInvalid(f"there is no such stage: choose one of {', '.join(Stage)}")
        return cls(provider[:PROVIDER_LIMIT_CHARACTERS] or None, Stage(stage) if stage else None)

    @property
    def stages(self) -> Sequence[Stage]:
        return [self.stage] if self.stage else list(Stage)

    @property
    def charted(self) -> Stage:
        """The stage that is shown over time."""
        return self.stage or Stage.ACK


def provider_choices(asked: str | None) -> Sequence[Choice]:
    names = [*Provider.objects.order_by("name").values_list("name", flat=True)[:PROVIDERS_OFFERED]]
    if asked is not None and asked not in names:
        names.append(asked)
    return [Choice("", "All providers", asked is None), *(Choice(name, name, name == asked) for name in names)]


def stage_choices(asked: Stage | None) -> Sequence[Choice]:
    named = (Choice(stage.value, STAGE_TITLES[stage], stage is asked) for stage in Stage)
    return [Choice("", "All stages", asked is None), *named]


def read_series(
    found: TimeRange, asked: Asked, *, now: datetime, charted: Sequence[Stage]
) -> tuple[Grid, Mapping[Stage, StageSeries]]:
    """Raises Unreadable, django.db.Error."""
    grid = grid_of(since=found.since, until=found.until, now=now)
    try:
        return grid, stage_series(grid=grid, stages=asked.stages, charted=charted, provider=asked.provider)
    except TooManyRows as error:
        raise Unreadable(
            f"This range holds more than {MERGED_AT_MOST:,} rows of figures, too many for one page:"
            " choose a provider, a stage or a shorter range."
        ) from error
    except RolledUpMeanwhile as error:
        raise Unreadable("Figures of this range are being rolled up at this moment: reload the page.") from error
