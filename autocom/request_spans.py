"""The span of each request to the console and its API, where somebody asked for traces; absent from the process else.

Routes without a name (webhooks, health, metrics, files) have none: a delivery's own spans are made after its commit.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from uuid import UUID

from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from autocom.kernel.clock import SYSTEM_CLOCK
from autocom.kernel.ids import new_request_id
from autocom.kernel.request_context import ENVIRON_KEY
from autocom.observability import tellers
from autocom.spans import AnsweredRequest

log = logging.getLogger(__name__)


class RequestSpans:
    """The outermost middleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response
        self._tellers = tellers(settings.AUTOCOM)
        if not self._tellers:
            raise MiddlewareNotUsed

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        began_us = SYSTEM_CLOCK.now_us()
        response = self._get_response(request)
        found = request.resolver_match
        if found is not None and found.url_name is not None:
            request_id: UUID = request.META.get(ENVIRON_KEY) or new_request_id(now_us=began_us)
            answered = AnsweredRequest(
                request_id=request_id,
                method=request.method or "",
                view=found.view_name,
                route=found.route,
                status=response.status_code,
                began_us=began_us,
                ended_us=SYSTEM_CLOCK.now_us(),
            )
            self._tell(answered)
        return response

    def _tell(self, answered: AnsweredRequest) -> None:
        for teller in self._tellers:
            try:
                teller.tell_request(answered)
            except Exception:
                log.exception("request_not_told")
