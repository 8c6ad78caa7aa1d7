"""The range of time that a page shows. It is in the page's address: `from=now-4h&to=now`, or UTC times.

A page reads it with `asked_range(request.GET, now=...)`, gives `time_range_context(...)` to its template as
`time_range`, and includes `console/_time_range.html`. A second range of the same page has `prefix="vs_"`.

    from, to    `now`; `now-` and a number with m, h, d or w; or `2026-11-30`, `2026-11-30T10:05`, with seconds, `Z` or
                an offset where wanted. Without an offset it is UTC.

What cannot be understood is a `RangeInvalid` whose message a person can act on; nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from urllib.parse import urlencode

from django.http import HttpRequest, QueryDict

from autocom.kernel.errors import AutocomError
from console.shown import age, moment, visible

UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
PRESETS = (
    ("15 minutes", "now-15m"),
    ("hour", "now-1h"),
    ("4 hours", "now-4h"),
    ("24 hours", "now-24h"),
    ("7 days", "now-7d"),
    ("30 days", "now-30d"),
)
LONGEST = timedelta(days=400)
SHOWN_CHARACTERS = 60
_RELATIVE = re.compile(r"now(?:-(\d{1,5})([mhdw]))?", re.ASCII)
_ABSOLUTE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?)?", re.ASCII)
HOW = "write now, now-4h (m, h, d or w), or a time in UTC such as 2026-11-30T10:05"


class RangeInvalid(AutocomError):
    """What was asked for is no range of time."""

    code = "range_invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeRange:
    """`since` is before `until`. The texts are what the address says, relative where it is."""

    asked_from: str
    asked_to: str
    since: datetime
    until: datetime

    @classmethod
    def of(cls, asked_from: str, asked_to: str, *, now: datetime) -> Self:
        """Raises RangeInvalid."""
        since = _moment(asked_from, name="from", now=now)
        until = _moment(asked_to, name="to", now=now)
        if since >= until:
            raise RangeInvalid(f"from ({_told(asked_from)}) is not before to ({_told(asked_to)})")
        if until - since > LONGEST:
            raise RangeInvalid(f"the range is longer than {LONGEST.days} days: no figures are kept for so long")
        if since > now:
            raise RangeInvalid(f"from ({_told(asked_from)}) is in the future")
        return cls(asked_from=asked_from, asked_to=asked_to, since=since, until=until)

    @property
    def is_relative(self) -> bool:
        return self.asked_from.startswith("now") or self.asked_to.startswith("now")

    @property
    def parameters(self) -> dict[str, str]:
        """As asked: a relative range moves on with the clock."""
        return {"from": self.asked_from, "to": self.asked_to}

    @property
    def frozen(self) -> dict[str, str]:
        """The same range for ever, to the second that holds its ends."""
        until = self.until + timedelta(seconds=1, microseconds=-1)
        return {"from": _written(self.since), "to": _written(until)}


def asked_range(
    parameters: Mapping[str, str], *, now: datetime, prefix: str = "", default: tuple[str, str] = ("now-1h", "now")
) -> TimeRange:
    """Of an address's parameters; the default for what is not given. Raises RangeInvalid."""
    asked_from, asked_to = _asked(parameters, prefix, default)
    return TimeRange.of(asked_from, asked_to, now=now)


@dataclass(frozen=True, slots=True)
class Preset:
    title: str
    query: str
    is_asked: bool


def time_range_context(
    request: HttpRequest,
    found: TimeRange | None,
    *,
    now: datetime,
    prefix: str = "",
    default: tuple[str, str] = ("now-1h", "now"),
) -> dict[str, Any]:
    """What `_time_range.html` draws. `found` is None where the range was refused: its texts stay in the form."""
    asked_from, asked_to = _asked(request.GET, prefix, default)
    return {
        "prefix": prefix,
        "asked_from": asked_from,
        "asked_to": asked_to,
        "presets": [
            Preset(
                title,
                _query(request.GET, {f"{prefix}from": start, f"{prefix}to": "now"}),
                is_asked=(asked_from, asked_to) == (start, "now"),
            )
            for title, start in PRESETS
        ],
        "kept": _kept(request.GET, {f"{prefix}from", f"{prefix}to"}),
        "how": HOW,
        "since": moment(found.since, now=now) if found else "",
        "until": moment(found.until, now=now) if found else "",
        "length": age(found.until - found.since) if found else "",
    }


def frozen_address(request: HttpRequest, ranges: Mapping[str, TimeRange]) -> str:
    """The page's whole address with each range (by its prefix) at fixed times: what "copy link" copies."""
    fixed = {f"{prefix}{name}": text for prefix, found in ranges.items() for name, text in found.frozen.items()}
    return request.build_absolute_uri(f"{request.path}{_query(request.GET, fixed)}")


def _asked(parameters: Mapping[str, str], prefix: str, default: tuple[str, str]) -> tuple[str, str]:
    asked_from = parameters.get(f"{prefix}from", "").strip() or default[0]
    asked_to = parameters.get(f"{prefix}to", "").strip() or default[1]
    return asked_from, asked_to


def _moment(text: str, *, name: str, now: datetime) -> datetime:
    relative = _RELATIVE.fullmatch(text)
    try:
        if relative:
            return now - int(relative[1]) * UNITS[relative[2]] if relative[1] else now
        if _ABSOLUTE.fullmatch(text):
            found = datetime.fromisoformat(text)
            return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):  # the 31st of February, or before the year 1
        pass
    raise RangeInvalid(f"{name} ({_told(text)}) is no time: {HOW}")


def _told(text: str) -> str:
    shown = visible(text)
    return f"“{shown[:SHOWN_CHARACTERS]}{'…' if len(shown) > SHOWN_CHARACTERS else ''}”"


def _written(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _kept(parameters: QueryDict, replaced: set[str]) -> Sequence[tuple[str, str]]:
    return [(name, str(value)) for name, value in parameters.items() if name not in replaced]


def _query(parameters: QueryDict, changed: Mapping[str, str]) -> str:
    return "?" + urlencode([*_kept(parameters, set(changed)), *changed.items()])
