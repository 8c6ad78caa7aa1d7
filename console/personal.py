"""Content as pages show it: what the recipe marks as personal is masked for everybody. `reveal` shows it once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from django.utils.html import format_html
from django.utils.safestring import SafeString

from console.differences import differing_paths, readable
from console.shown import folded, folded_bytes, folded_json, headers_table
from ingestion.models import DeadLetter, Event, QuarantinedEvent
from ingestion.personal import MASK, Marked, below, marked_by, without_texts

type Content = Event | DeadLetter | QuarantinedEvent

UNREADABLE = "masked whole: these bytes cannot be read as JSON, so nobody can tell where they hold personal data"
ERROR_SHOWN_COUNT = 160


@dataclass(frozen=True, slots=True)
class Masked:
    """One row's content and what its recipe marks. `value` is None where it cannot be read."""

    row: Content
    marked: Marked
    value: object
    texts: frozenset[str]

    @classmethod
    def of(cls, row: Content) -> Self:
        marked = marked_by(row.recipe)
        value = None if marked.is_empty else _value(row)
        return cls(row, marked, value, marked.texts(value))

    @property
    def is_masked(self) -> bool:
        """Something may be hidden, so there is something to reveal."""
        return not self.marked.is_empty

    @property
    def ordering_key(self) -> str:
        return self.marked.ordering_key(self.row.ordering_key, texts=self.texts)

    def payload(self, *, sort_keys: bool = False) -> SafeString | str:
        """Of an event as JSON, of a letter as its bytes or what can be read of them. Nothing tells their length."""
        if not self.is_masked:
            return _plain(self.row, sort_keys=sort_keys)
        if self.value is None:
            return UNREADABLE
        return folded_json(self.marked.payload(self.value), sort_keys=sort_keys)

    def masked_value(self) -> object:
        """For programs: None where it cannot be read."""
        return None if self.value is None else self.marked.payload(self.value)

    def error(self, error: str) -> str:
        return self.marked.error(error, texts=self.texts)

    def folded_error(self, error: str, *, summary: str = "") -> SafeString:
        told = self.error(error)
        return folded(summary or told[:ERROR_SHOWN_COUNT] or "no message", told)

    def headers(self, headers: Mapping[str, object]) -> SafeString | str:
        return headers_table(self.header_texts(headers))

    def header_texts(self, headers: Mapping[str, object]) -> dict[str, str]:
        if self.marked.paths is None:
            return dict.fromkeys(headers, MASK)
        return {name: without_texts(str(value), self.texts) for name, value in headers.items()}


def _value(row: Content) -> object:
    if isinstance(row, Event):
        return row.payload
    try:
        return readable(bytes(row.payload_bytes))
    except ValueError:
        return None


def _plain(row: Content, *, sort_keys: bool) -> SafeString:
    if isinstance(row, Event):
        return folded_json(row.payload, sort_keys=sort_keys)
    raw = bytes(row.payload_bytes)
    try:
        return folded_json(readable(raw), sort_keys=True) if sort_keys else folded_bytes(raw)
    except ValueError:
        return folded_bytes(raw)


def listed_key(row: Content) -> str:
    """For lists, which do not read payloads."""
    return marked_by(row.recipe).ordering_key(row.ordering_key)


def differing(one: object, other: object, *, recipe: str) -> Sequence[str]:
    """Where two contents differ, each path cut to the marked one that it leads into."""
    paths = marked_by(recipe).paths
    found = differing_paths(one, other)
    return list(dict.fromkeys(found if paths == () else [below(path, paths) for path in found]))


def masked_note(masked: Masked) -> SafeString | str:
    """Under a content that is masked."""
    if not masked.is_masked:
        return "nothing: its provider's adapter marks nothing as personal"
    paths = masked.marked.paths
    what = "everything, as the adapter of its recipe is gone" if paths is None else ", ".join(paths)
    return format_html("{} stands for what {} may hold: {}", MASK, masked.row.recipe, what)
