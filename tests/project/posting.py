"""A signed webhook through Django's test client, which commits alone."""

from __future__ import annotations

from typing import Any

from django.test import Client

from tests.support.senders import signed_headers


def posted(body: bytes, *, path: str = "/webhooks/default") -> dict[str, Any]:
    """The answer's JSON."""
    answer = Client().post(path, data=body, content_type="application/json", headers=signed_headers(body))
    found: dict[str, Any] = answer.json()
    return found
