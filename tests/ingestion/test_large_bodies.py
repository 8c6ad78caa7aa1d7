"""Bodies as long as GitHub sends them, through the real ingress, Redis and PostgreSQL."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import psutil
import pytest
from django.conf import settings
from django.db import connection

from autocom.kernel.digest import sha256
from ingestion.models import Delivery, Event
from tests.support.ingress import Answer, Ingress, OwnValkey, own_valkey, request_bytes, running_ingress
from tests.support.lanes import LANES, LaneKit
from tests.support.schemes import SCHEMES, add_provider

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("autocom.ingress_urls")]
GITHUB = SCHEMES["github"]
LIMIT_BYTES = 26_214_400


@pytest.fixture(scope="module")
def valkey() -> Iterator[OwnValkey]:
    with own_valkey() as valkey:
        yield valkey


@pytest.fixture
def ingress(valkey: OwnValkey) -> Iterator[Ingress]:
    """It knows GitHub, from this test's database."""
    add_provider(GITHUB)
    db_url = urlsplit(settings.AUTOCOM.db_url)._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    with running_ingress(redis_url=valkey.url, db_url=db_url) as ingress:
        deadline = time.monotonic() + 20
        while post(ingress, b"{").code == "providers_not_loaded" and time.monotonic() < deadline:
            time.sleep(0.1)
        yield ingress


def body_of(size_bytes: int) -> bytes:
    bare = json.dumps({"action": "opened", "repository": {"id": 42}, "pad": ""}).encode()
    return bare[:-2] + b"x" * (size_bytes - len(bare)) + bare[-2:]


def post(ingress: Ingress, body: bytes) -> Answer:
    request = GITHUB.request(body)
    headers = [*request.headers.items(), ("Content-Length", str(len(body)))]
    return ingress.send(request_bytes(request.body, headers, path=request.path))


def test_the_longest_body_of_github_is_promised_and_committed_whole(ingress: Ingress, valkey: OwnValkey) -> None:
    body = body_of(LIMIT_BYTES)
    answer = post(ingress, body)
    for _ in range(4):  # a disk that takes longer than an ack may is a 503; GitHub's operators send it again
        if answer.status == 202:
            break
        assert (answer.status, answer.code) == (503, "buffer_unavailable")
        answer = post(ingress, body)
    assert (answer.status, answer.code) == (202, "")
    lanes = LaneKit(buffer=valkey.lanes)
    for lane in range(LANES):
        lanes.drain(lane)
    stored = Delivery.objects.get()
    assert (len(stored.body), sha256(bytes(stored.body))) == (LIMIT_BYTES, sha256(body))
    assert Event.objects.get().provider == "github"


def head_of(size_bytes: int) -> bytes:
    """A good request without its body."""
    request = GITHUB.request(GITHUB.event)
    return request_bytes(b"", [*request.headers.items(), ("Content-Length", str(size_bytes))], path=request.path)


def test_a_byte_more_is_refused_before_it_is_read(ingress: Ingress, valkey: OwnValkey) -> None:
    valkey.empty()
    answer = ingress.send(head_of(LIMIT_BYTES + 1))
    assert (answer.status, answer.code, answer.json()["limit_bytes"]) == (413, "body_too_large", LIMIT_BYTES)
    assert valkey.entries() == []


def test_a_flood_of_large_bodies_is_held_back_and_the_memory_stays_bounded(ingress: Ingress) -> None:
    (worker,) = ingress.workers()
    before = psutil.Process(worker.pid).memory_info().rss
    wires = [ingress.connect() for _ in range(30)]
    for wire in wires:
        wire.send(head_of(LIMIT_BYTES))
    answers = [wire.read() for wire in wires[4:]]
    assert {(each.status, each.code) for each in answers} == {(503, "ingress_busy")}
    for wire in wires[:4]:
        wire.send(b"x" * (LIMIT_BYTES - 1))  # and then nothing: they are cut off
    assert psutil.Process(worker.pid).memory_info().rss - before < 300_000_000
    for wire in wires:
        wire.close()
    assert post(ingress, GITHUB.event).status == 202  # an ordinary one is not held up
