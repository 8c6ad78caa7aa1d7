"""The declared policy: one row for each route that the console's port serves. Nothing is served without a row.

Which persona gets what follows from the rule, from console/roles.py and from the tokens' scopes. After a change:
`manage.py rbac_matrix --policy > tests/console/rbac/policy.csv`, and read the difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from console.access import Permission
from console.rbac.rules import (
    ANY_STAFF,
    SUPERUSERS,
    WEBHOOK,
    Kind,
    Row,
    Rule,
    act,
    any_method,
    api,
    model_pages,
    only,
    page,
    paged,
    post_page,
    public,
    reads,
)

P = Permission  # short: it is written once for each row
LOG = "auditors and witnesses read the log without an account; it holds digests, no payload"
PROBES = "load balancers and Prometheus ask without an account; nothing secret is told"
SEES_PROVIDER = {P.PROVIDER_READ: P.PROVIDER_READ}
CHANGES_PROVIDER = {P.PROVIDER_CHANGE: P.PROVIDER_CHANGE}
SEES_BUNDLE = {P.EVIDENCE_READ: P.BUNDLE_READ}
LETTERS = {"admin/ingestion/deadletter/": P.DEAD_LETTER_READ, "admin/ingestion/quarantinedevent/": P.QUARANTINE_READ}
ARTIFACT = api(GET=P.EVIDENCE_READ, HEAD=P.EVIDENCE_READ, PUT=P.EVIDENCE_UPLOAD, on_row=SEES_BUNDLE)
SUPERUSER_POST = Rule(kind=Kind.PAGE, for_superusers=True)
NOBODY_POST = Rule(kind=Kind.PAGE, for_nobody=True)
SWITCH = paged(P.PROVIDER_READ, P.PROVIDER_CHANGE, on_row=CHANGES_PROVIDER, on_any_row=SEES_PROVIDER)
ACCOUNT: Mapping[str, Any] = {
    "add": SUPERUSERS,
    "change": SUPERUSER_POST,
    "delete": SUPERUSERS,
    "actions": {"delete_selected": SUPERUSER_POST},
}

SITE: Mapping[str, Row] = {
    "": public("leads to the console, which asks"),
    "admin/": page(P.OVERVIEW_READ),
    "admin/login/": public("the way in"),
    "admin/login/code/": public("the way in, for whoever gave their password"),
    "admin/login/passkey/": public("the way in, for whoever gave their password"),
    "admin/login/openid/": public("the way in by an identity provider"),
    "admin/login/openid/back/": public("the way back from it"),
    "admin/openid-again/": post_page(),
    "admin/logout/": ANY_STAFF,
    "admin/password_change/": ANY_STAFF,
    "admin/password_change/done/": ANY_STAFF,
    "admin/search/": ANY_STAFF,  # what it finds is asked for one by one
    "admin/autocomplete/": ANY_STAFF,
    "admin/jsi18n/": ANY_STAFF,
    "admin/r/<path:content_type_id>/<path:object_id>/": ANY_STAFF,
    "admin/^<app_label>/$": ANY_STAFF,
    "admin/<url>$": ANY_STAFF,
}
PAGES: Mapping[str, Row] = {
    "admin/overview/figures/": page(P.OVERVIEW_READ),
    "admin/latency/": page(P.OVERVIEW_READ),
    "admin/latency/export/": page(P.OVERVIEW_READ),
    "admin/latency/compare/": page(P.OVERVIEW_READ),
    "admin/latency/runs/": page(P.EVIDENCE_READ),
    "admin/follow/": page(P.EVENT_READ),
    "admin/pipeline/": page(P.LANE_READ, post=(P.LANE_OPERATE,)),
    "admin/pipeline/figures/": page(P.LANE_READ),
    "admin/log/": page(P.LOG_READ),
    "admin/gates/": page(P.GATE_READ),
    "admin/gates/<slug:gate>/": page(P.GATE_READ, post=(P.GATE_FREEZE,)),
    "admin/my-sessions/": page(post=()),
    "admin/second-factor/": page(post=()),
    "admin/second-factor/passkey/": post_page(),
    "admin/sign-ins/": page(P.SIGN_IN_MANAGE, post=()),
    "admin/gates/<slug:gate>/ act=assign": act(P.GATE_READ, P.DRI_ASSIGN),
    "admin/gates/<slug:gate>/ act=approve": act(P.GATE_READ, P.DECISION_APPROVE),
    "admin/gates/<slug:gate>/ act=no-go": Row(
        by_method={"POST": replace(paged(P.GATE_READ), of_row=frozenset({P.GATE_DECIDE}))}
    ),
    "admin/mode/band/": page(),
    "admin/mode/": page(P.MODE_READ, post=(P.MODE_LOWER,)),
    "admin/mode/ act=raise": act(P.MODE_READ, P.MODE_RAISE),
    "admin/rbac/": page(P.RBAC_READ, post=(P.RBAC_RUN,)),
    "admin/rbac/progress/": page(P.RBAC_READ),
    "admin/rbac/export/": page(P.RBAC_READ),
    "admin/alerts/": page(P.ALERT_READ),
    "admin/budgets/": page(P.BUDGET_READ),
    "admin/budgets/ledger.csv": page(P.BUDGET_READ),
    "admin/budgets/entries/<int:number>/": page(P.BUDGET_READ),
    "admin/budgets/annotate/": page(P.BUDGET_ANNOTATE, post=()),
    "admin/budgets/propose/": page(P.BUDGET_PROPOSE, post=()),
    "admin/budgets/corrections/<int:number>/": page(P.BUDGET_READ, post=(P.BUDGET_APPROVE,)),
    "admin/destinations/": page(P.DESTINATION_READ),
    "admin/destinations/add/": page(P.DESTINATION_MANAGE, post=()),
    "admin/destinations/<int:pk>/": page(P.DESTINATION_READ, post=(P.DESTINATION_MANAGE,)),
    "admin/outgoing/": page(P.OUTGOING_READ, post=(P.OUTGOING_DECIDE,)),
    "admin/receipts/": page(P.LOG_READ, post=()),
    "admin/receipts/proof/<uuid:event_id>/": page(P.LOG_READ),
    "admin/tokens/": page(P.TOKEN_READ, post=(P.TOKEN_MANAGE,)),
    "admin/status/": page(P.GATE_READ),
    "admin/bundles/": page(P.EVIDENCE_READ, post=(P.EVIDENCE_EXPORT,), on_any_row=SEES_BUNDLE),
    "admin/bundles/ act=cancel": act(P.EVIDENCE_READ, P.EVIDENCE_EXPORT, on_any_row=SEES_BUNDLE),
    "admin/bundles/<str:sha256>/": page(P.EVIDENCE_READ, on_row=SEES_BUNDLE),
    "admin/bundles/<str:sha256>/verify/": post_page(P.EVIDENCE_READ, on_row=SEES_BUNDLE),
    "admin/bundles/<str:sha256>/verifications/<int:number>/": page(P.EVIDENCE_READ, on_row=SEES_BUNDLE),
    "admin/bundles/<str:sha256>/verifications/<int:number>/progress/": page(P.EVIDENCE_READ, on_row=SEES_BUNDLE),
    "admin/bundles/<str:sha256>/verifications/<int:number>/cancel/": post_page(P.EVIDENCE_READ, on_row=SEES_BUNDLE),
    "admin/audit-log/verifications/": post_page(P.AUDIT_READ),
    "admin/audit-log/verifications/<int:number>/": page(P.AUDIT_READ),
    "admin/audit-log/verifications/<int:number>/progress/": page(P.AUDIT_READ),
    "admin/audit-log/verifications/<int:number>/cancel/": post_page(P.AUDIT_READ),
    "admin/replays/": page(P.EVIDENCE_READ),
    "admin/replays/plan/": page(P.REPLAY_START, post=()),
    "admin/replays/<str:run_id>/": page(P.EVIDENCE_READ),
    "admin/replays/<str:run_id>/progress/": page(P.EVIDENCE_READ),
    "admin/replays/<str:run_id>/cancel/": post_page(P.REPLAY_START),
    "admin/bundles/orders/": page(P.EVIDENCE_READ),
}
MODELS: Mapping[str, Row] = {
    **model_pages("admin/auth/user/", P.USER_READ, **ACCOUNT),
    "admin/auth/user/<id>/password/": SUPERUSERS,
    **model_pages("admin/auth/group/", P.GROUP_READ, **ACCOUNT),
    **model_pages("admin/evidence/artifact/", P.EVIDENCE_READ),
    "admin/evidence/artifact/upload/": any_method(P.EVIDENCE_UPLOAD),
    "admin/evidence/artifact/<str:sha256>/download/": only("GET", of=(P.EVIDENCE_READ,), on_row=SEES_BUNDLE),
    "admin/evidence/artifact/<str:sha256>/verify/": only("GET", of=(P.EVIDENCE_READ,)),
    **model_pages("admin/evidence/auditentry/", P.AUDIT_READ),
    "admin/evidence/auditentry/verify/": only("GET", of=(P.AUDIT_READ,)),
    **model_pages("admin/evidence/promiseincident/", P.PROMISE_READ),
    **model_pages("admin/evidence/publication/", P.EVIDENCE_READ),
    "admin/evidence/publication/ask/": only("POST", of=(P.EVIDENCE_READ, P.EVIDENCE_PUBLISH)),
    **model_pages("admin/evidence/seal/", P.LOG_READ),
    **model_pages("admin/ingestion/batch/", P.BATCH_READ),
    **model_pages("admin/ingestion/event/", P.EVENT_READ),
    "admin/ingestion/event/<uuid:event_id>/reveal/": only("POST", of=(P.EVENT_READ, P.PERSONAL_REVEAL)),
    **model_pages("admin/ingestion/suppressedduplicate/", P.DUPLICATE_READ),
    **model_pages("admin/ingestion/laneincident/", P.LANE_INCIDENT_READ),
    **model_pages("admin/ingestion/lane/", P.LANE_READ),
    **model_pages(
        "admin/ingestion/provider/",
        P.PROVIDER_READ,
        add=any_method(P.PROVIDER_ADD),
        change=paged(P.PROVIDER_CHANGE, on_row=CHANGES_PROVIDER),
        actions={"enable": SWITCH, "disable": SWITCH, "delete_selected": NOBODY_POST},
        right=P.PROVIDER_READ,
    ),
    "admin/ingestion/provider/<int:pk>/rotate/": any_method(P.PROVIDER_CHANGE, on_row=CHANGES_PROVIDER),
    "admin/ingestion/provider/<int:pk>/secrets/<str:fingerprint>/revoke/": any_method(
        P.PROVIDER_CHANGE, on_row=CHANGES_PROVIDER
    ),
    "admin/ingestion/deadletter/groups/": any_method(P.DEAD_LETTER_READ),
}
SET_ASIDE: Mapping[str, Row] = {
    path: row
    for prefix, read in LETTERS.items()
    for path, row in {
        **model_pages(prefix, read),
        f"{prefix}retry/": any_method(read, P.SET_ASIDE_RETRY),
        f"{prefix}discard/": any_method(read, P.SET_ASIDE_DISCARD),
        f"{prefix}outcome/<int:number>/": any_method(read),
        f"{prefix}orders/<int:number>/": page(read),
        f"{prefix}orders/<int:number>/progress/": page(read),
        f"{prefix}retry/orders/<int:number>/cancel/": post_page(P.SET_ASIDE_RETRY),
        f"{prefix}retry/orders/<int:number>/rest/": post_page(P.SET_ASIDE_RETRY),
        f"{prefix}discard/orders/<int:number>/cancel/": post_page(P.SET_ASIDE_DISCARD),
        f"{prefix}discard/orders/<int:number>/rest/": post_page(P.SET_ASIDE_DISCARD),
        f"{prefix}<uuid:event_id>/reveal/": only("POST", of=(read, P.PERSONAL_REVEAL)),
    }.items()
}
API: Mapping[str, Row] = {
    **{
        f"api/v1/{path}": reads(permission)
        for path, permission in {
            "events/": P.EVENT_READ,
            "events/<uuid:event_id>": P.EVENT_READ,
            "events/<uuid:event_id>/proof": P.LOG_READ,
            "lineage": P.EVENT_READ,
            "dead-letters/": P.DEAD_LETTER_READ,
            "dead-letters/<uuid:event_id>": P.DEAD_LETTER_READ,
            "quarantine/": P.QUARANTINE_READ,
            "quarantine/<uuid:event_id>": P.QUARANTINE_READ,
            "latency": P.OVERVIEW_READ,
            "budgets/": P.BUDGET_READ,
            "budgets/ledger/": P.BUDGET_READ,
            "budgets/<slug:slo>": P.BUDGET_READ,
            "lanes/": P.LANE_READ,
            "alerts/": P.ALERT_READ,
            "gates/": P.GATE_READ,
            "gates/<slug:gate>": P.GATE_READ,
            "gates/<slug:gate>/verdict": P.GATE_READ,
            "gates/<slug:gate>/verdicts/": P.GATE_READ,
            "mode": P.MODE_READ,
            "replays/<slug:run_id>": P.EVIDENCE_READ,
            "bundles/orders/<int:number>": P.EVIDENCE_READ,
            "evidence/": P.EVIDENCE_READ,
            "rbac/runs/": P.RBAC_READ,
            "rbac/runs/<int:number>": P.RBAC_READ,
            "audit/": P.AUDIT_READ,
            "audit/<int:number>": P.AUDIT_READ,
        }.items()
    },
    "api/v1/providers/": reads(P.PROVIDER_READ, on_any_row=SEES_PROVIDER),
    "api/v1/providers/<slug:provider>": reads(P.PROVIDER_READ, on_row=SEES_PROVIDER),
    "api/v1/bundles/": reads(P.EVIDENCE_READ, on_any_row=SEES_BUNDLE),
    "api/v1/bundles/<str:sha256>": reads(P.EVIDENCE_READ, on_row=SEES_BUNDLE),
    "api/v1/schema/": Row(by_method=dict.fromkeys(("GET", "HEAD", "OPTIONS"), Rule(kind=Kind.API))),
    "api/v1/receipts/check": api(POST=P.LOG_READ),
    "api/v1/dead-letters/retry": api(POST=P.SET_ASIDE_RETRY),
    "api/v1/dead-letters/discard": api(POST=P.SET_ASIDE_DISCARD),
    "api/v1/quarantine/retry": api(POST=P.SET_ASIDE_RETRY),
    "api/v1/quarantine/discard": api(POST=P.SET_ASIDE_DISCARD),
    "api/v1/replays/": api(GET=P.EVIDENCE_READ, HEAD=P.EVIDENCE_READ, POST=P.REPLAY_START),
    "api/v1/replays/<slug:run_id>/cancel": api(POST=P.REPLAY_START),
    "api/v1/bundles/orders/": api(POST=P.EVIDENCE_EXPORT),
    "api/v1/bundles/orders/<int:number>/cancel": api(POST=P.EVIDENCE_EXPORT),
    "api/v1/bundles/<str:sha256>/verify": api(POST=P.EVIDENCE_READ, on_row=SEES_BUNDLE),
    "api/v1/gates/<slug:gate>/decisions": api(GET=P.GATE_READ, HEAD=P.GATE_READ, POST=P.GATE_DECIDE),
    "api/v1/evidence/<str:sha256>": ARTIFACT,
    "api/v1/<path:anything>": public("says that there is nothing"),
}
MACHINES: Mapping[str, Row] = {
    "evidence/": reads(P.EVIDENCE_READ),
    "evidence/<str:sha256>": ARTIFACT,
    "webhooks": WEBHOOK,
    "webhooks/": WEBHOOK,
    "webhooks/<str:provider>": WEBHOOK,
    "healthz": public(PROBES),
    "readyz": public(PROBES),
    "metrics": public(PROBES),
}
PUBLIC_LOG: Mapping[str, Row] = {
    "log/": public(LOG),
    "log/keys": public(LOG),
    "log/<str:log>/cosignatures": public("a witness is known by its signature"),
    "log/<anything>": public(LOG),
    **{
        f"log/{prefix}/{resource}": public(LOG)
        for prefix in ("<str:log>", "<str:log>/<str:token>")
        for resource in (
            *("checkpoint", "checkpoint/<str:size>", "start", "consistency"),
            *("seals/<str:number>.txt", "segments/<str:number>.txt", "tile/<path:address>"),
        )
    },
}
POLICY: Mapping[str, Row] = {**SITE, **PAGES, **MODELS, **SET_ASIDE, **API, **MACHINES, **PUBLIC_LOG}
