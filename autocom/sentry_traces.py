"""Spans of deliveries, ops jobs and requests as transactions of Sentry, and check-ins of the periodic jobs as its
monitors."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, cast

import sentry_sdk
from sentry_sdk.crons import capture_checkin
from sentry_sdk.crons.consts import MonitorStatus
from sentry_sdk.types import Event

from autocom.kernel.clock import datetime_of
from autocom.kernel.trace_ids import is_sampled
from autocom.spans import AnsweredRequest, Span, span_of_job, span_of_request, spans_of
from ingestion.buffer.keys import OPS_QUEUE
from ingestion.committed import CommittedDelivery
from ingestion.worker import EndedJob

CHECK_IN_EVERY = timedelta(minutes=1)  # Sentry counts in minutes; most jobs are due every few seconds
MARGIN_MINUTES = 3


class TransactionTeller:
    """One transaction a delivery, job or request, of the share that is sampled."""

    def __init__(self, *, share: float) -> None:
        self._share = share

    def tell_deliveries(self, deliveries: Sequence[CommittedDelivery]) -> None:
        for delivery in deliveries:
            if is_sampled(delivery.request_id, share=self._share):
                sentry_sdk.capture_event(transaction_of(delivery))

    def tell_job(self, job: EndedJob) -> None:
        """A drain is told by its deliveries."""
        if job.queue == OPS_QUEUE and is_sampled(job.run_id, share=self._share):
            span = span_of_job(job)
            sentry_sdk.capture_event(_transaction(span, name=span.name, op="queue.task", tags={"job": job.name}))

    def tell_request(self, request: AnsweredRequest) -> None:
        if is_sampled(request.request_id, share=self._share):
            span = span_of_request(request)
            tags = {"request_id": str(request.request_id)}
            sentry_sdk.capture_event(_transaction(span, name=span.name, op="http.server", tags=tags))


def transaction_of(delivery: CommittedDelivery) -> Event:
    root, *below = spans_of(delivery)
    tags = {"request_id": str(delivery.request_id), "provider": delivery.provider}
    event = _transaction(root, *below, name=f"webhook {delivery.provider}", op="webhook.receive", tags=tags)
    if delivery.sender_trace:
        event["contexts"]["sender"] = {"traceparent": delivery.sender_trace}
    return event


def _transaction(root: Span, *below: Span, name: str, op: str, tags: Mapping[str, str]) -> Event:
    event: dict[str, Any] = {
        "type": "transaction",
        "transaction": name,
        "transaction_info": {"source": "custom"},
        "start_timestamp": root.start_us / 1e6,
        "timestamp": max(each.end_us for each in (root, *below)) / 1e6,
        "contexts": {"trace": {**_ids(root), "op": op, "data": root.attributes, "status": _status(root)}},
        "tags": dict(tags),
        "spans": [_span(each) for each in below],
    }
    return cast("Event", event)


def _status(span: Span) -> str:
    return "internal_error" if span.has_failed else "ok"


def _span(span: Span) -> dict[str, Any]:
    return {
        **_ids(span),
        "parent_span_id": span.parent_id,
        "op": f"webhook.{span.name}",
        "description": span.name,
        "start_timestamp": datetime_of(us=span.start_us).isoformat(),
        "timestamp": datetime_of(us=span.end_us).isoformat(),
        "data": span.attributes,
        "status": _status(span),
    }


def _ids(span: Span) -> dict[str, Any]:
    return {"trace_id": span.trace_id, "span_id": span.span_id}


class CheckIns:
    """A listener of ended jobs: a monitor for each periodic job, told of once a minute at most, of failure at once."""

    def __init__(self, *, periodic: Mapping[Callable[[], object], int]) -> None:
        self._periodic = periodic  # looked at later: other apps add theirs when they start
        self._told_at: dict[str, float] = {}

    def __call__(self, job: EndedJob) -> None:
        every_seconds = {function.__name__: seconds for function, seconds in self._periodic.items()}.get(job.name)
        if every_seconds is None:  # a drain, which is due when there is something to drain
            return
        now = time.monotonic()
        told_at = self._told_at.get(job.name)
        if job.is_done and told_at is not None and now - told_at < CHECK_IN_EVERY.total_seconds():
            return
        self._told_at[job.name] = now
        capture_checkin(
            monitor_slug=f"autocom-{job.name.replace('_', '-')}",
            status=MonitorStatus.OK if job.is_done else MonitorStatus.ERROR,
            duration=job.took_seconds,
            monitor_config={
                "schedule": {"type": "interval", "value": max(every_seconds // 60, 1), "unit": "minute"},
                "checkin_margin": MARGIN_MINUTES,
                "failure_issue_threshold": 2,
                "recovery_threshold": 1,
                "timezone": "UTC",
            },
        )
