from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.log import own_log


@pytest.fixture
def log_folder(transactional_db: None, tmp_path: Path) -> Iterator[Path]:
    with own_log(tmp_path) as folder:
        yield folder
