"""autocom under several times the load that it can take: is what it accepts still acked in time, and committed?

    python -m bench.overload [--times 10] [--seconds 20] [--connections 512]

First a short run as fast as 64 connections allow finds the rate that the machine sustains; then `--times` that rate is
offered in an open loop. Prints what was accepted and refused, percentiles of the accepted from the moment they were
sent, the peak of Redis's memory against its limit, and what the replay's reconciliation finds. Exit 1 where the
accepted were late (P95 above 120 ms), a refusal was no 503, or anything is lost, doubled or out of order.

Where senders and service share a machine, N busy connections and X answers a second make a mean of N / X (Little's
law), whoever is to blame for it: with 1,000 connections and 15,000 answers a second no P95 below 67 ms can be seen.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import redis

from autocom.local_servers import addresses
from autocom.local_servers.servers import LocalServers
from bench.stacks import Autocom, Servers, is_free, running
from ingestion.replay.config import GeneratorConfig, target_of
from ingestion.replay.figures import Figures
from ingestion.replay.run import GeneratorResult, Progress, run_generator
from ingestion.replay.signing import default_signer_spec

PORT = 18_011
FLAT_OUT_COUNT = 12_000
P95_LIMIT_MS = 120.0
LOOK_EVERY_SECONDS = 0.1


@dataclass(slots=True)
class Memory:
    """The peak of Redis's memory while it was watched."""

    client: redis.Redis
    peak_bytes: int = 0
    limit_bytes: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        while not self._stop.wait(LOOK_EVERY_SECONDS):
            found = self.client.info("memory")
            self.peak_bytes = max(self.peak_bytes, int(found["used_memory"]))
            self.limit_bytes = int(found["maxmemory"])

    @contextmanager
    def watched(self) -> Iterator[None]:
        thread = threading.Thread(target=self.watch, name="memory", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()


def generate(
    stack: Autocom, servers: Servers, *, rate: float, count: int, connections: int, folder: Path
) -> GeneratorResult:
    run_id = f"o{secrets.token_hex(6)}"
    config = GeneratorConfig(
        run_id=run_id,
        target=target_of(f"http://127.0.0.1:{stack.port}"),
        path="/webhooks/default",
        signer=default_signer_spec(bearer=servers.bearer, secret=servers.hmac_secret),
        journal_path=folder / f"{run_id}.jsonl",
        count=count,
        rate=rate,
        connections=connections,
        duplicates=0.0,
        retries=0,  # what is refused stays refused: each answer is counted once
    )
    return run_generator(config, on_progress=silent)


def silent(_: Progress) -> None:
    return


def statuses_of(result: GeneratorResult) -> Counter[int]:
    return Counter(send.first.status for send in result.history.sends if send.first)


def overload(servers: Servers, *, times: float, seconds: float, connections: int) -> bool:
    """True when all that was accepted kept its promise."""
    stack = Autocom(port=PORT)
    if not is_free(stack.port):  # ingresses share a port if they may: half of the answers would be another's
        raise SystemExit(f"bench: port {stack.port} is in use: stop what listens there")
    stack.prepare(servers)
    memory = Memory(redis.Redis.from_url(servers.redis_url))
    with running(stack, servers), memory.watched():
        flat_out = generate(stack, servers, rate=0, count=FLAT_OUT_COUNT, connections=64, folder=servers.base)
        sustained = flat_out.figures.acknowledged / flat_out.figures.sending_seconds
        print(f"flat out, 64 connections: {sustained:,.0f} accepted a second", flush=True)
        time.sleep(1.0)
        rate = sustained * times
        result = generate(
            stack, servers, rate=rate, count=round(rate * seconds), connections=connections, folder=servers.base
        )
        return judge(result, memory=memory)


def judge(result: GeneratorResult, *, memory: Memory) -> bool:
    """Prints what became of the load. Django is set up by now."""
    from ingestion.replay.trial import judged
    from ingestion.replay.verdict import GATE_A

    figures, statuses = result.figures, statuses_of(result)
    print_load(figures, statuses)
    print(f"Redis memory: peak {memory.peak_bytes:,} of {memory.limit_bytes:,} bytes")
    report = judged(result, gate=GATE_A)
    found = report.reconciliation
    if found is None or not report.is_drained:
        print("committed: UNKNOWN, not everything promised was found in time")
        return False
    wrong = {kind.value: len(findings) for kind, findings in found.findings.items()}
    print(f"committed: {found.acknowledged_count:,} promised, found wrong: {wrong or 'nothing'}")
    is_in_time = figures.service_ms.p95 is not None and figures.service_ms.p95 <= P95_LIMIT_MS
    return not wrong and is_in_time and not [status for status in statuses if status not in (202, 503)]


def print_load(figures: Figures, statuses: Counter[int]) -> None:
    answered = ", ".join(f"{status or 'no answer'}: {count:,}" for status, count in statuses.most_common())
    print(f"offered {figures.rate_offered:,.0f}/s, sent {figures.rate_achieved:,.0f}/s; answers by status: {answered}")
    print(f"refused by code: {', '.join(f'{code} {count:,}' for code, count in figures.refusals) or 'none'}")
    accepted_rate = figures.acknowledged / figures.sending_seconds
    service = figures.service_ms
    print(
        f"accepted {figures.acknowledged:,} ({accepted_rate:,.0f}/s), from sent to acked "
        f"P50 {service.p50} / P95 {service.p95} / P99 {service.p99} ms"
    )


@contextmanager
def own_servers() -> Iterator[Servers]:
    with tempfile.TemporaryDirectory(prefix="autocom-bench-") as name:
        base = Path(name)
        base.chmod(0o755)  # the servers' own user must get through to its directories
        local = LocalServers.start(base)
        try:
            yield Servers(
                db_url=local.db_url,
                socket_dir=addresses.run_dir(base),
                redis_url=local.redis_url,
                bearer=secrets.token_hex(24),
                hmac_secret=secrets.token_hex(24),
                base=base,
            )
        finally:
            local.stop()


def use(servers: Servers) -> None:
    """This process reads the rows too, with Django on the same database."""
    import django

    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "autocom.settings",
        "DB_URL": servers.db_url,
        "REDIS_URL": servers.redis_url,
        "AUTOCOM_DATA_DIR": str(servers.base),
        "SECRET_KEY": servers.hmac_secret[::-1],
        "WEBHOOK_BEARER_KEY": servers.bearer,
        "WEBHOOK_HMAC_SECRET": servers.hmac_secret,
    }
    django.setup()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=float, default=10.0)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--connections", type=int, default=512)
    options = parser.parse_args()
    with own_servers() as servers:
        use(servers)
        is_kept = overload(servers, times=options.times, seconds=options.seconds, connections=options.connections)
    print("PASS" if is_kept else "FAIL")
    return 0 if is_kept else 1


if __name__ == "__main__":
    sys.exit(main())
