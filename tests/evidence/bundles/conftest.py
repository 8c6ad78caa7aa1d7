"""Real runs and their bundles: through ingress, worker and log after a smoke run, and one that a service refused."""

from __future__ import annotations

import io
import json
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command

from evidence.audit import Actor
from evidence.bundles.make import MadeBundle, make
from evidence.bundles.orders import order
from evidence.gates.freeze import freeze
from evidence.jobs import start_bundle
from evidence.models import BundleOrder
from evidence.runs.folders import RunFolder, run_folder
from ingestion.buffer.store import lane_buffer
from tests.replay.stub import Reply, stub_service
from tests.support.ingress import running_ingress
from tests.support.log import own_log
from tests.support.workers import database_url, environment, running_worker

ORDER_SECONDS = 60.0


@dataclass(frozen=True)
class Bundles:
    """`whole` and `refused` are runs; `made` is the bundle of the whole one by gate a."""

    root: Path
    whole: RunFolder
    refused: RunFolder
    made: MadeBundle
    made_refused: MadeBundle
    ordered: BundleOrder  # by gate smoke, made by the process that the ops queue's job started

    def unpacked(self, into: Path, made: MadeBundle | None = None) -> Path:
        """The bundle's folder."""
        return unpacked((made or self.made).archive, into)


def unpacked(archive: Path, into: Path) -> Path:
    with tarfile.open(archive) as tar:
        tar.extractall(into, filter="data")
    return into / archive.name.removesuffix(".tar.gz")


def replay(*arguments: str) -> str:
    """The run's id."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.raises(SystemExit):
        call_command("replay", *arguments, stdout=out, stderr=err)
    lines = [line for line in out.getvalue().splitlines() if line.startswith("Files: ")]
    assert lines, err.getvalue()
    return Path(lines[0].removeprefix("Files: ")).name


@pytest.fixture(scope="module")
def bundles(
    django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bundles]:
    """In the database for the length of a module, since sealing commits."""
    root = tmp_path_factory.mktemp("evidence")
    with django_db_blocker.unblock(), own_log(root):
        lane_buffer().client.flushdb()
        try:
            freeze("a", actor=Actor.process("bundles"), reason="to be judged by")
            whole, refused, into = whole_run(), _refused_run(), root / "made"
            leave_drill_and_matrix(root, code=code_of(whole))
            made = make(whole, into=into), make(refused, into=into)
            yield Bundles(root, whole, refused, *made, _ordered(whole, root))
        finally:
            call_command("flush", interactive=False, verbosity=0)
            lane_buffer().client.flushdb()


def whole_run() -> RunFolder:
    """After a smoke run."""
    with running_ingress(redis_url=settings.AUTOCOM.redis_url, db_url=database_url()) as ingress, running_worker():
        target = f"http://127.0.0.1:{ingress.port}"
        replay("--target", target, "--gate", "smoke", "--count", "300", "--rate", "300", "--connections", "8")
        given = ["--count", "400", "--rate", "100", "--duplicates", "0.05", "--poison", "0.02", "--connections", "8"]
        return run_folder(replay("--target", target, *given))


def code_of(run: RunFolder) -> dict[str, Any]:
    code: dict[str, Any] = json.loads((run.path / "environment.json").read_bytes())["autocom"]
    return code


def leave_drill_and_matrix(root: Path, *, code: dict[str, Any], seconds: float = 2.5) -> None:
    """As `rollback_drill` and `rbac_matrix` leave them."""
    at = datetime.now(UTC).isoformat()
    told = {**code, "at": at}
    left = {
        "rollback/drill.json": json.dumps({**told, "seconds": seconds}),
        "rbac/summary.json": json.dumps(told),
        "rbac/matrix.csv": "route,method,persona,verdict\n/,GET,anonymous,match\n/,POST,anonymous,match\n",
    }
    for name, content in left.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(content)


def _refused_run() -> RunFolder:
    def refuse(_: object) -> Any:
        return lambda _: Reply(401, b'{"code":"unauthorized"}')

    with stub_service(refuse) as service:
        return run_folder(replay("--target", service.url, "--count", "300", "--rate", "600"))


def _ordered(run: RunFolder, root: Path) -> BundleOrder:
    waiting = order(run_id=run.run_id, gate_name="smoke", actor=Actor.process("somebody"))
    with pytest.MonkeyPatch.context() as changed:
        for name, value in {**environment(), "EVIDENCE_ROOT": str(root)}.items():
            changed.setenv(name, value)
        assert start_bundle() == waiting.pk
    deadline = time.monotonic() + ORDER_SECONDS
    while waiting.settled_at is None and time.monotonic() < deadline:
        time.sleep(0.2)
        waiting.refresh_from_db()
    return waiting
