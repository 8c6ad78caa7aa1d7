"""Ask for an artifact to be published to the central endpoint, or again for one that failed."""

from __future__ import annotations

from console.access import Permission
from console.actions.operator import Operator, check
from evidence.models import Artifact, Publication
from evidence.publishing import ask

PERMISSION = Permission.EVIDENCE_PUBLISH


def publish_evidence(operator: Operator, *, artifact: Artifact) -> Publication:
    """As `evidence.publishing.ask`: WAITING and on record, or REFUSED by the mode, or as it was.

    Raises RefusalRecorded and EndpointNotSet; then nothing changed.
    """
    check(operator, PERMISSION, subject=f"publish artifact {artifact.sha256}")
    return ask(artifact, actor=operator.actor)
