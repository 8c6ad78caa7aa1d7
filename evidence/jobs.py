"""What RQ runs of evidence. Each job takes nothing, calls one function, and may be lost or repeated."""

from __future__ import annotations

from evidence.publishing.publisher import publish_beside


def publish_due() -> bool:
    """Sends what waits for the central endpoint, beside the queue's other jobs. False while that is under way."""
    return publish_beside()
