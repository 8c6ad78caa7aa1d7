"""The pipeline's gate, as docs/ci-gate.md has it, against a running API."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import override_settings
from django.utils import timezone

from console.service_tokens.scopes import Scope
from evidence.bundles import orders as bundle_orders
from evidence.models import Bundle, BundleOrder, ReplayOrder
from evidence.runs import orders as replay_orders
from ingestion.buffer.store import LaneBuffer
from tests.console.api.kit import token
from tests.console.runs import order_row
from tests.support.gates import bundle, frozen_gate, own_store
from tests.support.ingress import running_ingress
from tests.support.workers import database_url, running_worker, wait_for

pytestmark = pytest.mark.django_db(transaction=True)
DOCUMENT = Path(django_settings.BASE_DIR) / "docs" / "ci-gate.md"


def the_step() -> str:
    """The code block that a reader copies; the one of the CI service runs the same line."""
    text = DOCUMENT.read_text()
    block, _ = the_blocks()
    assert f"run: {block}" in text
    return block


def the_blocks() -> list[str]:
    """The step that reads a verdict, and the one that makes the run first."""
    return re.findall(r"```sh\n(.*?)\n```", DOCUMENT.read_text(), re.DOTALL)


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


@contextmanager
def starting(url: str, more: str) -> Iterator[subprocess.Popen[str]]:
    """The document's step that makes a run first, under way; what is given more has the last word."""
    secret = token(Scope.REPLAYS_WRITE, Scope.EVIDENCE_EXPORT, Scope.EVIDENCE_READ, name="load-pipeline")
    given = {"PATH": os.environ["PATH"], "AUTOCOM_URL": url, "AUTOCOM_TOKEN": secret, "COMMIT": "4711"}
    with subprocess.Popen(
        ["/bin/sh", "-c", f"exec {the_blocks()[1]} {more}"],
        cwd=django_settings.BASE_DIR,
        env=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


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


def test_a_run_is_made_with_its_bundle_and_that_one_is_judged(
    live_server: Any, tmp_path: Path, buffer: LaneBuffer
) -> None:
    frozen_gate("smoke")
    with (
        own_store(tmp_path),
        running_ingress(redis_url=django_settings.AUTOCOM.redis_url, db_url=database_url()) as ingress,
        running_worker(),
        override_settings(AUTOCOM=replace(django_settings.AUTOCOM, evidence_root=tmp_path, ingress_port=ingress.port)),
        starting(live_server.url, "--gate smoke --count 100 --rate 100") as pipeline,
    ):
        wait_for(lambda: ReplayOrder.objects.exists(), what="the run is asked for", seconds=60)
        run = replay_orders.settle(ReplayOrder.objects.get().pk)
        assert (run.state, run.count, run.reason, run.actor) == ("done", 100, "commit 4711", "load-pipeline")
        wait_for(lambda: BundleOrder.objects.exists(), what="its bundle is asked for", seconds=60)
        bundle_orders.settle(BundleOrder.objects.get().pk)
        said, _ = pipeline.communicate(timeout=120)
    made = Bundle.objects.get()
    assert (made.run_id, made.actor) == (run.run_id, "load-pipeline")
    assert pipeline.returncode == {"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 3}[made.verdict], said
    assert said.splitlines()[1].startswith(made.verdict), said


def test_a_run_that_is_not_done_in_time_is_cancelled_and_is_no_pass(live_server: Any, tmp_path: Path) -> None:
    bundle("PASS")  # of another run
    with own_store(tmp_path), starting(live_server.url, "--wait-minutes 0") as pipeline:
        said, _ = pipeline.communicate(timeout=120)
    assert (pipeline.returncode, "and is cancelled" in said) == (3, True), said
    assert ReplayOrder.objects.get().state == "cancelled"


def test_while_another_run_is_under_way_none_is_started(live_server: Any, tmp_path: Path) -> None:
    with own_store(tmp_path):
        other = order_row(state="waiting", started_at=None)
        with starting(live_server.url, "") as pipeline:
            said, _ = pipeline.communicate(timeout=120)
    assert (pipeline.returncode, "replay_under_way" in said) == (3, True), said
    assert ReplayOrder.objects.get() == other
