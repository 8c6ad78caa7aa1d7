"""One process at a time starts, revives or stops the servers of a data directory."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from autocom.local_servers.errors import LocalServerError

RETRY_SECONDS = 0.05


class BaseLock:
    """A flock on the file `lock` of the base. The kernel releases it when its holder dies, however it dies."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    @property
    def is_held(self) -> bool:
        return self._fd is not None

    def try_take(self) -> bool:
        """True when this object holds the lock afterwards."""
        if self._fd is None:
            self._fd = locked_file(self._path)
        return self._fd is not None

    def release(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    @contextmanager
    def held(self, *, within: timedelta) -> Iterator[None]:
        """Holds the lock inside the block; one that was held before is kept. Raises LocalServerError after `within`."""
        deadline = time.monotonic() + within.total_seconds()
        was_held = self.is_held
        while not self.try_take():
            if time.monotonic() > deadline:
                raise LocalServerError(
                    f"another autocom has been starting or stopping servers for {within.total_seconds():.0f} s "
                    f"(it holds {self._path}): wait for it or end it."
                )
            time.sleep(RETRY_SECONDS)
        try:
            yield
        finally:
            if not was_held:
                self.release()


def locked_file(path: Path) -> int | None:
    """A descriptor that holds an exclusive lock on the file, made if missing; None when somebody else holds it."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise LocalServerError(
            f"{path} cannot be opened ({error.strerror}): run autocom as the user who owns {path.parent}, "
            "or set AUTOCOM_DATA_DIR to a directory of your own."
        ) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd
