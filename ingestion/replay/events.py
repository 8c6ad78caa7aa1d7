"""Events as a mail provider sends them, made from a seed. Same seed and run id: same bytes."""

import json
import random
from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any

from ingestion.replay.bodies import Body

# Shares of event types as a newsletter produces them, in percent.
EVENT_TYPE_SHARES = {
    "delivered": 46,
    "opened": 28,
    "clicked": 11,
    "deferred": 7,
    "bounced": 5,
    "unsubscribed": 2,
    "complained": 1,
}
DOMAINS = ("example.com", "example.net", "example.org", "mail.example", "news.example")  # reserved: RFC 2606, RFC 6761
CAMPAIGNS = ("spring-offer", "weekly-digest", "invoice-ready", "password-changed", "welcome-series")
ACCEPTED_BY_MX = "smtp; 250 2.0.0 OK queued as {token}"
DIAGNOSTICS = {
    "deferred": "smtp; 450 4.2.0 mailbox busy, try again later ({token})",
    "bounced": "smtp; 550 5.1.1 recipient address rejected: user unknown ({token})",
}
AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0 Safari/537.36",
)
ZIPF_EXPONENT = 1.0  # with 500 keys the busiest one gets about 15 % of the events
PADDING_BYTES_MEAN = 240
PADDING_BYTES_AT_MOST = 900
FIRST_MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
RUN_ID_TIME_FORMAT = "%Y%m%dT%H%M%S"


def new_run_id(*, now: datetime, rng: random.Random) -> str:
    """A short id that carries the second of its start: `r20261123T101530-4f2a9c`."""
    return f"r{now.astimezone(UTC).strftime(RUN_ID_TIME_FORMAT)}-{rng.getrandbits(24):06x}"


def message_id_prefix(run_id: str) -> str:
    """What the message ids of a run begin with, and those of no other run."""
    return f"{run_id}-"


@dataclass(slots=True)
class _Mailer:
    """The random state of one run."""

    rng: random.Random
    keys_count: int
    moment: datetime
    cumulative: list[float] = field(default_factory=list)

    def key_index(self) -> int:
        return bisect(self.cumulative, self.rng.random() * self.cumulative[-1], hi=self.keys_count - 1)


def generated_bodies(*, run_id: str, seed: int, count: int, keys_count: int) -> Iterator[Body]:
    """`count` events over `keys_count` recipients, skewed like Zipf's law, 500 to 2000 bytes and about 1 KB on average.

    The moments in them start at the second that the run id carries, so that they depend on nothing but the arguments.
    """
    weights = accumulate((rank + 1) ** -ZIPF_EXPONENT for rank in range(keys_count))
    rng = random.Random(f"{seed}:{run_id}")  # noqa: S311 - the plan has to be the same again, not secret
    mailer = _Mailer(rng=rng, keys_count=keys_count, moment=_started_at(run_id), cumulative=list(weights))
    types, shares = list(EVENT_TYPE_SHARES), list(accumulate(EVENT_TYPE_SHARES.values()))
    for number in range(count):
        kind = types[bisect(shares, rng.random() * shares[-1], hi=len(types) - 1)]
        yield _body(mailer, number=number, kind=kind, run_id=run_id)


def _started_at(run_id: str) -> datetime:
    try:
        return datetime.strptime(run_id[1:16], RUN_ID_TIME_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return FIRST_MOMENT


def _body(mailer: _Mailer, *, number: int, kind: str, run_id: str) -> Body:
    rng = mailer.rng
    mailer.moment += timedelta(microseconds=rng.randrange(200, 1_800))
    key_index = mailer.key_index()
    domain = DOMAINS[key_index % len(DOMAINS)]
    recipient = f"reader{key_index:05d}@{domain}"
    message_id = f"{message_id_prefix(run_id)}{number:08d}"
    event_type = f"email.{kind}"
    event = {
        "id": message_id,
        "type": event_type,
        "ordering_key": recipient,
        "occurred_at": mailer.moment.isoformat(timespec="microseconds"),
        "data": _data(rng, kind=kind, recipient=recipient, domain=domain),
    }
    return Body(
        content=json.dumps(event, separators=(",", ":")).encode(),
        message_id=message_id,
        event_type=event_type,
        ordering_key=recipient,
    )


def _data(rng: random.Random, *, kind: str, recipient: str, domain: str) -> dict[str, Any]:
    token = f"{rng.getrandbits(96):024x}"
    campaign = CAMPAIGNS[rng.randrange(len(CAMPAIGNS))]
    data: dict[str, Any] = {
        "recipient": recipient,
        "recipient_domain": domain,
        "sender": f"news@{DOMAINS[rng.randrange(len(DOMAINS))]}",
        "subject": f"{campaign.replace('-', ' ').title()} \u2013 issue {rng.randrange(1, 400)}",
        "smtp_message_id": f"<{token}@{domain}>",
        "campaign": campaign,
        "tags": [campaign, f"segment-{rng.randrange(40)}", f"variant-{'ab'[rng.randrange(2)]}"],
        "attempt": 1 + rng.randrange(3) * (kind == "deferred"),
        "diagnostic": DIAGNOSTICS.get(kind, ACCEPTED_BY_MX).format(token=token[:12]),
        "mx": {"host": f"mx{rng.randrange(1, 9)}.{domain}", "ip": f"192.0.2.{rng.randrange(1, 255)}", "tls": "TLSv1.3"},
        "custom": {"customer": rng.randrange(10**7), "order": f"{rng.getrandbits(64):016x}"},
    }
    if kind in {"opened", "clicked", "unsubscribed"}:
        data["client"] = {
            "user_agent": AGENTS[rng.randrange(len(AGENTS))],
            "ip": f"198.51.100.{rng.randrange(1, 255)}",
            "language": "en",
        }
    if kind == "clicked":
        data["url"] = f"https://www.{domain}/{campaign}?reader={token}&utm_source=mail&utm_campaign={campaign}"
    padding_bytes = min(int(rng.expovariate(1 / PADDING_BYTES_MEAN)), PADDING_BYTES_AT_MOST)
    data["trace"] = f"{rng.getrandbits(4 * padding_bytes + 64):x}"
    return data
