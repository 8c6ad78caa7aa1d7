"""Personal data in what is at hand, by the adapters' marks: looked for only where an error is about to leave."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import parse_qsl

from autocom.kernel import json_text
from ingestion.personal import leaves, parts_at

LENGTH_AT_LEAST = 4  # below it a value would be found in ordinary words


def texts_of_payload(payload: bytes, *, paths: Sequence[str] | None) -> Iterator[str]:
    """The values at the marked paths; each value where none is marked, as nothing is known of the payload then."""
    try:
        value: object = json_text.loads(payload)
    except (ValueError, RecursionError):
        value = dict(parse_qsl(payload.decode(errors="replace")))
    parts = [part for path in paths for part in parts_at(value, path.split("."))] if paths else [value]
    found = (leaf for part in parts for leaf in leaves(part))
    yield from long_enough(str(leaf) for leaf in found if leaf is not None and not isinstance(leaf, bool))


def long_enough(texts: Iterable[str]) -> Iterator[str]:
    yield from (text for text in texts if len(text) >= LENGTH_AT_LEAST)
