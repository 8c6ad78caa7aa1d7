"""What the processes and the two servers look like, every five seconds, seen from outside."""

from __future__ import annotations

import statistics
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import psutil
import psycopg
import redis

from bench.stacks import Running, server_pids
from ingestion.buffer import keys

EVERY_SECONDS = 5.0
CENSUS_EVERY = 6  # samples: every key of Redis is looked at, to tell identities from the rest
SCAN_COUNT = 2_000
IDENTITIES_MEASURED_COUNT = 500
MIB = 1_048_576
IDENTITY = keys.seen(b"")
LANES = keys.TAG + b"lane:"  # they hold what waits, which goes up and down with the load: counted apart

type Sample = dict[str, float]


@dataclass(slots=True)
class Census:
    """Every key of Redis by kind, and what those that are no identities weigh."""

    counts: Counter[str] = field(default_factory=Counter)
    others_count: int = 0
    others_bytes: int = 0
    identity_bytes: float = 0.0  # of one with its place in their order; its places in the tables are counted apart


@dataclass(slots=True)
class Sampler:
    """Samples in a thread of its own, from `start` to `stop`. Times count from `start`."""

    state: Running
    metrics_url: str
    samples: list[Sample] = field(default_factory=list)
    censuses: list[Census] = field(default_factory=list)
    deaths: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    allocator: str = ""  # Valkey's
    began: float = 0.0
    began_wall: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _cpu_seconds: dict[str, float] = field(default_factory=dict)
    _pids: dict[str, int] = field(default_factory=dict)
    _last_at: float = 0.0

    def start(self) -> None:
        self.began, self.began_wall = time.monotonic(), time.time()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """True afterwards: one more sample and census are taken, of the end."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=60)

    def _run(self) -> None:
        with (
            psycopg.connect(self.state.servers.db_url, autocommit=True) as database,
            redis.Redis.from_url(self.state.servers.redis_url) as buffer,
        ):
            self.allocator = str(cast("Mapping[str, Any]", buffer.info("memory"))["mem_allocator"])
            number = 0
            while True:
                is_last = self._stop.is_set()
                try:
                    self._sample(database, buffer, with_census=number % CENSUS_EVERY == 0 or is_last)
                except (psycopg.Error, redis.RedisError, psutil.Error, OSError) as error:
                    self.problems.append(f"{time.monotonic() - self.began:.0f} s: {type(error).__name__}: {error}")
                if is_last:
                    return
                number += 1
                self._stop.wait(max(0.0, self.began + number * EVERY_SECONDS - time.monotonic()))

    def _sample(self, database: psycopg.Connection, buffer: redis.Redis, *, with_census: bool) -> None:
        at = time.monotonic() - self.began
        sample: Sample = {"at_seconds": round(at, 2), "machine|cpu": psutil.cpu_percent()}
        with urllib.request.urlopen(self.metrics_url, timeout=5) as answer:  # noqa: S310  (our own console)
            answer.read()  # as Prometheus would
        for name, process in self._processes():
            sample |= self._process_figures(name, process, at=at)
        sample |= self._postgresql_processes()
        if with_census or not self.censuses:
            self.censuses.append(census(buffer))
        sample |= redis_figures(buffer, self.censuses[-1])
        sample |= postgresql_figures(database)
        self._last_at = at
        self.samples.append(sample)

    def _processes(self) -> Iterator[tuple[str, psutil.Process]]:
        for name, started in self.state.processes.items():
            if started.poll() is not None:
                self._note_death(f"{name} ended with {started.returncode}")
                continue
            parent = psutil.Process(started.pid)
            children = sorted(parent.children(recursive=True), key=lambda child: cast("float", child.create_time()))
            yield name, parent
            for number, child in enumerate(children, start=1):
                yield f"{name} child {number}", child
        yield "valkey", psutil.Process(server_pids(self.state.servers)["valkey"])

    def _note_death(self, what: str) -> None:
        if what not in self.deaths:
            self.deaths.append(what)

    def _process_figures(self, name: str, process: psutil.Process, *, at: float) -> Sample:
        if self._pids.setdefault(name, process.pid) != process.pid:
            self._note_death(f"{name} was replaced")
            self._pids[name] = process.pid
            self._cpu_seconds.pop(name, None)
        with process.oneshot():
            memory = process.memory_full_info()
            times = process.cpu_times()
            found = {
                f"{name}|rss": memory.rss / MIB,
                f"{name}|pss": memory.pss / MIB,
                f"{name}|fds": float(process.num_fds()),
                f"{name}|threads": float(process.num_threads()),
            }
        used = times.user + times.system
        if name in self._cpu_seconds and at > self._last_at:
            found[f"{name}|cpu"] = (used - self._cpu_seconds[name]) / (at - self._last_at) * 100
        self._cpu_seconds[name] = used
        return found

    def _postgresql_processes(self) -> Sample:
        """Of all its processes together. Backends come and go, so each by itself says little."""
        parent = psutil.Process(server_pids(self.state.servers)["postgresql"])
        pss, fds, count = 0.0, 0, 0
        for process in (parent, *parent.children(recursive=True)):
            try:
                pss += process.memory_full_info().pss / MIB
                fds += process.num_fds()
                count += 1
            except psutil.NoSuchProcess:
                continue
        return {"postgresql|pss": pss, "postgresql|fds": float(fds), "postgresql|processes": float(count)}


def census(buffer: redis.Redis) -> Census:
    """Looks at every key in small steps. Identities are weighed by a sample, all others one by one."""
    found = Census()
    sampled: list[bytes] = []
    cursor = 0
    while True:
        cursor, names = cast("tuple[int, list[bytes]]", buffer.scan(cursor, count=SCAN_COUNT))
        identities = [name for name in names if name.startswith(IDENTITY)]
        found.counts["identities"] += len(identities)
        sampled += identities[: min(20, IDENTITIES_MEASURED_COUNT - len(sampled))]
        for name in names:
            if not name.startswith(IDENTITY) and name != keys.SEEN_ORDER:
                found.counts[kind_of(name)] += 1
                found.others_count += 1
                found.others_bytes += 0 if name.startswith(LANES) else weight(buffer, name)
        if cursor == 0:
            break
    if sampled:
        place_bytes = weight(buffer, keys.SEEN_ORDER) / found.counts["identities"]
        found.identity_bytes = statistics.fmean(weight(buffer, name) for name in sampled) + place_bytes
    return found


def weight(buffer: redis.Redis, name: bytes) -> int:
    """Bytes of a key with all that it holds; 0 for one that has gone meanwhile."""
    return buffer.memory_usage(name, samples=0) or 0


def kind_of(name: bytes) -> str:
    """The key without what differs between keys of a kind: `rq:job`, `lane:state`, `metrics`."""
    if not name.startswith(keys.TAG):
        return "foreign"
    parts = name.removeprefix(keys.TAG).decode("latin-1").split(":")
    if parts[0] == "lane":
        return f"lane:{parts[-1]}"
    return ":".join(parts[:2]) if parts[0] == "rq" else parts[0]


def redis_figures(buffer: redis.Redis, last: Census) -> Sample:
    memory = cast("Mapping[str, Any]", buffer.info("memory"))
    persistence = cast("Mapping[str, Any]", buffer.info("persistence"))
    stats = cast("Mapping[str, Any]", buffer.memory_stats())
    tables = stats.get("db.0", {})
    table_bytes = sum(int(value) for name, value in tables.items() if str(name).startswith("overhead.hashtable"))
    key_count = buffer.dbsize()
    identities = max(0, key_count - last.others_count - 1)  # and one key for the order of them all
    streams = [keys.stream(lane) for lane in range(int(cast("bytes | None", buffer.get(keys.LANE_COUNT)) or 0))]
    stream_bytes = sum(buffer.memory_usage(stream) or 0 for stream in streams)  # estimated from five nodes of each
    used = int(memory["used_memory"])
    return {
        "redis|used": used / MIB,
        "redis|rss_over_used": (int(memory["used_memory_rss"]) - used) / MIB,
        "redis|keys": float(key_count),
        "redis|identities": float(identities),
        "redis|besides_identities": (used - table_bytes - stream_bytes - identities * last.identity_bytes) / MIB,
        "redis|other_keys": float(last.others_count),
        "redis|other_keys_memory": last.others_bytes / MIB,
        "redis|waiting": float(sum(buffer.xlen(stream) for stream in streams)),
        "redis|clients": float(cast("Mapping[str, Any]", buffer.info("clients"))["connected_clients"]),
        "redis|aof": int(persistence["aof_current_size"]) / MIB,
        "redis|aof_base": int(persistence["aof_base_size"]) / MIB,
        "redis|aof_rewrites": float(persistence.get("aof_rewrites", 0)),
    }


def postgresql_figures(database: psycopg.Connection) -> Sample:
    backends = database.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'"
    ).fetchone()
    tables = database.execute(
        "SELECT relname, pg_total_relation_size(oid) FROM pg_class WHERE relkind = 'r' AND relname LIKE 'ingestion_%'"
    ).fetchall()
    sizes = {f"table {name}|size": size / MIB for name, size in tables}
    return {
        "postgresql|connections": float(backends[0]) if backends else 0.0,
        "postgresql|tables": sum(sizes.values()),
        **sizes,
    }
