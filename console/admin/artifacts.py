"""Evidence: what is kept, who brought it, and whether it still is what it was. Nobody changes or deletes it."""

from __future__ import annotations

from functools import partial
from typing import Any, override

from django.contrib import admin
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET

from console.access import Permission
from console.actions.evidence_store import download
from console.actions.operator import Operator
from console.admin.panels import Panels
from console.downloads import download_response, file_name
from console.evidence_upload import upload_page
from console.guards import refuse_without
from console.pages.verifications import listed_verifications
from console.publications import publication_panel
from console.shown import moment, short_digest, size, whole_id
from evidence.models import Artifact, Upload
from evidence.store.errors import ArtifactUnknown, DigestInvalid, StoreError
from evidence.store.reads import Condition, artifact_of, artifacts, bundle_of, verification


@admin.register(Artifact)
class ArtifactAdmin(Panels):
    change_list_template = "console/artifact_list.html"
    change_form_outer_after_template = "console/artifact_panel.html"
    list_display = ("name", "kind", "size", "media_type", "short", "who", "when", "note")
    search_fields = ("sha256__startswith", "uploads__name__icontains")
    search_help_text = "the beginning of a SHA-256, or a part of a name"
    fieldsets = ((None, {"fields": ("name", "kind", "size", "media_type", "digest", "stored")}),)

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Artifact]:
        return artifacts()

    @override
    def get_urls(self) -> list[URLPattern]:
        site = self.admin_site.admin_view
        upload = csrf_exempt(partial(upload_page, admin=self))  # which checks it itself, after the size
        return [
            path("upload/", site(upload), name="evidence_artifact_upload"),
            path("<str:sha256>/download/", site(require_GET(self.download_page)), name="evidence_artifact_download"),
            path("<str:sha256>/verify/", site(require_GET(self.verify_page)), name="evidence_artifact_verify"),
            *super().get_urls(),
        ]

    @override
    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        may_upload = request.user.has_perm(Permission.EVIDENCE_UPLOAD)
        answer: HttpResponse = super().changelist_view(request, {**(extra_context or {}), "may_upload": may_upload})
        return answer

    @override
    def panels(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        bundle = bundle_of(row.pk)
        return {
            **_panel(row),
            "verifications": listed_verifications(bundle) if bundle is not None else [],
            "publication_panel": publication_panel(row, request),
        }

    def download_page(self, request: HttpRequest, sha256: str) -> HttpResponseBase:
        bundle = bundle_of(sha256)
        refuse_without(request, Permission.EVIDENCE_READ, row=bundle, on_row=Permission.BUNDLE_READ)
        artifact = _artifact(sha256)
        try:
            operator = Operator.signed_in(request.user)
            return download_response(artifact, download(operator, artifact, bundle=bundle))
        except StoreError as error:
            return self._verified(request, artifact, condition="", found=str(error), status=500)

    def verify_page(self, request: HttpRequest, sha256: str) -> HttpResponse:
        refuse_without(request, Permission.EVIDENCE_READ)
        artifact = _artifact(sha256)
        try:
            bytes_now = verification(artifact)
        except StoreError as error:
            return self._verified(request, artifact, condition="", found=str(error))
        return self._verified(request, artifact, condition=bytes_now.condition.value, found=bytes_now.found)

    def _verified(
        self, request: HttpRequest, artifact: Artifact, *, condition: str, found: str, status: int = 200
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": f"Bytes of {file_name(artifact)}",
            "opts": self.opts,
            "is_ok": condition == Condition.OK,
            "condition": condition,
            "found": found,
            "digest": whole_id(artifact.sha256),
            "back": _address("change", artifact),
        }
        return TemplateResponse(
            request, "console/artifact_verify.html", context, status=status, headers={"Cache-Control": "no-store"}
        )

    @admin.display(description="Name")
    def name(self, artifact: Artifact) -> str:
        return file_name(artifact)

    @admin.display(description="Kind")
    def kind(self, artifact: Artifact) -> str:
        return "bundle" if artifact.bundles.all() else "file"

    @admin.display(description="Size")
    def size(self, artifact: Artifact) -> str:
        return size(artifact.size_bytes).replace(" ", "\N{NO-BREAK SPACE}")

    @admin.display(description="SHA-256")
    def digest(self, artifact: Artifact) -> SafeString:
        return whole_id(artifact.sha256)

    @admin.display(description="SHA-256")
    def short(self, artifact: Artifact) -> SafeString:
        return short_digest(artifact.sha256)

    @admin.display(description="By")
    def who(self, artifact: Artifact) -> str:
        upload = _latest(artifact)
        return upload.actor if upload else "nobody yet"

    @admin.display(description="When")
    def when(self, artifact: Artifact) -> SafeString | str:
        upload = _latest(artifact)
        return moment(upload.uploaded_at if upload else artifact.stored_at)

    @admin.display(description="Stored")
    def stored(self, artifact: Artifact) -> SafeString | str:
        return moment(artifact.stored_at)

    @admin.display(description="Note")
    def note(self, artifact: Artifact) -> str:
        upload = _latest(artifact)
        return upload.note if upload else ""


def _artifact(sha256: str) -> Artifact:
    try:
        return artifact_of(sha256)
    except (ArtifactUnknown, DigestInvalid) as error:
        raise Http404(str(error)) from None


def _panel(artifact: Artifact) -> dict[str, Any]:
    rows = [{"upload": each, "when": moment(each.uploaded_at)} for each in artifact.uploads.all()]
    return {
        "registrations": rows,
        "download_address": _address("download", artifact),
        "verify_address": _address("verify", artifact),
    }


def _latest(artifact: Artifact) -> Upload | None:
    return max(artifact.uploads.all(), key=lambda upload: upload.pk, default=None)


def _address(page: str, artifact: Artifact) -> str:
    return reverse(f"admin:evidence_artifact_{page}", args=[artifact.sha256])
