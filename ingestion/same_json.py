"""Whether two JSON texts have one value as PostgreSQL's jsonb has it: digits count, how they are written does not."""

from __future__ import annotations

import json
import re
from decimal import Decimal

import orjson

_LONG_NUMBER = re.compile(rb"[0-9.]{16}")  # more digits than a double holds


def is_same_json(one: bytes, other: bytes) -> bool:
    """False where either is no JSON."""
    if _LONG_NUMBER.search(one) is None and _LONG_NUMBER.search(other) is None:
        try:
            if _sorted(one) == _sorted(other):
                return True
        except (orjson.JSONDecodeError, TypeError):
            pass
    try:
        return bool(_exact(one) == _exact(other))
    except (ValueError, RecursionError):
        return False


def _sorted(text: bytes) -> bytes:
    return orjson.dumps(orjson.loads(text), option=orjson.OPT_SORT_KEYS)


def _exact(text: bytes) -> object:
    return json.loads(text.decode(), parse_int=_number, parse_float=_number)


def _number(text: str) -> tuple[str, Decimal]:
    return "number", Decimal(text)  # a pair: the number 1 is not true
