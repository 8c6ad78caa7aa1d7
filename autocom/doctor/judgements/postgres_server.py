"""Would PostgreSQL keep what was committed, and does it have room for all of our processes?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from autocom.doctor.finding import Check, Finding
from autocom.doctor.judgements.disk import Space, space_finding
from autocom.doctor.judgements.sizes import listed, told_bytes, told_seconds

OLDEST = 15
LONG_SECONDS = 300
SLOT_WARNING_BYTES = 1 << 30
FREEZE_WARNING_COUNT = 1_000_000_000  # PostgreSQL stops at about twice this
CONSOLE_CONNECTIONS = 5  # its four threads and housekeeping
CONNECTIONS_EACH = 2  # of an ingress process or a worker: its work and housekeeping
RESERVE_CONNECTIONS = 5  # a deployment's migrations, psql, this command

VERSION = Check(
    "postgres.version",
    "autocom is tested on PostgreSQL 15 and newer only.",
    "move the database to PostgreSQL 15 or newer (pg_upgrade, or dump and restore)",
)
DURABILITY = Check(
    "postgres.durability",
    "An event leaves Redis once PostgreSQL has said COMMIT: unless that is on disk, a power cut loses it for good.",
    "ALTER SYSTEM SET <name> = on; SELECT pg_reload_conf(); and undo settings of the role and the database (\\drds)",
)
WAL_LEVEL = Check(
    "postgres.wal_level",
    "With wal_level minimal there is no archive and no standby: a lost disk goes back to the last dump.",
    "ALTER SYSTEM SET wal_level = replica; then restart PostgreSQL",
)
WRITABLE = Check(
    "postgres.writable",
    "A standby or a read-only default refuses every commit: lanes fill up, then every POST gets 503.",
    "set DB_URL to the primary; ALTER ROLE <role> RESET default_transaction_read_only",
)
CONNECTIONS = Check(
    "postgres.connections",
    "A worker without a connection commits nothing, just when the others are busiest.",
    "ALTER SYSTEM SET max_connections = <more>; restart PostgreSQL. Or lower WORKERS_MAX and INGRESS_WORKERS",
)
TIMEOUTS = Check(
    "postgres.timeouts",
    "A stuck statement must become an error: without the time limit it holds its lane, or its locks, for good.",
    "let the pooler pass start-up options on (pgbouncer: take `options` off ignore_startup_parameters), or connect "
    "workers to PostgreSQL itself",
)
AUTOVACUUM = Check(
    "postgres.autovacuum",
    "Without autovacuum tables and indexes grow, plans go wrong, and in the end PostgreSQL stops taking writes.",
    "ALTER SYSTEM SET autovacuum = on; ALTER TABLE <table> RESET (autovacuum_enabled); SELECT pg_reload_conf();",
)
LONG_TRANSACTIONS = Check(
    "postgres.long_transactions",
    "An old transaction holds back vacuum everywhere, and its locks hold whoever wants them.",
    "look at pg_stat_activity and pg_prepared_xacts; SELECT pg_terminate_backend(<pid>) or ROLLBACK PREPARED '<gid>'",
)
SLOTS = Check(
    "postgres.replication_slots",
    "A slot that nobody reads keeps all write-ahead log since: it fills the disk, and PostgreSQL stops.",
    "let its reader catch up, or SELECT pg_drop_replication_slot('<name>')",
)
DISK = Check(
    "postgres.disk",
    "On a full disk PostgreSQL stops: nothing commits until there is space.",
    "free space where PostgreSQL keeps its files; ask whoever runs a remote one, then --accept-unknown postgres.disk",
)
CHECKS = (
    *(VERSION, DURABILITY, WAL_LEVEL, WRITABLE, CONNECTIONS, TIMEOUTS),
    *(AUTOVACUUM, LONG_TRANSACTIONS, SLOTS, DISK),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    name: str
    is_active: bool
    held_bytes: int
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresFacts:
    version_number: int  # e.g. 150018
    settings: Mapping[str, str]  # as they are in force in this session
    is_standby: bool
    connection_limit_count: int  # what normal roles may have: the least of server, database and role
    foreign_connection_count: int  # of other databases
    ingress_worker_count: int
    worker_count: int
    worker_limits_ms: Mapping[str, int]  # time limits in a session opened as a worker opens its own; 0: none
    worker_session_trouble: str  # why such a session could not be opened; empty: it was
    tables_without_autovacuum: Sequence[str]
    oldest_xid_age_count: int
    long_transactions: Mapping[str, float]  # what it is to its age in seconds
    hidden_session_count: int  # of this database, whose transactions this role may not see
    slots: Sequence[Slot]
    space: Space | None  # None: its disk cannot be seen from here
    directory: str
    database_bytes: int


def judge(facts: PostgresFacts) -> Iterator[Finding]:
    major = facts.version_number // 10_000
    yield VERSION.required(holds=major >= OLDEST, found=f"PostgreSQL {major}.{facts.version_number % 10_000}")
    yield from _durability(facts)
    yield _connections(facts)
    yield _timeouts(facts)
    yield from _upkeep(facts)


def _durability(facts: PostgresFacts) -> Iterator[Finding]:
    asked = ("fsync", "full_page_writes", "synchronous_commit")
    # anything but off waits for the local disk at least
    is_durable = all(facts.settings[name] != "off" for name in asked)
    yield DURABILITY.required(holds=is_durable, found=", ".join(f"{name} {facts.settings[name]}" for name in asked))
    wal_level = facts.settings["wal_level"]
    yield WAL_LEVEL.wished(holds=wal_level != "minimal", found=f"wal_level {wal_level}")
    is_read_only = facts.settings["default_transaction_read_only"] == "on"
    found = (
        "a standby" if facts.is_standby else "read-only by default" if is_read_only else "a primary that takes writes"
    )
    yield WRITABLE.required(holds=not (facts.is_standby or is_read_only), found=found)
    if facts.space is None:
        yield DISK.unknown(f"its disk cannot be seen from here; the database has {told_bytes(facts.database_bytes)}")
    else:
        yield space_finding(DISK, where=facts.directory, space=facts.space)


def _connections(facts: PostgresFacts) -> Finding:
    ours = CONNECTIONS_EACH * (facts.ingress_worker_count + facts.worker_count + 1)  # one more: the ops worker
    need = ours + CONSOLE_CONNECTIONS + RESERVE_CONNECTIONS
    found = (
        f"{facts.connection_limit_count} for normal roles; {facts.ingress_worker_count} ingress processes, console, "
        f"{facts.worker_count} workers, the ops worker and a reserve of {RESERVE_CONNECTIONS} need {need}, "
        f"other databases have {facts.foreign_connection_count}"
    )
    if need > facts.connection_limit_count:
        return CONNECTIONS.fail(found)
    return CONNECTIONS.wished(holds=need + facts.foreign_connection_count <= facts.connection_limit_count, found=found)


def _timeouts(facts: PostgresFacts) -> Finding:
    if facts.worker_session_trouble:
        return TIMEOUTS.fail(f"a session with a worker's options is refused: {facts.worker_session_trouble}")
    found = "of a worker: " + ", ".join(f"{name} {limit} ms" for name, limit in sorted(facts.worker_limits_ms.items()))
    return TIMEOUTS.required(holds=all(facts.worker_limits_ms.values()), found=found)


def _upkeep(facts: PostgresFacts) -> Iterator[Finding]:
    yield _autovacuum(facts)
    long = {what: age for what, age in facts.long_transactions.items() if age > LONG_SECONDS}
    if long:
        yield LONG_TRANSACTIONS.warning(listed(f"{what}, {told_seconds(age)} old" for what, age in long.items()))
    elif facts.hidden_session_count:
        yield LONG_TRANSACTIONS.unknown(
            f"{facts.hidden_session_count} sessions of other roles cannot be seen",
            mend="GRANT pg_read_all_stats TO <role>",
        )
    else:
        yield LONG_TRANSACTIONS.fine(f"none above {told_seconds(LONG_SECONDS)}")
    held = [slot for slot in facts.slots if _is_trouble(slot)]
    found = listed(f"{slot.name} ({slot.status}) holds {told_bytes(slot.held_bytes)}" for slot in held)
    yield SLOTS.wished(holds=not held, found=found or f"{len(facts.slots)} slots, none that holds back much")


def _autovacuum(facts: PostgresFacts) -> Finding:
    off = [name for name in ("autovacuum", "track_counts") if facts.settings[name] == "off"]
    without = listed(facts.tables_without_autovacuum)
    found = f"{' and '.join(off)} off" if off else f"off for {without}" if without else "autovacuum on"
    if off or without:
        return AUTOVACUUM.fail(found)
    age = facts.oldest_xid_age_count
    return AUTOVACUUM.wished(
        holds=age < FREEZE_WARNING_COUNT, found=f"{found}; the oldest transaction id is {age:,} back"
    )


def _is_trouble(slot: Slot) -> bool:
    is_forgotten = not slot.is_active and slot.held_bytes > SLOT_WARNING_BYTES
    return is_forgotten or slot.status in {"unreserved", "lost"}
