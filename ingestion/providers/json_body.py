"""Reads JSON bodies as providers send them: lenient where a promise can be kept, strict where nothing could be read."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from autocom.kernel import json_text
from ingestion.providers.adapter import BodyInvalid, ContentTypeUnsupported, InboundDelivery

TOO_DEEP = (
    object()
)  # valid so far as anybody can tell, but nested deeper than a parser goes: accepted, then a dead letter

EXACT_FLOAT_LIMIT = 2**53
TIME_LIMIT_CHARS = 64
MILLISECONDS_FROM = 100_000_000_000  # as seconds it would be the year 5138
YEAR_10000_US = 253_402_300_800_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNIX_TIME = re.compile(r"\A([0-9]{1,18})(?:\.([0-9]{0,30}))?\Z")


def check_json_content_type(delivery: InboundDelivery) -> None:
    """Accepts application/json and any +json type. Raises ContentTypeUnsupported."""
    kind = delivery.content_type
    if kind != "application/json" and not kind.endswith("+json"):
        raise ContentTypeUnsupported(f"Content-Type is {kind or 'absent'}: send application/json")


def parse(body: bytes) -> object:
    """The value, or TOO_DEEP.

    NaN, lone surrogates and 1e400 pass here and become dead letters at the drain. Raises BodyInvalid.
    """
    if not body.strip():
        raise BodyInvalid("the body is empty: send a JSON object")
    try:
        value = json_text.loads(body)
        return json_text.loads_exactly(body) if is_batch(value) else value
    except RecursionError:
        return TOO_DEEP
    except UnicodeDecodeError:
        raise BodyInvalid("the body is not UTF-8") from None
    except ValueError as error:
        raise BodyInvalid(f"the body is not JSON: {error}") from None


def is_batch(value: object) -> bool:
    """True where the elements of a list will be written again, each for itself.

    Then no digit of a number may change.
    """
    if isinstance(value, dict):
        return any(isinstance(found, list) and found and isinstance(found[0], dict) for found in value.values())
    return isinstance(value, list)


def value_at(value: object, path: Sequence[str]) -> object:
    """What stands at a path of object keys and list positions, or None."""
    for step in path:
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def text_at(value: object, path: Sequence[str]) -> str:
    """A string or an exact number at the path as text.

    Else the empty string (also for true, false, null and what was rounded).
    """
    found = value_at(value, path)
    if isinstance(found, str):
        return found
    if isinstance(found, bool) or not isinstance(found, int | float):
        return ""
    if isinstance(found, float) and abs(found) >= EXACT_FLOAT_LIMIT:
        return ""  # an integer beyond 64 bits arrives rounded: two different ids would become one
    return str(found)


def time_us_at(value: object, path: Sequence[str]) -> int | None:
    """Microseconds since 1970 of an RFC 3339 text (UTC where it names no zone) or a Unix time.

    A Unix time is in seconds, or in milliseconds from 12 digits on. At most one microsecond off; None for anything that
    is no time from 1970 to 9999.
    """
    found = value_at(value, path)
    if isinstance(found, str):
        time_us = _time_of_text(found) if len(found) <= TIME_LIMIT_CHARS else None
    elif isinstance(found, int | float) and not isinstance(found, bool) and 0 <= found < YEAR_10000_US:
        whole = int(found)
        time_us = _unix_us(whole, round((found - whole) * 1_000_000))  # the rest of a float is exact
    else:
        return None
    return time_us if time_us is not None and 0 <= time_us < YEAR_10000_US else None


def _time_of_text(text: str) -> int | None:
    if match := _UNIX_TIME.match(text):
        return _unix_us(int(match[1]), int((match[2] or "")[:6].ljust(6, "0")))
    try:
        moment = datetime.fromisoformat(text)
        return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        return None


def _unix_us(whole: int, millionths: int) -> int:
    """Of a number in two parts: in floating point a time is a few microseconds off."""
    return whole * 1_000_000 + millionths if whole < MILLISECONDS_FROM else whole * 1_000 + millionths // 1_000


def compact(value: object) -> bytes:
    """JSON text of one element of a batch. Surrogates and NaN survive, so that the drain can judge them."""
    return json.dumps(value, separators=(",", ":")).encode()
