"""How values are shown: figures with their unit, times with their zone, bytes as text that can do no harm.

Everything that returns HTML builds it with `format_html`, which escapes its arguments: event types, errors and keys
come from outside.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

UNKNOWN = "UNKNOWN"
TEXT_LIMIT_COUNT = 65_536
ID_TAIL_COUNT = 8
_SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key"})
_STEPS = ((timedelta(days=1), "d"), (timedelta(hours=1), "h"), (timedelta(minutes=1), "min"))


def milliseconds(value_ms: float | None) -> str:
    """Three significant digits: `8.31 ms`, `1.20 s`. UNKNOWN for None."""
    if value_ms is None:
        return UNKNOWN
    if value_ms >= 999.5:
        return f"{value_ms / 1_000:,.2f} s"
    if value_ms >= 99.95:
        return f"{value_ms:.0f} ms"
    return f"{value_ms:.1f} ms" if value_ms >= 9.995 else f"{value_ms:.2f} ms"


def size(count_bytes: int) -> str:
    """`812 bytes`, `1.4 KiB`, `256.0 MiB`."""
    if count_bytes < 1_024:
        return f"{count_bytes} byte{'' if count_bytes == 1 else 's'}"
    value = float(count_bytes)
    for unit in ("KiB", "MiB", "GiB"):
        value /= 1_024
        if value < 1_024:
            return f"{value:,.1f} {unit}"
    return f"{value / 1_024:,.1f} TiB"


def between(start: datetime, end: datetime) -> str:
    """The time from one moment to another; a negative one (two machines' clocks) keeps its sign."""
    passed_ms = (end - start) / timedelta(milliseconds=1)
    return f"-{milliseconds(-passed_ms)}" if passed_ms < 0 else milliseconds(passed_ms)


def age(passed: timedelta) -> str:
    """`850 ms`, `42 s`, `3 min`, `5 h`, `12 d`: the largest unit that fits, rounded down."""
    if passed < timedelta(seconds=1):
        return f"{max(passed // timedelta(milliseconds=1), 0)} ms"
    for step, unit in _STEPS:
        if passed >= step:
            return f"{passed // step} {unit}"
    return f"{passed // timedelta(seconds=1)} s"


def moment(value: datetime | None, *, now: datetime | None = None) -> SafeString | str:
    """UTC to the millisecond and how long ago that was."""
    if value is None:
        return "never"
    utc = value.astimezone(UTC)
    passed = (now or datetime.now(UTC)) - utc
    told = f"{age(passed)} ago" if passed >= timedelta(0) else f"in {age(-passed)}"
    return format_html(
        '<time class="console-time" datetime="{}">{} UTC <span class="console-ago">{}</span></time>',
        utc.isoformat(timespec="microseconds"),
        f"{utc:%Y-%m-%d %H:%M:%S}.{utc.microsecond // 1_000:03d}",
        told,
    )


def short_id(value: UUID) -> SafeString:
    """The last eight digits: the first ones of a time-ordered id are alike for a minute's events."""
    return format_html('<span class="console-mono" title="{}">…{}</span>', value, str(value)[-ID_TAIL_COUNT:])


def whole_id(value: UUID | str) -> SafeString:
    """The id with a button that copies it; without JavaScript the text can be selected."""
    return format_html(
        '<span class="console-copy"><code class="console-mono">{0}</code>'
        '<button type="button" class="console-copy-button" data-copy="{0}" aria-label="Copy {0}" hidden>Copy</button>'
        "</span>",
        value,
    )


def short_digest(value: str) -> SafeString:
    """The first twelve digits, with a button that copies all of them."""
    return format_html(
        '<span class="console-copy"><code class="console-mono" title="{0}">{1}…</code>'
        '<button type="button" class="console-copy-button" data-copy="{0}" aria-label="Copy {0}" hidden>Copy</button>'
        "</span>",
        value,
        value[:12],
    )


def digest(value: bytes | memoryview | None) -> SafeString | str:
    return "none" if value is None else format_html('<code class="console-mono">{}</code>', bytes(value).hex())


def mono(value: object) -> SafeString:
    return format_html('<span class="console-mono">{}</span>', value)


def folded(summary: str, text: str) -> SafeString:
    """Text of unknown size and origin, closed until asked for."""
    return format_html(
        '<details class="console-fold"><summary>{}</summary><pre class="console-pre" tabindex="0">{}</pre></details>',
        summary,
        text,
    )


def folded_json(value: object, *, sort_keys: bool = False) -> SafeString:
    text = json.dumps(value, indent=2, ensure_ascii=False, sort_keys=sort_keys)
    return folded(f"Show payload ({len(text):,} characters)", _cut(visible(text)))


def folded_bytes(value: bytes | memoryview) -> SafeString:
    """UTF-8 where it is UTF-8; every other byte, and every control character, by its number."""
    raw = bytes(value)
    return folded(f"Show bytes ({len(raw):,})", _cut(visible(raw.decode("utf-8", "backslashreplace"))))


def headers_table(headers: Mapping[str, object]) -> SafeString | str:
    """Names and values; what would let the reader in as the provider is masked."""
    if not headers:
        return "none kept"
    rows = ((name, visible(value)) for name, value in masked(headers).items())
    return format_html(
        '<table class="console-table"><thead><tr><th scope="col">Header</th><th scope="col">Value</th></tr></thead>'
        "<tbody>{}</tbody></table>",
        format_html_join("", '<tr><th scope="row">{}</th><td class="console-mono">{}</td></tr>', rows),
    )


def masked(headers: Mapping[str, object]) -> dict[str, str]:
    """What would let the reader in as the provider is not told."""
    return {name: "••••••••" if name.lower() in _SECRET_HEADERS else str(value) for name, value in headers.items()}


def visible(text: str) -> str:
    """Control and direction-changing characters as escapes: a payload must not rearrange what a person reads."""
    return "".join(c if c in "\n\t" or (c.isprintable() and c not in _DIRECTION) else f"\\u{ord(c):04x}" for c in text)


_DIRECTION = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def _cut(text: str) -> str:
    if len(text) <= TEXT_LIMIT_COUNT:
        return text
    return f"{text[:TEXT_LIMIT_COUNT]}\n… {len(text) - TEXT_LIMIT_COUNT:,} more characters are not shown"
