"""What an operation takes and answers. One declaration, for the code that refuses and for the document."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.http import QueryDict
from jsonschema import Draft202012Validator, ValidationError

from console.access import Permission
from console.api.v1.errors import RequestInvalid
from console.api.v1.shapes import TEXT, UUID_PATTERN, Schema, schema_of

BIGGEST = 2**63 - 1  # PostgreSQL's bigint
MEDIA_TYPE = "media_type_unsupported"
PAGE_LIMIT_COUNT = 200
PAGE_DEFAULT_COUNT = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A parameter of the address, given once."""

    name: str
    said: str
    schema: Schema
    is_required: bool = False

    def read(self, text: str) -> Any:
        """Raises RequestInvalid."""
        value: Any = text
        match self.schema["type"]:
            case "integer" if re.fullmatch(r"-?[0-9]{1,19}", text):
                value = int(text)
            case "boolean" if text in ("true", "false"):
                value = text == "true"
        _check(value, self.schema, where=self.name)
        return moment_of(text, name=self.name) if self.schema.get("format") == "date-time" else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """`permission` None: any account. `on_row`: opens it too, held on the row that it is about (`ApiView.row_asked`),
    or for a list on any row (`ApiView.rows_of`). `codes`: its own refusals, see `refusals`.
    """

    summary: str
    permission: Permission | None
    answer: Any  # a TypedDict, or None where there is no JSON
    on_row: Permission | None = None
    status: int = 200
    body: Any = None
    query: Sequence[Query] = ()
    codes: Sequence[str] = ()
    statuses: Mapping[str, Schema] = field(default_factory=dict)  # answers that are no JSON of `answer`
    request_body: Schema | None = None  # of what is no JSON
    tag: str = ""
    is_idempotent: bool = False  # its handler is behind `once`, which reads Idempotency-Key

    @property
    def refusals(self) -> Sequence[str]:
        """`codes`, and those that a JSON body and an Idempotency-Key bring with them."""
        of_body = (MEDIA_TYPE, "body_too_large") if self.body is not None else ()
        of_key = (MEDIA_TYPE, "idempotency_key_reused", "idempotency_key_under_way") if self.is_idempotent else ()
        return tuple(dict.fromkeys((*self.codes, *of_body, *of_key)))

    def read_query(self, given: QueryDict) -> dict[str, Any]:
        """Raises RequestInvalid, for what is unknown too: a filter with a slip of the pen would show everything."""
        known = {each.name: each for each in self.query}
        if unknown := sorted(set(given) - known.keys()):
            taken = f"this address takes {', '.join(known)}" if known else "this address takes none"
            raise RequestInvalid(f"no parameter is called {unknown[0][:40]!r}: {taken}")
        for name, values in given.lists():
            if len(values) != 1:
                raise RequestInvalid(f"{name} is given {len(values)} times: give it once")
        if missing := [each for each in self.query if each.is_required and each.name not in given]:
            raise RequestInvalid(f"{missing[0].name} is missing: {missing[0].said}")
        return {name: known[name].read(str(text)) for name, text in given.items()}

    def read_body(self, value: Any) -> Any:
        """Raises RequestInvalid."""
        _check(value, schema_of(self.body), where="body")
        return value


def moment_of(text: str, *, name: str) -> datetime:
    """RFC 3339. Raises RequestInvalid."""
    found = re.fullmatch(r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d):(\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)", text, re.ASCII)
    try:
        if found is None:
            raise ValueError(text)
        day, minute, second, fraction, zone = found.groups()
        second = "59" if second == "60" else second  # a leap second
        read = datetime.fromisoformat(f"{day}T{minute}:{second}{(fraction or '')[:7]}{zone.upper()}")
        return read.astimezone(UTC)
    except (ValueError, OverflowError):
        raise RequestInvalid(f"{name} is {text[:40]!r}: write a time such as 2027-01-31T08:00:00Z") from None


def text(name: str, said: str, *, limit_chars: int = 200, pattern: str = TEXT) -> Query:
    return Query(name=name, said=said, schema={"type": "string", "maxLength": limit_chars, "pattern": pattern})


def choice(name: str, said: str, values: Sequence[str]) -> Query:
    return Query(name=name, said=said, schema={"type": "string", "enum": list(values)})


def integer(name: str, said: str, *, least: int = 0, most: int = BIGGEST) -> Query:
    return Query(name=name, said=said, schema={"type": "integer", "minimum": least, "maximum": most})


def flag(name: str, said: str) -> Query:
    return Query(name=name, said=said, schema={"type": "boolean"})


def moment(name: str, said: str) -> Query:
    return Query(name=name, said=said, schema={"type": "string", "format": "date-time"})


LIMIT = Query(
    name="limit",
    said=f"Rows on a page; {PAGE_DEFAULT_COUNT} if not given.",
    schema={"type": "integer", "minimum": 1, "maximum": PAGE_LIMIT_COUNT},
)
BY_ID = {"type": "string", "format": "uuid", "pattern": UUID_PATTERN}
BY_NUMBER = {"type": "integer", "minimum": 0, "maximum": BIGGEST}


def paged(key: Schema) -> tuple[Query, ...]:
    """Of a list by key."""
    return (
        LIMIT,
        Query(name="before", said="Rows older than this key; `next` of an answer has it.", schema=dict(key)),
    )


def _check(value: Any, schema: Schema, *, where: str) -> None:
    error: ValidationError | None = next(iter(Draft202012Validator(schema).iter_errors(value)), None)
    if error is not None:
        place = ".".join([where, *(str(part) for part in error.absolute_path)])
        raise RequestInvalid(f"{place}: {error.message[:200]}")
    if _has_nul(value):
        raise RequestInvalid(f"{where} has a NUL character, which no text here may have")


def _has_nul(value: Any) -> bool:
    match value:
        case str():
            return "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value)
        case list():
            return any(map(_has_nul, value))
        case dict():
            return any(_has_nul(each) for pair in value.items() for each in pair)
    return False
