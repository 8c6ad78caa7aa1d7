"""What `/healthz` tells of the code: it changes with any source and with the key, and with nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autocom import build as module


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """The build of a small tree, read anew each time."""
    module.build()  # of the project, for whoever asks in this process later
    for name in module.PACKAGES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "code.py").write_text("a = 1\n")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    return module.build.__wrapped__


def test_any_source_changes_it_and_other_files_do_not(told: Callable[[], str], tmp_path: Path) -> None:
    seen = {told()}
    (tmp_path / "ingestion" / "notes.txt").write_text("not code")
    assert {told()} == seen
    (tmp_path / "evidence" / "code.py").write_text("a = 2\n")
    seen.add(told())
    (tmp_path / "ingestion" / "append.lua").write_text("return 1")
    seen.add(told())
    (tmp_path / "console" / "code.py").rename(tmp_path / "console" / "other.py")
    seen.add(told())
    assert len(seen) == 4


def test_another_key_tells_another_build_of_the_same_code(told: Callable[[], str], settings: Any) -> None:
    before = told()
    settings.SECRET_KEY = "another-key-0123456789abcdef"
    assert told() != before


def test_it_stays_what_it_was_at_the_start(told: Callable[[], str], tmp_path: Path) -> None:
    before = module.build()
    (tmp_path / "autocom" / "code.py").write_text("deployed beside the running process\n")
    assert module.build() == before
