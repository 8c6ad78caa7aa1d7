"""The doctor's Redis checks: against the tests' own Valkey with each setting wrong, and as judgements where not."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import pytest
import redis
from django.conf import settings as django_settings

from autocom.doctor.finding import Finding, Level
from autocom.doctor.judgements import redis_server as checks
from autocom.doctor.judgements.disk import Space
from autocom.doctor.judgements.redis_server import RedisFacts
from autocom.doctor.judgements.sizes import told_bytes
from autocom.doctor.readers import redis_server as reader
from ingestion.buffer import keys
from ingestion.buffer.store import BufferUnavailable, LaneBuffer, lane_buffer
from tests.doctor.kit import configured, finding, findings, level


@pytest.fixture(autouse=True)
def _empty(buffer: LaneBuffer) -> None:
    """Every test finds and leaves an empty Redis."""


@pytest.fixture
def client(buffer: LaneBuffer) -> redis.Redis:
    return buffer.client


def judged(**changes: Any) -> dict[str, Finding]:
    """The judgement over the facts of the tests' Valkey with some of them changed."""
    facts = dataclasses.replace(reader.read(), **changes)
    return {found.check.id: found for found in checks.judge(facts)}


def judged_level(check: Any, **changes: Any) -> Level:
    return judged(**changes)[check.id].level


def test_a_valkey_as_manage_py_up_starts_it_passes_every_check_and_one_without_a_limit_is_warned_of(
    client: redis.Redis,
) -> None:
    with configured(client, "maxmemory", "0"):
        levels = {check: found.level for check, found in findings("redis").items()}
    assert levels == dict.fromkeys(levels, Level.FINE) | {"redis.maxmemory": Level.WARNING}
    assert set(levels) == {check.id for check in checks.CHECKS}


@pytest.mark.parametrize(
    ("check", "name", "value"),
    [
        (checks.APPENDFSYNC, "appendfsync", "everysec"),
        (checks.FSYNC_ON_REWRITE, "no-appendfsync-on-rewrite", "yes"),
        (checks.EVICTION, "maxmemory-policy", "allkeys-lru"),
        (checks.APPENDONLY, "appendonly", "no"),
    ],
)
def test_a_real_server_that_keeps_less_than_it_acknowledges_fails(
    client: redis.Redis, check: Any, name: str, value: str
) -> None:
    with configured(client, name, value):
        found = finding(check)
    assert (found.level, found.found) == (Level.FAIL, f"{name} {value}")
    assert name in found.mend


def test_a_limit_below_what_full_lanes_need_fails_and_tells_both(client: redis.Redis) -> None:
    with configured(client, "maxmemory", "100mb"):
        found = findings("redis")
    assert found["redis.maxmemory"].level is Level.FINE
    assert found["redis.headroom"].level is Level.FAIL
    read = reader.read()
    need = told_bytes(read.lanes_at_bound_bytes + read.identities_to_come_bytes)
    assert f"of 100.0 MiB; full lanes and remembered identities would take {need} more" in found["redis.headroom"].found


def test_a_limit_above_what_full_lanes_need_is_fine(client: redis.Redis) -> None:
    with configured(client, "maxmemory", "3gb"):
        assert level(checks.HEADROOM) is Level.FINE


def test_at_its_limit_redis_refuses_the_drain_as_the_check_says(client: redis.Redis, buffer: LaneBuffer) -> None:
    client.set("ballast", b"x" * 2_000_000)
    with configured(client, "maxmemory", "1mb"), pytest.raises(BufferUnavailable, match="maxmemory"):
        buffer.claim(0, token=b"t", fence_floor=0)


def test_entries_that_lie_on_the_lanes_are_not_counted_twice() -> None:
    facts = reader.read()
    full = facts.lanes_at_bound_bytes
    roomy = {"limit_bytes": 3 * full, "used_bytes": full, "lanes_now_bytes": full, "identities_to_come_bytes": 0}
    assert judged_level(checks.HEADROOM, **roomy) is Level.FINE
    assert judged_level(checks.HEADROOM, **roomy | {"used_bytes": int(2.9 * full)}) is Level.WARNING
    assert judged_level(checks.HEADROOM, **roomy | {"used_bytes": int(2.9 * full), "lanes_now_bytes": 0}) is Level.FAIL


def test_a_key_of_another_type_is_named(client: redis.Redis) -> None:
    for key in (keys.stream(2), keys.state(1)):
        client.set(key, "neither stream nor hash")
    client.rpush(keys.LANE_COUNT.decode(), "4")
    found = finding(checks.KEYS)
    assert found.level is Level.FAIL
    assert found.found.split("; ") == [
        f"{keys.state(1).decode()} is a string, not a hash",
        f"{keys.stream(2).decode()} is a string, not a stream",
        f"{keys.LANE_COUNT.decode()} is a list, not a string",
    ]
    assert level(checks.LANES) is Level.FAIL


def test_another_number_of_lanes_than_redis_remembers_fails(client: redis.Redis) -> None:
    client.set(keys.LANE_COUNT, 8)
    found = finding(checks.LANES)
    assert (found.level, found.found) == (Level.FAIL, "LANES 4, Redis remembers 8")
    client.set(keys.LANE_COUNT, 4)
    assert level(checks.LANES) is Level.FINE


@pytest.fixture
def user(client: redis.Redis, settings: Any) -> Any:
    """Makes REDIS_URL name a user with the given rules."""

    def use(*rules: str) -> None:
        client.execute_command("ACL", "SETUSER", "little", "reset", "on", ">pw", "~*", "&*", *rules)
        path = client.connection_pool.connection_kwargs["path"]
        url = f"unix://little:pw@{path}?db=0"
        settings.AUTOCOM = dataclasses.replace(django_settings.AUTOCOM, redis_url=url)
        lane_buffer.cache_clear()

    yield use
    client.execute_command("ACL", "DELUSER", "little")
    lane_buffer.cache_clear()


def test_settings_that_may_not_be_asked_are_unknown_and_never_fine(user: Any) -> None:
    user("+@all", "-config")
    found = findings("redis")
    unknown = {check for check, each in found.items() if each.level is Level.UNKNOWN}
    assert unknown == {"redis.appendfsync", "redis.fsync_on_rewrite", "redis.eviction", "redis.disk"}


def test_a_user_without_scripts_fails(user: Any) -> None:
    user("+@all", "-eval")
    assert level(checks.SCRIPTS) is Level.FAIL


def test_a_user_who_may_only_read_can_run_every_redis_check(user: Any) -> None:
    user("-@all", "+@read", "+@connection", "+info", "+config|get", "+eval", "+time")
    assert {found.level for found in findings("redis").values()} <= {Level.FINE, Level.WARNING}


def test_a_replica_fails(client: redis.Redis) -> None:
    client.execute_command("REPLICAOF", "127.0.0.1", "1")
    try:
        found = finding(checks.ROLE)
    finally:
        client.execute_command("REPLICAOF", "NO", "ONE")
    assert (found.level, found.found) == (Level.FAIL, "role slave")


def test_without_redis_every_redis_check_is_unknown(settings: Any) -> None:
    settings.AUTOCOM = dataclasses.replace(settings.AUTOCOM, redis_url="unix:///nowhere/valkey.sock?db=0")
    lane_buffer.cache_clear()
    try:
        found = findings("redis")
    finally:
        lane_buffer.cache_clear()
    assert {each.level for each in found.values()} == {Level.UNKNOWN}
    assert set(found) == {check.id for check in checks.CHECKS}


@pytest.mark.parametrize(
    ("name", "version", "expected"),
    [
        ("redis", (6, 2, 14), Level.FAIL),
        ("redis", (7, 0, 15), Level.FINE),
        ("valkey", (7, 2, 4), Level.FAIL),
        ("valkey", (8, 0, 0), Level.FINE),
        ("dragonfly", (7, 4, 0), Level.UNKNOWN),
    ],
)
def test_versions(name: str, version: tuple[int, ...], expected: Level) -> None:
    assert judged_level(checks.VERSION, name=name, version=version) is expected


def test_a_file_that_could_not_be_written_fails() -> None:
    info = {"aof_last_write_status": "err", "rdb_last_bgsave_status": "err"}
    trouble = reader._file_trouble(info, {"save": ""})
    assert trouble == "the last write of the append-only file failed"
    assert judged_level(checks.PERSISTENCE, file_trouble=trouble) is Level.FAIL
    assert "snapshot" in reader._file_trouble(info, {"save": "3600 1"})


def test_a_failover_that_would_lose_is_a_warning() -> None:
    told = dict(reader.read().settings)
    assert judged_level(checks.REPLICAS, replica_count=1) is Level.WARNING
    waits = {"settings": told | {"min-replicas-to-write": "1"}}
    assert judged_level(checks.REPLICAS, replica_count=1, **waits) is Level.FINE
    del told["min-replicas-to-write"]
    assert judged_level(checks.REPLICAS, replica_count=1, settings=told) is Level.UNKNOWN


def test_fewer_connections_than_our_processes_need_fail(client: redis.Redis) -> None:
    with configured(client, "maxclients", "20"):
        assert level(checks.CONNECTIONS) is Level.FAIL
    assert judged_level(checks.CONNECTIONS, client_limit_count=100, client_count=90) is Level.WARNING


def test_a_full_disk_fails_and_one_that_cannot_be_seen_is_unknown() -> None:
    full = Space(free_bytes=1_000_000, total_bytes=1 << 40, free_inode_count=0, total_inode_count=0)
    assert judged_level(checks.DISK, space=full) is Level.FAIL
    assert judged_level(checks.DISK, space=None) is Level.UNKNOWN


def test_every_fact_is_judged() -> None:
    """A fact that no judgement reads would be a check that cannot fail."""
    source = inspect.getsource(checks)
    body = source[source.index("def judge(") :]
    assert [field.name for field in dataclasses.fields(RedisFacts) if f"facts.{field.name}" not in body] == []
