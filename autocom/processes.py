"""What a process of ours does for itself at its start."""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # <sys/prctl.h>


def die_with_parent(*, parent: int | None = None) -> None:
    """From now on this process gets SIGTERM when its parent dies, or has died already: an orphan would hold ports and
    lanes.

    `parent` is the pid of whoever started it, for one that may be gone before this call. Does nothing where the kernel
    has no such call (only Linux does).
    """
    if sys.platform != "linux":
        return
    parent = os.getppid() if parent is None else parent
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before the call
        os.kill(os.getpid(), signal.SIGTERM)
