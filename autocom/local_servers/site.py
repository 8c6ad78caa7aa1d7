"""The directories of the local servers: who owns them, and that nobody else can get in."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from autocom.local_servers.addresses import run_dir
from autocom.local_servers.errors import LocalServerError
from autocom.local_servers.owner import Owner, server_owner

LOG_LIMIT_BYTES = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A base directory ready for servers: it and the socket directory exist, and the owner can enter them."""

    base: Path
    run: Path
    owner: Owner
    durable: bool

    @property
    def copies(self) -> Path:
        return self.base / "rt"

    def log_path(self, name: str) -> Path:
        return self.base / f"{name}.log"

    def open_log(self, name: str) -> int:
        """A descriptor at the end of the server's log, which was set aside first if it had grown large."""
        path = self.log_path(name)
        if path.exists() and path.stat().st_size > LOG_LIMIT_BYTES:
            path.replace(path.with_suffix(".log.1"))
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def open_site(base: Path, *, durable: bool, owner: Owner | None = None) -> Site:
    """The site of this base. Only directories of ours are made or changed. Raises LocalServerError."""
    base = base.resolve()
    with _explained(base):
        _make_base(base)
        owner = owner or server_owner(data_dirs=data_dirs_in(base))
        if owner.is_other:
            _let_pass(base)
        if not owner.can_enter(base):
            raise LocalServerError(
                f"the user {owner.name}, who runs the servers, cannot enter {base} or a directory above it: "
                "set AUTOCOM_DATA_DIR to a directory that every user may pass through, such as /var/lib/autocom."
            )
        run = run_dir(base)
        make_private_dir(run, owner=owner)
    return Site(base=base, run=run, owner=owner, durable=durable)


def data_dirs_in(base: Path) -> list[Path]:
    """The data directories of any engine and version in the base."""
    if not base.is_dir():
        return []
    engines = ("pg", "postgres", "valkey", "redis")
    return sorted(path for path in base.iterdir() if path.name.rstrip("0123456789") in engines and path.is_dir())


def make_private_dir(path: Path, *, owner: Owner) -> None:
    """Afterwards the path is a directory of the owner with mode 0700. Raises LocalServerError if it is not ours."""
    with _explained(path):
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {owner.uid, os.geteuid()}:
            raise LocalServerError(
                f"{path} is not a directory of {owner.name}: move it out of the way, "
                "or set AUTOCOM_DATA_DIR to another directory."
            )
        if found.st_uid != owner.uid:
            os.chown(path, owner.uid, owner.gid, follow_symlinks=False)
        if stat.S_IMODE(found.st_mode) != 0o700:
            path.chmod(0o700)


def _make_base(base: Path) -> None:
    if not base.exists():
        base.mkdir(parents=True)
        base.chmod(0o755 if os.geteuid() == 0 else 0o700)


def _let_pass(base: Path) -> None:
    """The owner must pass through the base to its own directories; what is private in it has mode 0700 or 0600."""
    found = base.stat()
    if found.st_uid == os.geteuid() and found.st_mode & 0o011 != 0o011:
        base.chmod(stat.S_IMODE(found.st_mode) | 0o011)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LocalServerError(
            f"{error.filename or path} cannot be prepared for the local servers ({error.strerror}): run autocom as its "
            "owner or as a normal user, set AUTOCOM_DATA_DIR to a directory of your own, or set DB_URL and REDIS_URL."
        ) from error
