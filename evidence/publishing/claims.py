"""Who is at work on a publication, and what became of it. Every write asks that the row still is the writer's."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from django.db import transaction

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from evidence.audit import Act, Actor, record
from evidence.errors import EvidenceError
from evidence.models import Artifact, Publication
from evidence.publishing.answers import Delivered

HELD_FOR = timedelta(seconds=120)  # longer than any one silence: then the row is somebody else's
PUBLISHER = Actor.process("publisher")

log = logging.getLogger(__name__)


class ClaimLost(EvidenceError):
    """The row is another process's by now, or a person's; whoever had it leaves it alone."""

    code = "publication_claim_lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A row in hand. `attempt` is the fence: who claims it next has a higher one."""

    publication_id: int
    attempt: int
    artifact: Artifact
    endpoint: str


def claim_next(*, only: Collection[int] | None = None) -> Claim | None:
    """The one that has waited longest of those due, if any: nobody else takes it while it is held."""
    now = _now()
    due = Publication.objects.filter(state=Publication.State.WAITING, next_attempt_at__lte=now)
    if only is not None:
        due = due.filter(pk__in=only)
    with transaction.atomic():
        row = (
            due.select_for_update(skip_locked=True, of=("self",))
            .select_related("artifact")
            .order_by("next_attempt_at", "pk")
            .first()
        )
        if row is None:
            return None
        row.attempt_count += 1
        row.next_attempt_at = now + HELD_FOR
        row.save(update_fields=["attempt_count", "next_attempt_at"])
    return Claim(publication_id=row.pk, attempt=row.attempt_count, artifact=row.artifact, endpoint=row.endpoint)


def hold(claim: Claim) -> None:
    """The row stays the holder's for a while longer. Raises ClaimLost."""
    _update(claim, next_attempt_at=_now() + HELD_FOR)


def published(claim: Claim, delivered: Delivered) -> None:
    """Raises ClaimLost; then nothing is recorded."""
    facts = {
        "endpoint_host": urlsplit(claim.endpoint).hostname,
        "link": delivered.link,
        "verified": delivered.verified.value,
        "attempt_count": claim.attempt,
        "size_bytes": claim.artifact.size_bytes,
    }
    with transaction.atomic():
        state = Publication.State.PUBLISHED
        _update(claim, state=state, link=delivered.link, error="", next_attempt_at=None, published_at=_now())
        record(Act.BUNDLE_PUBLISHED, actor=PUBLISHER, subject=subject_of(claim.artifact), facts=facts)


def failed(claim: Claim, *, why: str) -> None:
    """A person must look at it. Raises ClaimLost."""
    facts = {"endpoint_host": urlsplit(claim.endpoint).hostname, "error": why, "attempt_count": claim.attempt}
    with transaction.atomic():
        _update(claim, state=Publication.State.FAILED, error=why, next_attempt_at=None)
        record(Act.PUBLICATION_FAILED, actor=PUBLISHER, subject=subject_of(claim.artifact), facts=facts)


def forbidden(claim: Claim, *, why: str) -> None:
    """The mode changed while it waited. Raises ClaimLost."""
    _update(claim, state=Publication.State.REFUSED, error=why, next_attempt_at=None)


def rests(claim: Claim, *, why: str, rest: timedelta) -> None:
    """Due again after `rest`. Raises ClaimLost."""
    _update(claim, error=why, next_attempt_at=_now() + rest)


def subject_of(artifact: Artifact) -> str:
    return f"artifact {artifact.sha256}"


def _update(claim: Claim, **columns: str | datetime | None) -> None:
    mine = Publication.objects.filter(
        pk=claim.publication_id, attempt_count=claim.attempt, state=Publication.State.WAITING
    )
    if not mine.update(**columns):
        raise ClaimLost(f"publication {claim.publication_id} is in other hands")


def _now() -> datetime:
    return datetime_of(us=SYSTEM_CLOCK.now_us())
