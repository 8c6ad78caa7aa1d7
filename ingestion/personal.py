"""Personal data in what is at hand, by the adapters' marks: looked for only where an error is about to leave."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import parse_qsl

from autocom.kernel import json_text

LENGTH_AT_LEAST = 4  # below it a value would be found in ordinary words
DEPTH_AT_MOST = 64


def texts_of_payload(payload: bytes, *, paths: Sequence[str] | None) -> Iterator[str]:
    """The values at the marked paths; each value where none is marked, as nothing is known of the payload then."""
    try:
        value = json_text.loads(payload)
    except (ValueError, RecursionError):
        value = dict(parse_qsl(payload.decode(errors="replace")))
    if not paths:
        yield from long_enough(_leaves(value))
        return
    for path in paths:
        for found in _at(value, path.split(".")):
            yield from long_enough(_leaves(found))


def _at(value: Any, names: Sequence[str]) -> Iterator[Any]:
    """A list on the way means each of its elements."""
    if isinstance(value, list):
        for each in value:
            yield from _at(each, names)
    elif not names:
        yield value
    elif isinstance(value, dict) and names[0] in value:
        yield from _at(value[names[0]], names[1:])


def _leaves(value: Any, depth: int = 0) -> Iterator[str]:
    if depth > DEPTH_AT_MOST:
        return
    match value:
        case str():
            yield value
        case dict():
            for each in value.values():
                yield from _leaves(each, depth + 1)
        case list():
            for each in value:
                yield from _leaves(each, depth + 1)
        case bool() | None:
            return
        case _:
            yield str(value)


def long_enough(texts: Iterator[str] | Sequence[str]) -> Iterator[str]:
    yield from (text for text in texts if len(text) >= LENGTH_AT_LEAST)
