"""Which right of whom on which row."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.db.models import Model

from console.access import Permission
from console.management.errors import UsageWrong
from evidence.audit import Actor
from evidence.models import Bundle
from ingestion.models import Provider

PERMISSIONS = {"view": Permission.PROVIDER_READ, "change": Permission.PROVIDER_CHANGE}


def add_right(parser: ArgumentParser) -> None:
    parser.add_argument("user")
    row = parser.add_mutually_exclusive_group(required=True)
    row.add_argument("--provider", metavar="NAME")
    row.add_argument("--bundle", metavar="SHA256", help="of its archive")
    parser.add_argument("--may", choices=[*PERMISSIONS], default="view", help="of a provider; default: view")
    parser.add_argument("--reason", required=True, help="for the audit log")
    parser.add_argument("--by", metavar="NAME", help="for the audit log (default: who runs this)")


def right(
    *, user: str, provider: str | None, bundle: str | None, may: str, reason: str, by: str | None
) -> dict[str, Any]:
    """What the acts take. Raises UsageWrong."""
    if bundle is not None and may != "view":
        raise UsageWrong("--may change is for providers: nobody changes a bundle")
    row: Model | None
    if provider is not None:
        row, permission = Provider.objects.filter(name=provider).first(), PERMISSIONS[may]
    else:
        row, permission = Bundle.objects.filter(artifact_id=bundle).first(), Permission.BUNDLE_READ
    if row is None:
        raise UsageWrong(f"there is no provider {provider!r}" if provider else f"there is no bundle {bundle!r}")
    actor = Actor.command_line(by)
    return {"actor": actor, "username": user, "permission": permission, "row": row, "reason": reason}
