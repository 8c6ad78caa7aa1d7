"""What was to be published to the central endpoint, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, override

from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST
from unfold.decorators import display

from autocom.kernel.errors import AutocomError
from console.access import Permission
from console.actions.operator import Operator
from console.actions.publish_evidence import publish_evidence
from console.admin.filters import ByColumn
from console.admin.panels import Panels
from console.admin.read_only import KeysetAdmin
from console.guards import refuse_without
from console.publications import STATES, publication_panel, sentence
from console.shown import moment, mono, visible
from evidence.models import Artifact, Publication

STATE_COLOURS = {"waiting": "info", "refused by the mode": "warning", "published": "success", "failed": "danger"}
DIGEST_SHOWN_CHARS = 12


class StateFilter(ByColumn):
    title = "state"
    parameter_name = "state"

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(STATES.items())


@admin.register(Publication)
class PublicationAdmin(Panels, KeysetAdmin):
    """Seen by who sees evidence; asked for, here and on the artifact's page, by who may publish it."""

    change_form_outer_before_template = "console/_publication.html"
    empty_sentence = "Nothing has been published. An artifact's page has the button for it."
    list_display = ("short", "state_label", "became", "asked")
    list_columns: ClassVar[Sequence[str]] = (
        *("id", "artifact", "endpoint", "state", "link", "attempt_count"),
        *("next_attempt_at", "error", "asked_by", "asked_at", "published_at"),
    )
    list_filter = (StateFilter,)
    fields = ("whole", "endpoint", "state_label", "became", "link_text", "attempt_count", "asked", "published")

    @override
    def has_view_permission(self, request: HttpRequest, obj: Publication | None = None) -> bool:
        return request.user.has_perm(Permission.EVIDENCE_READ)

    @override
    def has_module_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(Permission.EVIDENCE_READ)

    @override
    def get_urls(self) -> list[URLPattern]:
        asked = self.admin_site.admin_view(require_POST(self.ask_page))
        return [path("ask/", asked, name="evidence_publication_ask"), *super().get_urls()]

    def ask_page(self, request: HttpRequest) -> HttpResponse:
        """The act, then the page of the publication."""
        refuse_without(request, Permission.EVIDENCE_READ)
        artifact = Artifact.objects.filter(pk=request.POST.get("sha256", "")).first()
        if artifact is None:
            raise Http404("no artifact has this SHA-256")
        try:
            row = publish_evidence(Operator.signed_in(request.user), artifact=artifact)
        except AutocomError as refused:
            messages.warning(request, str(refused))
            return HttpResponseRedirect(reverse("admin:evidence_publication_changelist"))
        return HttpResponseRedirect(reverse("admin:evidence_publication_change", args=[row.pk]))

    @override
    def panels(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        return {"publication_panel": publication_panel(row.artifact, request)}

    @admin.display(description="Artifact")
    def short(self, row: Publication) -> SafeString:
        return format_html(
            '<span class="console-mono" title="{0}">{1}…</span>', row.artifact_id, row.artifact_id[:DIGEST_SHOWN_CHARS]
        )

    @admin.display(description="Artifact, SHA-256")
    def whole(self, row: Publication) -> SafeString:
        address = reverse("admin:evidence_artifact_change", args=[row.artifact_id])
        return format_html('<a class="console-link console-mono" href="{}">{}</a>', address, row.artifact_id)

    @display(description="State", label=STATE_COLOURS)  # type: ignore[untyped-decorator]
    def state_label(self, row: Publication) -> str:
        return STATES[row.state]

    @admin.display(description="What became of it")
    def became(self, row: Publication) -> str:
        return sentence(row)

    @admin.display(description="Link")
    def link_text(self, row: Publication) -> SafeString | str:
        return mono(visible(row.link)) if row.link else "none"

    @admin.display(description="Asked for")
    def asked(self, row: Publication) -> SafeString:
        return format_html("{} by {}", moment(row.asked_at), visible(row.asked_by))

    @admin.display(description="Published")
    def published(self, row: Publication) -> SafeString | str:
        return moment(row.published_at)
