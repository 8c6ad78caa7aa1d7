"""The ingress application with a group commit of the test's own: for faults that no sender can cause."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import override_settings

from autocom.ingress.application import IngressApplication
from autocom.ingress.group_commit import Answered, Unavailable
from autocom.ingress.http import Request
from ingestion.problems import Reply
from ingestion.request_log import REQUEST_LOG, RequestLine
from tests.support.inputs import Sent, good

pytestmark = pytest.mark.urls("autocom.ingress_urls")


@dataclass(slots=True)
class Group:
    """Answers every envelope with this."""

    answer: Any

    def enqueue(self, words: Sequence[bytes], answered: Answered) -> None:
        assert words[0] == b"EVALSHA"
        answered(self.answer)

    def is_behind(self) -> bool:
        return False


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[RequestLine]:
    """The request log's lines as they come."""
    lines: list[RequestLine] = []
    monkeypatch.setattr(REQUEST_LOG, "append", lines.append)
    return lines


def serve(sent: Sent, *, group: Group) -> Reply:
    """The one answer to the request."""
    request = Request(
        method=sent.method,
        path=sent.path.encode(),
        headers={str(name).lower(): str(value) for name, value in sent.headers},
        body=sent.body,
    )

    async def served() -> Reply:
        replies: list[Reply] = []
        with override_settings(MIDDLEWARE=[]):
            application = IngressApplication(group=group)  # type: ignore[arg-type]
        application.serve(request, replies.append)
        for _ in range(200):
            if replies:
                break
            await asyncio.sleep(0.01)
        (reply,) = replies
        return reply

    return asyncio.run(served())


@pytest.mark.parametrize("answer", [[[99]], b"not an array"], ids=["odd", "bytes"])
def test_an_answer_that_makes_no_sense_is_a_500_that_promises_nothing(
    answer: object, lines: list[RequestLine], caplog: pytest.LogCaptureFixture
) -> None:
    reply = serve(good("evt"), group=Group(answer))
    assert (reply.status, reply.content_type) == (500, "application/problem+json")
    assert json.loads(reply.body)["code"] == "internal_error"
    assert [record.levelno for record in caplog.records if record.exc_info] == [logging.ERROR]
    assert [(line.status, line.code) for line in lines] == [(500, "internal_error")]


def test_whatever_fails_at_the_promise_is_a_503_that_promises_and_tells_nothing(lines: list[RequestLine]) -> None:
    reply = serve(good("evt"), group=Group(Unavailable("the secret plans")))
    assert (reply.status, json.loads(reply.body)["code"]) == (503, "buffer_unavailable")
    assert b"secret plans" not in reply.body
    assert [(line.status, line.code) for line in lines] == [(503, "buffer_unavailable")]


def test_two_lengths_that_a_parser_lets_through_are_no_length(lines: list[RequestLine]) -> None:
    sent = good("evt")
    headers = [(name, value if name != "Content-Length" else f"{value!s}, 3") for name, value in sent.headers]
    reply = serve(Sent(body=sent.body, headers=headers), group=Group([[0, 1, 1, 1]]))
    assert (reply.status, json.loads(reply.body)["code"]) == (411, "length_required")


def test_a_path_that_nobody_serves_is_a_404_in_problem_json(lines: list[RequestLine]) -> None:
    reply = serve(Sent(body=b"", headers=[], method="GET", path="/.env"), group=Group(None))
    assert (reply.status, json.loads(reply.body)["code"]) == (404, "not_found")


def test_every_answer_is_in_the_request_log_with_its_time_and_code(lines: list[RequestLine]) -> None:
    accepted = serve(good("evt"), group=Group([[0, 1, 1, 1]]))
    serve(Sent(body=b"", headers=[], method="GET"), group=Group(None))
    assert [(line.status, line.code, line.provider) for line in lines] == [
        (202, "accepted", "default"),
        (405, "method_not_allowed", "default"),
    ]
    assert lines[0].request_id == json.loads(accepted.body)["request_id"]
    assert lines[0].ack_us > 0
