"""When a session was used last. A page that is left open asks for figures by itself: that is no use."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from console.guards import is_poll
from console.models import ConsoleSession

NOTED_EVERY = timedelta(minutes=1)  # a write for each request would be one for nothing


class SeenMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        last = getattr(request.session, "last_seen_at", None)  # none: nothing on the way asked for the session
        now = timezone.now()
        if last is not None and now - last > NOTED_EVERY and not is_poll(request):
            ConsoleSession.objects.filter(session_key=request.session.session_key).update(last_seen_at=now)
        return response
