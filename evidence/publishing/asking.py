"""A wish to publish becomes a row, whatever comes of it."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from evidence.audit import Act, Actor, record
from evidence.errors import EvidenceError
from evidence.models import Artifact, Publication
from evidence.publishing.claims import subject_of
from evidence.sends import ExternalSendForbidden, guard_external_send

PURPOSE = "evidence"


class EndpointNotSet(EvidenceError):
    """There is nowhere to publish to."""

    code = "evidence_endpoint_not_set"

    def __init__(self) -> None:
        super().__init__("EVIDENCE_ENDPOINT is not set: give the address that evidence is published to, and restart")


def ask(artifact: Artifact, *, actor: Actor) -> Publication:
    """WAITING, due at once; or REFUSED where the mode forbids it. One that is PUBLISHED or WAITING stays as it is.

    An audit entry each time something changed. The caller has no transaction open, as a refusal is entered in any
    case. Raises EndpointNotSet.
    """
    endpoint = settings.AUTOCOM.evidence_endpoint.rstrip("/")
    if not endpoint:
        raise EndpointNotSet
    known = Publication.objects.filter(artifact=artifact, endpoint=endpoint).first()
    if known is not None and known.state in (Publication.State.PUBLISHED, Publication.State.WAITING):
        return known
    why = _why_forbidden(endpoint, actor)
    with transaction.atomic(durable=True):
        row = _asked(artifact, endpoint, why=why, actor=actor)
        facts = {"endpoint_host": urlsplit(endpoint).hostname, "state": row.state}
        record(Act.PUBLICATION_ASKED, actor=actor, subject=subject_of(artifact), facts=facts)
    return row


def _why_forbidden(endpoint: str, actor: Actor) -> str:
    """Empty where it may be sent."""
    try:
        guard_external_send(endpoint, purpose=PURPOSE, actor=actor)
    except ExternalSendForbidden as error:
        return str(error)
    return ""


def _asked(artifact: Artifact, endpoint: str, *, why: str, actor: Actor) -> Publication:
    now = datetime_of(us=SYSTEM_CLOCK.now_us())
    state = Publication.State.REFUSED if why else Publication.State.WAITING
    row, _ = Publication.objects.update_or_create(
        artifact=artifact,
        endpoint=endpoint,
        defaults={
            "state": state,
            "error": why,
            "asked_by": actor.name,
            "asked_at": now,
            "next_attempt_at": None if why else now,
        },
    )
    return row
