"""The npm libraries as judges: one node process for a whole run, a JSON line for each question."""

from __future__ import annotations

import atexit
import base64
import functools
import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.providers.requests import Sent

_HERE = Path(__file__).parent


@functools.cache
def _process() -> subprocess.Popen[str]:
    node = shutil.which("node")
    if node is None or not (_HERE / "node_modules").is_dir():
        pytest.skip(f"the npm judges are not installed: run `npm ci --prefix tests/providers/{_HERE.name}` (Node 20)")
    process = subprocess.Popen(
        [node, "judge.mjs"], cwd=_HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    )
    atexit.register(_stop, process)
    return process


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    process.wait(timeout=10)


def node_accepts(library: str, sent: Sent, *, secrets: Sequence[str]) -> bool:
    """The library's verdict; an exception of the library is a refusal."""
    process = _process()
    assert process.stdin is not None
    assert process.stdout is not None
    question = {
        "library": library,
        "secrets": list(secrets),
        "headers": sent.lowered(),
        "body_base64": base64.b64encode(sent.body).decode(),
    }
    process.stdin.write(json.dumps(question) + "\n")
    process.stdin.flush()
    answer = process.stdout.readline()
    assert answer, f"the node process ended with {process.poll()}"
    return bool(json.loads(answer)["accepted"])
