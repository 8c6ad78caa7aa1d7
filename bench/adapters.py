"""What each provider's adapter costs on the ack path, in microseconds of CPU, with `default` as 1.0x.

    python -m bench.adapters [--rounds 15] [--deliveries 200] [--json]

Measured is all that the request path does between the raw bytes and the one call to Redis: the signature check, the
identification of the events and the words of the command. The bodies are the events that `manage.py replay` makes, the
same for all, in each provider's own layout and signed by its adapter; SendGrid's largest POST, of 1,000 events, is
counted per event. CPU time of this thread, not wall time; the providers take turns in every round, and each figure is
the median of its rounds. No server is needed: nothing is sent.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import thread_time_ns, time_ns
from typing import Any

import django

BATCH_COUNT = 1_000
BEARER_KEY, HMAC_SECRET = secrets.token_hex(32), secrets.token_hex(32)
ENVIRONMENT = {
    "DJANGO_SETTINGS_MODULE": "autocom.settings",
    "SECRET_KEY": secrets.token_hex(32),
    "WEBHOOK_BEARER_KEY": BEARER_KEY,
    "WEBHOOK_HMAC_SECRET": HMAC_SECRET,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Microseconds of CPU; of the whole of it, and of the signature check alone."""

    provider: str
    events_per_delivery: int
    body_bytes: int
    us_per_event: float
    verify_us_per_event: float
    us_spread: float  # between the quartiles of the rounds
    times_default: float = 1.0


@dataclass(slots=True)
class Subject:
    """A provider with the deliveries that it sent, and what the rounds measured."""

    name: str
    deliver: Callable[[int], None]
    verify: Callable[[int], None]
    deliveries_count: int
    events_count: int
    body_bytes: int
    totals_us: list[float]
    verifies_us: list[float]

    def take_turn(self) -> None:
        self.totals_us.append(self._per_event_us(self.deliver))
        self.verifies_us.append(self._per_event_us(self.verify))

    def _per_event_us(self, step: Callable[[int], None]) -> float:
        begin_ns = thread_time_ns()
        for number in range(self.deliveries_count):
            step(number)
        return (thread_time_ns() - begin_ns) / 1_000 / self.deliveries_count / self.events_count

    def measured(self) -> Measured:
        low, _, high = statistics.quantiles(self.totals_us, n=4)
        return Measured(
            provider=self.name,
            events_per_delivery=self.events_count,
            body_bytes=self.body_bytes,
            us_per_event=statistics.median(self.totals_us),
            verify_us_per_event=statistics.median(self.verifies_us),
            us_spread=high - low,
        )


def measure(*, rounds_count: int, deliveries_count: int) -> list[Measured]:
    """`default` first, then the others by name. Raises what verification raises: nothing refused is ever timed."""
    subjects = _subjects(deliveries_count)
    for subject in subjects:
        subject.take_turn()  # caches of keys and scripts are filled, as in a process that has served before
        subject.totals_us.clear()
        subject.verifies_us.clear()
    for _ in range(rounds_count):
        for subject in subjects:
            subject.take_turn()
    found = [subject.measured() for subject in subjects]
    return [replace(one, times_default=one.us_per_event / found[0].us_per_event) for one in found]


def _subjects(deliveries_count: int) -> list[Subject]:
    # here and below: what reads Django's settings can be imported only once there are some
    from ingestion.replay.bodies import Body
    from ingestion.replay.events import generated_bodies
    from ingestion.replay.shapes import shaped
    from tests.replay.provider_kit import senders

    bodies = list(
        generated_bodies(
            run_id="r20260101T000000-000000", seed=1, count=max(deliveries_count, BATCH_COUNT), keys_count=500
        )
    )
    few = bodies[:deliveries_count]
    subjects = [_default(few)]
    for name, sender in senders().items():
        subjects.append(_subject(name, sender, [shaped(body, scheme=sender.scheme) for body in few], events_count=1))
        if name == "sendgrid":
            elements = [json.loads(shaped(body, scheme=name).content)[0] for body in bodies[:BATCH_COUNT]]
            batch = Body(content=json.dumps(elements).encode(), message_id="", event_type="", ordering_key="")
            subjects.append(_subject(f"sendgrid, {BATCH_COUNT:,} a POST", sender, [batch], events_count=BATCH_COUNT))
    return subjects


def _default(bodies: Sequence[Any]) -> Subject:
    from ingestion.provider_book import environment_default
    from ingestion.replay.signing import default_signer

    sign = default_signer(bearer=BEARER_KEY, secret=HMAC_SECRET)
    now_seconds = time_ns() // 1_000_000_000
    signed = [
        ({"content-type": "application/json", **sign(body.content, now_seconds=now_seconds)}, body.content)
        for body in bodies
    ]
    return _timed("default", environment_default(enabled=True), signed, url="", events_count=1)


def _subject(name: str, sender: Any, bodies: Sequence[Any], *, events_count: int) -> Subject:
    from ingestion.provider_book import KnownProvider, TimedSecret
    from ingestion.providers.adapter import Secret
    from ingestion.providers.registry import adapter_of
    from ingestion.replay.stored_signer import signer_of

    adapter = adapter_of(sender.scheme)
    known = KnownProvider(
        name=sender.scheme,
        adapter=adapter,
        options=adapter.read_options(sender.options),
        secrets=[
            TimedSecret(secret=Secret(value=value, fingerprint=""), not_before_us=0, not_after_us=None)
            for value in sender.secrets
        ],
        enabled=True,
    )
    key = sender.signing_key if sender.scheme != "ses" else f"{sender.secrets[0]}\n{sender.signing_key}"
    signer = signer_of(known, secret=Secret(value=key or sender.secrets[0], fingerprint=""))
    signed = [signer.sign(body, now_us=time_ns() // 1_000) for body in bodies]
    return _timed(
        name, known, [(one.headers, one.content) for one in signed], url=signer.url, events_count=events_count
    )


def _timed(name: str, known: Any, signed: Sequence[tuple[Any, bytes]], *, url: str, events_count: int) -> Subject:
    from autocom.kernel.ids import new_request_id
    from ingestion.accept import acceptance_of
    from ingestion.providers.adapter import InboundDelivery
    from ingestion.verify import verify

    now_us = time_ns() // 1_000
    requests = [
        InboundDelivery(
            provider=known.name,
            headers={header.lower(): text for header, text in headers.items()},
            body=body,
            url=url,
            received_us=now_us,
        )
        for headers, body in signed
    ]

    def check(number: int) -> None:
        verify(known, requests[number], now_us=now_us)

    def deliver(number: int) -> None:
        check(number)
        acceptance_of(known, requests[number], request_id=new_request_id(now_us=now_us)).words()

    found = acceptance_of(known, requests[0], request_id=new_request_id(now_us=now_us))
    assert len(found.delivery.events) == events_count, f"{name}: {len(found.delivery.events)} events in a delivery"
    body_bytes = statistics.median(len(request.body) for request in requests)
    return Subject(name, deliver, check, len(requests), events_count, round(body_bytes), [], [])


def table(found: Sequence[Measured]) -> str:
    head = f"{'provider':<24}{'us per event':>14}{'of that verify':>16}{'spread':>9}{'x default':>11}{'body bytes':>12}"
    rows = [
        f"{one.provider:<24}{one.us_per_event:>14.1f}{one.verify_us_per_event:>16.1f}{one.us_spread:>9.1f}"
        f"{one.times_default:>10.2f}x{one.body_bytes:>12,}"
        for one in found
    ]
    return "\n".join([head, *rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--deliveries", type=int, default=200, help="POSTs of each provider in a round")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.rounds < 2 or options.deliveries < 1:
        parser.error("at least 2 rounds of 1 delivery are needed")
    with tempfile.TemporaryDirectory(prefix="autocom-bench-") as folder:
        os.environ.update(ENVIRONMENT | {"AUTOCOM_DATA_DIR": str(Path(folder))})
        django.setup()
        found = measure(rounds_count=options.rounds, deliveries_count=options.deliveries)
    print(json.dumps([asdict(one) for one in found]) if options.json else table(found))


if __name__ == "__main__":
    main()
