"""Which alerts a destination is to be told of: each when it opens and when it closes, entered once."""

from __future__ import annotations

import json

from django.db.models import QuerySet

from evidence.models import Alert, Destination, Outgoing
from evidence.outgoing.claims import now


def enter_notices() -> int:
    """Every alert of interest stands in Outgoing afterwards. May run twice at once. How many were entered."""
    return sum(_enter(destination) for destination in Destination.objects.filter(enabled=True, tells_alerts=True))


def _enter(destination: Destination) -> int:
    alerts = _of_interest(destination)
    told = Outgoing.objects.filter(destination=destination)
    opened = [alert for alert in alerts if not told.filter(message_id=_message_id(alert, "opened")).exists()]
    rows = [_row(destination, alert, "opened") for alert in opened]
    closed = [alert for alert in alerts if alert.closed_at]
    rows += [
        _row(destination, alert, "closed")
        for alert in closed
        if not told.filter(message_id=_message_id(alert, "closed")).exists()
    ]
    Outgoing.objects.bulk_create(rows, ignore_conflicts=True)
    return len(rows)


def _of_interest(destination: Destination) -> QuerySet[Alert]:
    """Not the destination's own troubles: it would be told of each failure to tell it."""
    alerts = Alert.objects.filter(opened_at__gte=destination.created_at).order_by("pk")
    if destination.alert_kinds:
        alerts = alerts.filter(kind__in=destination.alert_kinds)
    return alerts.exclude(kind="outgoing", subject=destination.name)


def _row(destination: Destination, alert: Alert, what: str) -> Outgoing:
    return Outgoing(
        destination=destination,
        alert=alert,
        message_id=_message_id(alert, what),
        ordering_key=f"{alert.kind}:{alert.subject}",
        body=_body(alert, what),
        next_attempt_at=now(),
        created_at=now(),
    )


def _message_id(alert: Alert, what: str) -> str:
    return f"alert-{alert.pk}-{what}"


def _body(alert: Alert, what: str) -> str:
    told = {
        "type": f"alert.{what}",
        "timestamp": (alert.closed_at if what == "closed" and alert.closed_at else alert.opened_at).isoformat(),
        "data": {
            "kind": alert.kind,
            "subject": alert.subject,
            "severity": alert.severity,
            "summary": alert.summary,
            "facts": alert.facts,
        },
    }
    return json.dumps(told, ensure_ascii=False, sort_keys=True)
