"""The two kinds of letters, as the pages and the command name them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.urls import reverse

from console.access import Permission
from ingestion.models import DeadLetter, QuarantinedEvent
from ingestion.redrive.place import SetAside

type Letter = DeadLetter | QuarantinedEvent


@dataclass(frozen=True, slots=True)
class Kind:
    place: SetAside
    model: type[DeadLetter] | type[QuarantinedEvent]
    noun: str
    read: Permission

    @property
    def rows(self) -> QuerySet[Any]:
        """Without their bytes, which no list shows, and in no order."""
        return self.model._default_manager.order_by().defer("payload_bytes")

    def counted(self, count: int) -> str:
        return f"{count:,} {self.noun}{'' if count == 1 else 's'}"

    @property
    def order_route(self) -> str:
        return f"admin:ingestion_{self.model._meta.model_name}_order"

    def address(self, page: str, *arguments: object) -> str:
        return reverse(f"admin:ingestion_{self.model._meta.model_name}_{page}", args=arguments)


KINDS: Mapping[SetAside, Kind] = {
    SetAside.DEAD_LETTER: Kind(SetAside.DEAD_LETTER, DeadLetter, "dead letter", Permission.DEAD_LETTER_READ),
    SetAside.QUARANTINE: Kind(SetAside.QUARANTINE, QuarantinedEvent, "quarantined event", Permission.QUARANTINE_READ),
}
