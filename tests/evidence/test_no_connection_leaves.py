"""In OBSERVER no connection leaves a process for anything but PostgreSQL and Redis, seen at its sockets.

All but libpq's own, which Python's audit hooks do not see and which go where DB_URL says.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.db import connection

from evidence.alerts import raise_alert
from evidence.models import Alert, AuditEntry, Destination
from ingestion.secret_box import seal
from tests.console.rows import ago, publication_row
from tests.support.workers import PROJECT, environment

pytestmark = pytest.mark.django_db(transaction=True)
ELSEWHERE, COLLECTOR, MAILED = "evidence.example.com", "collector.example.com", "mailed.example.com"


def watched(tmp_path: Path, *plants: str) -> dict[str, Any]:
    """What a process with every way out configured connected to."""
    outside = {
        "SENTRY_DSN": "https://key@sentry.example.com/1",
        "SENTRY_TRACES_SAMPLE_RATE": "1",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"https://{COLLECTOR}:4318",
        "EVIDENCE_ENDPOINT": f"https://{ELSEWHERE}/bundles",
        "EVIDENCE_TOKEN": "t" * 40,
        "EMAIL_URL": "smtp://mail.example.com?from=autocom@example.com",
        "EVIDENCE_ROOT": str(tmp_path),
        "DJANGO_SETTINGS_MODULE": "autocom.settings",
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.watched_jobs", *plants],
        cwd=PROJECT,
        env={**environment(), **outside},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def strangers(told: dict[str, Any]) -> list[str]:
    """Whatever is neither the tests' PostgreSQL nor their Redis."""
    redis = urlsplit(settings.AUTOCOM.redis_url)
    ours = tuple(each for each in (str(connection.get_connection_params()["host"]), redis.hostname, redis.path) if each)
    return [name for name in (*told["connected"], *told["asked"]) if not name.startswith(ours)]


def test_the_periodic_jobs_and_sentry_connect_to_postgresql_and_redis_alone(tmp_path: Path) -> None:
    publication_row("waiting", endpoint=f"https://{ELSEWHERE}/bundles", next_attempt_at=ago(minutes=1))
    Destination.objects.create(
        name="mail", address=f"mailto:ops@{MAILED}", secret_ciphertext=seal(""), created_at=ago(minutes=1)
    )
    raise_alert("lag", "lane 1", severity=Alert.Severity.PAGE, summary="lane 1 is late")
    told = watched(tmp_path)
    assert (told["mode"], {"publish_due", "notify_due", "check_guardrails", "seal_logs"} - set(told["ran"])) == (
        "OBSERVER",
        set(),
    )
    assert told["connected"], "Redis was not connected to: nothing was watched"
    assert strangers(told) == []
    assert told["listeners"] == ["TransactionTeller", "SpanTeller"]
    refused = AuditEntry.objects.filter(act="external_send.refused")
    assert {each.facts["host"] for each in refused} >= {ELSEWHERE, COLLECTOR, MAILED}  # others are of earlier tests


@pytest.mark.parametrize("planted", ["192.0.2.1", "sentry.example.com"])
def test_a_planted_connection_is_found(tmp_path: Path, planted: str) -> None:
    assert strangers(watched(tmp_path, planted)) == [planted]
