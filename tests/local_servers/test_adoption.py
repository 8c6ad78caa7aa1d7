"""A server of ours that already runs is used, and never gets a second one beside it."""

import os
import signal
import subprocess
import threading
from datetime import timedelta

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from autocom.local_servers import addresses
from autocom.local_servers.errors import LocalServerError
from autocom.local_servers.lock import BaseLock
from autocom.local_servers.server import LocalServer, answers, wait_until
from autocom.local_servers.servers import LocalServers
from tests.local_servers.kit import PATIENCE, Kit, connected, keys, pid_of

SHORT = timedelta(seconds=0.7)


def pids(servers: LocalServers) -> list[int | None]:
    return [server.pid for server in servers.each()]


def twin(server: LocalServer) -> LocalServer:
    """The same server as a second process would see it."""
    return type(server)(server.site)


def test_a_second_process_adopts_and_its_stop_leaves_the_servers_running(kit: Kit) -> None:
    servers = kit.start()
    seen = kit.elsewhere("""
        servers = LocalServers.start(base)
        print(json.dumps([[server.adopted, server.pid] for server in servers.each()]))
        servers.stop()
    """)
    assert seen == [[True, pid] for pid in pids(servers)]
    assert all(server.is_alive() for server in servers.each())


def test_stop_with_adopted_too_ends_adopted_servers(kit: Kit) -> None:
    servers = kit.start()
    assert kit.elsewhere("""
        servers = LocalServers.start(base)
        servers.stop(adopted_too=True)
        print(json.dumps([server.is_alive() for server in servers.each()]))
    """) == [False, False]
    assert pids(servers) == [None, None]
    assert kit.processes() == []


def test_servers_of_a_killed_supervisor_keep_running_and_are_adopted(kit: Kit) -> None:
    kit.use_before()
    supervisor = kit.spawn("""
        servers = LocalServers.start(base)
        print(json.dumps([server.pid for server in servers.each()]), flush=True)
        time.sleep(60)
    """)
    assert supervisor.stdout is not None
    started = supervisor.stdout.readline()
    supervisor.kill()
    supervisor.communicate()
    servers = kit.start()
    assert str(pids(servers)) == started.strip()
    assert [server.adopted for server in servers.each()] == [True, True]
    servers.stop(adopted_too=True)
    assert kit.processes() == []


def test_two_processes_that_start_at_once_share_one_pair_of_servers(kit: Kit) -> None:
    script = """
        servers = LocalServers.start(base)
        print(json.dumps([server.pid for server in servers.each()]), flush=True)
        time.sleep(60)
    """
    starters = [kit.spawn(script), kit.spawn(script)]
    try:
        lines = [starter.stdout.readline() for starter in starters if starter.stdout is not None]
    finally:
        for starter in starters:
            starter.kill()
            starter.communicate()
    assert lines[0] == lines[1]
    kit.start().stop(adopted_too=True)


@pytest.mark.parametrize("which", [0, 1], ids=["PostgreSQL", "Valkey"])
def test_a_server_that_hangs_is_waited_for_and_not_started_twice(kit: Kit, which: int) -> None:
    server = kit.start(postgres=which == 0, valkey=which == 1).each()[0]
    pid = pid_of(server)
    before = kit.processes()
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(LocalServerError, match="did not answer on"):
            twin(server).ensure(timeout=SHORT)
        assert set(kit.processes()) <= set(before)
        assert server.is_alive()
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("which", [0, 1], ids=["PostgreSQL", "Valkey"])
def test_a_server_whose_socket_file_was_swept_away_is_not_started_twice(kit: Kit, which: int) -> None:
    server = kit.start(postgres=which == 0, valkey=which == 1).each()[0]
    before = kit.processes()
    server.socket_path.unlink()
    with pytest.raises(LocalServerError, match=r"end it with"):
        twin(server).ensure(timeout=SHORT)
    assert set(kit.processes()) <= set(before)


def test_a_valkey_that_is_still_loading_is_waited_for(kit: Kit) -> None:
    server = kit.start(postgres=False)
    valkey = server.valkey
    assert valkey is not None
    with keys(server) as client, client.pipeline(transaction=False) as pipe:
        for number in range(400):
            pipe.set(f"key-{number}", os.urandom(8192).hex())
        pipe.execute()
        client.bgrewriteaof()  # into one file of keys: the delay below is for those
        assert wait_until(lambda: client.info("persistence")["aof_rewrite_in_progress"] == 0, within=PATIENCE)
    server.stop()
    slow = subprocess.Popen(
        [*valkey._command(), "--key-load-delay", "5000", "--loading-process-events-interval-bytes", "1024"],
        stdout=subprocess.DEVNULL,
        cwd="/",
        **server.site.owner.spawn_options(),
    )
    try:
        assert wait_until(lambda: answers(addresses.valkey_socket(server.site.run)), within=PATIENCE)
        with pytest.raises(redis.BusyLoadingError):
            redis.Redis.from_url(server.redis_url, retry=Retry(NoBackoff(), 0)).ping()
        adopted = kit.start(postgres=False)
        assert pids(adopted) == [slow.pid]
        assert keys(adopted).dbsize() == 400
        assert keys(adopted).info("persistence")["loading"] == 0
    finally:
        slow.terminate()
        slow.wait()


def test_a_postgresql_that_is_shutting_down_is_waited_for_and_then_started_anew(kit: Kit) -> None:
    first = kit.start(valkey=False)
    old_pid = pid_of(first.postgres)
    connection = connected(first)
    os.kill(old_pid, signal.SIGTERM)  # "smart": until its last client has gone it answers newcomers with 57P03
    leaving = threading.Timer(0.5, connection.close)
    leaving.start()
    second = kit.start(valkey=False)
    leaving.join()
    assert pids(second) != [old_pid]
    assert [server.adopted for server in second.each()] == [False]


def test_a_postgresql_without_fsync_is_not_adopted_where_durability_is_asked_for(kit: Kit) -> None:
    kit.start(durable=False, valkey=False)
    with pytest.raises(LocalServerError, match="without fsync"):
        kit.start(durable=True, valkey=False)


def test_a_valkey_that_breaks_its_promises_is_not_adopted(kit: Kit) -> None:
    servers = kit.start(postgres=False)
    keys(servers).config_set("appendfsync", "everysec")
    with pytest.raises(LocalServerError, match="everysec"):
        kit.start(postgres=False)


def test_a_lock_that_is_never_released_is_told_and_not_waited_for_for_ever(kit: Kit) -> None:
    held, wanted = BaseLock(kit.base / "lock"), BaseLock(kit.base / "lock")
    assert held.try_take()
    with pytest.raises(LocalServerError, match="another autocom"), wanted.held(within=timedelta(seconds=0.1)):
        pytest.fail("two hold one lock")
    held.release()
    with wanted.held(within=timedelta(seconds=0.1)):
        assert wanted.is_held
