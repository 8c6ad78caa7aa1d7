"""The permissions that the console asks for, declared once. Each is one that Django stores for a model."""

from enum import StrEnum


class Permission(StrEnum):
    """Values are `app.codename`, as `User.has_perm` takes them."""

    OVERVIEW_READ = "ingestion.view_latencyflush"  # the overview shows figures, and those are latency flushes
    EVENT_READ = "ingestion.view_event"
    DEAD_LETTER_READ = "ingestion.view_deadletter"
    PERSONAL_REVEAL = "ingestion.reveal_personal"  # of one event, once, with a reason
    SET_ASIDE_RETRY = "ingestion.retry_set_aside"  # dead letters and quarantined events alike
    SET_ASIDE_DISCARD = "ingestion.discard_set_aside"
    DUPLICATE_READ = "ingestion.view_suppressedduplicate"
    QUARANTINE_READ = "ingestion.view_quarantinedevent"
    BATCH_READ = "ingestion.view_batch"
    LANE_READ = "ingestion.view_lane"
    LANE_OPERATE = "ingestion.operate_lane"  # pause, resume, wake
    LANE_INCIDENT_READ = "ingestion.view_laneincident"
    PROVIDER_READ = "ingestion.view_provider"
    PROVIDER_ADD = "ingestion.add_provider"
    PROVIDER_CHANGE = "ingestion.change_provider"
    AUDIT_READ = "evidence.view_auditentry"
    LOG_READ = "evidence.view_seal"  # checkpoints, segments and receipts: digests and places, no payloads
    PROMISE_READ = "evidence.view_promiseincident"
    EVIDENCE_READ = "evidence.view_artifact"
    BUNDLE_READ = "evidence.view_bundle"  # held on a bundle's row by an outsider, never by a role
    EVIDENCE_UPLOAD = "evidence.upload_evidence"
    EVIDENCE_EXPORT = "evidence.export_evidence"
    EVIDENCE_PUBLISH = "evidence.publish_evidence"
    REPLAY_START = "evidence.start_replay"  # and cancel
    GATE_READ = "evidence.view_gate"
    GATE_FREEZE = "evidence.freeze_gate"
    GATE_DECIDE = "evidence.decide_gate"  # held on a gate's row by its DRI alone, never by a role
    DECISION_APPROVE = "evidence.approve_decision"
    DRI_ASSIGN = "evidence.assign_dri"
    MODE_READ = "evidence.view_modechange"
    MODE_LOWER = "evidence.lower_mode"
    MODE_RAISE = "evidence.raise_mode"
    ALERT_READ = "evidence.view_alert"
    BUDGET_READ = "evidence.view_budgetentry"
    BUDGET_PROPOSE = "evidence.propose_correction"
    BUDGET_APPROVE = "evidence.approve_correction"
    BUDGET_ANNOTATE = "evidence.annotate_budget"
    SIGN_IN_MANAGE = "console.manage_sign_in"  # everybody's sessions and locks
    RBAC_READ = "console.view_rbacrun"
    RBAC_RUN = "console.run_rbac"
    TOKEN_READ = "console.view_servicetoken"  # noqa: S105  (a permission's name)
    TOKEN_MANAGE = "console.manage_servicetoken"  # noqa: S105  (a permission's name)
    DESTINATION_READ = "evidence.view_destination"
    DESTINATION_MANAGE = "evidence.manage_destination"
    OUTGOING_READ = "evidence.view_outgoing"
    OUTGOING_DECIDE = "evidence.decide_outgoing"
    USER_READ = "auth.view_user"
    GROUP_READ = "auth.view_group"
