"""Local servers of each test's own, and nothing left behind."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from autocom.local_servers.servers import LocalServers
from tests.local_servers.kit import Kit, processes_of


@contextmanager
def short_directory() -> Iterator[Path]:
    """Not tmp_path: root's is closed to the user who runs the servers, and its name is too long for a socket."""
    directory = Path(tempfile.mkdtemp(prefix="acom-", dir="/tmp")).resolve()
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        for pid in processes_of(directory):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(directory)


@pytest.fixture
def base() -> Iterator[Path]:
    """An empty base directory."""
    with short_directory() as directory:
        yield directory


@pytest.fixture(scope="session")
def empty_cluster() -> Iterator[Path]:
    """A PostgreSQL data directory as a first start and a stop leave it; initdb costs more than a whole test."""
    with short_directory() as directory:
        servers = LocalServers.start(directory, valkey=False)
        servers.stop()
        yield servers.each()[0].data_dir


@pytest.fixture
def kit(base: Path, empty_cluster: Path) -> Iterator[Kit]:
    """Its base gets a PostgreSQL data directory without initdb; `Kit(base=base)` is one on a new base."""
    kit = Kit(base=base, empty_cluster=empty_cluster)
    yield kit
    for servers in kit.started:
        servers.stop()
