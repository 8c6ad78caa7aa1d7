"""How much is stored, and how much may be."""

from __future__ import annotations

from django.conf import settings
from django.db import connection
from django.db.models import Sum

from evidence.models import Artifact
from evidence.store.errors import QuotaReached

QUOTA_LOCK = 0x61636573  # "aces"; PostgreSQL's advisory locks have numbers


def stored_bytes() -> int:
    """Each artifact once, however often it was registered."""
    return Artifact.objects.aggregate(total=Sum("size_bytes"))["total"] or 0


def check_room(size_bytes: int) -> None:
    """Raises QuotaReached where an artifact of this size would not fit."""
    quota_bytes = settings.AUTOCOM.evidence_quota_bytes
    if quota_bytes and (stored := stored_bytes()) + size_bytes > quota_bytes:
        raise QuotaReached(quota_bytes=quota_bytes, stored_bytes=stored, size_bytes=size_bytes)


def claim_room(size_bytes: int) -> None:
    """As `check_room`, and nobody else's check passes until this transaction ends. Without a quota nobody waits."""
    if not settings.AUTOCOM.evidence_quota_bytes:
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [QUOTA_LOCK])
    check_room(size_bytes)
