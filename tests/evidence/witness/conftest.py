from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evidence.log.keys import known_keys
from tests.support.log import own_log
from tests.support.witnessed import Auditor, seal_events


@pytest.fixture
def log_folder(transactional_db: None, tmp_path: Path) -> Iterator[Path]:
    with own_log(tmp_path / "evidence") as folder:
        yield folder


@pytest.fixture
def auditor(log_folder: Path, live_server: Any, tmp_path: Path) -> Auditor:
    """Of a log of events with six leaves; it trusts the log's key."""
    seal_events(batches=5)
    return Auditor(url=live_server.url, keep=tmp_path / "keep", vkey=known_keys()[0].vkey)
