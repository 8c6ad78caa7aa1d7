"""A program with a token, and something of everything for it to read."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from django.test import Client

from console.actions import service_tokens
from console.rbac.routes import routes
from console.service_tokens.scopes import Scope
from evidence.alerts import raise_alert
from evidence.audit import Actor
from evidence.models import Alert
from ingestion.latency import Stage
from ingestion.models import Lane
from tests.console.letters import freed, mended
from tests.console.rows import (
    artifact_row,
    audit_row,
    bundle_row,
    dead_letter_row,
    delivery_row,
    event_row,
    latencies,
    provider_row,
    quarantined_row,
    rbac_run_row,
)
from tests.support.gates import frozen_gate

SHELL = Actor.command_line("tester")


def token(*scopes: Scope, name: str = "ci") -> str:
    """Without scopes: with all."""
    given = scopes or tuple(Scope)
    made = service_tokens.create(actor=SHELL, name=name, scopes=given, life=timedelta(days=1), now=datetime.now(UTC))
    return made.text


def program(*scopes: Scope, name: str = "ci") -> Client:
    return Client(headers={"Authorization": f"Bearer {token(*scopes, name=name)}"})


def post(client: Client, address: str, body: object, **headers: str) -> Any:
    return client.post(address, json.dumps(body), content_type="application/json", headers=headers)


def code(response: Any) -> tuple[int, str]:
    assert response["Content-Type"] == "application/problem+json", response.content
    body = json.loads(response.content)
    assert body["status"] == response.status_code
    return response.status_code, body["code"]


def api_views() -> list[Any]:
    """Every view with operations."""
    views = [getattr(route.view, "cls", None) for route in routes()]
    return [view for view in views if hasattr(view, "operations")]


def stocked() -> dict[str, Any]:
    """Something of everything that the API reads. Returns the rows by name."""
    provider_row("mail", scheme="ses")
    event = event_row()
    delivery_row(event, **{"x-webhook-signature": "sha256=by-nobody"})
    latencies(Stage.ACK, [4.0] * 500 + [150.0])
    Lane.objects.create(number=0, epoch=1, cursor=7, fence=1)
    raise_alert("lag", "lane 0", severity=Alert.Severity.TICKET, summary="it lags", facts={"lane": 0})
    frozen_gate()
    return {
        "event": event,
        "events": [event_row() for _ in range(5)],
        "letter": dead_letter_row(),
        "mended": mended(),
        "freed": freed(),
        "quarantined": quarantined_row(event),
        "bundle": bundle_row(),
        "artifact": artifact_row(),
        "rbac": rbac_run_row(),
        "audit": audit_row(),
    }
