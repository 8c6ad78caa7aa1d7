"""The sidebar. An item is shown to those who may open it; the page itself checks again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.http import HttpRequest
from django.urls import reverse

from console.access import Permission


@dataclass(frozen=True, slots=True)
class Item:
    title: str
    icon: str
    url_name: str
    permission: Permission
    on_row: tuple[Permission, str] | None = None  # held on any row of the model, it opens the page as well

    def is_open_to(self, user: Any) -> bool:
        if user.has_perm(self.permission):
            return True
        if self.on_row is None:
            return False
        from console.row_rights import holds_somewhere  # the settings read this module before there are models

        permission, model = self.on_row
        return holds_somewhere(user, permission, apps.get_model(model))


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    items: Sequence[Item]


SECTIONS = (
    Section(
        "",
        (
            Item("Overview", "monitoring", "admin:index", Permission.OVERVIEW_READ),
            Item("Latency", "timer", "admin:latency", Permission.OVERVIEW_READ),
        ),
    ),
    Section(
        "Events",
        (
            Item("Events", "inbox", "admin:ingestion_event_changelist", Permission.EVENT_READ),
            Item("Follow an event", "timeline", "admin:follow", Permission.EVENT_READ),
            Item("Dead letters", "report", "admin:ingestion_deadletter_changelist", Permission.DEAD_LETTER_READ),
            Item(
                "Duplicates",
                "content_copy",
                "admin:ingestion_suppressedduplicate_changelist",
                Permission.DUPLICATE_READ,
            ),
            Item("Quarantine", "gpp_maybe", "admin:ingestion_quarantinedevent_changelist", Permission.QUARANTINE_READ),
        ),
    ),
    Section(
        "Pipeline",
        (
            Item(
                *("Providers", "hub", "admin:ingestion_provider_changelist", Permission.PROVIDER_READ),
                on_row=(Permission.PROVIDER_READ, "ingestion.Provider"),
            ),
            Item("Workers and lanes", "precision_manufacturing", "admin:pipeline", Permission.LANE_READ),
            Item("Lanes", "view_week", "admin:ingestion_lane_changelist", Permission.LANE_READ),
            Item("Batches", "stacks", "admin:ingestion_batch_changelist", Permission.BATCH_READ),
            Item("Incidents", "warning", "admin:ingestion_laneincident_changelist", Permission.LANE_INCIDENT_READ),
        ),
    ),
    Section(
        "Gate",
        (
            Item("Status report", "summarize", "admin:status", Permission.GATE_READ),
            Item("Gates", "gavel", "admin:gates", Permission.GATE_READ),
            Item("Mode", "toggle_on", "admin:mode", Permission.MODE_READ),
            Item("Alerts", "notifications", "admin:alerts", Permission.ALERT_READ),
            Item("Error budgets", "data_usage", "admin:budgets", Permission.BUDGET_READ),
        ),
    ),
    Section(
        "To others",
        (
            Item("Destinations", "webhook", "admin:destinations", Permission.DESTINATION_READ),
            Item("Outgoing", "outbox", "admin:outgoing", Permission.OUTGOING_READ),
        ),
    ),
    Section(
        "Proof",
        (
            Item("Evidence", "inventory_2", "admin:evidence_artifact_changelist", Permission.EVIDENCE_READ),
            Item("Publications", "cloud_upload", "admin:evidence_publication_changelist", Permission.EVIDENCE_READ),
            Item("Log", "verified", "admin:log", Permission.LOG_READ),
            Item("Check a receipt", "receipt_long", "admin:receipts", Permission.LOG_READ),
            Item("Promises", "handshake", "admin:evidence_promiseincident_changelist", Permission.PROMISE_READ),
            Item(
                *("Bundles", "folder_zip", "admin:bundles", Permission.EVIDENCE_READ),
                on_row=(Permission.BUNDLE_READ, "evidence.Bundle"),
            ),
            Item("Replays", "replay", "admin:replays", Permission.EVIDENCE_READ),
            Item("Bundles", "folder_zip", "admin:bundles", Permission.EVIDENCE_READ),
        ),
    ),
    Section(
        "Access",
        (
            Item("Audit log", "history_edu", "admin:evidence_auditentry_changelist", Permission.AUDIT_READ),
            Item("Sign-ins", "vpn_key", "admin:sign_ins", Permission.SIGN_IN_MANAGE),
            Item("RBAC matrix", "grid_on", "admin:rbac", Permission.RBAC_READ),
            Item("Service tokens", "key", "admin:service_tokens", Permission.TOKEN_READ),
            Item("Users", "person", "admin:auth_user_changelist", Permission.USER_READ),
            Item("Groups", "group", "admin:auth_group_changelist", Permission.GROUP_READ),
        ),
    ),
)


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """What the theme draws: sections that have something for this user."""
    sections = []
    for section in SECTIONS:
        items = [_drawn(item, request) for item in section.items if item.is_open_to(request.user)]
        if items:
            sections.append({"title": section.title, "items": items})
    return sections


def account_links(_request: HttpRequest) -> list[dict[str, str]]:
    """The menu under the person's name."""
    return [
        {"title": "My sessions", "link": reverse("admin:my_sessions")},
        {"title": "Second factor", "link": reverse("admin:second_factor")},
        {"title": "Change password", "link": reverse("admin:password_change")},
    ]


def _drawn(item: Item, request: HttpRequest) -> dict[str, Any]:
    link = reverse(item.url_name)
    is_home = item.url_name == "admin:index"
    return {
        "title": item.title,
        "icon": item.icon,
        "link": link,
        "active": request.path == link if is_home else request.path.startswith(link),
        "has_permission": True,
    }
