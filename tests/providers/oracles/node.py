"""The npm libraries as judges: one node process for a whole run, a JSON line for each question."""

from __future__ import annotations

import atexit
import base64
import functools
import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.providers.requests import Sent

_HERE = Path(__file__).parent
MAIL_LIBRARIES = ("sendgrid", "sns")  # their judge replaces https.get, which the others must not see


@functools.cache
def _process(script: str) -> subprocess.Popen[str]:
    node = shutil.which("node")
    if node is None or not (_HERE / "node_modules").is_dir():
        pytest.fail(
            "the npm judges are not installed: run `npm ci --prefix tests/providers/oracles` (Node 20 or newer)"
        )
    process = subprocess.Popen(
        [node, script], cwd=_HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    )
    atexit.register(_stop, process)
    return process


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    process.wait(timeout=10)


def _ask(question: Mapping[str, object], body: bytes) -> dict[str, Any]:
    process = _process("judge_mail.mjs" if question["library"] in MAIL_LIBRARIES else "judge.mjs")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps({**question, "body_base64": base64.b64encode(body).decode()}) + "\n")
    process.stdin.flush()
    answer = process.stdout.readline()
    assert answer, f"the node process ended with {process.poll()}"
    parsed: dict[str, Any] = json.loads(answer)
    return parsed


def node_accepts(library: str, sent: Sent, *, secrets: Sequence[str], now_seconds: int = 0) -> bool:
    """The library's verdict; an exception of the library is a refusal.

    `now_seconds` is for those that look at a clock.
    """
    question = {
        "library": library,
        "action": "verify",
        "secrets": list(secrets),
        "headers": sent.lowered(),
        "now_seconds": now_seconds,
    }
    return bool(_ask(question, sent.body)["accepted"])


def node_signs(library: str, sent: Sent, *, secret: str, now_seconds: int) -> Sent:
    """The request with the headers that the library adds."""
    question = {
        "library": library,
        "action": "sign",
        "secrets": [secret],
        "headers": dict(sent.headers),
        "now_seconds": now_seconds,
    }
    return Sent(headers=_ask(question, sent.body)["headers"], body=sent.body)
