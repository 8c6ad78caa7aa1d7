"""What every address of the API has in common: who comes in, how often, and how a refusal looks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, override

from django.http import HttpResponseBase
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.permissions import IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from console.api.authentication import ServiceTokenAuthentication, StaffSession
from console.api.negotiation import AlwaysJson
from console.api.problems import problem
from console.api.rates import PerAccount


class AccountView(APIView):
    """Nothing parses a body here."""

    authentication_classes = (ServiceTokenAuthentication, StaffSession)
    permission_classes = (IsAuthenticated,)
    throttle_classes = (PerAccount,)
    parser_classes: Sequence[type[BaseParser]] = ()
    renderer_classes = (JSONRenderer,)
    content_negotiation_class: type[BaseContentNegotiation] = AlwaysJson

    @override
    def get_exception_handler(self) -> Any:
        return problem

    @override
    def finalize_response(  # type: ignore[override]  # our views answer Django's own responses
        self, request: Request, response: Any, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        answer: HttpResponseBase = super().finalize_response(request, response, *args, **kwargs)
        rate = getattr(request, "rate", None)
        if rate is not None:
            for name, value in rate.headers.items():
                answer[name] = value
        return answer
