from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.db.models import Count

from console.management.provider.arguments import add_json
from console.management.provider.printing import say, say_json
from evidence.models import Destination

HELP = "List the destinations with their messages by state; no secret is shown."


def add_arguments(parser: ArgumentParser) -> None:
    add_json(parser)


def run(*, json: bool, **_: object) -> int:
    rows = [_told(row) for row in Destination.objects.all()]
    if json:
        say_json(rows)
        return 0
    say(*(f"{row['name']}  {row['address']}  enabled={row['enabled']}  {row['messages']}" for row in rows))
    return 0


def _told(row: Destination) -> dict[str, Any]:
    counts = row.outgoing.order_by().values_list("state").annotate(count=Count("pk"))
    return {
        "name": row.name,
        "address": row.address,
        "enabled": row.enabled,
        "secret": row.secret_fingerprint,
        "alerts": row.alert_kinds or ["all"] if row.tells_alerts else [],
        "forwards": row.forwards,
        "providers": row.providers,
        "event_types": row.event_types,
        "messages": dict(counts),
    }
