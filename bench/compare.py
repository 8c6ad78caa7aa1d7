"""autocom and Fastify + BullMQ + pg, one after the other, on the same servers, under the same generator.

    python -m bench.compare [--rounds 3] [--count 30000] [--only flat-out|rates] [--json FILE]

Prints for both: 30,000 events as fast as 64 connections take them, from the first POST to the last commit; ack
percentiles at 1,000/s and 1,700/s,
measured from the intended send time; CPU seconds of every process. The stacks alternate, so that a busy minute of the
machine hits both; medians over the
rounds are compared. Both are warmed up with 5,000 events before each measurement. Valkey syncs every write to disk
before it answers, for both.
"""

from __future__ import annotations

import argparse
import json
import secrets
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

import psycopg

from bench.stacks import Autocom, Peer, Running, Servers, Stack, own_servers, running
from ingestion.replay.config import GeneratorConfig, target_of
from ingestion.replay.run import GeneratorResult, Progress, run_generator
from ingestion.replay.signing import default_signer_spec

WARM_UP_COUNT = 5_000
DRAIN_LIMIT = timedelta(seconds=180)
RATES = (1_000, 1_700)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One measurement of one stack."""

    stack: str
    what: str
    events: int
    first_post_to_last_commit_seconds: float
    ack_p50_ms: float | None
    ack_p95_ms: float | None
    ack_p99_ms: float | None
    accepted: int
    kept_pace: bool
    cpu_seconds: dict[str, float]


def measure(stack: Stack, servers: Servers, *, what: str, rate: float, count: int, folder: Path) -> Measured:
    with running(stack, servers) as state:
        warm = _generate(stack, servers, rate=0, count=WARM_UP_COUNT, folder=folder)
        _wait_for_commits(state, _distinct(warm))
        before = state.cpu_seconds()
        result = _generate(stack, servers, rate=rate, count=count, folder=folder)
        last_commit = _wait_for_commits(state, _distinct(warm) + _distinct(result))
        after = state.cpu_seconds()
    cpu = {name: round(after[name] - before[name], 2) for name in after}
    if result.history.self_check:
        cpu["generator"] = round(result.history.self_check.cpu_seconds, 2)
    first_post_ns = min(send.first.sent_ns for send in result.history.sends if send.first)
    figures = result.figures
    return Measured(
        stack=stack.name,
        what=what,
        events=count,
        first_post_to_last_commit_seconds=round(last_commit - result.history.wall_ns(first_post_ns) / 1e9, 2),
        ack_p50_ms=figures.ack_ms.p50,
        ack_p95_ms=figures.ack_ms.p95,
        ack_p99_ms=figures.ack_ms.p99,
        accepted=figures.accepted,
        kept_pace=figures.kept_pace,
        cpu_seconds=cpu,
    )


def _generate(stack: Stack, servers: Servers, *, rate: float, count: int, folder: Path) -> GeneratorResult:
    run_id = f"b{secrets.token_hex(6)}"
    config = GeneratorConfig(
        run_id=run_id,
        target=target_of(f"http://127.0.0.1:{stack.port}"),
        path="/webhooks/default",
        signer=default_signer_spec(bearer=servers.bearer, secret=servers.hmac_secret),
        journal_path=folder / f"{run_id}.jsonl",
        count=count,
        rate=rate,
        duplicates=0.0,
    )

    def silent(_: Progress) -> None:
        return

    return run_generator(config, on_progress=silent)


def _distinct(result: GeneratorResult) -> int:
    return sum(1 for send in result.history.sends if send.acknowledged)


def _wait_for_commits(state: Running, wanted: int) -> float:
    """Unix time of the last commit, once so many events are stored. Raises RuntimeError when they never are."""
    deadline = time.monotonic() + DRAIN_LIMIT.total_seconds()
    with psycopg.connect(state.servers.db_url, autocommit=True) as connection:
        while time.monotonic() < deadline:
            count, last_commit = state.stack.stored(connection)
            if count >= wanted:
                return last_commit
            time.sleep(0.25)
    raise RuntimeError(f"{state.stack.name}: {count} of {wanted} events were stored within {DRAIN_LIMIT}")


def compare(*, rounds: int, count: int, only: str | None) -> list[Measured]:
    stacks: list[Stack] = [Autocom(), Peer()]
    with own_servers(stacks) as servers:
        return list(_all(stacks, servers, rounds=rounds, count=count, only=only, folder=servers.base))


def _all(
    stacks: Sequence[Stack], servers: Servers, *, rounds: int, count: int, only: str | None, folder: Path
) -> Sequence[Measured]:
    plans: list[tuple[str, float, int]] = []
    if only != "rates":
        plans.append(("as fast as possible", 0, count))
    if only != "flat-out":
        plans += [(f"{rate}/s", rate, rate * 15) for rate in RATES]
    found = []
    for number in range(rounds):
        for what, rate, events in plans:
            for stack in stacks if number % 2 == 0 else reversed(stacks):
                measured = measure(stack, servers, what=what, rate=rate, count=events, folder=folder)
                found.append(measured)
                print(_line(measured), flush=True)
    return found


def _line(measured: Measured) -> str:
    cpu = ", ".join(f"{name} {seconds:.1f}" for name, seconds in measured.cpu_seconds.items())
    percentiles = " / ".join(
        f"{value:.1f}" if value else "-" for value in (measured.ack_p50_ms, measured.ack_p95_ms, measured.ack_p99_ms)
    )
    pace = "" if measured.kept_pace else "  (the generator was late itself)"
    return (
        f"{measured.stack:<16} {measured.what:<20} "
        f"{measured.first_post_to_last_commit_seconds:6.2f} s to the last commit   "
        f"ack P50/P95/P99 {percentiles} ms   CPU s: {cpu}{pace}"
    )


def verdicts(found: Sequence[Measured]) -> list[str]:
    """One line a figure: medians of both and their ratio."""
    lines = []
    for what in dict.fromkeys(each.what for each in found):
        columns = (
            {"first_post_to_last_commit_seconds": "first POST to last commit, s"}
            if what.startswith("as")
            else {
                "ack_p50_ms": "ack P50, ms",
                "ack_p95_ms": "ack P95, ms",
                "ack_p99_ms": "ack P99, ms",
            }
        )
        for column, title in columns.items():
            ours, theirs = (
                statistics.median(
                    getattr(each, column) or float("nan") for each in found if each.what == what and each.stack == name
                )
                for name in (Autocom().name, Peer().name)
            )
            ahead = "ahead" if ours < theirs else "BEHIND"
            lines.append(
                f"{what:<20} {title:<30} autocom {ours:8.2f}   peer {theirs:8.2f}   ratio {ours / theirs:.2f}  {ahead}"
            )
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--count", type=int, default=30_000)
    parser.add_argument("--only", choices=("flat-out", "rates"))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = compare(rounds=options.rounds, count=options.count, only=options.only)
    print("\nmedians")
    for line in verdicts(found):
        print(line)
    if options.json:
        options.json.write_text(json.dumps([asdict(each) for each in found], indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
