"""Personal data as others may see it: what a recipe marks, with its values left out. Pure.

A mask tells the kind of a value (an address, a number, a list) and nothing of its length or count.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Final

from ingestion.providers.adapter import KeyNames
from ingestion.providers.registry import key_names, personal_paths

MASK: Final = "•••"
ADDRESS_MASK: Final = f"{MASK}@{MASK}"
PHONE_MASK: Final = f"+{MASK}"
NAME_CHARS_AT_LEAST = 6  # of two words or more
WORD_CHARS_AT_LEAST = 9  # shorter ones (a country, a browser) are words of other texts too
_PHONE = re.compile(r"\A\+?[\d\s().-]{7,}\Z")
_QUOTED = re.compile(r"[\"'].*[\"']")  # to the last one: what is quoted may hold quotation marks
_NAMES_SOMEBODY = re.compile(r"[^\s\"'<>]+@[^\s\"'<>]+|\+?\d[\d\s().-]{6,}\d")
_RECIPIENT_HASH = re.compile(r"(?:(?<=:)|\A)[0-9a-f]{16}\Z")  # as `event_keys.recipient_key` writes it


@dataclass(frozen=True, slots=True)
class Marked:
    """What a recipe marks. `paths` is None where its adapter is gone: then any part may be personal."""

    recipe: str
    paths: tuple[str, ...] | None

    @property
    def is_empty(self) -> bool:
        return self.paths == ()

    def payload(self, value: object) -> object:
        """The payload with the marked values masked, and what they say where it stands elsewhere too."""
        if self.paths is None or (self.paths and not isinstance(value, dict | list)):
            return mask_of(value)
        texts = self.texts(value)
        masked: object = reduce(lambda rest, path: _without(rest, path.split(".")), self.paths, value)
        return _everywhere(masked, texts) if texts else masked

    def texts(self, value: object) -> frozenset[str]:
        """The marked texts of a payload that name somebody wherever else they stand."""
        if self.paths is None or not isinstance(value, dict | list):
            found: Iterator[object] = leaves(value) if not self.is_empty else iter(())
        else:
            found = (leaf for path in self.paths for part in parts_at(value, path.split(".")) for leaf in leaves(part))
        return frozenset(leaf for leaf in found if isinstance(leaf, str) and _is_telling(leaf))

    def ordering_key(self, key: str, *, texts: frozenset[str] = frozenset()) -> str:
        """Without its part that names a recipient."""
        match key_names(self.recipe):
            case KeyNames.NOBODY:
                return without_texts(key, texts)
            case KeyNames.RECIPIENT:
                return without_texts(_RECIPIENT_HASH.sub(MASK, key), texts)
            case KeyNames.CHOSEN:
                return without_texts(key, texts) if _is_id(key) else MASK
        return MASK

    def error(self, error: str, *, texts: frozenset[str] = frozenset()) -> str:
        """Its first line without what it quotes, as PostgreSQL and Python quote values and further lines show rows."""
        if self.is_empty:
            return error
        line = _QUOTED.sub(f"“{MASK}”", error.partition("\n")[0])
        return without_texts(_NAMES_SOMEBODY.sub(MASK, line), texts)


def marked_by(recipe: str) -> Marked:
    return Marked(recipe, personal_paths(recipe))


def mask_of(value: object) -> object:
    """The kind of the value; null stays, as there is nothing to tell."""
    match value:
        case None:
            return None
        case str() if "@" in value:
            return ADDRESS_MASK
        case str() if _PHONE.match(value):
            return PHONE_MASK
        case bool():
            return f"{MASK} (true or false)"
        case int() | float():
            return f"{MASK} (number)"
        case dict():
            return f"{MASK} (object)"
        case list():
            return f"{MASK} (list)"
    return MASK


def without_texts(text: str, texts: frozenset[str]) -> str:
    """Longest first: one text may hold another."""
    return reduce(lambda rest, each: rest.replace(each, MASK), sorted(texts, key=len, reverse=True), text)


def below(path: str, paths: Sequence[str] | None) -> str:
    """A dotted path (`a.b[3].c`) cut to the marked one that it leads into: names beneath it may be personal too."""
    if paths is None:
        return MASK
    bare = re.sub(r"\[\d+\]", "", path)
    return next((each for each in paths if bare == each or bare.startswith((f"{each}.", f"{each} "))), path)


def _without(value: object, path: Sequence[str]) -> object:
    if isinstance(value, list):
        return [_without(each, path) for each in value]
    if not isinstance(value, dict):
        # a text where the recipe knows an object may hold it, written out
        return mask_of(value) if isinstance(value, str) else value
    if path[0] not in value:
        return value
    inner = value[path[0]]
    return {**value, path[0]: mask_of(inner) if len(path) == 1 else _without(inner, path[1:])}


def parts_at(value: object, path: Sequence[str]) -> Iterator[object]:
    """What stands at a path; a list on the way means each of its elements."""
    if isinstance(value, list):
        for each in value:
            yield from parts_at(each, path)
    elif not isinstance(value, dict):
        yield value
    elif path[0] in value:
        if len(path) == 1:
            yield value[path[0]]
        else:
            yield from parts_at(value[path[0]], path[1:])


def leaves(value: object) -> Iterator[object]:
    pending = [value]
    while pending:
        each = pending.pop()
        if isinstance(each, dict):
            pending += [*(name for name in each if "@" in name), *each.values()]
        elif isinstance(each, list):
            pending += each
        else:
            yield each


def _everywhere(value: object, texts: frozenset[str]) -> object:
    if isinstance(value, dict):
        return {without_texts(str(name), texts): _everywhere(each, texts) for name, each in value.items()}
    if isinstance(value, list):
        return [_everywhere(each, texts) for each in value]
    return without_texts(value, texts) if isinstance(value, str) else value


def _is_telling(text: str) -> bool:
    """An address, a number, a name, a login."""
    enough = NAME_CHARS_AT_LEAST if " " in text.strip() else WORD_CHARS_AT_LEAST
    return "@" in text or _PHONE.match(text) is not None or len(text) >= enough


def _is_id(key: str) -> bool:
    """What an operator chose as key and what can be nobody's address, number or name."""
    has_digit, has_letter = any(c.isdigit() for c in key), any(c.isalpha() for c in key)
    return has_digit and has_letter and all(c.isalnum() or c in "-_#" for c in key)
