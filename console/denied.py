"""The answer 403: it names the permission that is missing and the roles that have it."""

from urllib.parse import quote

from django.contrib import admin
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from console.access import Permission
from console.actions.operator import RefusalRecorded
from console.guards import is_poll
from console.roles import PERMISSIONS_BY_ROLE
from evidence.audit import Act, Actor, record

PATH_LIMIT_CHARS = 300
_VERB_OF_PAGE = {"changelist": "view", "change": "view", "history": "view", "add": "add", "delete": "delete"}


def permission_denied(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Django's handler403. Inside the console with its navigation, elsewhere as a bare page."""
    missing = missing_permission(request, exception)
    if not isinstance(exception, RefusalRecorded):
        _record(request, missing)
    return _page(request, exception, missing)


def _page(request: HttpRequest, exception: Exception | None, missing: str) -> HttpResponse:
    inside = admin.site.has_permission(request)
    context = {
        "site_context": inside,
        "title": "Not permitted",
        "missing": missing,
        "granted_by": [role.value for role, held in PERMISSIONS_BY_ROLE.items() if missing in held],
        "reason": str(exception or ""),
    }
    if inside:
        context = {**admin.site.each_context(request), **context}
    return render(request, "403.html", context, status=403)


def _record(request: HttpRequest, missing: str) -> None:
    """Of people who are signed in; not of polls, which a page left open repeats every few seconds."""
    if not request.user.is_authenticated or is_poll(request):
        return
    facts = {"method": request.method, "permission": missing}
    with transaction.atomic():
        subject = f"page {quote(request.path)[:PATH_LIMIT_CHARS]}"
        record(Act.PERMISSION_REFUSED, actor=Actor.person(request.user), subject=subject, facts=facts)


def missing_permission(request: HttpRequest, exception: Exception | None) -> str:
    """The permission that would have opened the page, as far as it can be told; empty where it cannot."""
    if str(exception) in set(Permission):
        return str(exception)
    match = request.resolver_match
    app_label, _, rest = (match.url_name or "").partition("_") if match and match.app_name == "admin" else ("", "", "")
    model, _, page = rest.partition("_")
    if not model or page not in _VERB_OF_PAGE:
        return ""
    return f"{app_label}.{_VERB_OF_PAGE[page]}_{model}"
