"""Two sealers, a sealer that dies anywhere, a disk without room: one chain, one signed tree of each size."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.db import connection

from autocom.kernel.signed_note import Checkpoint, open_note
from evidence.log import sealer
from evidence.log.names import LogName
from evidence.log.reads import last_of, latest_seal
from evidence.log.sealer import seal, seal_everything
from evidence.models import LogIncarnation, Seal, SealerState
from ingestion.buffer.store import lane_buffer
from ingestion.models import Batch
from tests.support.dying_sealer import POINTS
from tests.support.history import Sender, drain_all, mixture
from tests.tamper.arena import COPY, Case
from tests.tamper.finders import audit_verify

PROJECT = Path(__file__).resolve().parents[2]


def commit(name: str, *, count: int = 12) -> None:
    """Some batches that are not sealed yet."""
    for body in mixture(name=name, count=count):
        Sender(lane_buffer()).send(body)
    drain_all(lane_buffer())


def die_at(point: str, case: Case) -> None:
    params = connection.get_connection_params()
    url = f"postgresql://{params.get('user', '')}@/{COPY}?host={params['host']}"
    if params.get("port"):
        url += f"&port={params['port']}"
    environ = {**os.environ, "DB_URL": url, "EVIDENCE_ROOT": str(case.folder)}
    done = subprocess.run(
        [sys.executable, "-c", DYING, point], cwd=PROJECT, env=environ, capture_output=True, timeout=60
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-1_000:]


DYING = (
    "import django, sys; django.setup(); from tests.support.dying_sealer import seal_and_die; seal_and_die(sys.argv[1])"
)


def signed_trees(case: Case) -> Iterator[tuple[int, bytes]]:
    """Of the log of events: every checkpoint that was ever signed and left behind."""
    for path in case.folder.glob("log/events/*/seals/*"):
        told = Checkpoint.parse(open_note(path.read_text().partition("\n\n")[2]).text)
        yield told.size, told.root
    for (text,) in Seal.objects.filter(incarnation__log="events").values_list("text"):
        told = Checkpoint.parse(open_note(text.partition("\n\n")[2]).text)
        yield told.size, told.root


def assert_one_chain(case: Case) -> None:
    assert audit_verify(case) == []
    trees = set(signed_trees(case))
    assert len(trees) == len({size for size, _ in trees})  # no size with two roots: no fork
    newest = latest_seal(LogName.EVENTS)
    assert newest is not None
    assert newest.tree_size == Batch.objects.count() + 1


@pytest.mark.parametrize("point", POINTS)
def test_a_sealer_killed_at_any_step_leaves_one_chain_to_the_next(case: Case, point: str) -> None:
    commit("killed")
    die_at(point, case)
    commit("afterwards")
    seal_everything(LogName.EVENTS)
    assert_one_chain(case)


def test_two_sealers_at_once_make_one_chain(case: Case) -> None:
    barrier = threading.Barrier(2)

    def sealing() -> int:
        try:
            barrier.wait(10)
            return sum(report.leaf_count for _ in range(10) if (report := seal(LogName.EVENTS)))
        finally:
            connection.close()

    for number in range(5):
        commit(f"two-{number}", count=5)
        waiting_count = Batch.objects.count() + 1 - _tree_size()
        with ThreadPoolExecutor(2) as pool:
            sealed = [each.result(30) for each in (pool.submit(sealing), pool.submit(sealing))]
        assert sum(sealed) == waiting_count
    assert_one_chain(case)


def _tree_size() -> int:
    newest = last_of(LogIncarnation.objects.get(log="events"))
    assert newest is not None
    return newest.tree_size


def test_while_the_disk_has_no_room_sealing_stands_and_commits_go_on(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    commit("full")
    size = _tree_size()
    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space left"):
            sealer.seal(LogName.EVENTS)
    assert "No space left" in SealerState.objects.get(log="events").refused_why
    assert _tree_size() == size
    before_count = Batch.objects.count()
    commit("while full")
    assert Batch.objects.count() > before_count
    seal_everything(LogName.EVENTS)
    assert SealerState.objects.get(log="events").refused_why == ""
    assert_one_chain(case)
