"""The ingress application with a protocol and a group commit of the test's own: for faults that no sender can cause."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.test import override_settings

from autocom.ingress.application import IngressApplication
from ingestion.request_log import REQUEST_LOG, RequestLine
from tests.support.inputs import Sent, good

pytestmark = pytest.mark.urls("autocom.ingress_urls")


@dataclass(slots=True)
class Protocol:
    """One request's half of granian's protocol."""

    chunks: Sequence[bytes | Exception]
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    async def __call__(self) -> bytes:
        return b"".join([chunk async for chunk in self])

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        assert self.status == 0, "answered twice"
        self.status, self.headers, self.body = status, dict(headers), body


@dataclass(slots=True)
class Scope:
    sent: Sent
    proto: str = "http"
    http_version: str = "1.1"
    server: str = "127.0.0.1:8001"
    client: str = "127.0.0.1:50000"
    scheme: str = "http"
    query_string: str = ""

    @property
    def method(self) -> str:
        return self.sent.method

    @property
    def path(self) -> str:
        return self.sent.path

    @property
    def headers(self) -> Any:
        return self

    def items(self) -> list[tuple[str, str]]:
        return [(str(name).lower(), str(value)) for name, value in self.sent.headers]


@dataclass(slots=True)
class Group:
    """Answers every commit with this."""

    answer: Any

    async def commit(self, words: Sequence[bytes]) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[RequestLine]:
    """The request log's lines as they come."""
    lines: list[RequestLine] = []
    monkeypatch.setattr(REQUEST_LOG, "append", lines.append)
    return lines


def serve(sent: Sent, *, group: Group, chunks: Sequence[bytes | Exception] | None = None) -> Protocol:
    protocol = Protocol([sent.body] if chunks is None else chunks)
    with override_settings(MIDDLEWARE=[]):
        application = IngressApplication()
    application._group = group  # type: ignore[assignment]
    asyncio.run(application.__rsgi__(Scope(sent), protocol))
    return protocol


@pytest.mark.parametrize(
    "answer", [RuntimeError("the secret plans"), [[99]], b"not an array"], ids=["raises", "odd", "bytes"]
)
def test_whatever_goes_wrong_at_the_promise_is_a_500_that_promises_nothing_and_tells_nothing(
    answer: object, lines: list[RequestLine], caplog: pytest.LogCaptureFixture
) -> None:
    protocol = serve(good("evt"), group=Group(answer))
    assert protocol.status == 500
    assert protocol.headers["content-type"] == "application/problem+json"
    assert json.loads(protocol.body)["code"] == "internal_error"
    assert b"secret plans" not in protocol.body
    assert [record.levelno for record in caplog.records if record.exc_info] == [logging.ERROR]
    assert [(line.status, line.code) for line in lines] == [(500, "internal_error")]


def test_a_body_that_breaks_with_an_error_of_the_server_is_incomplete_and_no_fault_of_ours(
    lines: list[RequestLine], caplog: pytest.LogCaptureFixture
) -> None:
    sent = good("evt")
    protocol = serve(sent, group=Group([[0, 1, 1, 1]]), chunks=[sent.body[:10], OSError("the peer is gone")])
    assert (protocol.status, json.loads(protocol.body)["code"]) == (400, "body_incomplete")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_body_longer_than_its_length_is_not_verified_beyond_it(lines: list[RequestLine]) -> None:
    sent = good("evt")
    protocol = serve(sent, group=Group([[0, 1, 1, 1]]), chunks=[sent.body, b"and more"])
    assert protocol.status == 202


def test_two_lengths_that_a_server_lets_through_are_no_length(lines: list[RequestLine]) -> None:
    sent = good("evt")
    twice = Sent(body=sent.body, headers=[*sent.headers, ("Content-Length", "3")])
    protocol = serve(twice, group=Group([[0, 1, 1, 1]]))
    assert (protocol.status, json.loads(protocol.body)["code"]) == (411, "length_required")


def test_every_answer_is_in_the_request_log_with_its_time_and_code(lines: list[RequestLine]) -> None:
    accepted = serve(good("evt"), group=Group([[0, 1, 1, 1]]))
    serve(Sent(body=b"", headers=[], method="GET"), group=Group(None))
    assert [(line.status, line.code, line.provider) for line in lines] == [
        (202, "accepted", "default"),
        (405, "method_not_allowed", "default"),
    ]
    assert lines[0].request_id == json.loads(accepted.body)["request_id"]
    assert lines[0].ack_us > 0
