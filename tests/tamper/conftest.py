from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.tamper.arena import Arena, Case


@pytest.fixture(scope="session")
def arena(django_db_blocker: Any) -> Iterator[Arena]:
    with tempfile.TemporaryDirectory(prefix="autocom-tamper-") as folder, django_db_blocker.unblock():
        arena = Arena(base=Path(folder))
        try:
            arena.build()
            yield arena
        finally:
            arena.remove()


@pytest.fixture
def case(arena: Arena) -> Iterator[Case]:
    with arena.copy() as case:
        yield case
