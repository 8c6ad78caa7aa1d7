"""What a search term means: exact matches, qualified (`type:bounced`) or bare, and which of them an index serves.

Terms are joined by "and". A bare word is tried as an id, then as a message id, then as an ordering key; the first that
matches a row wins, and the page says which one it was.
"""

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import reduce
from operator import or_
from uuid import UUID

from django.db.models import Model, Q, QuerySet

from autocom.kernel.ids import last_event_id_of, request_id_of
from ingestion.personal import marked_by
from ingestion.providers.registry import ADAPTERS

TERM_LIMIT_COUNT = 5
SUGGESTED_COUNT = 3  # of each qualifier
KEY_FIELD = "ordering_key"


@dataclass(frozen=True, slots=True)
class Matched:
    """A condition on rows (None: every row) and the sentences that tell the reader how the term was understood."""

    condition: Q | None = None
    is_indexed: bool = True
    told: Sequence[str] = ()
    problem: str = ""
    suggested: Sequence[str] = ()  # terms that the reader may have meant


@dataclass(frozen=True, slots=True)
class Qualifier:
    """A column that a qualifier matches exactly. `is_indexed`: an index leads to its rows."""

    field: str
    name: str
    is_indexed: bool
    is_id: bool = False


QUALIFIERS: Mapping[str, Qualifier] = {
    "message": Qualifier("message_id", "message id", is_indexed=True),
    "type": Qualifier("event_type", "type", is_indexed=False),
    "key": Qualifier(KEY_FIELD, "ordering key", is_indexed=True),
    "provider": Qualifier("provider", "provider", is_indexed=False),
}
ID_QUALIFIERS = ("id", "request")
BARE = ("original", "message", "key")  # the qualifiers that a bare word is tried for, in this order


def matched_events[Row: Model](
    term: str, queryset: QuerySet[Row], *, may_reveal: bool, qualifiers: Mapping[str, Qualifier] = QUALIFIERS
) -> Matched:
    """How the term is understood for a table of events (or dead letters). Asks the database only for bare words.

    Payloads are never searched. Without `may_reveal` an ordering key finds only what its page shows of it: else
    whoever knows an address could ask whether mail went to it.
    """
    words = words_of(term)
    if not words:
        return Matched()
    if len(words) > TERM_LIMIT_COUNT:
        return _nothing(f"More than {TERM_LIMIT_COUNT} terms: leave some out.")
    found = [_matched_word(word, queryset, qualifiers, may_reveal) for word in words]
    condition = Q()
    for one in found:
        if one.problem:
            return one
        condition &= one.condition or Q()
    return Matched(
        condition, any(one.is_indexed for one in found), [sentence for one in found for sentence in one.told]
    )


def words_of(term: str) -> list[str]:
    if "\x00" in term:  # PostgreSQL's text cannot hold it, so no row can match
        term = term.replace("\x00", "\N{REPLACEMENT CHARACTER}")
    lexer = shlex.shlex(term, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters, lexer.quotes, lexer.escape = True, "", '"', ""
    try:
        return list(lexer)
    except ValueError:  # an open quotation mark: take it as it stands
        return term.split()


def _matched_word[Row: Model](
    word: str, queryset: QuerySet[Row], qualifiers: Mapping[str, Qualifier], may_reveal: bool
) -> Matched:
    name, colon, value = word.partition(":")
    if colon and value:
        if name in ID_QUALIFIERS:
            return _matched_id(name, value)
        if name in qualifiers:
            qualifier = qualifiers[name]
            if qualifier.is_id and _uuid(value) is None:
                return _no_id(value)
            told = f"{qualifier.name} is “{value}”{_left_out(qualifier, may_reveal)}"
            return Matched(_where(qualifier, value, may_reveal), qualifier.is_indexed, [told])
    return _matched_bare(word, queryset, qualifiers, may_reveal)


def _meant(name: str, qualifiers: Mapping[str, Qualifier]) -> Sequence[str]:
    """Qualifiers that a mistyped one resembles; none for a right one, and for a word that only has a colon in it."""
    known = (*ID_QUALIFIERS, *qualifiers)
    return [] if name in known else get_close_matches(name, known, n=2, cutoff=0.7)


def suggestions(rows: Sequence[object], qualifiers: Mapping[str, Qualifier] = QUALIFIERS) -> Sequence[str]:
    """Terms that match something on this page: its commonest types and providers."""
    found: list[str] = []
    for name in ("type", "provider"):
        if name in qualifiers:
            counts = Counter(str(getattr(row, qualifiers[name].field)) for row in rows)
            found += [_term(name, value) for value, _ in counts.most_common(SUGGESTED_COUNT)]
    return found


def _term(name: str, value: str) -> str:
    return f'{name}:"{value}"' if any(c.isspace() for c in value) else f"{name}:{value}"


def _where(qualifier: Qualifier, value: str, may_reveal: bool) -> Q:
    condition = Q(**{qualifier.field: value})
    if may_reveal or qualifier.field != KEY_FIELD:
        return condition
    shown = [scheme for scheme in ADAPTERS if marked_by(f"{scheme}/").ordering_key(value) == value]
    return condition & reduce(or_, (Q(recipe__startswith=f"{scheme}/") for scheme in shown), Q(pk__in=[]))


def _left_out(qualifier: Qualifier, may_reveal: bool) -> str:
    return "" if may_reveal or qualifier.field != KEY_FIELD else ", but for keys that name recipients"


def _matched_id(name: str, value: str) -> Matched:
    identifier = _uuid(value)
    if identifier is None:
        return _no_id(value)
    if name == "id" and request_id_of(identifier) != identifier:
        return Matched(Q(pk=identifier), True, [f"event id is {identifier}"])
    first = request_id_of(identifier)
    return Matched(Q(pk__gte=first, pk__lte=last_event_id_of(first)), True, [f"request id is {first}"])


def _matched_bare[Row: Model](
    word: str, queryset: QuerySet[Row], qualifiers: Mapping[str, Qualifier], may_reveal: bool
) -> Matched:
    tried: list[str] = []
    if _uuid(word) is not None:
        by_id = _matched_id("id", word)
        assert by_id.condition is not None  # noqa: S101  (a UUID always gives one)
        if queryset.filter(by_id.condition).exists():
            return by_id
        tried.append("id")
    for qualifier in (qualifiers[name] for name in BARE if name in qualifiers):
        if qualifier.is_id and _uuid(word) is None:
            continue
        condition = _where(qualifier, word, may_reveal)
        if queryset.filter(condition).exists():
            skipped = f" (not {' or '.join(tried)})" if tried else ""
            return Matched(condition, True, [f"{qualifier.name} is “{word}”{skipped}"])
        tried.append(qualifier.name)
    name, colon, value = word.partition(":")
    if colon and value and (meant := _meant(name, qualifiers)):
        problem = f"“{name}:” is no qualifier, and nothing is called “{word}”."
        return Matched(Q(pk__in=[]), True, (), problem, [_term(each, value) for each in meant])
    return _nothing(f"“{word}” is no {', no '.join(tried)}. Qualifiers: {_names(qualifiers)}")


def _names(qualifiers: Mapping[str, Qualifier]) -> str:
    return ", ".join(f"{name}:" for name in (*ID_QUALIFIERS, *qualifiers))


def _no_id(value: str) -> Matched:
    return _nothing(f"“{value}” is no id: an id is 32 hexadecimal digits, with or without hyphens.")


def _nothing(problem: str) -> Matched:
    return Matched(Q(pk__in=[]), True, (), problem)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
