"""What a person reads and may press about an artifact's publication, on whichever page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

from console.access import Permission
from console.roles import PERMISSIONS_BY_ROLE
from console.shown import moment, visible
from evidence.models import Artifact, Publication

STATES: Mapping[str, str] = {
    Publication.State.WAITING: "waiting",
    Publication.State.REFUSED: "refused by the mode",
    Publication.State.PUBLISHED: "published",
    Publication.State.FAILED: "failed",
}
ASKED_AGAIN = (Publication.State.FAILED, Publication.State.REFUSED)
HOLDERS = " and ".join(role.value for role, held in PERMISSIONS_BY_ROLE.items() if Permission.EVIDENCE_PUBLISH in held)


def publication_panel(artifact: Artifact, request: HttpRequest) -> dict[str, Any]:
    """For `console/_publication.html`, under its own name: each publication, and the button or why there is none."""
    rows = list(artifact.publications.all())
    return {
        "rows": [_told(row) for row in rows],
        "sha256": artifact.sha256,
        "address": reverse("admin:evidence_publication_ask"),
        "button": _button(rows),
        "missing": "" if request.user.has_perm(Permission.EVIDENCE_PUBLISH) else _missing(),
        "endpoint_host": endpoint_host(),
    }


def endpoint_host() -> str:
    """Of the setting; empty where there is none."""
    return urlsplit(settings.AUTOCOM.evidence_endpoint).hostname or ""


def sentence(row: Publication) -> str:
    """What became of it, or comes next."""
    host = urlsplit(row.endpoint).hostname
    attempts = "one attempt" if row.attempt_count == 1 else f"{row.attempt_count} attempts"
    match row.state:
        case Publication.State.PUBLISHED:
            return f"{host} has it"
        case Publication.State.REFUSED:
            return visible(row.error)
        case Publication.State.FAILED:
            return f"given up after {attempts}: {visible(row.error)}"
    if not row.attempt_count:
        return f"it goes to {host} within seconds, where a worker of the ops queue runs"
    return f"{attempts}, the last: {visible(row.error)}" if row.error else f"{attempts}, under way"


def _told(row: Publication) -> dict[str, Any]:
    at = row.published_at if row.state == Publication.State.PUBLISHED else row.asked_at
    return {
        "state": STATES[row.state],
        "sentence": sentence(row),
        "link": row.link,
        "at": moment(at),
        "next": moment(row.next_attempt_at) if row.state == Publication.State.WAITING and row.attempt_count else "",
        "page": reverse("admin:evidence_publication_change", args=[row.pk]),
    }


def _button(rows: list[Publication]) -> str:
    """Its words; empty where there is nothing to press."""
    endpoint = settings.AUTOCOM.evidence_endpoint.rstrip("/")
    if not endpoint:
        return ""
    states = {row.state for row in rows if row.endpoint == endpoint}
    if not states:
        return "Publish"
    return "Publish again" if states & set(ASKED_AGAIN) else ""


def _missing() -> str:
    return f"publish takes the permission {Permission.EVIDENCE_PUBLISH.value}: {HOLDERS} have it"
