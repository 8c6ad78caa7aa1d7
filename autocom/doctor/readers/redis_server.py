"""Redis as it is configured and filled now. Reads only; the one script it runs returns a number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import redis
from django.conf import settings

from autocom.doctor.judgements.redis_server import RedisFacts
from autocom.doctor.readers.machine import is_here, space_if_seen
from autocom.environment import SEEN_BYTES
from ingestion.accept import append_limits
from ingestion.buffer import keys
from ingestion.buffer.store import lane_buffer

ASKED = ("appendfsync", "no-appendfsync-on-rewrite", "maxmemory-policy", "min-replicas-to-write", "dir", "save")
PROBE = "return struct.unpack('>I4', ARGV[1])"  # what append.lua needs of Redis's Lua
CLIENTS_PER_PROCESS_COUNT = 6  # the ingress's groups, RQ's worker and its listener, lanes, totals


def read() -> RedisFacts:
    """Raises redis.RedisError when Redis cannot be asked at all."""
    client, environment = lane_buffer().client, settings.AUTOCOM
    info, told = client.info(), _settings(client)
    name, version = _version(info)
    wrong_types = _wrong_types(client, lane_count=environment.lanes)
    return RedisFacts(
        name=name,
        version=version,
        settings=told,
        is_append_only=bool(info["aof_enabled"]),
        used_bytes=int(info["used_memory"]),
        limit_bytes=int(info["maxmemory"]),
        machine_bytes=int(info["total_system_memory"]),
        lanes_now_bytes=sum(_lane_bytes(client, lane, wrong_types) for lane in range(environment.lanes)),
        lanes_at_bound_bytes=environment.lanes * append_limits().lane_bound_bytes,
        identities_to_come_bytes=_identities_to_come_bytes(client, bound_count=environment.seen_bound_count),
        file_trouble=_file_trouble(info, told),
        role=str(info["role"]),
        replica_count=int(info["connected_slaves"]),
        script_trouble=_script_trouble(client),
        wrong_types=wrong_types,
        lane_count=environment.lanes,
        remembered_lane_count=_remembered(client, wrong_types),
        client_count=int(info["connected_clients"]),
        client_limit_count=int(info["maxclients"]),
        needed_client_count=CLIENTS_PER_PROCESS_COUNT * (environment.ingress_workers + environment.workers_max + 3),
        space=space_if_seen(told.get("dir", "")) if _is_local(environment.redis_url, info) else None,
        directory=told.get("dir", ""),
    )


def _identities_to_come_bytes(client: redis.Redis, *, bound_count: int) -> int:
    """Of a list of a wrong type the check of keys tells; here it counts as empty."""
    try:
        known_count = int(client.execute_command("LLEN", keys.SEEN_ORDER))
    except redis.ResponseError:
        known_count = 0
    return max(bound_count - known_count, 0) * SEEN_BYTES


def _settings(client: redis.Redis) -> Mapping[str, str]:
    """Empty where CONFIG is refused, as managed services do."""
    try:
        found: Mapping[Any, Any] = client.config_get(*ASKED)
    except redis.ResponseError:
        return {}
    return {_text(name): _text(value) for name, value in found.items()}


def _version(info: Mapping[str, Any]) -> tuple[str, tuple[int, ...]]:
    name = str(info.get("server_name") or "redis")
    return name, tuple(int(word) for word in str(info.get(f"{name}_version", info["redis_version"])).split(".")[:3])


def _file_trouble(info: Mapping[str, Any], told: Mapping[str, str]) -> str:
    asked = {"aof_last_write_status": "write of the append-only file", "aof_last_bgrewrite_status": "rewrite of it"}
    if told.get("save", "?"):  # a snapshot that fails stops writes only where snapshots are made
        asked["rdb_last_bgsave_status"] = "snapshot"
    failed = [what for field, what in asked.items() if info.get(field, "ok") != "ok"]
    return f"the last {' and '.join(failed)} failed" if failed else ""


def _script_trouble(client: redis.Redis) -> str:
    try:
        answer = client.eval(PROBE, 0, b"\x00\x00\x00\x07")
    except redis.ResponseError as error:
        return f"a script is refused: {error}"
    return "" if answer == 7 else f"a script answered {answer!r} for 7"


def _wrong_types(client: redis.Redis, *, lane_count: int) -> dict[str, str]:
    wanted = {
        keys.RQ_QUEUES: "set",
        keys.LANE_COUNT: "string",
        keys.METRICS: "hash",
        **{keys.rq_queue(name): "list" for name in (keys.DRAIN_QUEUE, keys.OPS_QUEUE)},
        **{keys.stream(lane): "stream" for lane in range(lane_count)},
        **{keys.state(lane): "hash" for lane in range(lane_count)},
        **{key(lane): "string" for lane in range(lane_count) for key in (keys.wake, keys.lease)},
    }
    with client.pipeline(transaction=False) as pipe:
        for key in wanted:
            pipe.type(key)
        types = [_text(kind) for kind in pipe.execute()]
    return {
        _text(key): f"a {kind}, not a {wanted[key]}"
        for key, kind in zip(wanted, types, strict=True)
        if kind not in ("none", wanted[key])
    }


def _is_local(url: str, info: Mapping[str, Any]) -> bool:
    parts = urlsplit(url)
    host = "/" if parts.scheme == "unix" else parts.hostname or ""
    return is_here(host, pid=int(info["process_id"]), names=("redis", "valkey"))


def _lane_bytes(client: redis.Redis, lane: int, wrong_types: Mapping[str, str]) -> int:
    key = keys.state(lane)
    return 0 if _text(key) in wrong_types else int(client.execute_command("HGET", key, "bytes") or 0)


def _remembered(client: redis.Redis, wrong_types: Mapping[str, str]) -> int | None:
    """None where nothing is remembered, 0 where it is no number."""
    if _text(keys.LANE_COUNT) in wrong_types:
        return 0
    found = client.execute_command("GET", keys.LANE_COUNT)
    return None if found is None else int(found) if found.isdigit() else 0


def _text(value: bytes | str) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
