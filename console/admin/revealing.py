"""Pages of a content with masked parts: the form that asks for them, and the one answer that shows them."""

from __future__ import annotations

from typing import Any, override
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST

from autocom.kernel.ids import request_id_of
from console.access import Permission
from console.actions.operator import Operator
from console.actions.reveal_personal import PERMISSION, REASON_LIMIT_CHARS, ReasonMissing, reveal_personal
from console.admin.panels import Panels
from console.admin.read_only import KeysetAdmin
from console.guards import refuse_without
from console.personal import Content, Masked
from console.roles import PERMISSIONS_BY_ROLE
from console.shown import folded_bytes, folded_json, headers_table
from ingestion.models import Delivery, Event


class Revealing(Panels, KeysetAdmin):
    """The content stays masked on every page; a reveal is one POST with a reason, shown once."""

    change_form_outer_before_template = "console/reveal_form.html"

    @override
    def get_urls(self) -> list[URLPattern]:
        name = f"ingestion_{self.model._meta.model_name}_reveal"
        view = self.admin_site.admin_view(require_POST(self.reveal_view))
        return [path("<uuid:event_id>/reveal/", view, name=name), *super().get_urls()]

    @override
    def panels(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        return {"reveal": self._offer(row, request)}

    def _offer(self, row: Content, request: HttpRequest) -> dict[str, Any] | None:
        """None where nothing is masked, or nothing is left to show."""
        if not Masked.of(row).is_masked or (isinstance(row, Event) and row.payload is None):
            return None
        holders = [role.value for role, held in PERMISSIONS_BY_ROLE.items() if PERMISSION in held]
        return {
            "address": reverse(f"admin:ingestion_{self.model._meta.model_name}_reveal", args=[row.pk]),
            "is_permitted": request.user.has_perm(PERMISSION),
            "missing": f"Seeing it takes the permission {PERMISSION.value}: {' and '.join(holders)} have it",
            "reason_limit": REASON_LIMIT_CHARS,
        }

    def reveal_view(self, request: HttpRequest, event_id: UUID) -> HttpResponse:
        refuse_without(request, Permission(f"ingestion.view_{self.model._meta.model_name}"))
        row: Content | None = self.get_queryset(request).filter(pk=event_id).first()
        operator = Operator.signed_in(request.user)
        if row is None:
            refuse_without(request, PERMISSION)
            raise Http404("no such row")
        back = reverse(f"admin:ingestion_{self.model._meta.model_name}_change", args=[event_id])
        try:
            entry = reveal_personal(operator, row, reason=request.POST.get("reason", ""))
        except ReasonMissing as refused:
            messages.error(request, f"Nothing was shown: {refused}.")
            return HttpResponseRedirect(back)
        delivery = Delivery.objects.only("headers").filter(pk=request_id_of(row.pk)).first()
        context = {
            **self.admin_site.each_context(request),
            "title": f"Personal data of one {self.model._meta.verbose_name}",
            "opts": self.model._meta,
            "row": row,
            "entry": entry,
            "payload": folded_json(row.payload) if isinstance(row, Event) else folded_bytes(row.payload_bytes),
            "error": getattr(row, "error", ""),
            "headers": "" if delivery is None else headers_table(delivery.headers),
            "back": back,
        }
        # no-store: neither the browser's history nor a proxy may show it a second time
        return TemplateResponse(request, "console/reveal.html", context, headers={"Cache-Control": "no-store"})
