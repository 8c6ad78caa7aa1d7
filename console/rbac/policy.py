"""The declared policy: one row for each route that the console's port serves. Nothing is served without a row.

Which persona gets what follows from the rule, from console/roles.py and from the tokens' scopes. After a change:
`manage.py rbac_matrix --policy > tests/console/rbac/policy.csv`, and read the difference.
"""

from __future__ import annotations

from collections.abc import Mapping

from console.access import Permission
from console.rbac.rules import (
    ANY_STAFF,
    SUPERUSERS,
    WEBHOOK,
    Kind,
    Row,
    Rule,
    any_method,
    api,
    model_pages,
    only,
    page,
    post_page,
    public,
)

P = Permission  # short: it is written once for each row
LOG = "auditors and witnesses read the log without an account; it holds digests, no payload"
PROBES = "load balancers and Prometheus ask without an account; nothing secret is told"
LETTERS = {"admin/ingestion/deadletter/": P.DEAD_LETTER_READ, "admin/ingestion/quarantinedevent/": P.QUARANTINE_READ}
SUPERUSER_POST = Rule(kind=Kind.PAGE, for_superusers=True)

SITE: Mapping[str, Row] = {
    "": public("leads to the console, which asks"),
    "admin/": page(P.OVERVIEW_READ),
    "admin/login/": public("the way in"),
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
    "admin/log/": page(P.LOG_READ),
    "admin/gates/": page(P.GATE_READ),
    "admin/gates/<slug:gate>/": page(P.GATE_READ, post=(P.GATE_FREEZE,)),
    "admin/mode/": page(P.MODE_READ, post=(P.MODE_LOWER,)),
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
    "admin/rbac/": page(P.RBAC_READ),
    "admin/receipts/": page(P.LOG_READ, post=()),
    "admin/receipts/proof/<uuid:event_id>/": page(P.LOG_READ),
    "admin/status/": page(P.GATE_READ),
    "admin/bundles/": page(P.EVIDENCE_READ, post=(P.EVIDENCE_EXPORT,)),
    "admin/bundles/<str:sha256>/": page(P.EVIDENCE_READ),
    "admin/bundles/<str:sha256>/verify/": post_page(P.EVIDENCE_READ),
}
MODELS: Mapping[str, Row] = {
    **model_pages("admin/auth/user/", P.USER_READ, add=SUPERUSERS, change=SUPERUSER_POST, delete=SUPERUSERS),
    "admin/auth/user/<id>/password/": SUPERUSERS,
    **model_pages("admin/auth/group/", P.GROUP_READ, add=SUPERUSERS, change=SUPERUSER_POST, delete=SUPERUSERS),
    **model_pages("admin/evidence/artifact/", P.EVIDENCE_READ),
    "admin/evidence/artifact/upload/": any_method(P.EVIDENCE_UPLOAD),
    "admin/evidence/artifact/<str:sha256>/download/": only("GET", of=(P.EVIDENCE_READ,)),
    "admin/evidence/artifact/<str:sha256>/verify/": only("GET", of=(P.EVIDENCE_READ,)),
    **model_pages("admin/evidence/auditentry/", P.AUDIT_READ),
    "admin/evidence/auditentry/verify/": only("GET", of=(P.AUDIT_READ,)),
    **model_pages("admin/evidence/promiseincident/", P.PROMISE_READ),
    **model_pages("admin/evidence/publication/", P.EVIDENCE_READ),
    "admin/evidence/publication/ask/": only("POST", of=(P.EVIDENCE_READ, P.EVIDENCE_PUBLISH)),
    **model_pages("admin/evidence/seal/", P.LOG_READ),
    **model_pages("admin/ingestion/batch/", P.BATCH_READ),
    **model_pages("admin/ingestion/event/", P.EVENT_READ),
    **model_pages("admin/ingestion/suppressedduplicate/", P.DUPLICATE_READ),
    **model_pages("admin/ingestion/laneincident/", P.LANE_INCIDENT_READ),
    **model_pages("admin/ingestion/lane/", P.LANE_READ),
    **model_pages(
        "admin/ingestion/provider/",
        P.PROVIDER_READ,
        add=any_method(P.PROVIDER_ADD),
        change=Rule(kind=Kind.PAGE, permissions=frozenset({P.PROVIDER_CHANGE})),
    ),
    "admin/ingestion/provider/<int:pk>/rotate/": any_method(P.PROVIDER_CHANGE),
    "admin/ingestion/provider/<int:pk>/secrets/<str:fingerprint>/revoke/": any_method(P.PROVIDER_CHANGE),
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
    }.items()
}
MACHINES: Mapping[str, Row] = {
    "api/v1/gates/": api(GET=P.GATE_READ, HEAD=P.GATE_READ),
    "api/v1/gates/<slug:gate>": api(GET=P.GATE_READ, HEAD=P.GATE_READ),
    "api/v1/gates/<slug:gate>/decisions": api(POST=P.GATE_DECIDE),
    "api/v1/mode": api(GET=P.MODE_READ, HEAD=P.MODE_READ),
    "evidence/": api(GET=P.EVIDENCE_READ, HEAD=P.EVIDENCE_READ),
    "evidence/<str:sha256>": api(GET=P.EVIDENCE_READ, HEAD=P.EVIDENCE_READ, PUT=P.EVIDENCE_UPLOAD),
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
POLICY: Mapping[str, Row] = {**SITE, **PAGES, **MODELS, **SET_ASIDE, **MACHINES, **PUBLIC_LOG}
