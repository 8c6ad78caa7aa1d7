"""What a check found, why it matters and what mends it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    FINE = "fine"
    WARNING = "warning"  # worth a look, breaks no promise by itself
    FAIL = "fail"  # would break the promise of a 202, or keep the service from its work
    UNKNOWN = "unknown"  # could not be asked, which is never fine


@dataclass(frozen=True, slots=True)
class Check:
    """One question with a stable id, `<group>.<name>`. `mend` is what helps when the answer is no."""

    id: str
    why: str
    mend: str

    @property
    def group(self) -> str:
        return self.id.partition(".")[0]

    def fine(self, found: str) -> Finding:
        return Finding(check=self, level=Level.FINE, found=found)

    def warning(self, found: str, *, mend: str = "") -> Finding:
        return Finding(check=self, level=Level.WARNING, found=found, mend=mend or self.mend)

    def fail(self, found: str, *, mend: str = "") -> Finding:
        return Finding(check=self, level=Level.FAIL, found=found, mend=mend or self.mend)

    def unknown(self, found: str, *, mend: str = "") -> Finding:
        return Finding(check=self, level=Level.UNKNOWN, found=found, mend=mend or self.mend)

    def required(self, *, holds: bool | None, found: str, mend: str = "") -> Finding:
        """FAIL when it does not hold; UNKNOWN for None."""
        if holds is None:
            return self.unknown(found, mend=mend)
        return self.fine(found) if holds else self.fail(found, mend=mend)

    def wished(self, *, holds: bool | None, found: str, mend: str = "") -> Finding:
        """A warning when it does not hold; UNKNOWN for None."""
        if holds is None:
            return self.unknown(found, mend=mend)
        return self.fine(found) if holds else self.warning(found, mend=mend)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    check: Check
    level: Level
    found: str
    mend: str = ""
    is_accepted: bool = False  # an UNKNOWN that a person answers for (`--accept-unknown`)

    @property
    def is_trouble(self) -> bool:
        """True where the whole may not be called fine."""
        return self.level is Level.FAIL or (self.level is Level.UNKNOWN and not self.is_accepted)
