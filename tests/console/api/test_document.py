"""The OpenAPI document: checked in, valid, and what the running service does."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from drf_spectacular.validation import validate_schema

from console.api.v1.schema import document
from console.management.commands.api_schema import document_text
from console.rbac.policy import POLICY
from console.rbac.routes import routes
from ingestion.buffer.store import LaneBuffer
from tests.console.api.kit import api_views, program, stocked, token
from tests.support.evidence import use_store

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "openapi.yaml"
SCHEMATHESIS = Path(sys.executable).parent / "schemathesis"
# 422 is said for one reason: an Idempotency-Key that came with another request, which this generator likes to do
CONFIG = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", "401", "403", "404", "409", "422", "429", "5xx"]
[phases.coverage]
unexpected-methods = ["PATCH"]
"""


def test_the_document_that_is_checked_in_is_the_code_s() -> None:
    assert DOCUMENT.read_text() == document_text(), (
        "read the difference, then: manage.py api_schema > docs/openapi.yaml"
    )


def test_the_document_is_valid_openapi() -> None:
    validate_schema(document())  # type: ignore[no-untyped-call]


def test_the_document_has_every_address_and_method_of_the_policy() -> None:
    told = {
        (path.removeprefix("/"), method.upper()) for path, methods in document()["paths"].items() for method in methods
    }
    declared = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", path), method)
        for path, row in POLICY.items()
        if path.startswith("api/v1/") and "anything" not in path
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
        if row.rule(method) is not None
    }
    assert told == declared


def test_the_policy_takes_the_permissions_that_the_operations_ask_for() -> None:
    for path, row in POLICY.items():
        if not path.startswith("api/v1/") or "anything" in path:
            continue
        for method, operation in _operations(path).items():
            rule = row.rule(method)
            assert rule is not None
            assert rule.permissions == ({operation.permission} if operation.permission else set()), path


@pytest.mark.django_db
def test_every_account_reads_the_document_and_nobody_else() -> None:
    client = program()
    assert client.get("/api/v1/schema/").json() == document()
    client.defaults = {}
    client.headers = {}
    assert client.get("/api/v1/schema/").status_code == 401


@pytest.mark.django_db(transaction=True)
def test_schemathesis_finds_nothing_in_the_running_service(
    live_server: Any, settings: Any, tmp_path: Path, buffer: LaneBuffer
) -> None:
    use_store(settings, tmp_path / "evidence")
    settings.AUTOCOM = replace(django_settings.AUTOCOM, api_rate_limit_per_minute=1_000_000)
    stocked()
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    done = subprocess.run(
        [
            *(SCHEMATHESIS, "run", DOCUMENT, "--url", live_server.url, "--checks", "all", "--seed", "1"),
            *("--header", f"Authorization: Bearer {token()}", "--max-examples", "2", "--no-shrink"),
            *("--phases", "examples,coverage,fuzzing", "--continue-on-failure", "--no-color"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-12_000:] + done.stderr[-2_000:]
    tested = re.search(r"Tested: (\d+)", done.stdout)
    assert tested is not None
    assert int(tested[1]) >= sum(len(methods) for methods in document()["paths"].values()), done.stdout[-3_000:]


def _operations(path: str) -> dict[str, Any]:
    (view,) = [vars(route.view)["cls"] for route in routes() if route.path == path]
    assert view in api_views()
    found: dict[str, Any] = dict(view.operations)
    return found
