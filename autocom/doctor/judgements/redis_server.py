"""Would Redis keep what was acknowledged, and does it have room for what may come?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from autocom.doctor.finding import Check, Finding
from autocom.doctor.judgements.disk import Space, space_finding
from autocom.doctor.judgements.sizes import told_bytes

OLDEST = {"redis": (7, 0), "valkey": (8, 0)}
USED_WARNING_SHARE = 0.80
IN_FILE = ", and the same in its configuration file"

VERSION = Check(
    "redis.version",
    "Older servers lack commands that autocom uses, or read a newer append-only file as empty.",
    "use Redis 7.0 or Valkey 8 at least",
)
APPENDONLY = Check(
    "redis.appendonly",
    "Without the append-only file a restart of Redis loses every event that was acknowledged and not committed yet.",
    f"redis-cli CONFIG SET appendonly yes{IN_FILE}",
)
APPENDFSYNC = Check(
    "redis.appendfsync",
    "Unless every write is synced before the answer, a power cut loses events that were acknowledged.",
    f"redis-cli CONFIG SET appendfsync always{IN_FILE}",
)
FSYNC_ON_REWRITE = Check(
    "redis.fsync_on_rewrite",
    "While Redis rewrites its file it would not sync: a power cut in that minute loses acknowledged events.",
    f"redis-cli CONFIG SET no-appendfsync-on-rewrite no{IN_FILE}",
)
EVICTION = Check(
    "redis.eviction",
    "With an eviction policy Redis throws acknowledged events, or the memory of duplicates, away when it is full.",
    f"redis-cli CONFIG SET maxmemory-policy noeviction{IN_FILE}",
)
MAXMEMORY = Check(
    "redis.maxmemory",
    "Without a limit Redis grows until the kernel kills it, and everything waits for its restart.",
    f"redis-cli CONFIG SET maxmemory <bytes>{IN_FILE}: what full lanes need, plus the memory of duplicates",
)
HEADROOM = Check(
    "redis.headroom",
    "At its limit Redis refuses every script that writes: no ack, and no drain, so it does not recover by itself.",
    "raise maxmemory, or lower LANE_BOUND_BYTES or SEEN_BOUND: lanes must be full before Redis is",
)
PERSISTENCE = Check(
    "redis.persistence",
    "When Redis cannot write its file it refuses writes, or acknowledges what it does not keep.",
    "look into its log and at its disk: space, rights, errors of the device",
)
ROLE = Check(
    "redis.role",
    "A replica refuses writes: every POST would get 503.",
    "set REDIS_URL to the primary",
)
REPLICAS = Check(
    "redis.replicas",
    "Redis does not wait for its replicas: a failover loses what was acknowledged and had not reached them.",
    f"redis-cli CONFIG SET min-replicas-to-write 1{IN_FILE}, or let no failover happen by itself",
)
SCRIPTS = Check(
    "redis.scripts",
    "Accepting, claiming and trimming are Lua scripts: without them nothing is accepted.",
    "allow EVAL, EVALSHA and SCRIPT LOAD for this user (redis-cli ACL GETUSER <name>)",
)
KEYS = Check(
    "redis.keys",
    "A key of another type refuses every script that touches it: its lane, or RQ's queue, stands still.",
    "find out who else writes to this Redis; redis-cli TYPE <key>, RENAME it. Give autocom a Redis of its own",
)
LANES = Check(
    "redis.lanes",
    "An ordering key rides the lane that its hash names: with another number of lanes its order breaks.",
    "start with the LANES that Redis remembers until every lane is empty (docs/operate.md, Changing LANES)",
)
CONNECTIONS = Check(
    "redis.connections",
    "A process that gets no connection acknowledges or commits nothing.",
    f"redis-cli CONFIG SET maxclients <more>{IN_FILE}, or start fewer processes",
)
DISK = Check(
    "redis.disk",
    "On a full disk the append-only file cannot grow: Redis refuses writes and every POST gets 503.",
    "free space where Redis keeps its files; ask whoever runs a remote Redis, then --accept-unknown redis.disk",
)
CHECKS = (
    *(VERSION, APPENDONLY, APPENDFSYNC, FSYNC_ON_REWRITE, EVICTION, MAXMEMORY, HEADROOM, PERSISTENCE),
    *(ROLE, REPLICAS, SCRIPTS, KEYS, LANES, CONNECTIONS, DISK),
)
REFUSED = "CONFIG GET is refused"
MEND_CONFIG = "allow CONFIG GET for this user, or ask whoever runs it and then use --accept-unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisFacts:
    """`settings` has what CONFIG GET told: a name is missing where it was refused."""

    name: str  # redis or valkey
    version: tuple[int, ...]
    settings: Mapping[str, str]
    is_append_only: bool
    used_bytes: int
    limit_bytes: int  # 0: none
    machine_bytes: int
    lanes_now_bytes: int
    lanes_at_bound_bytes: int
    identities_to_come_bytes: int  # what remembered identities may still take up to their bound
    file_trouble: str  # empty: the last write, rewrite and snapshot went well
    role: str
    replica_count: int
    script_trouble: str  # empty: a script ran
    wrong_types: Mapping[str, str]  # key to what it is and should be
    lane_count: int
    remembered_lane_count: int | None  # None: no ingress has started on it yet
    client_count: int
    client_limit_count: int
    needed_client_count: int
    space: Space | None  # None: its disk cannot be seen from here
    directory: str


def judge(facts: RedisFacts) -> Iterator[Finding]:
    yield from _durability(facts)
    yield from _memory(facts)
    yield from _service(facts)
    yield from _lanes(facts)


def _durability(facts: RedisFacts) -> Iterator[Finding]:
    version = ".".join(map(str, facts.version))
    is_known = facts.name in OLDEST
    yield VERSION.required(
        holds=facts.version >= OLDEST[facts.name] if is_known else None,
        found=f"{facts.name.capitalize()} {version}" + ("" if is_known else ", which is neither Redis nor Valkey"),
    )
    yield APPENDONLY.required(holds=facts.is_append_only, found=f"appendonly {'yes' if facts.is_append_only else 'no'}")
    yield _setting(APPENDFSYNC, facts, "appendfsync", wanted="always")
    yield _setting(FSYNC_ON_REWRITE, facts, "no-appendfsync-on-rewrite", wanted="no")
    yield PERSISTENCE.required(
        holds=not facts.file_trouble, found=facts.file_trouble or "the last write, rewrite and snapshot went well"
    )
    if facts.space is None:
        yield DISK.unknown("its disk cannot be seen from here")
    else:
        yield space_finding(DISK, where=facts.directory, space=facts.space)


def _memory(facts: RedisFacts) -> Iterator[Finding]:
    yield _setting(EVICTION, facts, "maxmemory-policy", wanted="noeviction")
    limit = facts.limit_bytes
    yield MAXMEMORY.wished(holds=bool(limit), found=f"maxmemory {told_bytes(limit)}" if limit else "no maxmemory")
    free_bytes = (limit or facts.machine_bytes) - facts.used_bytes
    need_bytes = max(facts.lanes_at_bound_bytes - facts.lanes_now_bytes, 0) + facts.identities_to_come_bytes
    found = (
        f"{told_bytes(facts.used_bytes)} used of {told_bytes(limit or facts.machine_bytes)}"
        f"{'' if limit else ' that the machine has'}; full lanes and remembered identities would take "
        f"{told_bytes(need_bytes)} more"
    )
    if limit and need_bytes > free_bytes:
        yield HEADROOM.fail(found)
    else:
        is_roomy = need_bytes <= free_bytes and facts.used_bytes <= USED_WARNING_SHARE * (limit or facts.machine_bytes)
        yield HEADROOM.wished(holds=is_roomy, found=found)


def _service(facts: RedisFacts) -> Iterator[Finding]:
    yield ROLE.required(holds=facts.role == "master", found=f"role {facts.role}")
    waits_for = facts.settings.get("min-replicas-to-write")
    if not facts.replica_count:
        yield REPLICAS.fine("no replica")
    elif waits_for is None:
        yield REPLICAS.unknown(f"{facts.replica_count} replicas; {REFUSED}", mend=MEND_CONFIG)
    else:
        found = f"{facts.replica_count} replicas, min-replicas-to-write {waits_for}"
        yield REPLICAS.wished(holds=waits_for != "0", found=found)
    yield SCRIPTS.required(holds=not facts.script_trouble, found=facts.script_trouble or "a script ran")
    free_count = facts.client_limit_count - facts.client_count
    found = (
        f"{facts.client_count} of {facts.client_limit_count} connections; ours need up to {facts.needed_client_count}"
    )
    if facts.client_limit_count < facts.needed_client_count:
        yield CONNECTIONS.fail(found)
    else:
        # those of ours that run are among the present ones, so this errs on the side of a warning
        yield CONNECTIONS.wished(holds=free_count >= facts.needed_client_count, found=found)


def _lanes(facts: RedisFacts) -> Iterator[Finding]:
    wrong = "; ".join(f"{key} is {what}" for key, what in sorted(facts.wrong_types.items()))
    yield KEYS.required(holds=not wrong, found=wrong or "lanes and RQ's queues have their types")
    remembered = facts.remembered_lane_count
    if remembered is None:
        yield LANES.fine(f"LANES {facts.lane_count}; Redis remembers none, as no ingress has started on it yet")
    else:
        found = f"LANES {facts.lane_count}, Redis remembers {remembered}"
        yield LANES.required(holds=remembered == facts.lane_count, found=found)


def _setting(check: Check, facts: RedisFacts, name: str, *, wanted: str) -> Finding:
    found = facts.settings.get(name)
    if found is None:
        return check.unknown(f"{name} could not be asked: {REFUSED}", mend=MEND_CONFIG)
    return check.required(holds=found == wanted, found=f"{name} {found}")
