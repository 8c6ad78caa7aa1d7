"""The upload form. Its file goes straight into the store's staging folder: hashed on the way, never all in memory.

Django parses a form before it checks the CSRF token, so permission is asked first, and what is above the limit is read
and thrown away: the browser then shows the page with what is wrong instead of a broken connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, override

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler, SkipFile
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.csrf import csrf_protect
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from console.actions.evidence_store import Uploaded, may_upload, upload
from console.actions.operator import Operator
from console.shown import size
from evidence.models import Artifact
from evidence.store import Staged, staging
from evidence.store.digests import digest_given
from evidence.store.errors import ChecksumMismatch, DigestInvalid, StoreError, TooLarge
from evidence.store.register import NOTE_LIMIT_CHARS
from evidence.store.staging import Staging

if TYPE_CHECKING:
    from console.admin.artifacts import ArtifactAdmin

FIELD = "file"


class StagedFile(UploadedFile):  # type: ignore[type-arg]  # not generic at run time
    """The form's file. `staged` is None where it was above the limit."""

    staged: Staged | None = None


class IntoStaging(FileUploadHandler):
    """Of the one file that the form has; any other one is skipped."""

    def __init__(self, into: Staging) -> None:
        super().__init__()
        self.into = into
        self.came_bytes = 0
        self.is_too_large = False
        self.is_taken = False

    @override
    def new_file(self, field_name: str, *args: Any, **kwargs: Any) -> None:
        super().new_file(field_name, *args, **kwargs)
        if field_name != FIELD or self.is_taken:
            raise SkipFile
        self.is_taken = True

    @override
    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        self.came_bytes += len(raw_data)
        if self.is_too_large:
            return
        try:
            self.into.write(raw_data)
        except TooLarge:
            self.is_too_large = True

    @override
    def file_complete(self, file_size: int) -> StagedFile:
        file = StagedFile(name=self.file_name, size=self.came_bytes)
        file.staged = None if self.is_too_large else self.into.done()
        return file


class UploadForm(forms.Form):
    file = forms.FileField(
        allow_empty_file=True, max_length=255, widget=forms.FileInput(attrs={"class": "console-file"})
    )
    sha256 = forms.CharField(
        label="Expected SHA-256",
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", "spellcheck": "false"}),
        help_text="As sha256sum prints it. Other bytes are then refused. Empty: whatever comes is kept.",
    )
    note = forms.CharField(
        required=False,
        max_length=NOTE_LIMIT_CHARS,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="Why it is kept.",
    )

    def clean_file(self) -> StagedFile:
        file: StagedFile = self.cleaned_data["file"]
        if file.staged is None:
            limit = size(settings.AUTOCOM.evidence_limit_bytes)
            raise forms.ValidationError(f"It has {size(file.size or 0)}: one artifact may have {limit}.")
        return file

    def clean_sha256(self) -> str | None:
        given = self.cleaned_data["sha256"]
        try:
            return digest_given(given) if given else None
        except DigestInvalid as error:
            raise forms.ValidationError(str(error)) from None


def upload_page(request: HttpRequest, *, admin: ArtifactAdmin) -> HttpResponse:
    """To those who may. The view is exempt from the site's CSRF check, and has its own below."""
    may_upload(Operator.signed_in(request.user))
    if request.method != "POST":
        return _form_page(request, UploadForm(), admin)
    try:
        with staging(limit_bytes=settings.AUTOCOM.evidence_limit_bytes) as into:
            request.upload_handlers = [IntoStaging(into)]
            return _posted(request, admin=admin)
    except StoreError as error:  # no room on the disk: the form's other fields were not read
        messages.error(request, str(error))
        return HttpResponseRedirect(request.path)


@csrf_protect
def _posted(request: HttpRequest, *, admin: ArtifactAdmin) -> HttpResponse:
    form = UploadForm(request.POST, request.FILES)
    if not form.is_valid():
        return _form_page(request, form, admin)
    try:
        done = _upload(Operator.signed_in(request.user), form.cleaned_data)
    except StoreError as error:
        form.add_error("sha256" if isinstance(error, ChecksumMismatch) else "file", str(error))
        return _form_page(request, form, admin)
    artifact = done.upload.artifact
    messages.success(request, f"{'Stored' if done.is_new else 'Known already, registered'}: {done.upload.name}.")
    return HttpResponseRedirect(reverse("admin:evidence_artifact_change", args=[artifact.pk]))


def _upload(operator: Operator, cleaned: dict[str, Any]) -> Uploaded:
    file = cleaned["file"]
    return upload(operator, file.staged, name=file.name, note=cleaned["note"], declared_sha256=cleaned["sha256"])


def _form_page(request: HttpRequest, form: UploadForm, admin: ArtifactAdmin) -> TemplateResponse:
    context = {
        **admin.admin_site.each_context(request),
        "title": "Upload evidence",
        "opts": Artifact._meta,
        "form": form,
        "limit": size(settings.AUTOCOM.evidence_limit_bytes),
        "back": reverse("admin:evidence_artifact_changelist"),
    }
    response = TemplateResponse(request, "console/artifact_upload.html", context)
    response.render()  # while the staged file that the form holds is there
    return response
