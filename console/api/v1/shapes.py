"""JSON Schema of a type hint: what the code answers and takes is described by its own types."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NotRequired, TypeAliasType, Union, get_args, get_origin, get_type_hints
from typing import is_typeddict as is_shape

type Schema = dict[str, Any]

PLAIN: Mapping[Any, str] = {str: "string", int: "integer", float: "number", bool: "boolean", NoneType: "null"}
TEXT = r"^[^\u0000]*$"  # PostgreSQL's text has no NUL
TEXT_NOT_BLANK = r"^[^\u0000]*[^\u0000\s][^\u0000]*$"
DIGEST = r"^[0-9a-f]{64}$"
UUID_PATTERN = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"

type Moment = Annotated[str, {"format": "date-time"}]  # RFC 3339, UTC, with a Z
type EventId = Annotated[str, {"format": "uuid", "pattern": UUID_PATTERN}]
type TraceId = Annotated[str, {"pattern": r"^[0-9a-f]{32}$"}]
type Sha256 = Annotated[str, {"pattern": DIGEST}]
type Address = Annotated[str, {"format": "uri"}]


def schema_of(hint: Any, *, named: dict[str, Schema] | None = None) -> Schema:
    """Without `named` everything stands in place; with it, shapes are put there and referred to."""
    if isinstance(hint, TypeAliasType):
        return schema_of(hint.__value__, named=named)
    if is_shape(hint):
        return _shape(hint, named)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return {"type": "string", "enum": [each.value for each in hint]}
    if get_origin(hint) is not None:
        return _composed(hint, named)
    return {} if hint in (Any, object) else {"type": PLAIN[hint]}


def _composed(hint: Any, named: dict[str, Schema] | None) -> Schema:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return {**schema_of(args[0], named=named), **args[1]}
    if origin is Literal:
        return {"type": "string", "enum": list(args)}
    if origin is list:
        return {"type": "array", "items": schema_of(args[0], named=named)}
    if origin is dict:
        return {"type": "object", "additionalProperties": schema_of(args[1], named=named)}
    if origin in (Union, UnionType):
        return _union([schema_of(arg, named=named) for arg in args])
    raise TypeError(f"{hint!r} has no JSON Schema here")


def _union(each: list[Schema]) -> Schema:
    """`x or null` of a plain type is one schema with two types."""
    others = [schema for schema in each if schema != {"type": "null"}]
    if len(others) == 1 and len(each) == 2 and isinstance(others[0].get("type"), str) and "enum" not in others[0]:
        return {**others[0], "type": [others[0]["type"], "null"]}
    return {"anyOf": each}


def _shape(hint: Any, named: dict[str, Schema] | None) -> Schema:
    name = hint.__name__.removesuffix("Json")
    if named is not None and name in named:
        return {"$ref": f"#/components/schemas/{name}"}
    hints = get_type_hints(hint, include_extras=True)
    optional = {field for field, given in hints.items() if get_origin(given) is NotRequired}
    if named is not None:
        named[name] = {}  # a shape may hold itself
    schema: Schema = {
        "type": "object",
        "properties": {
            field: schema_of(get_args(given)[0] if field in optional else given, named=named)
            for field, given in hints.items()
        },
        "required": [field for field in hints if field not in optional],
    }
    if said := (hint.__doc__ or "").strip():
        schema["description"] = " ".join(said.split())
    if named is None:
        return {**schema, "additionalProperties": False}
    named[name] = schema
    return {"$ref": f"#/components/schemas/{name}"}
