"""The base of the views: an operation's declaration is what is asked before its handler runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, ClassVar, override
from urllib.parse import quote

from django.conf import settings
from django.db.models import Model
from django.http import HttpResponse, HttpResponseBase
from rest_framework.parsers import JSONParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from console.actions.operator import check
from console.api.authentication import operator_of
from console.api.negotiation import AlwaysJson
from console.api.v1.errors import RequestInvalid
from console.api.v1.operation import Operation
from console.api.v1.schema import ApiSchema
from console.api.view import AccountView
from console.row_rights import holds_somewhere


class JsonIn(AlwaysJson):
    """JSON is the only kind of body that is read; another one is answered 415."""

    @override
    def select_parser(self, request: Request, parsers: Any) -> Any:
        kind = str(request.content_type or "").partition(";")[0].strip().lower()
        return JSONParser() if kind == "application/json" else None


class ApiView(AccountView):
    """`query` and `body` are read and checked when a handler runs, and the permission was asked."""

    operations: ClassVar[Mapping[str, Operation]] = {}
    rows_of: ClassVar[type[Model] | None] = None
    schema = ApiSchema()
    parser_classes = (JSONParser,)
    renderer_classes = (JSONRenderer,)
    content_negotiation_class = JsonIn
    query: dict[str, Any]
    body: Any

    @override
    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        operation = self.operation_of(request)
        if operation is None:
            return  # OPTIONS, or a method that is answered 405
        if operation.permission is not None and not self._lists_some(request, operation):
            row = None if operation.on_row is None else self.row_asked()
            subject = self.subject_of(request)[:200]
            check(operator_of(request), operation.permission, subject=subject, row=row, on_row=operation.on_row)
        self.query = operation.read_query(request.query_params)
        self.body = None if operation.body is None else operation.read_body(_data(request))

    def row_asked(self) -> Model | None:
        """What the address names, where a right on it opens an operation."""
        return None

    def _lists_some(self, request: Request, operation: Operation) -> bool:
        """A right on any row opens the list, which shows those rows alone."""
        if self.rows_of is None or operation.on_row is None:
            return False
        return holds_somewhere(request.user, operation.on_row, self.rows_of)

    def subject_of(self, request: Request) -> str:
        """As the audit log names what somebody wanted who may not."""
        return f"{request.method} {quote(request.path)}"

    def operation_of(self, request: Request) -> Operation | None:
        method = "GET" if request.method == "HEAD" else str(request.method)
        return self.operations.get(method)

    @override
    def options(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:  # type: ignore[override]
        """`Allow` says which methods there are; what they take is in the schema."""
        return HttpResponse(status=204)

    @override
    def finalize_response(  # type: ignore[override]  # as in AccountView
        self, request: Request, response: Any, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        answer = super().finalize_response(request, response, *args, **kwargs)
        if request.method in ("GET", "HEAD") and answer.status_code == 200 and isinstance(answer, HttpResponse):
            return _tagged(request, answer)
        return answer


def answered(value: object, *, status: int = 200, location: str = "") -> HttpResponse:
    response = HttpResponse(json.dumps(value), status=status, content_type="application/json")
    response["Cache-Control"] = "private, no-cache"  # kept by the one who asked, and asked for again: see ETag
    if location:
        response["Location"] = location
    return response


def absolute(request: Request, path: str) -> str:
    base = settings.AUTOCOM.app_base_url
    return f"{base.rstrip('/')}{path}" if base else str(request.build_absolute_uri(path))


def _data(request: Request) -> Any:
    """Raises RequestInvalid, and DRF's ParseError and UnsupportedMediaType."""
    try:
        return request.data
    except RecursionError:
        raise RequestInvalid("the body is nested too deeply") from None


def _tagged(request: Request, answer: HttpResponse) -> HttpResponse:
    """With its ETag, or 304 to whoever has these bytes."""
    tag = f'"{hashlib.sha256(answer.content).hexdigest()[:32]}"'
    answer["ETag"] = tag
    known = [each.strip().removeprefix("W/") for each in str(request.headers.get("If-None-Match", "")).split(",")]
    if tag not in known and known != ["*"]:
        return answer
    unchanged = HttpResponse(status=304)
    for name, value in answer.items():
        if name not in ("Content-Type", "Content-Length"):
            unchanged[name] = value
    return unchanged
