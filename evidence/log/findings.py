"""What can be wrong with a log."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

FINDINGS_LIMIT_COUNT = 100  # told one by one; those beyond are counted


class LogFault(StrEnum):
    CHANGED = "changed"
    MISSING = "missing"
    GAP = "gap"
    INVALID = "invalid"
    REWRITTEN = "rewritten"
    UNEXPECTED = "unexpected"
    UNSEALED_LATE = "unsealed_late"


@dataclass(frozen=True, slots=True)
class LogFinding:
    fault: LogFault
    where: str
    what: str


@dataclass(slots=True)
class LogCheck:
    """What was found. Counts are of what was read."""

    findings: list[LogFinding] = field(default_factory=list)
    finding_count: int = 0
    leaf_count: int = 0
    seal_count: int = 0
    batch_count: int = 0  # whose rows were compared with their root
    heads: list[str] = field(default_factory=list)  # "origin size root", to be kept elsewhere

    @property
    def is_sound(self) -> bool:
        return self.finding_count == 0

    def add(self, fault: LogFault, where: str, what: str) -> None:
        self.finding_count += 1
        if len(self.findings) < FINDINGS_LIMIT_COUNT:
            self.findings.append(LogFinding(fault, where, what))
