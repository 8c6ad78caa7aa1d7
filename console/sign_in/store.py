"""Sessions in the database, with whose they are. The setting SESSION_ENGINE names this module.

Only the synchronous half is ours: the console is served by WSGI.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, override
from uuid import UUID, uuid4

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends import db
from django.http import HttpRequest
from django.utils import timezone

from console.models import ConsoleSession
from console.sign_in.locks import address_of

ABOUT = "console.about"  # in the session's data: what survives a new key
AGENT_LIMIT_CHARS = 200


class SessionStore(db.SessionStore):
    """`last_seen_at`: as stored when the session was loaded; None where there is none."""

    last_seen_at: datetime | None = None

    @classmethod
    @override
    def get_model_class(cls) -> type[ConsoleSession]:
        return ConsoleSession

    @override
    def create_model_instance(self, data: Mapping[str, Any]) -> ConsoleSession:
        row: ConsoleSession = super().create_model_instance(data)  # type: ignore[assignment,arg-type]
        about = data.get(ABOUT, {})
        row.user_id = int(data[SESSION_KEY]) if SESSION_KEY in data else None
        row.public_id = UUID(about["id"]) if about else uuid4()
        row.since = datetime.fromisoformat(about["since"]) if about else None
        row.last_seen_at = timezone.now()
        row.address = about.get("address")
        row.agent = about.get("agent", "")
        row.factor = about.get("factor", "")
        return row

    def _get_session_from_db(self) -> ConsoleSession | None:
        row: ConsoleSession | None = super()._get_session_from_db()  # type: ignore[misc]
        if row is None or not is_over(row, now=timezone.now()):
            self.last_seen_at = row.last_seen_at if row else None
            return row
        row.delete()
        self._session_key = None
        return None


def is_over(row: ConsoleSession, *, now: datetime) -> bool:
    """Too long unused, or too long since the sign-in: the expiry of the row alone moves with each write."""
    began = row.since or row.last_seen_at
    return now - row.last_seen_at > settings.SESSION_IDLE or (now - began).total_seconds() > settings.SESSION_COOKIE_AGE


def about(request: HttpRequest, *, factor: str) -> dict[str, str]:
    """What the table says of the session that a sign-in begins."""
    return {
        "id": str(uuid4()),
        "since": timezone.now().isoformat(),
        "address": address_of(request),
        "agent": str(request.META.get("HTTP_USER_AGENT", ""))[:AGENT_LIMIT_CHARS],
        "factor": factor,
    }
