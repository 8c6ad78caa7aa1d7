"""What a token may. Each scope stands for permissions of people, so that the acts behind it ask the same question."""

from collections.abc import Mapping
from enum import StrEnum

from console.access import Permission


class Scope(StrEnum):
    EVIDENCE_READ = "evidence:read"
    EVIDENCE_WRITE = "evidence:write"


PERMISSIONS_BY_SCOPE: Mapping[Scope, frozenset[Permission]] = {
    Scope.EVIDENCE_READ: frozenset({Permission.EVIDENCE_READ, Permission.GATE_READ, Permission.MODE_READ}),
    Scope.EVIDENCE_WRITE: frozenset({Permission.EVIDENCE_UPLOAD}),
}
