"""The audit log: who did what, why. Nobody changes it; everybody who may read it may verify it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, override

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from django.views.decorators.http import require_GET

from console.access import Permission
from console.admin.filters import ByColumn
from console.admin.read_only import KeysetAdmin
from console.guards import refuse_without
from console.pages.verifications import listed_verifications
from console.search import Matched, Qualifier, words_of
from console.shown import digest, folded_json, moment, mono
from evidence.append_only import protections
from evidence.audit import Act, ActorKind
from evidence.models import AuditEntry
from evidence.selectors import audit_verification, newest_number

VERIFIED_LIMIT_COUNT = 50_000  # some seconds, up to ten on a busy machine; a page must not take longer
# exact matches, each served by an index
AUDIT_QUALIFIERS = {
    "act": Qualifier("act", "act", is_indexed=True),
    "actor": Qualifier("actor", "actor", is_indexed=True),
    "subject": Qualifier("subject", "subject", is_indexed=True),
}


class ActFilter(ByColumn):
    title = "act"
    parameter_name = "act"

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(act.value, act.value) for act in Act]


class ActorKindFilter(ByColumn):
    title = "actor"
    parameter_name = "actor_kind"

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(kind.value, kind.value) for kind in ActorKind]


@admin.register(AuditEntry)
class AuditEntryAdmin(KeysetAdmin):
    change_list_template = "console/audit_list.html"
    empty_sentence = "Nothing has been recorded yet."
    list_display = ("number", "act", "who", "subject", "reason", "when")
    list_columns: ClassVar[Sequence[str]] = ("number", "act", "actor_kind", "actor", "subject", "reason", "at")
    list_filter = (ActFilter, ActorKindFilter)
    search_fields = ("number",)
    search_help_text = 'act:secret.rotated, actor:dri, subject:"provider acme", or the number of an entry'
    fieldsets = (
        (None, {"fields": ("number", "act", "who", "subject", "reason", "when")}),
        ("Facts", {"fields": ("facts_text",)}),
        ("Chain", {"fields": ("before", "own")}),
    )

    @override
    def get_urls(self) -> list[URLPattern]:
        verify = self.admin_site.admin_view(require_GET(self.verify_page))
        return [path("verify/", verify, name="evidence_auditentry_verify"), *super().get_urls()]

    @override
    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context = {"verifications": listed_verifications(None), **(extra_context or {})}
        answer: HttpResponse = super().changelist_view(request, context)
        return answer

    @override
    def matched(self, term: str, queryset: QuerySet[Any], *, may_reveal: bool) -> Matched:
        return audit_matched(term)

    def verify_page(self, request: HttpRequest) -> HttpResponse:
        """Reads the whole log, now, if it is short enough for a page; an order and the command have no limit."""
        refuse_without(request, Permission.AUDIT_READ)
        is_too_long = newest_number() > VERIFIED_LIMIT_COUNT
        context = {
            **self.admin_site.each_context(request),
            "title": "Audit log: verify" if is_too_long else "Audit log verified",
            "opts": self.opts,
            "found": None if is_too_long else audit_verification(),
            "limit": f"{VERIFIED_LIMIT_COUNT:,}",
            "verifications": listed_verifications(None),
            "protections": protections(),
            "verified_at": moment(datetime.now(UTC)),
        }
        return TemplateResponse(request, "console/audit_verify.html", context, headers={"Cache-Control": "no-store"})

    @admin.display(description="Who")
    def who(self, entry: AuditEntry) -> SafeString | str:
        return mono(entry.actor) if entry.actor_kind == ActorKind.PERSON else f"{entry.actor} ({entry.actor_kind})"

    @admin.display(description="When")
    def when(self, entry: AuditEntry) -> SafeString | str:
        return moment(entry.at)

    @admin.display(description="Facts")
    def facts_text(self, entry: AuditEntry) -> SafeString | str:
        return folded_json(entry.facts, sort_keys=True) if entry.facts else "none"

    @admin.display(description="SHA-256 of the entry before")
    def before(self, entry: AuditEntry) -> SafeString | str:
        return digest(entry.previous_sha256)

    @admin.display(description="SHA-256 of this entry")
    def own(self, entry: AuditEntry) -> SafeString | str:
        return digest(entry.entry_sha256)


def audit_matched(term: str) -> Matched:
    """Exact matches, joined by "and"."""
    found, told = Q(), []
    for word in words_of(term):
        name, _, value = word.partition(":")
        if word.isascii() and word.isdecimal() and len(word) < 19:  # PostgreSQL's bigint
            found &= Q(pk=int(word))
            told.append(f"number is {word}")
        elif value and name in AUDIT_QUALIFIERS:
            found &= Q(**{AUDIT_QUALIFIERS[name].field: value})
            told.append(f"{name} is “{value}”")
        else:
            problem = f"“{word}” is no number of an entry. Qualifiers: {', '.join(f'{n}:' for n in AUDIT_QUALIFIERS)}"
            return Matched(Q(pk__in=[]), problem=problem)
    return Matched(found, told=told) if told else Matched()
