"""What is known about processes that are not our children, with /proc and without."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from autocom.local_servers import processes
from autocom.local_servers.processes import Process, is_same_and_alive, observe
from autocom.local_servers.server import wait_until
from tests.local_servers.kit import PATIENCE

observers = pytest.mark.parametrize(
    "look",
    [
        pytest.param(
            processes._from_proc, id="proc", marks=pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
        ),
        pytest.param(
            processes._from_ps, id="ps", marks=pytest.mark.skipif(not Path("/bin/ps").exists(), reason="runs /bin/ps")
        ),
    ],
)


@observers
def test_a_live_process_a_zombie_and_a_gone_one_are_told_apart(look: Callable[[int], Process | None]) -> None:
    child = subprocess.Popen(["sleep", "60"])
    assert wait_until(lambda: (seen := look(child.pid)) is not None and seen.command == "sleep", within=PATIENCE)
    live = look(child.pid)
    assert live is not None
    assert not live.is_zombie
    assert look(child.pid) == live
    child.kill()
    assert wait_until(lambda: (seen := look(child.pid)) is not None and seen.is_zombie, within=PATIENCE)
    child.wait()
    assert look(child.pid) is None


def test_a_process_that_got_a_dead_ones_pid_is_not_taken_for_it() -> None:
    ourselves = observe(os.getpid())
    assert ourselves is not None
    assert is_same_and_alive(ourselves)
    assert not is_same_and_alive(replace(ourselves, started="before"))
