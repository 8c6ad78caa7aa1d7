"""Is this delivery from who it says? The adapter decides; here any failure of it becomes a refusal, never a 500."""

import logging

from ingestion.provider_book import KnownProvider
from ingestion.providers.adapter import InboundDelivery, Reason, Refused, Secret

log = logging.getLogger(__name__)


def verify(provider: KnownProvider, delivery: InboundDelivery, *, now_us: int) -> Secret | None:
    """The secret that matched. Raises Refused, whatever goes wrong."""
    try:
        return provider.adapter.verify(
            delivery, secrets=provider.secrets_at(now_us), options=provider.options, now_us=now_us
        )
    except Refused:
        raise
    except Exception as error:  # noqa: BLE001  (hostile input met a fault of ours: it must still be a 401)
        log.error("verification_crashed", extra={"provider": provider.name, "error_class": type(error).__name__})
        raise Refused(Reason.CRASHED, type(error).__name__) from None
