"""A first start, a second one, and a stop."""

import os
import shutil
import sys
from pathlib import Path

import psycopg
import pytest
import redis

from autocom.local_servers import addresses
from autocom.local_servers.servers import LocalServers
from tests.local_servers.kit import Kit, connected, keys, pid_of, processes_of


def test_the_settings_that_the_promises_need_are_in_force(kit: Kit) -> None:
    servers = kit.start()
    with connected(servers) as connection:
        rows = connection.execute("SELECT name, setting FROM pg_settings").fetchall()
        settings = {str(name): str(setting) for name, setting in rows}
    assert {name: settings[name] for name in ("fsync", "synchronous_commit", "full_page_writes")} == {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
    }
    assert (settings["listen_addresses"], settings["max_connections"]) == ("", "100")
    assert (settings["server_encoding"], settings["TimeZone"]) == ("UTF8", "UTC")
    with keys(servers) as client:
        config = client.config_get("append*", "maxmemory-policy", "port", "aof-load-truncated")
    assert config["appendonly"] == "yes"
    assert config["appendfsync"] == "always"
    assert config["maxmemory-policy"] == "noeviction"
    assert config["aof-load-truncated"] == "yes"
    assert config["port"] == "0"


def test_stop_leaves_no_process_and_start_finds_the_data_again(base: Path) -> None:
    kit = Kit(base=base)
    first = kit.start()
    with connected(first) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
    keys(first).set("kept", "7")
    assert len(kit.processes()) > 2
    first.stop()
    assert kit.processes() == []
    second = kit.start()
    with connected(second) as connection:
        assert connection.execute("SELECT n FROM kept").fetchone() == (7,)
    assert keys(second).get("kept") == "7"
    second.stop()


def test_a_client_that_stays_connected_does_not_hold_up_the_stop(kit: Kit) -> None:
    servers = kit.start(valkey=False)
    with connected(servers) as connection:
        connection.execute("SELECT 1")
        servers.stop()
        assert kit.processes() == []
    assert "received fast shutdown request" in servers.site.log_path("postgres").read_text()


@pytest.mark.parametrize("wanted", ["postgres", "valkey"])
def test_only_the_server_asked_for_is_started(kit: Kit, wanted: str) -> None:
    servers = kit.start(postgres=wanted == "postgres", valkey=wanted == "valkey")
    assert [server.title for server in servers.each()] == [{"postgres": "PostgreSQL", "valkey": "Valkey"}[wanted]]
    run = addresses.run_dir(kit.base)
    assert addresses.postgres_socket(run).exists() is (wanted == "postgres")
    assert addresses.valkey_socket(run).exists() is (wanted == "valkey")


def test_a_first_start_that_was_cut_short_is_made_good_by_the_next(kit: Kit) -> None:
    kit.use_before()
    shutil.move(kit.base / "pg18", kit.base / "pg18.init")  # as after a crash between initdb and the rename
    with connected(kit.start(valkey=False)) as connection:
        assert connection.execute("SELECT current_database()").fetchone() == ("app",)


def test_durable_false_turns_off_syncing_in_postgresql_and_never_in_valkey(kit: Kit) -> None:
    servers = kit.start(durable=False)
    with connected(servers) as connection:
        assert connection.execute("SHOW fsync").fetchone() == ("off",)
    assert keys(servers).config_get("appendfsync") == {"appendfsync": "always"}


def test_the_servers_are_out_of_reach_of_the_terminals_ctrl_c(kit: Kit) -> None:
    for server in kit.start().each():
        assert os.getsid(pid_of(server)) == pid_of(server)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_servers_do_not_inherit_the_services_environment(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "of-the-service")
    monkeypatch.setenv("LANG", "xx_XX.UTF-8")
    monkeypatch.setenv("PGDATA", "/nowhere")
    for server in kit.start().each():
        environ = Path(f"/proc/{server.pid}/environ").read_bytes()
        assert {entry.split(b"=")[0] for entry in environ.split(b"\0") if entry} <= {b"PATH", b"LC_ALL", b"TZ"}


@pytest.mark.parametrize("name", ["x" * 90, "with blank", "comma, and 'quote\"", "ünï"])
def test_an_awkward_base_works_like_any_other(base: Path, name: str) -> None:
    awkward = base / name
    servers = LocalServers.start(awkward, durable=False)
    try:
        with psycopg.connect(servers.db_url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert redis.Redis.from_url(servers.redis_url).ping()
        assert servers.site.run.stat().st_mode & 0o777 == 0o700
    finally:
        servers.stop()
        if servers.site.run.parent != awkward:
            shutil.rmtree(servers.site.run)
    assert processes_of(awkward) == []


def test_the_sockets_and_data_are_closed_to_other_users(kit: Kit) -> None:
    servers = kit.start()
    private = [servers.site.run, *(server.data_dir for server in servers.each())]
    assert {path.name: path.stat().st_mode & 0o777 for path in private} == {
        "run": 0o700,
        "pg18": 0o700,
        "valkey9": 0o700,
    }
    assert {log.stat().st_mode & 0o077 for log in kit.base.glob("*.log")} == {0}
