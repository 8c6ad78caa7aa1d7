"""JSON text, fast where it is ordinary and complete where it is not.

orjson is several times faster than the standard library and stricter: it refuses lone surrogates and NaN. Those must
survive up to the drain, which
buries them with their bytes, so the standard library takes over where orjson will not.
"""

import json
from typing import Any

import orjson


def dumps(value: object) -> bytes:
    """Compact JSON as UTF-8 (ASCII with escapes where the value holds a lone surrogate).

    Raises TypeError, ValueError.
    """
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":")).encode()


def loads(text: bytes) -> Any:
    """The value; an integer beyond 64 bits may come as a float.

    Raises ValueError (UnicodeDecodeError where it is not UTF-8), or RecursionError where it is nested too deeply.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    return loads_exactly(text)


def loads_exactly(text: bytes) -> Any:
    """As `loads`, with integers of any size exact, for a value that is written again; several times slower."""
    return json.loads(text.decode())  # RFC 8259: UTF-8 and nothing else; json would take UTF-16 bytes too
