"""The samples as series, each with the rule that it is judged by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from autocom.environment import SEEN_BOUND_DEFAULT_COUNT
from bench.soak.sample import MIB, Census, Sample
from bench.soak.trend import SECONDS_PER_HOUR, Nature, Points, Rule, Trend, trend_of

# What a flat series may do over the judged time. A memory's 4 MiB are an arena or two of Python's allocator; 5 % are
# what a server's caches move by.
FLAT: Final[Mapping[str, tuple[str, Rule]]] = {
    "pss": ("MiB", Rule(share=0.05, amount=4.0)),
    "rss": ("MiB", Rule(share=0.05, amount=4.0)),
    "fds": ("count", Rule(share=0.0, amount=3.0)),
    "threads": ("count", Rule(share=0.0, amount=1.0)),
    "processes": ("count", Rule(share=0.0, amount=2.0)),
    "connections": ("count", Rule(share=0.0, amount=2.0)),
    "clients": ("count", Rule(share=0.0, amount=2.0)),
    "cpu": ("% of a core", Rule(share=0.15, amount=4.0)),
    "p50": ("ms", Rule(share=0.25, amount=2.0)),
    "p95": ("ms", Rule(share=0.25, amount=10.0)),
    "p99": ("ms", Rule(share=0.50, amount=30.0)),
    "waiting": ("entries", Rule(share=0.25, amount=300.0)),
    "other_keys": ("keys", Rule(share=0.0, amount=20.0)),
    "other_keys_memory": ("MiB", Rule(share=0.05, amount=0.25)),
    "besides_identities": ("MiB", Rule(share=0.05, amount=4.0)),
    "rss_over_used": ("MiB", Rule(share=0.10, amount=16.0)),
}
# A server's memory is the sum of what is judged apart: Valkey's holds the identities, PostgreSQL's its shared buffers,
# which fill up to their setting.
# Of libc's allocator: the holes that streams leave between identities are too small for the next stream. Measured: 445.
LIBC_HOLES_BYTES: Final = 512
SERVER_MEMORY: Final = ("valkey|pss", "valkey|rss", "postgresql|pss")
MACHINE: Final = Nature(
    expected_per_hour=float("inf"),
    amount=0.0,
    why="all that runs on the machine, others' work included",
    bound="100 %; near it, latency is the machine's and not ours",
)
RELATION_FILES: Final = Nature(
    expected_per_hour=float("inf"),
    amount=0.0,
    why="a backend keeps the files of the tables that it has used open",
    bound="max_files_per_process (1,000) times the processes",
)
SHOWN_ONLY: Final = ("redis|aof_base", "redis|aof_rewrites")


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What was offered, as far as series grow with it."""

    new_per_second: float  # events accepted for the first time
    dedupe_window_seconds: float
    identities_at_most: int
    identity_bytes: float
    shared_buffers_mib: float
    allocator: str  # Valkey's


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    name: str
    unit: str
    points: Points
    trend: Trend
    rule: Rule | Nature


def load_of(
    *, new_count: int, seconds: float, censuses: Sequence[Census], window_seconds: float, allocator: str
) -> Load:
    return Load(
        new_per_second=new_count / seconds,
        dedupe_window_seconds=window_seconds,
        identities_at_most=SEEN_BOUND_DEFAULT_COUNT,
        identity_bytes=censuses[-1].identity_bytes if censuses else 0.0,
        shared_buffers_mib=128.0,
        allocator=allocator,
    )


def series_of(samples: Sequence[Sample], *, load: Load) -> list[Series]:
    """Every figure of the samples, in the order in which it first came."""
    names = dict.fromkeys(name for sample in samples for name in sample if name != "at_seconds")
    found = []
    for name in names:
        points = [(sample["at_seconds"], sample[name]) for sample in samples if name in sample]
        if name not in SHOWN_ONLY and not name.startswith("table "):
            unit, rule = _unit_and_rule(name, points, load=load)
            found.append(Series(name=name, unit=unit, points=points, trend=trend_of(points, rule=rule), rule=rule))
    return found


def _unit_and_rule(name: str, points: Points, *, load: Load) -> tuple[str, Rule | Nature]:
    subject, _, measure = name.partition("|")
    if name in SERVER_MEMORY:
        return "MiB", _server_memory(subject, load)
    if name == "machine|cpu":
        return "%", MACHINE
    if name == "postgresql|fds":
        return "count", RELATION_FILES
    if nature := _natures(points, load).get(name):
        return ("keys" if name.endswith(("keys", "identities")) else "MiB"), nature
    return FLAT[measure]


def _natures(points: Points, load: Load) -> Mapping[str, Nature]:
    identities_per_hour = load.new_per_second * SECONDS_PER_HOUR
    most = min(load.new_per_second * load.dedupe_window_seconds, load.identities_at_most)
    place_bytes = 2 * 64 / 7 * 2  # a place in the tables of keys and of expiries, at worst half full
    identity_mib = (load.identity_bytes + place_bytes) / MIB
    window = f"{load.dedupe_window_seconds / SECONDS_PER_HOUR:.0f} h, the dedupe window"
    identities = Nature(
        expected_per_hour=identities_per_hour,
        amount=200,
        why=f"one identity for each new event, kept for {window}, or until SEEN_BOUND newer ones have come",
        bound=f"{most:,.0f}",
    )
    holes = Nature(
        expected_per_hour=identities_per_hour * LIBC_HOLES_BYTES / MIB,
        amount=16.0,
        why=f"holes between identities, up to {LIBC_HOLES_BYTES} bytes each: this Valkey uses libc's allocator; with "
        "jemalloc, as in packages and images, it is judged flat",
        bound=f"{most * LIBC_HOLES_BYTES / MIB / 1024:,.1f} GiB",
    )
    return {
        **({"redis|rss_over_used": holes} if load.allocator == "libc" else {}),
        "redis|identities": identities,
        "redis|keys": identities,
        "redis|used": Nature(
            expected_per_hour=identities_per_hour * identity_mib,
            amount=8.0,
            why=f"the identities: {load.identity_bytes:.0f} bytes each with its place in their order and in two tables",
            bound=f"{most * identity_mib / 1024:,.1f} GiB: maxmemory must be above",
        ),
        "redis|aof": Nature(
            expected_per_hour=float("inf"),
            amount=0.0,
            why="every write, until Valkey rewrites the file (at twice its base, 64 MiB at least)",
            bound="twice the base and what comes in while it is rewritten",
        ),
        "postgresql|tables": Nature(
            expected_per_hour=_early_slope_per_hour(points) * 1.25,
            amount=8.0,
            why="rows; judged is that they take no more room each than in the first third (and a quarter for indexes)",
            bound="retention",
        ),
    }


def _server_memory(subject: str, load: Load) -> Nature:
    if subject == "valkey":
        return Nature(
            expected_per_hour=float("inf"),
            amount=0.0,
            why="holds redis|used, which is judged, and while the file is rewritten a copy of changed pages",
            bound="redis|used and redis|rss_over_used, both judged",
        )
    return Nature(
        expected_per_hour=float("inf"),
        amount=0.0,
        why="its processes touch more and more of the shared buffers",
        bound=f"shared_buffers of {load.shared_buffers_mib:.0f} MiB and a few MiB a connection",
    )


def _early_slope_per_hour(points: Points) -> float:
    early = points[: max(2, len(points) // 3)]
    if len(early) < 2 or early[-1][0] <= early[0][0]:
        return 0.0
    return (early[-1][1] - early[0][1]) / (early[-1][0] - early[0][0]) * SECONDS_PER_HOUR
