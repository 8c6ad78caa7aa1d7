"""Which payloads PostgreSQL can never store as jsonb, found before a batch meets the database."""

import json
import math
import re

import orjson

DEPTH_LIMIT = 128  # far above any provider's nesting, far below what exhausts PostgreSQL's or Python's stack


def why_unstorable(payload: bytes) -> str | None:
    """A sentence for a payload that can never be stored, None for one that can.

    orjson is the sieve: it refuses what is no JSON, lone surrogates, NaN and numbers too large to be read back. What
    it lets through is storable, but
    for an escaped NUL and for nesting that only PostgreSQL minds. Only what the sieve holds back is looked at closely.
    """
    if payload.count(b"[") + payload.count(b"{") > DEPTH_LIMIT and _depth(payload) > DEPTH_LIMIT:
        return f"nested deeper than {DEPTH_LIMIT} levels"
    if b"\\u0000" not in payload:
        try:
            orjson.loads(payload)
        except orjson.JSONDecodeError:
            pass
        else:
            return None
    try:
        _walk(json.loads(payload.decode(), parse_constant=_refuse_constant, parse_float=_finite))
    except RecursionError:
        return "nested too deeply to read"
    except ValueError as error:  # UnicodeError is one too
        return str(error)
    return None


def storable(text: str) -> str:
    """The text as PostgreSQL can hold it: NUL characters and lone surrogates written visibly."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")


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
