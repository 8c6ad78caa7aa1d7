"""The OpenAPI document, made of the views' declarations by drf-spectacular."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, override

from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ComponentRegistry, ResolvedComponent

from console.api.problems import STATUSES
from console.api.v1.operation import Operation
from console.api.v1.shapes import DIGEST, UUID_PATTERN, Schema, schema_of

if TYPE_CHECKING:
    from console.api.v1.view import ApiView

PREFIX = "/api/v1"
ALWAYS = (
    *("request_invalid", "authentication_required", "service_token_refused", "permission_refused"),
    *("rate_limited", "database_unavailable", "audit_log_busy"),
)
PROBLEM: Schema = {
    "type": "object",
    "description": "RFC 9457. `code` is stable; `detail` is for people and may change.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
    },
    "required": ["type", "title", "status", "code", "detail"],
}
PLACES: Mapping[str, Schema] = {
    "sha256": {"type": "string", "pattern": DIGEST},
    "event_id": {"type": "string", "format": "uuid", "pattern": UUID_PATTERN},
    "gate": {"type": "string", "pattern": "^[-a-zA-Z0-9_]+$"},
    "number": {"type": "integer", "minimum": 0, "maximum": 2**63 - 1},
    "provider": {"type": "string", "pattern": "^[-a-zA-Z0-9_]+$"},
    "run_id": {"type": "string", "pattern": "^[-a-zA-Z0-9_]+$"},
    "slo": {"type": "string", "pattern": "^[-a-zA-Z0-9_]+$"},
}
IDEMPOTENCY_KEY: Schema = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "With the same key the same request is done once, and answered alike for 24 hours.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,200}$"},
}
RATE_HEADERS: Schema = {
    "RateLimit": {"description": "What is left of this minute.", "schema": {"type": "string"}},
    "RateLimit-Policy": {"description": "The limit of a minute.", "schema": {"type": "string"}},
}


class ApiSchema(AutoSchema):
    """Of a view with `operations`."""

    view: ApiView  # type: ignore[override]  # nothing else has this schema

    @override
    def get_operation(
        self, path: str, path_regex: str, path_prefix: str, method: str, registry: ComponentRegistry
    ) -> Schema | None:
        operation = self.view.operations.get(method.upper())
        if operation is None:
            return None
        named: dict[str, Schema] = {"Problem": PROBLEM}
        told: Schema = {
            "operationId": _operation_id(path, method),
            "summary": operation.summary,
            "description": _description(self.view, operation),
            "tags": [operation.tag or _words(path)[0]],
            "parameters": [*_places(path), *_parameters(operation)],
            "security": [{"serviceToken": []}],
            "responses": _responses(operation, method, named),
        }
        if operation.body is not None:
            content = {"application/json": {"schema": schema_of(operation.body)}}
            told["requestBody"] = {"required": True, "content": content}
        elif operation.request_body is not None:
            told["requestBody"] = operation.request_body
        for name, schema in named.items():
            component = ResolvedComponent(name, ResolvedComponent.SCHEMA, schema, name)  # type: ignore[no-untyped-call]
            registry.register_on_missing(component)
        return told


def of_this_version(endpoints: Any) -> Any:
    return [each for each in endpoints if each[0].startswith(f"{PREFIX}/")]


def document() -> Schema:
    """The same for every caller, and for the same code."""
    made: Schema = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return made


def _words(path: str) -> list[str]:
    return [word for word in re.sub(r"\{[^}]*\}", "", path.removeprefix(PREFIX)).split("/") if word]


def _operation_id(path: str, method: str) -> str:
    is_one = path.endswith("}")
    words = [word.replace("-", "_") for word in _words(path)]
    verb = {"get": "read" if is_one or not path.endswith("/") else "list"}.get(method.lower(), method.lower())
    return "_".join([*words, verb])


def _description(view: ApiView, operation: Operation) -> str:
    said = " ".join((type(view).__doc__ or "").split())
    needs = f"Takes the permission `{operation.permission}`." if operation.permission else "For every account."
    if operation.on_row is not None:
        needs += f" A person may hold `{operation.on_row}` on the row instead."
    return f"{said}\n\n{needs}".strip()


def _places(path: str) -> list[Schema]:
    return [
        {"name": name, "in": "path", "required": True, "schema": dict(PLACES[name])}
        for name in re.findall(r"\{(\w+)\}", path)
    ]


def _parameters(operation: Operation) -> list[Schema]:
    asked: list[Schema] = [
        {
            "name": each.name,
            "in": "query",
            "description": each.said,
            "schema": dict(each.schema),
            **({"required": True} if each.is_required else {}),
        }
        for each in operation.query
    ]
    if operation.is_idempotent:
        asked.append(IDEMPOTENCY_KEY)
    return asked


def _responses(operation: Operation, method: str, named: dict[str, Schema]) -> Schema:
    told: Schema = {}
    if operation.answer is not None:
        content = {"application/json": {"schema": schema_of(operation.answer, named=named)}}
        told[str(operation.status)] = {"description": operation.summary, "headers": RATE_HEADERS, "content": content}
        if method.upper() == "GET":
            told["304"] = {"description": "Unchanged since the ETag that If-None-Match names."}
    told.update({status: dict(schema) for status, schema in operation.statuses.items()})
    by_status: dict[int, list[str]] = {}
    for code in (*ALWAYS, *operation.refusals):
        by_status.setdefault(STATUSES[code], []).append(code)
    for status, codes in sorted(by_status.items()):
        told[str(status)] = {
            "description": ", ".join(codes),
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    return told
