"""The tables of evidence: what was done and sealed, who may decide and what was decided, how far we may go."""

from evidence.models.alerts import Alert
from evidence.models.budget import BudgetEntry, CorrectionProposal
from evidence.models.gates import Approval, Decision, DriTerm, FrozenSpec, Gate
from evidence.models.guardrails import GuardrailState, RollbackDrill
from evidence.models.modes import ModeChange
from evidence.models.orders import BundleOrder, ReplayOrder, SetAsideOrder, VerificationOrder, WorkOrder
from evidence.models.outgoing import Destination, ForwardCursor, Outgoing, WithheldCount
from evidence.models.proof import (
    Artifact,
    AuditEntry,
    AuditHead,
    Bundle,
    Cosignature,
    LogIncarnation,
    LogKey,
    PromiseIncident,
    Publication,
    Seal,
    SealedBatch,
    SealerState,
    Upload,
)

__all__ = [
    "Alert",
    "Approval",
    "Artifact",
    "AuditEntry",
    "AuditHead",
    "BudgetEntry",
    "Bundle",
    "BundleOrder",
    "CorrectionProposal",
    "Cosignature",
    "Decision",
    "Destination",
    "DriTerm",
    "ForwardCursor",
    "FrozenSpec",
    "Gate",
    "GuardrailState",
    "LogIncarnation",
    "LogKey",
    "ModeChange",
    "Outgoing",
    "PromiseIncident",
    "Publication",
    "ReplayOrder",
    "RollbackDrill",
    "Seal",
    "SealedBatch",
    "SealerState",
    "SetAsideOrder",
    "Upload",
    "VerificationOrder",
    "WithheldCount",
    "WorkOrder",
]
