"""What a run ran on: code, packages, settings without secrets, machine, Redis and PostgreSQL."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import datetime
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import redis
from django.conf import settings
from django.db import Error, connection

from autocom.build import build
from evidence.configuration import configuration
from ingestion.buffer.store import lane_buffer

REDIS_ASKED = ("appendonly", "appendfsync", "maxmemory", "maxmemory-policy", "save")
POSTGRES_ASKED = ("server_version", "fsync", "synchronous_commit", "full_page_writes", "wal_level")
UNKNOWN = "unknown"


def environment_of_run(*, captured_at: datetime) -> dict[str, Any]:
    """Of this moment. What cannot be asked is said to be unknown; nothing here is a secret."""
    told = configuration()
    return {
        "format": "autocom-environment/1",
        "captured_at": captured_at.isoformat(timespec="seconds"),
        "autocom": {"build": build(), **commit()},
        "python": told["python"],
        "packages": dict(sorted(_packages().items())),
        "lock_file_sha256": told["lock_file_sha256"],
        "settings": told["settings"],
        "host": {
            "cpu_count": os.cpu_count(),
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "kernel": f"{platform.system()} {platform.release()}",
            "machine": platform.machine(),
        },
        "redis": _redis(),
        "postgresql": _postgresql(),
    }


def commit() -> dict[str, Any]:
    """As git tells it, where the code was checked out and not installed."""
    commit, changed = _git("rev-parse", "HEAD"), _git("status", "--porcelain")
    return {"commit": commit or UNKNOWN, "is_changed": bool(changed) if commit else None}


def _git(*arguments: str) -> str:
    try:
        told = subprocess.run(
            ["git", *arguments],  # noqa: S607  (wherever git is)
            cwd=Path(settings.BASE_DIR),
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return told.stdout.strip() if told.returncode == 0 else ""


def _packages() -> dict[str, str]:
    return {each.metadata["Name"].lower(): each.version for each in distributions() if each.metadata["Name"]}


def _redis() -> dict[str, Any]:
    client = lane_buffer().client
    try:
        info = client.info("server")
    except redis.RedisError:
        return {"version": UNKNOWN}
    name = str(info.get("server_name") or "redis")
    told: dict[str, Any] = {"name": name, "version": str(info.get(f"{name}_version", info["redis_version"]))}
    try:
        found = client.config_get(*REDIS_ASKED)
    except redis.RedisError:  # refused by managed services
        return {**told, "config": UNKNOWN}
    return {**told, "config": dict(sorted((_text(key or ""), _text(value or "")) for key, value in found.items()))}


def _postgresql() -> dict[str, Any]:
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT name, setting FROM pg_settings WHERE name = ANY(%s) ORDER BY name", [[*POSTGRES_ASKED]]
            )
            return dict(cursor.fetchall())
    except Error:
        return dict.fromkeys(POSTGRES_ASKED, UNKNOWN)


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
