"""`/api/v1/evidence/` and `/api/v1/evidence/<sha256>`: artifacts in and out, for programs and for other autocoms.

The same views answer at `/evidence/`, the address that other installations and plain PUT clients know.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, TypedDict

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, UnreadablePostError
from django.urls import reverse
from django.utils.http import parse_header_parameters
from rest_framework.request import Request

from console.access import Permission
from console.actions.evidence_store import Uploaded, download, may_upload, upload
from console.actions.operator import check
from console.api.authentication import operator_of
from console.api.problems import LengthRequired, RequestInvalid
from console.api.ranges import part_of, total_asked
from console.api.v1.operation import Operation, Query, text
from console.api.v1.schema import ApiSchema
from console.api.v1.shapes import DIGEST, Address, Moment, Schema, Sha256
from console.api.view import AccountView
from console.downloads import MEDIA_TYPE, download_headers, download_response
from evidence.models import Artifact
from evidence.store import staging
from evidence.store.digests import CHUNK_BYTES, digest_given
from evidence.store.errors import ArtifactUnknown, Incomplete, TooLarge
from evidence.store.partial import Progress, added, come_bytes
from evidence.store.reads import artifact_of, artifacts, bundle_of

PAGE_LIMIT_COUNT = 1_000
PAGE_DEFAULT_COUNT = 100
LENGTH_DIGITS = 15


class UploadJson(TypedDict):
    name: str
    actor: str
    note: str
    uploaded_at: Moment


class ArtifactJson(TypedDict):
    """Bytes under their digest, and each time that somebody brought them."""

    sha256: Sha256
    size_bytes: int
    media_type: str
    stored_at: Moment
    link: Address
    uploads: list[UploadJson]


class ArtifactPageJson(TypedDict):
    artifacts: list[ArtifactJson]
    next: str | None


BYTES: Schema = {
    "description": "The bytes, as a download.",
    "content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}},
}
GO_ON: Schema = {"description": "A part is here; Range says how much. docs/evidence.md tells of uploads in parts."}


class ArtifactList(AccountView):
    """The newest first; `next` is the address of what is older."""

    schema = ApiSchema()
    operations: ClassVar[Mapping[str, Operation]] = {
        "GET": Operation(
            summary="Artifacts",
            permission=Permission.EVIDENCE_READ,
            answer=ArtifactPageJson,
            query=(
                Query(
                    name="limit",
                    said=f"Rows on a page; {PAGE_DEFAULT_COUNT} if not given.",
                    schema={"type": "integer", "minimum": 1, "maximum": PAGE_LIMIT_COUNT},
                ),
                Query(
                    name="before",
                    said="Artifacts older than this one; `next` of an answer has it.",
                    schema={"type": "string", "pattern": DIGEST},
                ),
            ),
            codes=("evidence_request_invalid", "evidence_digest_invalid", "evidence_unknown"),
        )
    }

    def get(self, request: Request) -> HttpResponse:
        check(operator_of(request), Permission.EVIDENCE_READ, subject="list artifacts")
        count = _limit(request.GET.get("limit", str(PAGE_DEFAULT_COUNT)))
        before = request.GET.get("before")
        rows = artifacts(older_than=None if before is None else artifact_of(before))[: count + 1]
        page, more = list(rows)[:count], len(rows) > count
        following = f"{request.path}?limit={count}&before={page[-1].sha256}" if more else None
        return _json({"artifacts": [described(each, request._request) for each in page], "next": following})


class ArtifactItem(AccountView):
    """The bytes of an artifact, under their own SHA-256. A PUT of the same bytes again changes nothing."""

    schema = ApiSchema()
    operations: ClassVar[Mapping[str, Operation]] = {
        "GET": Operation(
            summary="Download an artifact",
            permission=Permission.EVIDENCE_READ,
            on_row=Permission.BUNDLE_READ,
            answer=None,
            statuses={"200": BYTES},
            codes=(
                *("evidence_digest_invalid", "evidence_unknown", "evidence_missing", "evidence_changed"),
                "evidence_store_unavailable",
            ),
        ),
        "PUT": Operation(
            summary="Upload an artifact",
            permission=Permission.EVIDENCE_UPLOAD,
            answer=ArtifactJson,
            status=201,
            query=(text("note", "Why it is kept.", limit_chars=1_000),),
            request_body={
                "required": True,
                "content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}},
            },
            statuses={
                "200": {
                    "description": "It was known before.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Artifact"}}},
                },
                "308": GO_ON,
            },
            codes=(
                *("evidence_request_invalid", "evidence_digest_invalid", "evidence_incomplete"),
                *("evidence_checksum_mismatch", "evidence_length_required", "evidence_too_large"),
                *("evidence_upload_busy", "evidence_too_many_partial_uploads", "evidence_store_unavailable"),
                *("evidence_quota_reached", "evidence_changed"),
            ),
        ),
    }

    def get(self, request: Request, sha256: str) -> HttpResponseBase:
        operator = operator_of(request)
        bundle = bundle_of(sha256)
        subject = "download evidence"
        check(operator, Permission.EVIDENCE_READ, subject=subject, row=bundle, on_row=Permission.BUNDLE_READ)
        artifact = artifact_of(sha256)
        if request.method == "HEAD":  # not a download: no bytes leave, nothing is recorded
            return HttpResponse(headers=download_headers(artifact), content_type=MEDIA_TYPE)
        return download_response(artifact, download(operator, artifact, bundle=bundle))

    def put(self, request: Request, sha256: str) -> HttpResponse:
        may_upload(operator_of(request))  # before a byte of the body is read
        digest, content_range = digest_given(sha256), request.headers.get("Content-Range", "")
        if (total := total_asked(content_range)) is not None:
            return self._tell_progress(request, digest, total)
        length_bytes = _length_bytes(request._request)
        if content_range:
            return self._put_part(request, digest, content_range, length_bytes)
        return self._put_whole(request, digest, length_bytes)

    def _put_whole(self, request: Request, digest: str, length_bytes: int) -> HttpResponse:
        with staging(limit_bytes=settings.AUTOCOM.evidence_limit_bytes) as into:
            staged = into.take(_chunks(request._request, length_bytes))
            done = upload(operator_of(request), staged, declared_sha256=digest, **_said(request._request))
        return _stored(done, request._request)

    def _put_part(self, request: Request, digest: str, content_range: str, length_bytes: int) -> HttpResponse:
        part = part_of(content_range, sha256=digest, length_bytes=length_bytes)
        stream = _chunks(request._request, length_bytes)
        with added(stream, part, limit_bytes=settings.AUTOCOM.evidence_limit_bytes) as progress:
            if progress.staged is None:
                return _go_on(progress)
            done = upload(operator_of(request), progress.staged, declared_sha256=digest, **_said(request._request))
        return _stored(done, request._request)

    def _tell_progress(self, request: Request, digest: str, total_bytes: int) -> HttpResponse:
        try:
            known = artifact_of(digest)
        except ArtifactUnknown:
            return _go_on(Progress(come_bytes=come_bytes(sha256=digest, total_bytes=total_bytes)))
        return _json({"sha256": known.sha256, "size_bytes": known.size_bytes, "link": _link(known, request._request)})


def described(artifact: Artifact, http: HttpRequest) -> ArtifactJson:
    return {
        "sha256": artifact.sha256,
        "size_bytes": artifact.size_bytes,
        "media_type": artifact.media_type,
        "stored_at": artifact.stored_at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "link": _link(artifact, http),
        "uploads": [
            {
                "name": each.name,
                "actor": each.actor,
                "note": each.note,
                "uploaded_at": each.uploaded_at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            }
            for each in artifact.uploads.all()
        ],
    }


def _stored(done: Uploaded, http: HttpRequest) -> HttpResponse:
    response = _json(described(done.upload.artifact, http), status=201 if done.is_new else 200)
    response["Location"] = _link(done.upload.artifact, http)
    return response


def _go_on(progress: Progress) -> HttpResponse:
    """308: what is here, so that the sender goes on after it. Without Range nothing is."""
    response = HttpResponse(status=308, headers={"Cache-Control": "no-store"})
    if progress.come_bytes:
        response["Range"] = f"bytes=0-{progress.come_bytes - 1}"
    return response


def _json(value: Any, *, status: int = 200) -> HttpResponse:
    return JsonResponse(value, status=status, headers={"Cache-Control": "no-store"})


def _link(artifact: Artifact, http: HttpRequest) -> str:
    name = "api_evidence_item" if http.path.startswith("/api/") else "evidence_item"
    path = reverse(name, args=[artifact.sha256])
    return f"{base.rstrip('/')}{path}" if (base := settings.AUTOCOM.app_base_url) else http.build_absolute_uri(path)


def _length_bytes(http: HttpRequest) -> int:
    """Raises LengthRequired, and TooLarge before anything is read."""
    text = http.META.get("CONTENT_LENGTH") or ""
    if not (text.isascii() and text.isdecimal() and len(text) <= LENGTH_DIGITS):
        raise LengthRequired
    if int(text) > (limit_bytes := settings.AUTOCOM.evidence_limit_bytes):
        raise TooLarge(limit_bytes=limit_bytes)
    return int(text)


def _chunks(http: HttpRequest, length_bytes: int) -> Iterator[bytes]:
    """The raw body, as it comes. Raises Incomplete where it ends early."""
    came = 0
    try:
        while came < length_bytes and (chunk := http.read(CHUNK_BYTES)):
            came += len(chunk)
            yield chunk
    except (UnreadablePostError, OSError):
        raise Incomplete(declared_bytes=length_bytes, came_bytes=came) from None
    if came != length_bytes:
        raise Incomplete(declared_bytes=length_bytes, came_bytes=came)


def _said(http: HttpRequest) -> dict[str, str]:
    """Name and note, both optional: a plain PUT store's client sends neither."""
    _, parameters = parse_header_parameters(http.headers.get("Content-Disposition", ""))
    return {"name": parameters.get("filename", ""), "note": http.GET.get("note", "")}


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:6]) <= PAGE_LIMIT_COUNT):
        raise RequestInvalid(f"limit is {text[:20]!r}: write a number from 1 to {PAGE_LIMIT_COUNT}")
    return int(text)
