"""A new machine: which Python is taken, what is said where there is none, and that make needs nothing done before."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
FIND = PROJECT / "deploy" / "find-python"
GOOD = f'exec {sys.executable} "$@"'
BROKEN_SHIM = 'echo "shim: no version is set" >&2; exit 127'
OLD = "exit 1"  # what the version check of an older one ends with
WITHOUT_VENV = 'case "$*" in *ensurepip*) exit 1;; *print*) echo /without/venv;; esac'


@pytest.fixture
def bin_dir(tmp_path: Path) -> Path:
    """The only directory on PATH. It has a shell's ordinary tools and no Python."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for tool in ("sh", "sleep"):
        found = shutil.which(tool)
        assert found is not None
        (directory / tool).symlink_to(found)
    return directory


def command(directory: Path, name: str, script: str) -> None:
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def find(directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(FIND)], env={"PATH": str(directory)}, capture_output=True, text=True, timeout=60, check=False
    )


def runs(path: str) -> bool:
    done = subprocess.run([path, "-c", "import sys; sys.exit(sys.version_info < (3, 12))"], timeout=30, check=False)
    return done.returncode == 0


@pytest.mark.parametrize("name", ["python3", "python3.13", "python3.12", "python3.14"])
def test_a_good_python_is_taken_under_each_of_its_names(bin_dir: Path, name: str) -> None:
    command(bin_dir, name, GOOD)
    done = find(bin_dir)
    assert done.returncode == 0, done.stderr
    assert runs(done.stdout.strip())
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize("first", [BROKEN_SHIM, OLD, WITHOUT_VENV], ids=["broken shim", "too old", "without venv"])
def test_a_python_that_cannot_be_used_is_skipped_without_a_word(bin_dir: Path, first: str) -> None:
    command(bin_dir, "python3", first)
    command(bin_dir, "python3.12", GOOD)
    done = find(bin_dir)
    assert done.returncode == 0
    assert runs(done.stdout.strip())
    assert done.stderr == ""


def test_a_python_that_uv_knows_is_taken_last(bin_dir: Path) -> None:
    command(bin_dir, "python3", BROKEN_SHIM)
    command(bin_dir, "uv", f'[ "$1 $2" = "python find" ] && echo {sys.executable}')
    done = find(bin_dir)
    assert (done.returncode, done.stdout.strip()) == (0, sys.executable)


def test_uv_installs_one_where_it_knows_none(bin_dir: Path) -> None:
    marker = bin_dir / "installed"
    command(
        bin_dir,
        "uv",
        f'case "$2" in install) : > {marker};; find) [ -e {marker} ] && echo {sys.executable};; *) exit 2;; esac',
    )
    done = find(bin_dir)
    assert (done.returncode, done.stdout.strip()) == (0, sys.executable)


@pytest.mark.parametrize("uv", [None, "exit 1", "echo /nowhere/python"], ids=["no uv", "uv fails", "uv is wrong"])
def test_where_there_is_none_one_line_says_what_to_install(bin_dir: Path, uv: str | None) -> None:
    command(bin_dir, "python3", BROKEN_SHIM)
    if uv is not None:
        command(bin_dir, "uv", uv)
    done = find(bin_dir)
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("autocom: no Python >= 3.12")
    assert "install" in line


def make(*words: str, cwd: Path = PROJECT, path: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *words],
        cwd=cwd,
        env={**os.environ, **({"PATH": path} if path else {}), "MAKEFLAGS": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_make_without_a_python_ends_with_that_line_and_leaves_no_half_made_environment(
    bin_dir: Path, tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    (clone / "deploy").mkdir(parents=True)
    for name in ("Makefile", "deploy/find-python", "requirements-local.txt"):
        shutil.copy(PROJECT / name, clone / name)
    for tool in ("make", "touch", "rm", "test"):
        if found := shutil.which(tool):
            (bin_dir / tool).symlink_to(found)
    done = make("up", cwd=clone, path=str(bin_dir))
    assert done.returncode != 0
    assert "autocom: no Python >= 3.12" in done.stderr
    assert not (clone / ".venv").exists()


@pytest.mark.parametrize("target", ["up", "test", "check", "format", "lock", "bench"])
def test_each_target_installs_what_it_needs_by_itself_and_only_once(target: str, tmp_path: Path) -> None:
    """Dry: make says what it would run."""
    fresh = make("-n", target, f"VENV={tmp_path / 'fresh'}")
    assert fresh.returncode == 0, fresh.stderr
    assert "deploy/find-python" in fresh.stdout
    assert "--require-hashes -r requirements-local.txt" in fresh.stdout
    installed = tmp_path / "installed"
    installed.mkdir()
    (installed / ".installed").touch()
    again = make("-n", target, f"VENV={installed}")
    assert "find-python" not in again.stdout
    assert "pip install" not in again.stdout


def test_every_requirement_is_pinned_with_a_hash() -> None:
    for name in ("requirements.txt", "requirements-local.txt"):
        text = (PROJECT / name).read_text()
        pins = re.findall(r"^([A-Za-z0-9._\[\]-]+)==\S+(.*)", text, re.MULTILINE)
        entries = [entry for entry in re.split(r"\n(?=[A-Za-z0-9])", text) if re.match(r"[A-Za-z0-9]", entry)]
        assert pins
        assert len(entries) == len(pins)
        assert all("--hash=sha256:" in entry for entry in entries), name
