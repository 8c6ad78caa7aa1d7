"""A history as traffic leaves it: signed deliveries through the real append, the real drain, the real sealer.

With what goes wrong among it: repetitions, conflicts, poison, deliveries of several events, letters that were retried.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from unittest.mock import patch

from django.conf import settings
from django.db import transaction

from autocom.kernel.clock import SYSTEM_CLOCK
from autocom.kernel.ids import new_request_id
from evidence.log.names import LogName
from evidence.log.sealer import seal_everything
from ingestion.accept import acceptance_of
from ingestion.buffer.append import Appended, Code
from ingestion.buffer.store import LaneBuffer
from ingestion.drain import Drainer, DrainPolicy
from ingestion.latency import LatencyRecorder
from ingestion.models import DeadLetter
from ingestion.provider_book import environment_default
from ingestion.providers.adapter import InboundDelivery
from ingestion.redrive.place import SetAside
from ingestion.redrive.retry import request_retry
from ingestion.replay.events import generated_bodies
from ingestion.replay.signing import Signer, default_signer
from tests.support.lanes import PROMPT

RUN_ID = "r20260101T000000-000000"
KEYS_COUNT = 500


@dataclass(slots=True)
class Sender:
    """Signs as the sender of the provider `default` does, and appends as the ingress does."""

    buffer: LaneBuffer
    sign: Signer = field(
        default_factory=lambda: default_signer(
            bearer=settings.AUTOCOM.webhook_bearer_key, secret=settings.AUTOCOM.webhook_hmac_secret
        )
    )

    def send(self, body: bytes) -> Sequence[Appended]:
        now_us = SYSTEM_CLOCK.now_us()
        headers = {"content-type": "application/json", **self.sign(body, now_seconds=now_us // 1_000_000)}
        inbound = InboundDelivery(
            provider="default",
            headers={name.lower(): value for name, value in headers.items()},
            body=body,
            url="",
            received_us=now_us,
        )
        provider = environment_default(enabled=True)
        acceptance = acceptance_of(provider, inbound, request_id=new_request_id(now_us=now_us))
        answers = self.buffer.append(acceptance.words())
        return [_read(answer) for answer in answers]


def _read(answer: Sequence[object]) -> Appended:
    return Appended(Code(answer[0]))


def drain_all(buffer: LaneBuffer, *, policy: DrainPolicy = PROMPT) -> None:
    drainer = Drainer(
        buffer=buffer, recorder=LatencyRecorder(process="test"), clock=SYSTEM_CLOCK, worker="test", policy=policy
    )
    for lane in range(settings.AUTOCOM.lanes):
        drainer.drain(lane, job_id="test")


def seal_logs() -> int:
    """How many leaves."""
    return sum(seal_everything(log) for log in LogName)


def mixture(*, name: str, count: int, seed: int = 1) -> Iterator[bytes]:
    """Bodies: `count` good events, and among each hundred of them two repetitions, a conflict, a poison, three in one.

    `name` keeps the message ids of several mixtures apart.
    """
    for number, body in enumerate(generated_bodies(run_id=RUN_ID, seed=seed, count=count, keys_count=KEYS_COUNT)):
        content = body.content.replace(RUN_ID.encode(), f"{name}-{RUN_ID}".encode())
        yield content
        match number % 100:
            case 10 | 60:
                yield content
            case 20:
                yield content.replace(b'"attempt":1', b'"attempt":7').replace(b'"tags":[', b'"tags":["other",')
            case 30:
                yield _changed(content, id=f"{name}-poison-{number}", data={"text": "\x00"})
            case 40:
                yield json.dumps(
                    [{"id": f"{name}-part-{number}-{i}", "type": "email.opened"} for i in range(3)]
                ).encode()
            case _:
                pass


def _changed(content: bytes, **fields: object) -> bytes:
    return json.dumps({**json.loads(content), **fields}).encode()


def bury_and_retry(buffer: LaneBuffer, bodies: Sequence[bytes]) -> None:
    """Good events that an earlier version took for poison, and that were stored by a retry: leaves D, then R."""
    sender = Sender(buffer)
    for body in bodies:
        sender.send(body)
    with patch("ingestion.commit.why_unstorable", lambda _payload: "a bug of ours"):
        drain_all(buffer)
    ids = [json.loads(body)["id"] for body in bodies]
    letters = list(DeadLetter.objects.filter(message_id__in=ids).values_list("event_id", flat=True))
    with transaction.atomic():
        request_retry(SetAside.DEAD_LETTER, letters)
    drain_all(buffer)
