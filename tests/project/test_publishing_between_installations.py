"""One autocom publishes to another: killed half-way, it goes on, and both have it on record."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.utils import timezone

from evidence.models import AuditEntry, Publication
from evidence.selectors import audit_verification
from evidence.store import put
from tests.faults.proxy import Proxy, Weather
from tests.project.service_kit import PROJECT, await_answer, running_service
from tests.support.evidence import place_of
from tests.support.ingress import free_port
from tests.support.workers import database_url, environment, other_connection, wait_for

pytestmark = pytest.mark.django_db(transaction=True)

DATABASE = "autocom_central"
SIZE_BYTES = 40 * 1_024 * 1_024
HALF_BYTES = SIZE_BYTES // 2
SLOW = Weather(bandwidth_bytes=20_000_000)


@dataclass(frozen=True)
class Central:
    """The other installation: a database, a store and a console of its own."""

    port: int
    root: Path
    token: str

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(own_database()) as connection:
            return connection.execute(sql).fetchall()

    def half_come(self) -> bool:
        return any(part.stat().st_size >= HALF_BYTES for part in (self.root / "partial").glob("*.part"))


def own_database() -> str:
    start, _, options = database_url().partition("?")
    return f"{start.rpartition('/')[0]}/{DATABASE}?{options}"


@pytest.fixture
def central(tmp_path: Path) -> Iterator[Central]:
    environ = {"DB_URL": own_database(), "EVIDENCE_ROOT": str(tmp_path / "central"), "CONSOLE_PORT": str(free_port())}
    with database(), running_service("console", log_path=tmp_path / "log", **environ) as service:
        manage("migrate", "--verbosity", "0", **environ)
        scopes = ("--scope", "evidence:write", "--scope", "evidence:read")
        made = json.loads(manage("service_token", "create", "branch", *scopes, "--json", **environ))
        await_answer(f"http://127.0.0.1:{environ['CONSOLE_PORT']}/healthz")
        yield Central(port=int(environ["CONSOLE_PORT"]), root=tmp_path / "central", token=made["token"])
        assert made["token"] not in service.log()


@contextmanager
def database() -> Iterator[None]:
    with other_connection() as connection:
        connection.execute(f"CREATE DATABASE {DATABASE}")
    try:
        yield
    finally:
        with other_connection() as connection:
            connection.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")


@pytest.fixture
def slow_line(central: Central) -> Iterator[Proxy]:
    proxy = Proxy(("127.0.0.1", central.port), SLOW)
    proxy.start()
    yield proxy
    proxy.stop()


def manage(*words: str, **environ: str) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=PROJECT,
        env={**environment(), **environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_an_artifact_reaches_the_other_ledger_though_its_sender_is_killed_half_way(
    central: Central, slow_line: Proxy
) -> None:
    content = random.Random(11).randbytes(SIZE_BYTES)
    artifact = put([content], limit_bytes=SIZE_BYTES)
    wanted = {
        "EVIDENCE_ENDPOINT": f"http://127.0.0.1:{slow_line.port}/evidence",
        "EVIDENCE_ENDPOINT_TOKEN": central.token,
    }
    words = ("evidence", "publish", artifact.sha256, "--wait", "--json")
    sender = subprocess.Popen(
        [sys.executable, "manage.py", *words],
        cwd=PROJECT,
        env={**environment(), **wanted},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for(central.half_come, what="half of it is there")
    os.kill(sender.pid, signal.SIGKILL)
    assert sender.wait(timeout=20) == -signal.SIGKILL
    assert not place_of(central.root, artifact.sha256).exists()
    row = Publication.objects.get()
    assert (row.state, row.attempt_count) == (Publication.State.WAITING, 1)

    (part,) = (central.root / "partial").glob("*.part")
    come_bytes = part.stat().st_size
    assert HALF_BYTES <= come_bytes < SIZE_BYTES
    Publication.objects.update(next_attempt_at=timezone.now())  # the killed one's time is up
    (told,) = json.loads(manage(*words, **wanted))["publications"]

    assert (told["state"], told["attempt_count"]) == ("published", 2)
    assert told["link"].endswith(f"/evidence/{artifact.sha256}")
    assert hashlib.sha256(place_of(central.root, artifact.sha256).read_bytes()).hexdigest() == artifact.sha256
    entry = AuditEntry.objects.get(act="bundle.published", subject__contains=artifact.sha256)
    assert (entry.facts["link"], entry.facts["verified"]) == (told["link"], "digest")
    assert audit_verification().is_sound
    theirs = central.rows("SELECT actor_kind, actor, subject FROM evidence_auditentry WHERE act = 'artifact.uploaded'")
    assert theirs == [("token", "branch", f"artifact {artifact.sha256}")]
    assert central.rows("SELECT sha256, size_bytes FROM evidence_artifact") == [(artifact.sha256, SIZE_BYTES)]
    (ours_last,) = AuditEntry.objects.order_by("-number").values_list("act")[:1]
    assert ours_last == ("bundle.published",)
    assert central.token not in str(list(AuditEntry.objects.values_list("facts", flat=True)))


def test_a_revoked_token_ends_the_publication_with_the_reason(central: Central) -> None:
    artifact = put([b"a small report"], limit_bytes=100)
    manage("service_token", "revoke", "branch", DB_URL=own_database())
    done = subprocess.run(
        [sys.executable, "manage.py", "evidence", "publish", artifact.sha256, "--wait"],
        cwd=PROJECT,
        env={
            **environment(),
            "EVIDENCE_ENDPOINT": f"http://127.0.0.1:{central.port}/evidence",
            "EVIDENCE_ENDPOINT_TOKEN": central.token,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, "failed: given up after one attempt: it answers 401" in done.stdout) == (1, True)
    assert central.token not in done.stdout + done.stderr
