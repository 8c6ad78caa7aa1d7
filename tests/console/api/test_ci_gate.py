"""The pipeline's gate, as docs/ci-gate.md has it, against a running API."""

from __future__ import annotations

import json
import os
import re
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.utils import timezone

from console.service_tokens.scopes import Scope
from evidence.models import Bundle
from tests.console.api.kit import token
from tests.support.gates import bundle, frozen_gate, own_store

pytestmark = pytest.mark.django_db(transaction=True)
DOCUMENT = Path(django_settings.BASE_DIR) / "docs" / "ci-gate.md"


def the_step() -> str:
    """The code block that a reader copies; the one of the CI service runs the same line."""
    text = DOCUMENT.read_text()
    (block,) = re.findall(r"```sh\n(.*?)\n```", text, re.DOTALL)
    assert f"run: {block}" in text
    return str(block)


@pytest.fixture
def ended(live_server: Any, tmp_path: Path) -> Any:
    """Runs the step with the token; returns its exit code and what it printed."""

    def run(text: str | None = None, *, more: str = "") -> tuple[int, str]:
        secret = token(Scope.OPERATIONS_READ, name=f"pipeline-{os.urandom(3).hex()}") if text is None else text
        given = {"PATH": os.environ["PATH"], "AUTOCOM_URL": live_server.url, "AUTOCOM_TOKEN": secret}
        done = subprocess.run(
            ["/bin/sh", "-c", f"{the_step()} {more}"],
            cwd=django_settings.BASE_DIR,
            env=given,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert secret == "" or secret not in done.stdout + done.stderr
        return done.returncode, done.stdout + done.stderr

    with own_store(tmp_path):
        yield run


def test_a_pass_goes_on(ended: Any) -> None:
    frozen_gate()
    made = bundle("PASS")
    code, said = ended()
    assert (code, f"PASS: run {made.run_id}" in said) == (0, True)


def test_a_fail_ends_the_build_and_names_what_was_not_met(ended: Any) -> None:
    frozen_gate()
    bundle("FAIL", failing="ack P95")
    code, said = ended()
    assert (code, said.splitlines()[-1].strip()) == (1, "FAIL: ack P95")


@pytest.mark.parametrize(
    ("why", "says"),
    [
        ("none", "no bundle"),
        ("inconclusive", "INCONCLUSIVE"),
        ("old", "hours ago"),
        ("not frozen", "not the frozen one"),
        ("another run", "not of r1"),
    ],
)
def test_what_is_no_pass_of_what_runs_now_is_inconclusive(ended: Any, why: str, says: str) -> None:
    if why != "not frozen":
        frozen_gate()
    if why != "none":
        bundle("INCONCLUSIVE" if why == "inconclusive" else "PASS")
    if why == "old":
        Bundle.objects.update(made_at=timezone.now() - timedelta(hours=25))
    code, said = ended(more="--run r1" if why == "another run" else "")
    assert (code, says in said) == (3, True), said


def test_a_token_that_is_refused_or_missing_is_no_pass(ended: Any) -> None:
    frozen_gate()
    bundle("PASS")
    assert ended(f"acst_{'0' * 12}_{'0' * 64}")[0] == 3
    code, said = ended("")
    assert (code, "AUTOCOM_TOKEN" in said) == (2, True)


def test_a_service_that_does_not_answer_is_no_pass(ended: Any) -> None:
    code, said = ended(more="--url http://127.0.0.1:9")
    assert (code, "cannot be asked" in said) == (3, True)


def test_the_verdict_of_the_api_is_that_of_the_stored_bytes(ended: Any, client: Any) -> None:
    frozen_gate()
    made = bundle("FAIL")
    told = client.get(
        "/api/v1/gates/a/verdict", headers={"Authorization": f"Bearer {token(Scope.EVIDENCE_READ, name='reader')}"}
    )
    found = json.loads(told.content)
    assert (found["verdict"], found["holds"], found["sha256"]) == ("FAIL", True, made.artifact_id)
