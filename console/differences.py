"""Where two JSON values differ, as paths without values: what to look at first in two long contents."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice, zip_longest

from ingestion.poison import why_unstorable

PATHS_LIMIT_COUNT = 20
DEPTH_LIMIT = 40
PATH_LIMIT_CHARS = 120
_ABSENT = object()


def readable(raw: bytes) -> object:
    """The JSON value. Raises ValueError for what is none, or none that could be stored: such as one nested too deep."""
    if why := why_unstorable(raw):
        raise ValueError(why)
    value: object = json.loads(raw)
    return value


def differing_paths(one: object, other: object) -> Sequence[str]:
    """At most PATHS_LIMIT_COUNT dotted paths, in the order of the first value."""
    return [path[:PATH_LIMIT_CHARS] for path in islice(_differing(one, other, "", 0), PATHS_LIMIT_COUNT)]


def _differing(one: object, other: object, path: str, depth: int) -> Iterator[str]:
    here = path or "the whole content"
    if depth < DEPTH_LIMIT and isinstance(one, dict) and isinstance(other, dict):
        for name in dict.fromkeys((*one, *other)):
            inner = f"{path}.{name}" if path else str(name)
            yield from _differing(one.get(name, _ABSENT), other.get(name, _ABSENT), inner, depth + 1)
    elif depth < DEPTH_LIMIT and isinstance(one, list) and isinstance(other, list):
        for position, (left, right) in enumerate(zip_longest(one, other, fillvalue=_ABSENT)):
            yield from _differing(left, right, f"{path}[{position}]", depth + 1)
    elif one is _ABSENT or other is _ABSENT:
        yield f"{here} ({'only in the second' if one is _ABSENT else 'only in the first'})"
    elif type(one) is not type(other) or one != other:
        yield here
