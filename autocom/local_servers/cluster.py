"""A PostgreSQL data directory: made whole or not at all, and only ever used by the version that made it."""

import shutil
import subprocess
from pathlib import Path

from autocom.local_servers import addresses
from autocom.local_servers.binaries import Runnable, Version
from autocom.local_servers.errors import LocalServerError
from autocom.local_servers.owner import CLEAN_ENVIRON
from autocom.local_servers.site import Site, make_private_dir

LOCALE_OPTIONS = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
ACCESS_OPTIONS = ("--auth-local=trust", "--auth-host=reject")  # trust is safe: the socket directory has mode 0700


def check_cluster(data_dir: Path, *, version: Version) -> bool:
    """True when the directory holds a cluster of this major version, False when a new one may be made.

    Raises LocalServerError when it, or a directory beside it, holds something else. Changes nothing.
    """
    if not data_dir.exists():
        _refuse_other_clusters(data_dir, version=version)
        return False
    marker = data_dir / "PG_VERSION"
    if not marker.is_file():
        if any(data_dir.iterdir()):
            raise LocalServerError(
                f"{data_dir} is no PostgreSQL data directory, nor empty: move it away, "
                "or set AUTOCOM_DATA_DIR to another directory."
            )
        return False
    if (made_by := marker.read_text().strip()) != str(version.major):
        raise other_version(data_dir, made_by=made_by, version=version)
    return True


def make_cluster(data_dir: Path, *, program: Runnable, site: Site) -> None:
    """Afterwards the directory holds an empty cluster. A crash on the way leaves only `<name>.init`."""
    unfinished = data_dir.with_name(f"{data_dir.name}.init")
    if unfinished.exists():
        shutil.rmtree(unfinished)  # nothing was ever stored in it: only finished ones get the name that is used
    make_private_dir(unfinished, owner=site.owner)
    command = [
        str(program.path.with_name("initdb")),
        "-D", str(unfinished),
        "-U", addresses.DATABASE_USER,
        *LOCALE_OPTIONS,
        *ACCESS_OPTIONS,
    ]  # fmt: skip
    if not site.durable:
        command.append("--no-sync")
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env=CLEAN_ENVIRON,
        **site.owner.spawn_options(),
    )
    if done.returncode != 0:
        why = " ".join(line.strip() for line in done.stderr.splitlines() if "error" in line) or done.stderr.strip()
        raise LocalServerError(
            f"PostgreSQL could not make its data directory as the user {site.owner.name}: {why} "
            "Mend that, run autocom as another user, or set DB_URL."
        )
    unfinished.rename(data_dir)


def _refuse_other_clusters(data_dir: Path, *, version: Version) -> None:
    """A newer wheel must not start empty beside the data of an older one."""
    for other in sorted(data_dir.parent.glob("pg*")):
        marker = other / "PG_VERSION"
        if marker.is_file() and not other.name.endswith(".init"):
            raise other_version(other, made_by=marker.read_text().strip(), version=version)


def other_version(data_dir: Path, *, made_by: str, version: Version) -> LocalServerError:
    return LocalServerError(
        f"{data_dir} was made by PostgreSQL {made_by} and PostgreSQL {version.major} cannot use it; "
        "nothing was changed. "
        f"Dump it with PostgreSQL {made_by} and restore the dump under a new AUTOCOM_DATA_DIR, "
        "or just point AUTOCOM_DATA_DIR elsewhere."
    )
