"""The API's addresses, on the console's port."""

from django.urls import path

from console.api.evidence import ArtifactItem, ArtifactList
from console.api.v1.budgets import BudgetItem, BudgetList, Ledger
from console.api.v1.bundles import BundleItem, BundleList, BundleVerify, OrderCancel, OrderItem, OrderList
from console.api.v1.document import Document, nothing_here
from console.api.v1.events import EventItem, EventList, EventProof
from console.api.v1.gates import GateDecisions, GateItem, GateList, GateVerdict, GateVerdicts, ModeItem
from console.api.v1.latency import Latency
from console.api.v1.letters import (
    DeadLetterDiscard,
    DeadLetterItem,
    DeadLetterList,
    DeadLetterRetry,
    QuarantineDiscard,
    QuarantineItem,
    QuarantineList,
    QuarantineRetry,
)
from console.api.v1.lineage import LineageItem
from console.api.v1.operations import AlertList, LaneList, ProviderItem, ProviderList
from console.api.v1.receipts import ReceiptCheck
from console.api.v1.records import AuditItem, AuditList, RbacRunItem, RbacRunList
from console.api.v1.runs import ReplayCancel, ReplayItem, ReplayList

urlpatterns = [
    path("evidence/", ArtifactList.as_view(), name="evidence_list"),
    path("evidence/<str:sha256>", ArtifactItem.as_view(), name="evidence_item"),
    path("api/v1/schema/", Document.as_view(), name="api_schema"),
    path("api/v1/events/", EventList.as_view(), name="api_events"),
    path("api/v1/events/<uuid:event_id>", EventItem.as_view(), name="api_event"),
    path("api/v1/events/<uuid:event_id>/proof", EventProof.as_view(), name="api_event_proof"),
    path("api/v1/lineage", LineageItem.as_view(), name="api_lineage"),
    path("api/v1/receipts/check", ReceiptCheck.as_view(), name="api_receipts_check"),
    path("api/v1/dead-letters/", DeadLetterList.as_view(), name="api_dead_letters"),
    path("api/v1/dead-letters/retry", DeadLetterRetry.as_view(), name="api_dead_letters_retry"),
    path("api/v1/dead-letters/discard", DeadLetterDiscard.as_view(), name="api_dead_letters_discard"),
    path("api/v1/dead-letters/<uuid:event_id>", DeadLetterItem.as_view(), name="api_dead_letter"),
    path("api/v1/quarantine/", QuarantineList.as_view(), name="api_quarantine"),
    path("api/v1/quarantine/retry", QuarantineRetry.as_view(), name="api_quarantine_retry"),
    path("api/v1/quarantine/discard", QuarantineDiscard.as_view(), name="api_quarantine_discard"),
    path("api/v1/quarantine/<uuid:event_id>", QuarantineItem.as_view(), name="api_quarantined"),
    path("api/v1/latency", Latency.as_view(), name="api_latency"),
    path("api/v1/budgets/", BudgetList.as_view(), name="api_budgets"),
    path("api/v1/budgets/ledger/", Ledger.as_view(), name="api_budget_ledger"),
    path("api/v1/budgets/<slug:slo>", BudgetItem.as_view(), name="api_budget"),
    path("api/v1/lanes/", LaneList.as_view(), name="api_lanes"),
    path("api/v1/providers/", ProviderList.as_view(), name="api_providers"),
    path("api/v1/providers/<slug:provider>", ProviderItem.as_view(), name="api_provider"),
    path("api/v1/alerts/", AlertList.as_view(), name="api_alerts"),
    path("api/v1/gates/", GateList.as_view(), name="api_gates"),
    path("api/v1/gates/<slug:gate>", GateItem.as_view(), name="api_gate"),
    path("api/v1/gates/<slug:gate>/verdict", GateVerdict.as_view(), name="api_gate_verdict"),
    path("api/v1/gates/<slug:gate>/verdicts/", GateVerdicts.as_view(), name="api_gate_verdicts"),
    path("api/v1/gates/<slug:gate>/decisions", GateDecisions.as_view(), name="api_gate_decisions"),
    path("api/v1/mode", ModeItem.as_view(), name="api_mode"),
    path("api/v1/replays/", ReplayList.as_view(), name="api_replays"),
    path("api/v1/replays/<slug:run_id>", ReplayItem.as_view(), name="api_replay"),
    path("api/v1/replays/<slug:run_id>/cancel", ReplayCancel.as_view(), name="api_replay_cancel"),
    path("api/v1/bundles/", BundleList.as_view(), name="api_bundles"),
    path("api/v1/bundles/orders/", OrderList.as_view(), name="api_bundle_orders"),
    path("api/v1/bundles/orders/<int:number>", OrderItem.as_view(), name="api_bundle_order"),
    path("api/v1/bundles/orders/<int:number>/cancel", OrderCancel.as_view(), name="api_bundle_order_cancel"),
    path("api/v1/bundles/<str:sha256>", BundleItem.as_view(), name="api_bundle"),
    path("api/v1/bundles/<str:sha256>/verify", BundleVerify.as_view(), name="api_bundle_verify"),
    path("api/v1/evidence/", ArtifactList.as_view(), name="api_evidence_list"),
    path("api/v1/evidence/<str:sha256>", ArtifactItem.as_view(), name="api_evidence_item"),
    path("api/v1/rbac/runs/", RbacRunList.as_view(), name="api_rbac_runs"),
    path("api/v1/rbac/runs/<int:number>", RbacRunItem.as_view(), name="api_rbac_run"),
    path("api/v1/audit/", AuditList.as_view(), name="api_audit"),
    path("api/v1/audit/<int:number>", AuditItem.as_view(), name="api_audit_entry"),
    path("api/v1/<path:anything>", nothing_here, name="api_nothing"),
]
