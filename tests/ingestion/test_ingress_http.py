"""HTTP itself, as only our own server decides it: limits of headers, Expect, half-closed senders, versions, endings."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from autocom.ingress.http import HEADER_LIMIT_BYTES
from tests.support.ingress import Ingress, OwnValkey, own_valkey, request_bytes, running_ingress, signed_request
from tests.support.inputs import good
from tests.support.senders import event_body


@pytest.fixture(scope="module")
def valkey() -> Iterator[OwnValkey]:
    with own_valkey() as valkey:
        yield valkey


@pytest.fixture(scope="module")
def ingress(valkey: OwnValkey) -> Iterator[Ingress]:
    with running_ingress(redis_url=valkey.url, workers=1) as ingress:
        yield ingress


def test_headers_that_go_on_and_on_are_cut_off_with_a_400(ingress: Ingress) -> None:
    wire = ingress.connect()
    wire.send(b"POST /webhooks/default HTTP/1.1\r\nHost: ingress\r\n")
    for n in range(HEADER_LIMIT_BYTES // 1_000 + 2):
        wire.send(b"X-%d: " % n + b"x" * 1_000 + b"\r\n")
    answer = wire.read()
    assert (answer.status, answer.code) == (400, "request_malformed")
    assert answer.headers["connection"] == "close"
    assert ingress.send(good("after-flood").as_bytes()).status == 202


def test_a_sender_that_expects_100_continue_is_told_to_go_on_and_then_answered(ingress: Ingress) -> None:
    body = event_body("expects")
    head, _, _ = signed_request(body).partition(b"\r\n\r\n")
    wire = ingress.connect()
    wire.send(head + b"\r\nExpect: 100-continue\r\n\r\n")
    assert wire.read().status == 100
    wire.send(body)
    assert wire.read().status == 202


def test_a_sender_that_expects_100_continue_for_too_much_gets_413_and_no_go_ahead(ingress: Ingress) -> None:
    wire = ingress.connect()
    wire.send(request_bytes(b"", [("Content-Length", "99999999"), ("Expect", "100-continue")]))
    answer = wire.read()
    assert (answer.status, answer.code) == (413, "body_too_large")


def test_a_sender_that_closes_its_half_after_the_body_still_gets_its_answer(ingress: Ingress) -> None:
    wire = ingress.connect()
    wire.send(good("half").as_bytes())
    wire.sock.shutdown(1)
    assert wire.read().status == 202


def test_a_sender_that_closes_its_half_within_the_body_is_told_that_it_is_incomplete(ingress: Ingress) -> None:
    wire = ingress.connect()
    wire.send(good("cut").as_bytes()[:-5])
    wire.sock.shutdown(1)
    answer = wire.read()
    assert (answer.status, answer.code) == (400, "body_incomplete")


def test_an_http_1_0_sender_is_answered_and_its_connection_closed(ingress: Ingress) -> None:
    wire = ingress.connect()
    wire.send(good("old").as_bytes().replace(b"HTTP/1.1", b"HTTP/1.0", 1))
    answer = wire.read()
    assert (answer.status, answer.headers["connection"]) == (202, "close")
    assert wire.is_closed_within(5)


def test_what_is_no_http_at_all_gets_a_400_and_no_second_chance(ingress: Ingress) -> None:
    wire = ingress.connect()
    wire.send(b"\x16\x03\x01\x02\x00 hello")
    answer = wire.read()
    assert answer.status in (400, 405)
    wire.send(good("second").as_bytes())
    assert wire.is_closed_within(10)


def test_a_length_and_chunks_together_smuggle_nothing(ingress: Ingress, valkey: OwnValkey) -> None:
    valkey.empty()
    inner = good("smuggled").as_bytes()
    wire = ingress.connect()
    wire.send(
        request_bytes(b"0\r\n\r\n" + inner, [("Content-Length", str(len(inner))), ("Transfer-Encoding", "chunked")])
    )
    assert wire.read().status in (400, 411)
    assert wire.is_closed_within(10)
    assert valkey.entries() == []


def test_a_stopping_ingress_answers_what_it_has_begun(valkey: OwnValkey) -> None:
    with running_ingress(redis_url=valkey.url, workers=1) as stopping:
        wire = stopping.connect()
        whole = good("last").as_bytes()
        wire.send(whole[:-5])
        time.sleep(0.3)  # so that it is begun
        stopping.process.terminate()
        time.sleep(0.3)
        wire.send(whole[-5:])
        answer = wire.read()
        assert (answer.status, answer.headers["connection"]) == (202, "close")
        assert stopping.process.wait(15) == 0
