"""This machine's disks and limits."""

from __future__ import annotations

import os
import resource
from pathlib import Path

from django.conf import settings

from autocom.doctor.judgements.disk import DiskFacts, Place, Space
from autocom.ingress.http import CONNECTIONS_LIMIT_COUNT

LOOPBACK = ("", "localhost", "127.0.0.1", "::1")


def read() -> DiskFacts:
    soft_limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return DiskFacts(
        data_dir=place(settings.AUTOCOM.data_dir),
        evidence=place(settings.AUTOCOM.evidence_root),
        descriptor_limit_count=soft_limit if soft_limit != resource.RLIM_INFINITY else 1 << 30,
        ingress_connection_limit_count=CONNECTIONS_LIMIT_COUNT,
    )


def place(path: Path) -> Place:
    """Raises OSError."""
    nearest = next(each for each in (path, *path.parents) if each.exists())
    return Place(
        path=str(path),
        is_writable=nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK),
        exists=path.exists(),
        space=space(nearest),
    )


def space(path: Path) -> Space:
    """Raises OSError."""
    found = os.statvfs(path)
    return Space(
        free_bytes=found.f_bavail * found.f_frsize,
        total_bytes=found.f_blocks * found.f_frsize,
        free_inode_count=found.f_favail,
        total_inode_count=found.f_files,
    )


def space_if_seen(path: str) -> Space | None:
    """None where this process cannot look there."""
    try:
        return space(Path(path)) if path else None
    except OSError:
        return None


def is_here(host: str, *, pid: int, names: tuple[str, ...]) -> bool:
    """True where a server runs on this machine and sees the same files: behind a socket, or as a process seen here.

    Loopback alone proves nothing: a port may lead into a container.
    """
    if host.startswith("/"):
        return True
    try:
        return host in LOOPBACK and Path(f"/proc/{pid}/comm").read_text().strip().startswith(names)
    except OSError:
        return False
