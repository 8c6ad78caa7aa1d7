"""Reads JSON bodies as providers send them: lenient where a promise can be kept, strict where nothing could be read."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from autocom.kernel import json_text
from ingestion.providers.adapter import BodyInvalid, ContentTypeUnsupported, InboundDelivery

TOO_DEEP = (
    object()
)  # valid so far as anybody can tell, but nested deeper than a parser goes: accepted, then a dead letter

EXACT_FLOAT_LIMIT = 2**53


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
    """Microseconds since 1970 of an RFC 3339 text or a Unix time (seconds.

    Or milliseconds from 11 digits on), or None.
    """
    found = value_at(value, path)
    try:
        if isinstance(found, str) and not found.replace(".", "", 1).isdigit():
            moment = datetime.fromisoformat(found)
            return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000_000)
        if isinstance(found, str | int | float) and not isinstance(found, bool):
            number = float(found)
            return int(number * 1_000_000) if number < 100_000_000_000 else int(number * 1_000)
    except (ValueError, OverflowError):
        return None
    return None


def compact(value: object) -> bytes:
    """JSON text of one element of a batch. Surrogates and NaN survive, so that the drain can judge them."""
    return json.dumps(value, separators=(",", ":")).encode()
