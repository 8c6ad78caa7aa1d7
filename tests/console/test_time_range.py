"""The range of a page: what its address may say, what is refused and how, and links that keep their meaning."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.template.loader import render_to_string
from django.test import RequestFactory
from hypothesis import given
from hypothesis import strategies as st

from console.time_range import PRESETS, RangeInvalid, TimeRange, asked_range, frozen_address, time_range_context

NOW = datetime(2026, 5, 4, 12, 30, 15, 250_000, tzinfo=UTC)
REQUESTS = RequestFactory()


@pytest.mark.parametrize(
    ("asked_from", "asked_to", "since", "until"),
    [
        ("now-4h", "now", NOW - timedelta(hours=4), NOW),
        ("now-90m", "now-30m", NOW - timedelta(minutes=90), NOW - timedelta(minutes=30)),
        ("now-2w", "now-1d", NOW - timedelta(weeks=2), NOW - timedelta(days=1)),
        ("2026-05-01", "2026-05-02", datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 5, 2, tzinfo=UTC)),
        ("2026-05-01T10:05", "now", datetime(2026, 5, 1, 10, 5, tzinfo=UTC), NOW),
        ("2026-05-01T10:05:09Z", "now", datetime(2026, 5, 1, 10, 5, 9, tzinfo=UTC), NOW),
        ("2026-05-01 10:05+02:00", "now", datetime(2026, 5, 1, 8, 5, tzinfo=UTC), NOW),
    ],
)
def test_relative_and_absolute_times_are_understood_in_utc(
    asked_from: str, asked_to: str, since: datetime, until: datetime
) -> None:
    found = TimeRange.of(asked_from, asked_to, now=NOW)
    assert (found.since, found.until) == (since, until)
    assert found.since.tzinfo is UTC


@pytest.mark.parametrize(
    ("asked_from", "asked_to", "told"),
    [
        ("yesterday", "now", "from (“yesterday”) is no time: write now, now-4h"),
        ("now-4x", "now", "is no time"),
        ("now-", "now", "is no time"),
        ("now+1h", "now", "is no time"),
        ("now-999999w", "now", "is no time"),
        ("now-99999w", "now", "longer than 400 days"),
        ("2026-02-31", "now", "is no time"),
        ("2026-05-01T25:00", "now", "is no time"),
        ("0001-01-01T00:00+23:00", "now", "is no time"),
        ("now-1h", "1e9", "to (“1e9”) is no time"),
        ("now", "now-1h", "is not before to"),
        ("now-1h", "now-1h", "is not before to"),
        ("2027-01-01", "2027-01-02", "is in the future"),
        ("2024-01-01", "now", "longer than 400 days"),
        ("\x00", "now", "\\u0000"),
        ("\u202e" * 5_000, "now", "…”"),
        ("now-\u0661h", "now", "is no time"),
    ],
)
def test_what_is_no_range_is_refused_in_words(asked_from: str, asked_to: str, told: str) -> None:
    with pytest.raises(RangeInvalid) as refused:
        TimeRange.of(asked_from, asked_to, now=NOW)
    assert told in str(refused.value)
    assert len(str(refused.value)) < 300


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_text_gives_a_range_or_a_refusal(asked_from: str, asked_to: str) -> None:
    try:
        found = TimeRange.of(asked_from, asked_to, now=NOW)
    except RangeInvalid:
        return
    assert found.since < found.until


def test_without_parameters_the_default_holds_and_an_empty_one_is_none() -> None:
    assert asked_range({}, now=NOW).parameters == {"from": "now-1h", "to": "now"}
    assert asked_range({"from": "", "to": " "}, now=NOW).parameters == {"from": "now-1h", "to": "now"}
    assert asked_range({"vs_from": "now-3h"}, now=NOW, prefix="vs_").since == NOW - timedelta(hours=3)


def test_a_copied_link_shows_the_same_events_tomorrow() -> None:
    request = REQUESTS.get("/admin/latency/?from=now-1h&to=now&provider=a%26b")
    found = asked_range(request.GET, now=NOW)
    address = frozen_address(request, {"": found})
    again = asked_range(REQUESTS.get(address).GET, now=NOW + timedelta(days=1))
    assert not again.is_relative
    assert again.since <= found.since < again.since + timedelta(seconds=1)
    assert again.until - timedelta(seconds=1) < found.until <= again.until
    assert REQUESTS.get(address).GET["provider"] == "a&b"


def test_a_link_freezes_each_range_of_the_page() -> None:
    request = REQUESTS.get("/x/?from=now-1h&vs_from=now-2h&vs_to=now-1h")
    ranges = {prefix: asked_range(request.GET, now=NOW, prefix=prefix) for prefix in ("", "vs_")}
    assert "now" not in frozen_address(request, ranges)


@pytest.mark.parametrize("prefix", ["", "vs_"])
def test_the_form_keeps_the_other_parameters_and_escapes_everything(prefix: str) -> None:
    odd = '"><script>alert(1)</script>'
    request = REQUESTS.get("/x/", {f"{prefix}from": odd, "provider": odd, "to" if prefix else "other": "kept"})
    html = render_to_string(
        "console/_time_range.html", {"time_range": time_range_context(request, None, now=NOW, prefix=prefix)}
    )
    assert "<script>" not in html
    assert html.count('value="&quot;&gt;&lt;script&gt;') == 2
    assert 'value="kept"' in html
    for _, start in PRESETS:
        assert f"{prefix}from={start}&amp;{prefix}to=now" in html


def test_the_asked_preset_is_marked() -> None:
    request = REQUESTS.get("/x/?from=now-4h&to=now")
    presets = time_range_context(request, asked_range(request.GET, now=NOW), now=NOW)["presets"]
    assert [preset.title for preset in presets if preset.is_asked] == ["4 hours"]
