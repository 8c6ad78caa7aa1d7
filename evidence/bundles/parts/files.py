"""How a part is written: text as UTF-8, JSON with sorted names, folders as they are needed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path


def write(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def write_json(path: Path, value: object) -> None:
    """For people too. Raises ValueError for NaN, which is no JSON."""
    write(path, json_text(value))


def json_text(value: object) -> str:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
