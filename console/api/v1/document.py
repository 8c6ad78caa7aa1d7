"""`/api/v1/schema/`, and what is said at an address that is none."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework.request import Request

from console.api.problems import problem_response
from console.api.v1.errors import NotHere
from console.api.v1.operation import Operation
from console.api.v1.schema import document
from console.api.v1.view import ApiView

MEDIA_TYPE = "application/vnd.oai.openapi+json"


class Document(ApiView):
    """This document."""

    operations = {
        "GET": Operation(
            summary="The API's OpenAPI document",
            permission=None,
            answer=None,
            statuses={"200": {"description": "OpenAPI 3.1.", "content": {MEDIA_TYPE: {"schema": {"type": "object"}}}}},
        )
    }

    def get(self, _: Request) -> HttpResponse:
        return HttpResponse(_text(), content_type=MEDIA_TYPE, headers={"Cache-Control": "private, no-cache"})


@csrf_exempt
def nothing_here(_: HttpRequest, **__: Any) -> HttpResponse:
    """To everybody: that there is nothing is no secret."""
    return problem_response(NotHere.code, "there is no such address: GET /api/v1/schema/ has them all")


@cache
def _text() -> str:
    return json.dumps(document())
