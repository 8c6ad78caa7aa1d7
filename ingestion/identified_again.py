"""The events of a stored delivery, found again by its provider's adapter as both are now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache

from autocom.kernel.clock import datetime_of
from autocom.kernel.errors import AutocomError
from ingestion.identify import identity_of, plausible_us, short
from ingestion.models import Delivery, Provider
from ingestion.poison import storable
from ingestion.proof import stored_delivery
from ingestion.provider_book import DEFAULT, environment_default
from ingestion.providers.adapter import IdentifiedEvent, InboundDelivery
from ingestion.providers.registry import adapter_of
from ingestion.stored_rows import StoredRow

type Identify = Callable[[InboundDelivery], Sequence[IdentifiedEvent]]


class Identifier:
    """Reads each provider once. Its scheme or options may not be those of the time of receipt: `is_same` tells."""

    def __init__(self) -> None:
        self._identify_of = cache(_identify_of)

    def events(self, row: Delivery) -> Sequence[IdentifiedEvent]:
        """Empty where nothing can be identified: the provider is gone, or takes the body for none of its own."""
        identify = self._identify_of(row.provider)
        if identify is None:
            return ()
        try:
            return identify(stored_delivery(row))
        except Exception:  # noqa: BLE001  (what is stored may have been changed into anything)
            return ()


def _identify_of(provider: str) -> Identify | None:
    try:
        if provider == DEFAULT:
            default = environment_default(enabled=True)
            adapter, options = default.adapter, default.options
        else:
            row = Provider.objects.get(name=provider)
            adapter = adapter_of(row.scheme)
            options = adapter.read_options(row.options)
    except (Provider.DoesNotExist, AutocomError):
        return None
    return lambda inbound: adapter.identify(inbound, options=options)


def is_same(row: StoredRow, event: IdentifiedEvent) -> bool:
    """True where the adapter sees the event as it did then: ids, type and key are those of the row."""
    return all(getattr(row, name) == text for name, text in short_texts(event).items())


def short_texts(event: IdentifiedEvent) -> dict[str, str]:
    """As they stand in the row's columns. A dead letter's are written visibly where PostgreSQL could not hold them."""
    return {
        "message_id": storable(short(event.message_id)),
        "event_type": storable(short(event.event_type)),
        "ordering_key": storable(short(event.ordering_key)),
    }


def changed_columns(row: StoredRow, event: IdentifiedEvent) -> list[str]:
    """Columns that no leaf covers and that differ from what the adapter says of the same event."""
    identity = identity_of(provider=row.provider, recipe=event.recipe, fields=event.identity_fields)
    occurred_us = plausible_us(event.occurred_us)
    found = {
        "recipe": row.recipe == event.recipe,
        "identity": row.identity == identity,
        "occurred_at": row.occurred_at == _moment(occurred_us),
        "kind": row.event_kind == event.kind.value,
    }
    if row.recipe != event.recipe and row.identity != identity:
        return []  # of another version of the adapter
    return [name for name, is_right in found.items() if not is_right]


def _moment(us: int | None) -> datetime | None:
    return None if us is None else datetime_of(us=us)
