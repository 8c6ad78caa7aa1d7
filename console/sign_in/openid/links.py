"""Which person of the console somebody at the issuer is. Nothing but a row says so, and only an operator makes rows."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from console.models import IdentityLink


def user_of(*, issuer: str, subject: str) -> Any:
    """Who may come in by it: an active person of the console; None where there is no link, or who may not."""
    rows = IdentityLink.objects.filter(issuer=issuer, subject=subject, user__is_active=True, user__is_staff=True)
    row = rows.select_related("user").first()
    return row.user if row else None


def links(*, user: Any = None) -> QuerySet[IdentityLink]:
    rows = IdentityLink.objects.select_related("user")
    return rows if user is None else rows.filter(user=user)


def has_link(user: Any, *, issuer: str) -> bool:
    return bool(issuer) and IdentityLink.objects.filter(user_id=user.pk, issuer=issuer).exists()


def used(*, issuer: str, subject: str, now: datetime) -> None:
    IdentityLink.objects.filter(issuer=issuer, subject=subject).update(last_used_at=now)
