"""Spans to an OpenTelemetry collector, by OTLP over HTTP, where OTEL_EXPORTER_OTLP_ENDPOINT is set.

Loaded by workers and the console alone, and only then: the SDK costs memory and time at each start, which the ingress
has not to give. Spans are made when all is over, from recorded times. To send them is an external send, so the mode
decides.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from typing import override

import requests
from django.db import Error, connections
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from autocom.build import build
from autocom.environment import Environment
from autocom.kernel.trace_ids import is_sampled, sender_span
from autocom.spans import AnsweredRequest, Kind, Span, span_of_job, span_of_request, spans_of
from evidence.audit import Actor
from evidence.errors import EvidenceError
from evidence.sends import guard_external_send
from ingestion.buffer.keys import OPS_QUEUE
from ingestion.committed import CommittedDelivery
from ingestion.withheld import count_withheld
from ingestion.worker import EndedJob

PURPOSE = "traces"
ASKED_AGAIN_AFTER_SECONDS = 2.0
CLOSE_SECONDS = 2.0
TRACES_PATH = "v1/traces"  # the specification: appended to OTEL_EXPORTER_OTLP_ENDPOINT, not to the one for traces
SCOPE = InstrumentationScope("autocom")
SAMPLED = TraceFlags(TraceFlags.SAMPLED)
KINDS = {Kind.SERVER: SpanKind.SERVER, Kind.CONSUMER: SpanKind.CONSUMER, Kind.INTERNAL: SpanKind.INTERNAL}

log = logging.getLogger(__name__)


class GuardedExporter(SpanExporter):
    """Sends what the guard of external sends lets pass. What is withheld is counted and not kept for later."""

    def __init__(self, exporter: SpanExporter, *, endpoint: str, is_guarded: bool) -> None:
        self._exporter = exporter
        self._endpoint = endpoint
        self._is_guarded = is_guarded
        self._is_open = False
        self._asked_at: float | None = None
        self._asking = threading.Lock()

    @override
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self._may_send():
            return self._exporter.export(spans)
        count_withheld(PURPOSE)
        return SpanExportResult.SUCCESS  # a failure would be one to try again

    def _may_send(self) -> bool:
        """As the guard said at most ASKED_AGAIN_AFTER_SECONDS ago; asked in the exporter's own thread."""
        if not self._is_guarded:
            return True
        with self._asking:
            now = time.monotonic()
            if self._asked_at is None or now - self._asked_at >= ASKED_AGAIN_AFTER_SECONDS:
                self._is_open = _passes(self._endpoint)
                self._asked_at = now
            return self._is_open

    @override
    def shutdown(self) -> None:
        self._exporter.shutdown()

    @override
    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def _passes(endpoint: str) -> bool:
    try:
        guard_external_send(endpoint, purpose=PURPOSE, actor=Actor.process("opentelemetry"))
    except (EvidenceError, Error):  # without PostgreSQL the mode is OBSERVER
        return False
    finally:
        connections.close_all()  # of this thread, which may be idle for long
    return True


class SpanTeller:
    """Of deliveries, jobs and requests, the share that is sampled."""

    def __init__(self, processor: BatchSpanProcessor, *, resource: Resource, share: float) -> None:
        self._processor = processor
        self._resource = resource
        self._share = share

    def tell_deliveries(self, deliveries: Sequence[CommittedDelivery]) -> None:
        for delivery in deliveries:
            if is_sampled(delivery.request_id, share=self._share):
                for span in spans_of(delivery):
                    self._tell(span, links=_links(delivery) if span.parent_id is None else ())

    def tell_job(self, job: EndedJob) -> None:
        """A drain is told by its deliveries."""
        if job.queue == OPS_QUEUE and is_sampled(job.run_id, share=self._share):
            self._tell(span_of_job(job))

    def tell_request(self, request: AnsweredRequest) -> None:
        if is_sampled(request.request_id, share=self._share):
            self._tell(span_of_request(request))

    def _tell(self, span: Span, *, links: Sequence[Link] = ()) -> None:
        self._processor.on_end(_readable(span, links=links, resource=self._resource))

    def close(self) -> None:
        """Sends what waits, for CLOSE_SECONDS at most: a worker ends within seconds, whatever the collector does."""
        closing = threading.Thread(target=self._processor.shutdown, name="spans-close", daemon=True)
        closing.start()
        closing.join(CLOSE_SECONDS)


def teller_of(environment: Environment) -> SpanTeller:
    """Everything else, such as OTEL_EXPORTER_OTLP_HEADERS, _TIMEOUT, _COMPRESSION and _CERTIFICATE, OTEL_SERVICE_NAME,
    OTEL_RESOURCE_ATTRIBUTES and OTEL_BSP_…, the SDK reads by itself.
    """
    endpoint = endpoint_of(environment)
    session = requests.Session()
    session.trust_env = False  # a proxy of the environment would make a send to this machine one to another
    session.max_redirects = 0  # the guard looked at this address and no other
    exporter = GuardedExporter(
        OTLPSpanExporter(endpoint=endpoint, session=session),
        endpoint=endpoint,
        is_guarded=not environment.otel_in_observer,
    )
    resource = Resource.create({"service.name": "autocom", "service.version": build()})
    return SpanTeller(BatchSpanProcessor(exporter), resource=resource, share=environment.otel_share)


def endpoint_of(environment: Environment) -> str:
    """Where spans go; empty where nobody asked for them."""
    if environment.otel_traces_endpoint:
        return environment.otel_traces_endpoint
    base = environment.otel_endpoint
    return f"{base.rstrip('/')}/{TRACES_PATH}" if base else ""


def _readable(span: Span, *, links: Sequence[Link], resource: Resource) -> ReadableSpan:
    return ReadableSpan(
        name=span.name,
        context=_context(span.trace_id, span.span_id, is_remote=False),
        parent=_context(span.trace_id, span.parent_id, is_remote=True) if span.parent_id else None,
        resource=resource,
        attributes=span.attributes,
        links=links,
        kind=KINDS[span.kind],
        instrumentation_scope=SCOPE,
        status=Status(StatusCode.ERROR if span.has_failed else StatusCode.UNSET),
        start_time=span.start_us * 1_000,
        end_time=span.end_us * 1_000,
    )


def _links(delivery: CommittedDelivery) -> tuple[Link, ...]:
    """What the sender calls its own span: to be followed, never a parent of ours."""
    sent = sender_span(delivery.sender_trace)
    return (Link(_context(*sent, is_remote=True), {"autocom.said_by": "sender"}),) if sent else ()


def _context(trace: str, span: str, *, is_remote: bool) -> SpanContext:
    return SpanContext(trace_id=int(trace, 16), span_id=int(span, 16), is_remote=is_remote, trace_flags=SAMPLED)
