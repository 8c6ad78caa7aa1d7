"""Alerts are opened, seen again, and closed. What tells people about them reads the rows (evidence/outgoing)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from django.db import transaction
from django.db.models import F

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from evidence.models import Alert


def raise_alert(
    kind: str,
    subject: str,
    *,
    severity: Alert.Severity,
    summary: str,
    facts: Mapping[str, object] | None = None,
) -> Alert:
    """Opens the alert, or notes on the open one that it is seen again. Two callers at once open one."""
    now = _now()
    told = {"severity": severity, "summary": summary, "facts": dict(facts or {})}
    with transaction.atomic():
        alert, is_new = Alert.objects.get_or_create(
            kind=kind, subject=subject, closed_at=None, defaults={**told, "opened_at": now, "last_seen_at": now}
        )
        if not is_new:
            Alert.objects.filter(pk=alert.pk).update(**told, last_seen_at=now, seen_count=F("seen_count") + 1)
    return alert


def close_alert(kind: str, subject: str) -> bool:
    """True where one was open."""
    return bool(Alert.objects.filter(kind=kind, subject=subject, closed_at=None).update(closed_at=_now()))


def _now() -> datetime:
    return datetime_of(us=SYSTEM_CLOCK.now_us())
