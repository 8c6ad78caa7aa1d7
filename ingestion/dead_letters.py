"""Events that can never be stored as they are: parked with their bytes and the reason, for a person to decide."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self
from uuid import UUID

from autocom.kernel.digest import sha256
from ingestion.models import Batch, DeadLetter
from ingestion.poison import storable
from ingestion.riding import Riding

RECEIPT_MISMATCH = "receipt_mismatch"
_VARIABLE_PARTS = re.compile(r"0x[0-9a-fA-F]+|\d+|\"[^\"]*\"|'[^']*'")


@dataclass(frozen=True, slots=True)
class Death:
    """Why an event could not be stored."""

    error_class: str
    error: str

    @classmethod
    def of(cls, error: Exception) -> Self:
        return cls(error_class=type(error).__name__, error=str(error).replace("\x00", "\\x00")[:4_000])

    @classmethod
    def poison(cls, why: str) -> Self:
        return cls(error_class="PoisonPayload", error=why)

    @classmethod
    def receipt_mismatch(cls) -> Self:
        return cls(
            error_class=RECEIPT_MISMATCH,
            error="the entry was changed in Redis after it was accepted: its MAC does not fit",
        )

    @classmethod
    def original_missing(cls, original: UUID) -> Self:
        return cls(
            error_class=RECEIPT_MISMATCH,
            error=f"Redis took it for a repetition of {original}, and that is not stored with its identity",
        )

    @property
    def fingerprint(self) -> str:
        """The same for errors that differ only in numbers and quoted parts."""
        return sha256(f"{self.error_class}\x00{_VARIABLE_PARTS.sub('·', self.error)}".encode()).hex()[:16]


def dead_letter(riding: Riding, death: Death, *, batch: Batch) -> DeadLetter:
    """The letter, not saved yet. Texts that PostgreSQL cannot hold are written visibly; the bytes stay as they came."""
    letter = DeadLetter(
        error_class=death.error_class,
        error=storable(death.error),
        fingerprint=death.fingerprint,
        batch=batch,
        **riding.as_set_aside(),
    )
    letter.is_whole &= death.error_class != RECEIPT_MISMATCH
    return letter
