"""Ranges, provider and stage as the page's address has them."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from datetime import UTC, datetime

from console.management.errors import UsageWrong
from console.pages.latency_asked import Asked, read_series
from console.time_range import RangeInvalid, TimeRange, asked_range
from ingestion.latency import Stage
from ingestion.latency_series import Grid, StageSeries

FROM_HELP = "now-4h (m, h, d or w), or a time in UTC such as 2026-11-30T10:05"


def add_range(parser: ArgumentParser, *, default: tuple[str, str], prefix: str = "") -> None:
    since, until = default
    options = prefix.replace("_", "-")
    parser.add_argument(
        f"--{options}from", dest=f"{prefix}from", metavar="TIME", default=since, help=f"{FROM_HELP}; default: {since}"
    )
    parser.add_argument(f"--{options}to", dest=f"{prefix}to", metavar="TIME", default=until, help=f"default: {until}")


def add_filters(parser: ArgumentParser) -> None:
    parser.add_argument("--provider", metavar="NAME", default="", help="default: all of them together")
    parser.add_argument("--stage", default="", choices=[stage.value for stage in Stage], help="default: all four")


def range_of(options: Mapping[str, str], *, now: datetime, prefix: str = "") -> TimeRange:
    """Raises UsageWrong."""
    try:
        return asked_range(options, now=now, prefix=prefix)
    except RangeInvalid as error:
        raise UsageWrong(str(error)) from error


def series_of(
    found: TimeRange, *, provider: str, stage: str, now: datetime
) -> tuple[Grid, Mapping[Stage, StageSeries]]:
    """Raises Unreadable."""
    asked = Asked.of({"provider": provider, "stage": stage})
    return read_series(found, asked, now=now, charted=[])


def moment_now() -> datetime:
    return datetime.now(UTC)
