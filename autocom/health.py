"""Is it alive, is it ready, and what does it measure.

For load balancers and Prometheus, without a login and without secrets.
"""

from __future__ import annotations

from datetime import UTC, datetime

from django.conf import settings
from django.db import Error, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST

from autocom.build import build
from ingestion.buffer.store import BufferUnavailable, lane_buffer
from ingestion.metrics import exposition
from ingestion.selectors import WORKER_SILENT_AT_MOST, is_full, workers


@require_safe
def healthz(_: HttpRequest) -> HttpResponse:
    """This process answers, and which code it runs (`autocom.build`)."""
    return JsonResponse({"status": "alive", "build": build()})


@require_safe
def readyz(_: HttpRequest) -> HttpResponse:
    """200 when Redis and PostgreSQL answer, every lane is below its bound and a drain worker is alive.

    Else 503 with what is not.
    """
    checks = {
        "redis": _redis_trouble(),
        "postgresql": _postgresql_trouble(),
        "lanes": _lane_trouble(),
        "workers": _worker_trouble(),
    }
    ready = not any(checks.values())
    body: dict[str, object] = {
        "status": "ready" if ready else "not ready",
        "checks": {name: why or "ok" for name, why in checks.items()},
    }
    if paused := _paused_lanes():  # ready all the same: events are taken, and a restart would end no pause
        body["paused_lanes"] = paused
    response = JsonResponse(body, status=200 if ready else 503)
    # a probe's "not yet" is an answer, no failure of the request: it must not page anybody as an error of
    # django.request
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response


@require_safe
def metrics(_: HttpRequest) -> HttpResponse:
    """Prometheus text; a source that cannot be asked leaves its metrics out and sets autocom_source_up to 0."""
    return HttpResponse(exposition(), content_type=CONTENT_TYPE_LATEST)


def _redis_trouble() -> str:
    try:
        lane_buffer().waiting_jobs_count("drain")
    except BufferUnavailable:
        return "Redis does not answer"
    return ""


def _postgresql_trouble() -> str:
    try:
        connection.ensure_connection()
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error:
        connection.close()
        return "PostgreSQL does not answer"
    return ""


def _lane_trouble() -> str:
    try:
        full = [lane for lane in range(settings.AUTOCOM.lanes) if is_full(lane_buffer().peek(lane))]
    except BufferUnavailable:
        return "unknown: Redis does not answer"
    return f"full: {full}" if full else ""


def _paused_lanes() -> list[int]:
    try:
        return [lane for lane in range(settings.AUTOCOM.lanes) if lane_buffer().is_noted_paused(lane)]
    except BufferUnavailable:
        return []  # said by the check of Redis


def _worker_trouble() -> str:
    try:
        drainers = [worker for worker in workers() if worker.queue == "drain"]
    except BufferUnavailable:
        return "unknown: Redis does not answer"
    spoke_after = datetime.now(UTC) - WORKER_SILENT_AT_MOST
    alive = [worker for worker in drainers if worker.last_heartbeat and worker.last_heartbeat > spoke_after]
    return "" if alive else "no drain worker is alive"
