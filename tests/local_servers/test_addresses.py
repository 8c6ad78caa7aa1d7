"""Where the servers are found, without touching anything."""

import os
from pathlib import Path

import pytest

from autocom.local_servers import addresses


def test_the_chosen_data_directory_wins_and_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert addresses.data_dir({"AUTOCOM_DATA_DIR": "state", "XDG_DATA_HOME": "/x"}) == tmp_path.resolve() / "state"


@pytest.mark.parametrize(
    ("euid", "platform", "environ", "expected"),
    [
        (0, "linux", {"HOME": "/root", "XDG_DATA_HOME": "/x"}, "/var/lib/autocom"),
        (1000, "linux", {"HOME": "/home/ada", "XDG_DATA_HOME": "/x"}, "/x/autocom"),
        (1000, "linux", {"HOME": "/home/ada"}, "/home/ada/.local/share/autocom"),
        (1000, "linux", {"HOME": "/home/ada", "AUTOCOM_DATA_DIR": " "}, "/home/ada/.local/share/autocom"),
        (501, "darwin", {"HOME": "/Users/ada"}, "/Users/ada/Library/Application Support/autocom"),
    ],
)
def test_each_user_has_the_data_directory_that_the_platform_expects(
    monkeypatch: pytest.MonkeyPatch, euid: int, platform: str, environ: dict[str, str], expected: str
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: euid)
    monkeypatch.setattr("sys.platform", platform)
    assert addresses.data_dir(environ) == Path(expected)


def test_a_socket_path_that_fits_stays_in_the_base() -> None:
    assert addresses.run_dir(Path("/srv/autocom")) == Path("/srv/autocom/run")


@pytest.mark.parametrize("base", ["/srv/" + "x" * 80, "/srv/" + "ü" * 40, "/srv/a,b"])
def test_a_base_that_no_socket_address_can_hold_gets_a_short_directory_of_its_own(base: str) -> None:
    run = addresses.run_dir(Path(base))
    assert len(os.fsencode(addresses.postgres_socket(run))) < addresses.SOCKET_PATH_LIMIT_BYTES
    assert run.parent == Path("/tmp")
    assert run != addresses.run_dir(Path(base + "2"))


def test_the_socket_directory_does_not_depend_on_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    long = Path("/srv/" + "x" * 80)
    before = addresses.run_dir(long)
    monkeypatch.setenv("TMPDIR", "/var/tmp")
    assert addresses.run_dir(long) == before


def test_asking_for_addresses_makes_nothing(tmp_path: Path) -> None:
    base = tmp_path / "new"
    addresses.db_url(base)
    addresses.redis_url(base)
    assert list(tmp_path.iterdir()) == []


def test_the_urls_are_the_documented_ones() -> None:
    assert addresses.db_url(Path("/srv/a b")) == "postgresql://app@/app?host=%2Fsrv%2Fa%20b%2Frun"
    assert addresses.redis_url(Path("/srv/a b")) == "unix:///srv/a%20b/run/valkey.sock?db=0"
