"""Which payloads PostgreSQL can never store as jsonb, found before a batch meets the database."""

import json
import math
import re

DEPTH_LIMIT = 128  # far above any provider's nesting, far below what exhausts PostgreSQL's or Python's stack

# Only a payload that matches is looked at closely: an escaped NUL or surrogate, NaN or Infinity, a huge exponent or number, or much nesting.
_SUSPICIOUS = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])|NaN|Infinity|[eE]\+?\d{3}|\d{300}|\x00")


def why_unstorable(payload: bytes) -> str | None:
    """A sentence for a payload that can never be stored, None for one that can."""
    if payload.count(b"[") + payload.count(b"{") > DEPTH_LIMIT and _depth(payload) > DEPTH_LIMIT:
        return f"nested deeper than {DEPTH_LIMIT} levels"
    if not _SUSPICIOUS.search(payload):
        return None
    try:
        text = payload.decode()
        value = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
        _walk(value)
    except RecursionError:
        return "nested too deeply to read"
    except ValueError as error:  # UnicodeError is one too
        return str(error)
    return None


def _depth(payload: bytes) -> int:
    """The deepest nesting, brackets inside strings left out."""
    depth = deepest = 0
    for bracket in re.finditer(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', payload):
        mark = bracket.group()
        if mark in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif mark in b"]}":
            depth -= 1
    return deepest


def _walk(value: object) -> None:
    """Raises ValueError at a text that PostgreSQL cannot hold."""
    pending = [value]
    while pending:
        match pending.pop():
            case str() as text:
                if "\x00" in text:
                    raise ValueError("a text has a NUL character (\\u0000)")
                try:
                    text.encode()
                except UnicodeEncodeError:
                    raise ValueError("a text has a lone surrogate") from None
            case dict() as mapping:
                pending.extend(mapping)
                pending.extend(mapping.values())
            case list() as items:
                pending.extend(items)
            case _:
                pass


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number is too large to be read back (such as 1e400)")
    return number
