"""Every page of the console over a history of ten million events: server time, and how many queries.

    python -m bench.pages [--events 10000000]

PostgreSQL makes the rows itself, on servers of this run alone, gone afterwards (about 9 GB for ten million). They have
the tables' own shape and indexes; their digests are of nothing, so nothing is verified here. Each page of the sidebar,
and the page of each list's first row, is asked for in this process by somebody with every role. Exit 1: a page took
over 200 ms.
"""

from __future__ import annotations

import argparse
import logging
import re
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

LIMIT_MS = 200.0
TIMES = 5
CHUNK_COUNT = 500_000
BATCH_EVENTS = 50
DAYS = 28
STEPS = (
    """INSERT INTO ingestion_batch (number, lane, epoch, first_sequence, last_sequence, event_count, duplicate_count,
         quarantined_count, dead_count, merkle_root, worker, fence, claimed_at, committed_at)
       SELECT n, n %% 4, 1, (n / 4) * %(size)s + 1, (n / 4) * %(size)s + %(size)s, %(size)s, 0, 0, 0,
         sha256(n::text::bytea), 'worker', 1, t, t + interval '20 ms'
       FROM (SELECT n, now() - (%(last)s - n) * %(apart)s AS t FROM generate_series(%(first)s, %(last)s - 1) n) s""",
    """INSERT INTO ingestion_event (id, provider, message_id, event_type, ordering_key, identity, recipe, lane, epoch,
         sequence, body_sha256, content_sha256, received_at, accepted_at, kind, payload, batch_id)
       SELECT (lpad(to_hex((extract(epoch FROM t) * 1000)::bigint), 12, '0') || '7' || substr(h, 1, 3) || '8' ||
           substr(h, 4, 15))::uuid,
         CASE WHEN n %% 10 = 0 THEN 'mailgun' ELSE 'default' END, 'message-' || n,
         (ARRAY['delivered', 'opened', 'bounced', 'payment'])[n %% 4 + 1], 'key-' || n %% 50000,
         sha256(h::bytea), 'generic/1', b %% 4, 1, (b / 4) * %(size)s + n %% %(size)s + 1, sha256(h::bytea),
         sha256(h::bytea), t, t + interval '2 ms', (ARRAY['delivered', 'opened', 'bounced', 'payment'])[n %% 4 + 1],
         jsonb_build_object('id', n, 'type', 'delivered', 'data', jsonb_build_object('to', n || '@example.com')), b
       FROM (SELECT b * %(size)s + i AS n, b, now() - (%(last)s - b) * %(apart)s AS t,
               md5((b * %(size)s + i)::text) AS h
             FROM generate_series(%(first)s, %(last)s - 1) b, generate_series(0, %(size)s - 1) i) s""",
)
SET_ASIDE = """INSERT INTO ingestion_deadletter (event_id, provider, message_id, event_type, ordering_key, identity,
      recipe, lane, epoch, sequence, body_sha256, content_sha256, received_at, accepted_at, kind, payload_bytes,
      is_whole, state, attempt_count, discard_reason, error_class, error, fingerprint, dead_at, batch_id)
    SELECT gen_random_uuid(), provider, message_id || '-dead', event_type, ordering_key, sha256(message_id::bytea),
      recipe, lane, epoch, sequence, body_sha256, content_sha256, received_at, accepted_at, kind, '{}'::bytea, true,
      'open', 1, '', 'DataError', 'unsupported Unicode escape sequence', substr(md5(event_type), 1, 16), accepted_at,
      batch_id
    FROM ingestion_event ORDER BY id DESC LIMIT 20000"""
DUPLICATES = """INSERT INTO ingestion_suppressedduplicate
      (event_id, original_event_id, provider, message_id, event_type, received_at, late)
    SELECT gen_random_uuid(), id, provider, message_id, event_type, received_at, false
    FROM ingestion_event ORDER BY id DESC LIMIT 200000"""


@dataclass(frozen=True, slots=True)
class Timed:
    path: str
    first_ms: float  # of a process that has not shown it before
    median_ms: float
    cpu_ms: float  # of this process: what stays of it on a machine that others share
    query_count: int


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000_000)
    options = parser.parse_args()

    import django

    import tests.support.servers  # noqa: F401  (servers of this run alone, before Django reads its settings)

    django.setup()
    logging.disable(logging.CRITICAL)
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    fill(options.events)
    rows = [timed(path) for path in paths()]
    for row in sorted(rows, key=lambda each: -each.median_ms):
        took = f"{row.median_ms:8.1f} ms  CPU {row.cpu_ms:6.1f} ms  first {row.first_ms:8.1f} ms"
        print(f"{took}  {row.query_count:3d} queries  {row.path}")
    late = [row for row in rows if row.median_ms > LIMIT_MS]
    print(f"{len(rows)} pages over {options.events:,} events, {len(late)} of them over {LIMIT_MS:.0f} ms")
    return 1 if late else 0


def latencies_of_days() -> None:
    """As `roll_up` leaves them: by the hour, the last two days by the minute, the last minutes by the second."""
    from datetime import UTC, datetime, timedelta

    from ingestion.latency import Stage, StageCounts
    from ingestion.latency_store import encoded
    from ingestion.models import HOUR, MINUTE, LatencyFlush

    taken = StageCounts()
    for us in range(2_000, 130_000, 64):
        taken.histogram.record_value(us)
    given: dict[str, Any] = {"count": 2_000, "within_slo_count": 1_844, "sum_us": 132_000_000, "max_us": 129_936}
    given["histogram"] = encoded(taken.histogram)
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    edge = (now - timedelta(days=2)).replace(minute=0)
    spans = [(edge - timedelta(hours=n), HOUR, 1) for n in range(1, 24 * (DAYS - 2))]
    spans += [(edge + timedelta(minutes=n), MINUTE, 1) for n in range((now - edge) // timedelta(minutes=1) - 3)]
    spans += [(now - timedelta(minutes=n), "ingress-1", 60) for n in range(3)]
    LatencyFlush.objects.bulk_create(
        [
            LatencyFlush(minute=minute, stage=stage, provider=provider, process=process, flush_number=number, **given)
            for minute, process, flushes in spans
            for stage in Stage
            for provider in ("default", "mailgun")
            for number in range(flushes)
        ],
        batch_size=5_000,
    )


def fill(count: int) -> None:
    from datetime import timedelta

    from django.db import connection

    from autocom.kernel.clock import SYSTEM_CLOCK
    from ingestion.jobs import ROLL_UP_PACE
    from ingestion.latency_merges import make_merges
    from ingestion.models import Lane
    from tests.console.rows import audit_row, bundle_row, provider_row

    begin, batch_count = time.monotonic(), count // BATCH_EVENTS
    apart = timedelta(days=DAYS) / batch_count
    Lane.objects.bulk_create([Lane(number=n, epoch=1, cursor=count // 4, fence=1) for n in range(4)])
    provider_row("default")
    provider_row("mailgun", scheme="mailgun")
    latencies_of_days()
    audit_row()
    bundle_row()
    with connection.cursor() as cursor:
        for first in range(0, batch_count, CHUNK_COUNT // BATCH_EVENTS):
            last = min(first + CHUNK_COUNT // BATCH_EVENTS, batch_count)
            past = apart * (batch_count - last)
            for step in STEPS:
                text = step.replace("now()", "(now() - %(past)s)")
                given: dict[str, Any] = {"first": first + 1, "last": last + 1, "apart": apart, "past": past}
                given["size"] = BATCH_EVENTS
                cursor.execute(text, given)
        cursor.execute(SET_ASIDE)
        cursor.execute(DUPLICATES)
        cursor.execute("VACUUM ANALYZE")
    while not all(each.is_complete for each in make_merges(pace=ROLL_UP_PACE, clock=SYSTEM_CLOCK)):
        pass  # as the ops queue does every minute
    print(f"filled: {count:,} events in {time.monotonic() - begin:.0f} s", flush=True)


def paths() -> Iterator[str]:
    """The sidebar's pages, the first row of each list, and searches that find much, one and nothing."""
    from django.urls import reverse

    from console.navigation import SECTIONS

    client = _client()
    for section in SECTIONS:
        for item in section.items:
            path = reverse(item.url_name)
            yield path
            page = client.get(path)
            rows = re.findall(rf'href="({re.escape(path)}[^"/?]+/change/)', page.content.decode())
            yield from rows[:1]
    yield reverse("admin:overview_figures")
    latency = reverse("admin:latency")
    for back in ("15m", "4h", "24h", "7d", "30d"):
        yield f"{latency}?from=now-{back}&to=now"
    yield f"{reverse('admin:latency_compare')}?from=now-7d&to=now&vs_from=now-14d&vs_to=now-7d"
    events = reverse("admin:ingestion_event_changelist")
    for query in (
        "type:delivered",
        "id:message-777777",
        "key:key-77",
        "no-such-thing",
        "provider:mailgun type:bounced",
    ):
        yield f"{events}?q={query.replace(' ', '+')}"


def timed(path: str) -> Timed:
    client = _client()
    first_ms, *_ = _once(client, path)
    runs = [_once(client, path) for _ in range(TIMES)]
    return Timed(
        path,
        first_ms=first_ms,
        median_ms=statistics.median(run[0] for run in runs),
        cpu_ms=statistics.median(run[1] for run in runs),
        query_count=runs[-1][2],
    )


def _once(client: Any, path: str) -> tuple[float, float, int]:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as queries:
        begin, cpu = time.perf_counter(), time.process_time()
        answer = client.get(path)
        took_ms, cpu_ms = (time.perf_counter() - begin) * 1_000, (time.process_time() - cpu) * 1_000
    if answer.status_code != 200:
        sys.exit(f"{path}: {answer.status_code}")
    return took_ms, cpu_ms, len(queries)


_CLIENTS: list[Any] = []


def _client() -> Any:
    if not _CLIENTS:
        from django.contrib.auth.models import Group, User
        from django.test import Client

        from console.roles import Role, sync_roles

        sync_roles()
        user = User.objects.create_user("dri", is_staff=True)
        user.groups.add(*Group.objects.filter(name__in=[role.value for role in Role]))
        client = Client(headers={"host": "localhost"})
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        _CLIENTS.append(client)
    return _CLIENTS[0]


if __name__ == "__main__":
    sys.exit(main())
