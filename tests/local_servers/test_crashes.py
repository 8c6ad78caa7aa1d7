"""kill -9 of servers: nothing acknowledged is lost, and they come back whatever was left lying about."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import psycopg
import pytest

from autocom.local_servers.processes import observe
from autocom.local_servers.server import LocalServer, wait_until
from autocom.local_servers.servers import LocalServers
from tests.local_servers.kit import PATIENCE, Kit, connected, keys, pid_of


def kill(*servers: LocalServer | None) -> None:
    """kill -9, and wait until they are dead."""
    for server in servers:
        os.kill(pid_of(server), signal.SIGKILL)
    for server in servers:
        assert server is not None
        assert wait_until(partial(is_dead, server), within=PATIENCE)


def is_dead(server: LocalServer) -> bool:
    return not server.is_alive()


def revived(servers: LocalServers) -> list[str]:
    """What revive() says, called until all are back."""
    said = servers.revive()
    deadline = time.monotonic() + PATIENCE.total_seconds()
    while not all(server.is_alive() for server in servers.each()) or servers.is_reviving:
        assert time.monotonic() < deadline, said
        said += servers.revive()
        time.sleep(0.05)
    return said


def back(said: list[str]) -> list[str]:
    """Without what was said on the way, which depends on how long the way was."""
    return sorted(sentence for sentence in said if "is back" in sentence)


def test_kill_9_of_both_keeps_what_was_acknowledged_and_nothing_else(kit: Kit) -> None:
    servers = kit.start()
    with connected(servers) as connection:
        connection.execute("CREATE TABLE event (n int)")
        for number in range(100):
            connection.execute("INSERT INTO event VALUES (%s)", [number])
    client = keys(servers)
    for number in range(1000):
        client.rpush("lane", number)
    unfinished = connected(servers)
    unfinished.execute("BEGIN")
    unfinished.execute("INSERT INTO event VALUES (-1)")
    kill(servers.postgres, servers.valkey)
    assert len(back(revived(servers))) == 2
    with connected(servers) as connection:
        assert connection.execute("SELECT count(*), min(n) FROM event").fetchone() == (100, 0)
    assert keys(servers).lrange("lane", 0, -1) == [str(number) for number in range(1000)]


def test_revive_says_in_one_sentence_each_what_it_brought_back(kit: Kit) -> None:
    servers = kit.start()
    assert servers.revive() == []
    kill(servers.postgres, servers.valkey)
    said = back(revived(servers))
    assert len(said) == 2
    assert said[0].startswith("PostgreSQL had died and is back after ")
    assert said[1].startswith("Valkey had died and is back after ")
    assert servers.revive() == []


def test_revive_restarts_adopted_servers_too(kit: Kit) -> None:
    owner, adopter = kit.start(), kit.start()
    assert [server.adopted for server in adopter.each()] == [True, True]
    kill(owner.postgres, owner.valkey)
    assert len(back(revived(adopter))) == 2
    assert all("another process" in sentence for sentence in back(revived(owner)))
    assert [server.pid for server in owner.each()] == [server.pid for server in adopter.each()]


def test_a_server_that_cannot_come_back_is_told_and_tried_again_later(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autocom.local_servers.servers.RETRY_FIRST_SECONDS", 3600.0)
    servers = kit.start(postgres=False)
    assert servers.valkey is not None
    keys(servers).set("kept", "yes")
    manifest = servers.valkey.data_dir / "appendonlydir" / "appendonly.aof.manifest"
    whole = manifest.read_bytes()
    kill(servers.valkey)
    manifest.write_bytes(b"not a manifest\n")
    said = servers.revive()
    while not any("cannot be restarted" in sentence for sentence in said):
        said += servers.revive()
    assert "Valkey has died and cannot be restarted, next try in 3600 s" in said[-1]
    assert servers.revive() == []
    manifest.write_bytes(whole)
    assert servers.revive() == []
    servers._outages["Valkey"].retry_at_seconds = 0.0
    assert "is back" in revived(servers)[-1]
    assert keys(servers).get("kept") == "yes"


def test_a_vanished_data_directory_is_told_and_never_made_anew_while_running(kit: Kit) -> None:
    servers = kit.start(valkey=False)
    assert servers.postgres is not None
    moved = kit.base / "moved"
    servers.postgres.data_dir.rename(moved)
    kill(servers.postgres)
    said = servers.revive()
    while not any("cannot be restarted" in sentence for sentence in said):
        said += servers.revive()
    assert not servers.postgres.data_dir.exists()
    moved.rename(servers.postgres.data_dir)
    assert "is back" in revived(servers)[-1]


def test_a_log_of_commands_cut_short_by_kill_9_loads(kit: Kit) -> None:
    servers = kit.start(postgres=False)
    assert servers.valkey is not None
    keys(servers).rpush("lane", "acknowledged")
    kill(servers.valkey)
    log = next((servers.valkey.data_dir / "appendonlydir").glob("*.incr.aof"))
    with log.open("ab") as tail:
        tail.write(b"*3\r\n$5\r\nRPUSH\r\n$4\r\nla")
    revived(servers)
    assert keys(servers).lrange("lane", 0, -1) == ["acknowledged"]


def test_children_of_a_killed_postmaster_are_waited_out(kit: Kit) -> None:
    servers = kit.start(valkey=False)
    assert servers.postgres is not None
    connection = connected(servers)
    backend = connection.info.backend_pid
    os.kill(backend, signal.SIGSTOP)  # so that it cannot notice that its parent has died
    kill(servers.postgres)
    awakening = threading.Timer(1, os.kill, (backend, signal.SIGCONT))
    awakening.start()
    said = revived(servers)
    awakening.join()
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")
    assert "is back" in said[-1]
    assert not any("cannot be restarted" in sentence for sentence in said)
    assert "is still in use" in servers.site.log_path("postgres").read_text()


@contextmanager
def stranger(servers: LocalServers, *, zombie: bool) -> Iterator[int]:
    """The pid of a process of the servers' user that is no PostgreSQL: alive, or dead and not reaped."""
    process = subprocess.Popen(["sleep", "0" if zombie else "60"], **servers.site.owner.spawn_options())
    try:
        if zombie:
            assert wait_until(lambda: (seen := observe(process.pid)) is not None and seen.is_zombie, within=PATIENCE)
        yield process.pid
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("zombie", [False, True], ids=["alive", "zombie"])
def test_a_stale_pid_file_naming_a_live_foreign_process_does_not_stop_the_start(kit: Kit, zombie: bool) -> None:
    servers = kit.start(valkey=False)
    assert servers.postgres is not None
    with connected(servers) as connection:
        connection.execute("CREATE TABLE kept ()")
    old_pid = servers.postgres.pid
    kill(servers.postgres)
    locks = (servers.postgres.data_dir / "postmaster.pid", servers.site.run / ".s.PGSQL.5432.lock")
    with stranger(servers, zombie=zombie) as one, stranger(servers, zombie=zombie) as another:
        for lock, pid in zip(locks, (one, another), strict=True):
            text = lock.read_text()
            assert text.startswith(f"{old_pid}\n")
            lock.write_text(text.replace(str(old_pid), str(pid), 1))
        said = revived(servers)
        assert "is back" in said[-1]
        assert not any("cannot be restarted" in sentence for sentence in said)
        assert observe(one) is not None
        assert observe(another) is not None
    with connected(servers) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_a_server_that_dies_between_two_questions_of_revive_is_revived_all_the_same(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers = kit.start(postgres=False)
    assert servers.valkey is not None
    asked = servers.valkey.running_pid
    deaths = [True]

    def dies_first() -> int | None:
        if deaths and deaths.pop():
            os.kill(pid_of(servers.valkey), signal.SIGKILL)
        return asked()

    monkeypatch.setattr(servers.valkey, "running_pid", dies_first)
    kill(servers.valkey)
    assert back(revived(servers))
    assert not deaths
    assert keys(servers).ping()
