"""Where a data directory keeps its servers. Pure: settings import this to find servers that already run."""

import hashlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

DATABASE = "app"
DATABASE_USER = "app"
POSTGRES_PORT = 5432  # only names the socket file: no server of ours listens on TCP
SOCKET_PATH_LIMIT_BYTES = (
    90  # the kernel takes 103 on macOS and 107 on Linux; the rest is for files that servers put beside
)


def data_dir(environ: Mapping[str, str]) -> Path:
    """The directory of all local state, absolute, symbolic links resolved. It may not exist yet.

    AUTOCOM_DATA_DIR, else /var/lib/autocom for root, else the user's data directory.
    """
    if chosen := environ.get("AUTOCOM_DATA_DIR", "").strip():
        return Path(chosen).expanduser().resolve()
    if os.geteuid() == 0:
        return Path("/var/lib/autocom").resolve()
    return (_user_data_home(environ) / "autocom").resolve()


def _user_data_home(environ: Mapping[str, str]) -> Path:
    if xdg := environ.get("XDG_DATA_HOME", "").strip():
        return Path(xdg)
    home = Path(environ["HOME"]) if environ.get("HOME") else Path.home()
    if sys.platform == "darwin":
        return home / "Library" / "Application Support"
    return home / ".local" / "share"


def run_dir(base: Path) -> Path:
    """The directory of the sockets: `run` in the base, or one in /tmp where that path is too long for a socket.

    /tmp, not $TMPDIR: every process must come to the same answer, whatever environment it was started in.
    A comma would split the address, because libpq and PostgreSQL take lists of directories.
    """
    base = base.resolve()
    usual = base / "run"
    if len(os.fsencode(postgres_socket(usual))) <= SOCKET_PATH_LIMIT_BYTES and "," not in str(usual):
        return usual
    return Path("/tmp") / f"autocom-{hashlib.sha256(os.fsencode(base)).hexdigest()[:16]}"  # noqa: S108 made 0700 and checked


def postgres_socket(run: Path) -> Path:
    return run / f".s.PGSQL.{POSTGRES_PORT}"


def valkey_socket(run: Path) -> Path:
    return run / "valkey.sock"


def db_url(base: Path) -> str:
    """The DB_URL of the local PostgreSQL of this base."""
    return f"postgresql://{DATABASE_USER}@/{DATABASE}?host={quote(str(run_dir(base)), safe='')}"


def redis_url(base: Path) -> str:
    """The REDIS_URL of the local Valkey of this base."""
    return f"unix://{quote(str(valkey_socket(run_dir(base))))}?db=0"
