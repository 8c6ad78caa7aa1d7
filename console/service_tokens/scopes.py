"""What a token may. Each scope stands for permissions of people, so that the acts behind it ask the same question."""

from collections.abc import Mapping
from enum import StrEnum

from console.access import Permission


class Scope(StrEnum):
    EVIDENCE_READ = "evidence:read"
    EVIDENCE_WRITE = "evidence:write"
    EVIDENCE_EXPORT = "evidence:export"
    OPERATIONS_READ = "operations:read"
    EVENTS_READ = "events:read"
    LETTERS_WRITE = "letters:write"
    REPLAYS_WRITE = "replays:write"
    AUDIT_READ = "audit:read"


PERMISSIONS_BY_SCOPE: Mapping[Scope, frozenset[Permission]] = {
    Scope.EVIDENCE_READ: frozenset({Permission.EVIDENCE_READ, Permission.GATE_READ, Permission.MODE_READ}),
    Scope.EVIDENCE_WRITE: frozenset({Permission.EVIDENCE_UPLOAD}),
    Scope.EVIDENCE_EXPORT: frozenset({Permission.EVIDENCE_EXPORT}),
    Scope.OPERATIONS_READ: frozenset(
        {
            Permission.OVERVIEW_READ,
            Permission.LANE_READ,
            Permission.PROVIDER_READ,
            Permission.ALERT_READ,
            Permission.BUDGET_READ,
            Permission.GATE_READ,
            Permission.MODE_READ,
        }
    ),
    Scope.EVENTS_READ: frozenset(
        {Permission.EVENT_READ, Permission.DEAD_LETTER_READ, Permission.QUARANTINE_READ, Permission.LOG_READ}
    ),
    Scope.LETTERS_WRITE: frozenset({Permission.SET_ASIDE_RETRY, Permission.SET_ASIDE_DISCARD}),
    Scope.REPLAYS_WRITE: frozenset({Permission.REPLAY_START}),
    Scope.AUDIT_READ: frozenset({Permission.AUDIT_READ, Permission.RBAC_READ}),
}
OPENS: Mapping[Scope, str] = {  # in words, as docs/api.md has them
    Scope.OPERATIONS_READ: "latency, budgets, lanes, providers, alerts, gates, mode",
    Scope.EVENTS_READ: "events, lineage, dead letters, quarantine, receipts, proofs",
    Scope.LETTERS_WRITE: "retry and discard of dead letters and quarantined events",
    Scope.EVIDENCE_READ: "evidence, bundles and their verification, replays, gates, mode",
    Scope.EVIDENCE_WRITE: "uploads of evidence",
    Scope.EVIDENCE_EXPORT: "orders of bundles",
    Scope.REPLAYS_WRITE: "start and cancel of replays",
    Scope.AUDIT_READ: "audit entries, RBAC runs",
}
