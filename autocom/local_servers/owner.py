"""Which OS user runs the servers, and with what environment. PostgreSQL refuses root, so root hands both to another."""

import os
import pwd
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from autocom.local_servers.errors import LocalServerError

CANDIDATES = ("postgres", "nobody")  # in this order, for root
# no PG*, LC_* or LD_* of the user's (an ungenerated LANG breaks initdb), and none of the service's secrets
CLEAN_ENVIRON = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


class SpawnOptions(TypedDict, total=False):
    """What subprocess.Popen is told to become another user."""

    user: int
    group: int
    extra_groups: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The user who runs the servers and owns their directories."""

    name: str
    uid: int
    gid: int

    @property
    def is_other(self) -> bool:
        """True when the servers do not run as the user who starts them."""
        return self.uid != os.geteuid()

    def spawn_options(self) -> SpawnOptions:
        if not self.is_other:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def can_enter(self, directory: Path) -> bool:
        """Asked of the kernel as that user, because mode bits do not show access lists.

        Raises LocalServerError when we may not act as that user.
        """
        if not self.is_other:
            return os.access(directory, os.X_OK)
        try:
            done = subprocess.run(
                ["/bin/sh", "-c", 'cd -- "$0"', str(directory)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                cwd="/",
                **self.spawn_options(),
            )
        except PermissionError as error:
            raise LocalServerError(
                f"this root may not start processes as the user {self.name}, and root may not run PostgreSQL: "
                "run autocom as a normal user, or set DB_URL and REDIS_URL."
            ) from error
        return done.returncode == 0


def server_owner(
    *, data_dirs: Sequence[Path], euid: int | None = None, lookup: Callable[[str], pwd.struct_passwd] = pwd.getpwnam
) -> Owner:
    """Ourselves; for root the user who owns the existing data directories, else `postgres`, else `nobody`.

    Raises LocalServerError where root finds nobody.
    """
    euid = os.geteuid() if euid is None else euid
    if euid != 0:
        return Owner(name=_name_of(euid), uid=euid, gid=os.getegid())
    for directory in data_dirs:
        if directory.is_dir() and (uid := directory.stat().st_uid) != 0:
            return Owner(name=_name_of(uid), uid=uid, gid=directory.stat().st_gid)
    for name in CANDIDATES:
        try:
            entry = lookup(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Owner(name=name, uid=entry.pw_uid, gid=entry.pw_gid)
    raise LocalServerError(
        "root may not run PostgreSQL, and there is no user 'postgres' or 'nobody' to run it: "
        "run autocom as a normal user, or set DB_URL and REDIS_URL."
    )


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
