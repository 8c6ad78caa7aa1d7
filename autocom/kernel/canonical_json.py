"""JSON with one spelling for each value: what digests and signatures are made over.

The bytes are those of RFC 8785, for the values that it is refused nothing of: null, booleans, texts, integers that a
double holds exactly, lists and objects. Floats are refused, as their spelling is the hard part of that RFC and nothing
signed here needs one; so is U+0000, which PostgreSQL cannot keep.
"""

import json
from collections.abc import Mapping

INTEGER_LIMIT = 2**53 - 1


class NotCanonical(ValueError):
    """The value has no canonical form; the message says what is wrong and what to write instead."""


def canonical_json(value: object) -> bytes:
    """UTF-8 without blanks, names in the order of their UTF-16 units. Raises NotCanonical."""
    return _bytes(_written(value))


def _written(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return _integer(value)
        case str():
            return _text(value)
        case list() | tuple():
            return f"[{','.join(map(_written, value))}]"
        case Mapping():
            return f"{{{','.join(f'{_text(name)}:{_written(value[name])}' for name in _ordered(value))}}}"
    raise NotCanonical(f"a {type(value).__name__} has no canonical form: write it as text or as an integer")


def _ordered(value: Mapping[object, object]) -> list[str]:
    names = [name for name in value if isinstance(name, str)]
    if len(names) < len(value):
        raise NotCanonical("a name in an object is no text: write it as text")
    return sorted(names, key=lambda name: _bytes(name, "utf-16-be"))


def _integer(value: int) -> str:
    if abs(value) > INTEGER_LIMIT:
        raise NotCanonical(f"{value} is beyond 2^53 - 1, which not every reader of JSON keeps: write it as text")
    return str(int(value))


def _text(value: str) -> str:
    if "\x00" in value:
        raise NotCanonical("a text has the character U+0000: leave it out")
    return json.dumps(str(value), ensure_ascii=False)


def _bytes(text: str, encoding: str = "utf-8") -> bytes:
    try:
        return text.encode(encoding)
    except UnicodeEncodeError:
        raise NotCanonical("a text has half of a surrogate pair: leave it out") from None
