"""Where an event stands aside."""

from __future__ import annotations

from enum import StrEnum

from ingestion.models import DeadLetter, QuarantinedEvent

type SetAsideModel = type[DeadLetter] | type[QuarantinedEvent]


class SetAside(StrEnum):
    DEAD_LETTER = "dead_letter"
    QUARANTINE = "quarantine"

    @property
    def model(self) -> SetAsideModel:
        return DeadLetter if self is SetAside.DEAD_LETTER else QuarantinedEvent
