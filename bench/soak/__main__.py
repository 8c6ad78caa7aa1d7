"""`python -m bench.soak`: see the package."""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import sys
from datetime import UTC, datetime
from pathlib import Path

import django
import psycopg

import bench.soak
from bench.soak.report import Soak, as_text, is_latency, write_files
from bench.soak.sample import EVERY_SECONDS, Sample, Sampler
from bench.soak.series import Series, load_of, series_of
from bench.soak.trend import Verdict
from bench.soak.windows import ack_windows, lag_windows
from bench.stacks import ROOT, Autocom, Servers, environ_of, own_servers, running
from ingestion.replay.config import GeneratorConfig, target_of
from ingestion.replay.events import new_run_id
from ingestion.replay.run import GeneratorResult, Progress, run_generator
from ingestion.replay.signing import default_signer_spec
from ingestion.replay.verdict import ACCEPTED_RATIO_AT_LEAST

STACK = Autocom(console_port=18002)
SECONDS_AT_LEAST = 20
RATE_AT_MOST = 20_000.0
BUSY_PERCENT = 95.0  # of all cores, at the median


def main() -> int:
    options = _options()
    folder: Path = options.out or ROOT / "artifacts" / "soak" / datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    folder.mkdir(parents=True)
    with own_servers([STACK], prefix="autocom-soak-") as servers:
        soak = _soak(servers, seconds=options.seconds, rate=options.rate, folder=folder)
    write_files(folder, soak)
    print(as_text(soak))
    print(f"soak.json, soak.csv and soak.md are in {folder}")
    return soak.exit_code


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=bench.soak.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, prog="bench.soak"
    )
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--rate", type=float, default=1_000.0)
    parser.add_argument("--out", type=Path, help="a new folder; default: artifacts/soak/<time>")
    options = parser.parse_args()
    if options.seconds < SECONDS_AT_LEAST:
        parser.error(f"--seconds {options.seconds}: {SECONDS_AT_LEAST} or more, such as 600")
    if not 1 <= options.rate <= RATE_AT_MOST:
        parser.error(f"--rate {options.rate:g}: between 1 and {RATE_AT_MOST:,.0f} a second, such as 1000")
    if options.out and options.out.exists():
        parser.error(f"--out {options.out}: exists already; name a new folder")
    return options


def _soak(servers: Servers, *, seconds: int, rate: float, folder: Path) -> Soak:
    journal_path = servers.base / "journal.jsonl"
    with running(STACK, servers) as state, psycopg.connect(servers.db_url, autocommit=True) as database:
        sampler = Sampler(state=state, metrics_url=f"http://127.0.0.1:{STACK.console_port}/metrics")
        result = _offer(servers, sampler, seconds=seconds, rate=rate, journal_path=journal_path)
        soak = _judged(result, sampler, servers, database, seconds=seconds, rate=rate)
    if soak.broken or any(soak.reconciled.values()):
        shutil.copy(journal_path, folder)  # what was promised, for whoever looks for it
        shutil.copy(servers.base / f"bench-{STACK.name}.log", folder)
    return soak


def _offer(servers: Servers, sampler: Sampler, *, seconds: int, rate: float, journal_path: Path) -> GeneratorResult:
    """Sampled is the time under load: from the first send to the last."""
    config = GeneratorConfig(
        run_id=new_run_id(now=datetime.now(UTC), rng=random.SystemRandom()),
        target=target_of(f"http://127.0.0.1:{STACK.port}"),
        path="/webhooks/default",
        signer=default_signer_spec(bearer=servers.bearer, secret=servers.hmac_secret),
        journal_path=journal_path,
        count=int(seconds * rate),
        rate=rate,
    )
    state = {"started": False, "stopped": False}

    def on_progress(progress: Progress) -> None:
        if progress.sent and not state["started"]:
            state["started"] = True
            sampler.start()
        if progress.sent >= progress.planned and not state["stopped"]:
            state["stopped"] = True
            sampler.stop()

    print(f"soak: {rate:,.0f}/s for {seconds} s, a sample every {EVERY_SECONDS:g} s", file=sys.stderr)
    try:
        return run_generator(config, on_progress=on_progress)
    finally:
        sampler.stop()


def _judged(
    result: GeneratorResult,
    sampler: Sampler,
    servers: Servers,
    database: psycopg.Connection,
    *,
    seconds: int,
    rate: float,
) -> Soak:
    os.environ |= {"DJANGO_SETTINGS_MODULE": "autocom.settings", **environ_of(STACK, servers)}
    django.setup()
    from ingestion.accept import DEDUPE_MARGIN
    from ingestion.providers import generic
    from ingestion.replay.trial import judged
    from ingestion.replay.verdict import GATE_A

    report = judged(result, gate=GATE_A)
    new_count = sum(1 for send in result.history.sends if send.acknowledged and send.answer.status == "accepted")
    load = load_of(
        new_count=new_count,
        seconds=seconds,
        censuses=sampler.censuses,
        allocator=sampler.allocator,
        window_seconds=(generic.RETRY_HORIZON + DEDUPE_MARGIN).total_seconds(),
    )
    samples = [*sampler.samples, *ack_windows(result.history)]
    samples += lag_windows(database, began_wall=result.history.wall_ns(result.history.start_ns) / 1e9)
    series = series_of(samples, load=load)
    figures, found = result.figures, report.reconciliation
    zeros = {each.name: each.actual for each in report.verdict.criteria if each.metric != "accepted_ratio"}
    zeros.pop("ack P95", None)
    return Soak(
        seconds=seconds,
        rate=rate,
        samples=samples,
        series=series,
        keys_by_kind=[dict(each.counts) for each in sampler.censuses],
        reconciled={name: None if actual is None else int(actual) for name, actual in zeros.items()},
        totals={
            "planned": figures.planned,
            "accepted": figures.accepted,
            "rejected": figures.rejected,
            "stored": found.stored_count if found else None,
            "rate achieved": figures.rate_achieved,
            "ack P50 ms": figures.ack_ms.p50,
            "ack P95 ms": figures.ack_ms.p95,
            "ack P99 ms": figures.ack_ms.p99,
            "drained after s": report.drained_after_seconds,
            "AOF rewrites": int(_last(sampler.samples, "redis|aof_rewrites")),
        },
        broken=[*sampler.deaths, *([] if report.is_drained else ["not everything promised was stored in time"])],
        doubts=[*_doubts(result), *_machine_doubts(sampler.samples, series), *report.verdict.doubts, *sampler.problems],
    )


def _last(samples: list[Sample], name: str) -> float:
    return samples[-1].get(name, 0.0) if samples else 0.0


def _machine_doubts(samples: list[Sample], series: list[Series]) -> list[str]:
    """A machine without CPU to spare makes latency grow; where it did not grow, that is no doubt."""
    busy = statistics.median(sample["machine|cpu"] for sample in samples) if samples else 0.0
    if busy <= BUSY_PERCENT or not any(is_latency(each) and each.trend.verdict is Verdict.GROWS for each in series):
        return []
    return [f"latency grew, and the machine was busy ({busy:.0f} % of its CPU)"]


def _doubts(result: GeneratorResult) -> list[str]:
    """The rate was not what was asked for, or not what was taken."""
    figures, found = result.figures, []
    if not figures.kept_pace:
        found.append(f"the generator offered {figures.rate_achieved:,.0f}/s instead of {figures.rate_offered:,.0f}/s")
    if figures.rejected > (1 - ACCEPTED_RATIO_AT_LEAST) * figures.planned:
        why = ", ".join(f"{code} {count:,}" for code, count in figures.refusals)
        found.append(f"{figures.rejected:,} of {figures.planned:,} were not accepted at once ({why})")
    return found


if __name__ == "__main__":
    sys.exit(main())
