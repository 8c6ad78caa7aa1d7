"""Dead letters: what could never be stored as it was, why, and its bytes."""

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar, override
from uuid import UUID

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from autocom.kernel.ids import request_id_of
from console.admin.events import SEARCH_HELP, time_of
from console.admin.filters import AgeFilter, FingerprintFilter, ProviderFilter, StateFilter
from console.admin.set_aside import SetAsideAdmin
from console.lineage import lineage_chart, lineage_of
from console.personal import Masked
from console.search import QUALIFIERS, Matched, Qualifier, matched_events, suggestions
from console.set_aside.groups import groups_page
from console.shown import digest, moment, mono, short_id, whole_id
from ingestion.models import DeadLetter
from ingestion.redrive.place import SetAside

# this table has no index on ordering keys
LETTER_QUALIFIERS = {**QUALIFIERS, "key": Qualifier("ordering_key", "ordering key", is_indexed=False)}
LETTER_QUALIFIERS["error"] = Qualifier("fingerprint", "error fingerprint", is_indexed=True)


@admin.register(DeadLetter)
class DeadLetterAdmin(SetAsideAdmin):
    """What failed for good: by itself, or grouped with what failed alike."""

    set_aside = SetAside.DEAD_LETTER
    list_display = (
        "pick",
        "short",
        "state_label",
        "error_class",
        "event_type",
        "message_id",
        "provider",
        "attempt_count",
        "died",
    )
    list_columns: ClassVar[Sequence[str]] = (
        *("event_id", "state", "error_class", "event_type", "message_id", "provider", "attempt_count", "dead_at"),
    )
    list_filter = (StateFilter, ProviderFilter, FingerprintFilter, AgeFilter)
    empty_sentence = "Nothing has failed for good yet."
    search_fields = ("event_id",)
    search_help_text = SEARCH_HELP
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "whole",
                    "request_id",
                    "state_label",
                    "event_type",
                    "message_id",
                    "provider",
                    "whole_key",
                    "kind",
                )
            },
        ),
        ("Why", {"fields": ("error_class", "error_text", "fingerprint_link", "died")}),
        ("Attempts", {"fields": ("attempts", "discarded")}),
        ("Lineage", {"fields": ("lineage",)}),
        ("Receipt", {"fields": ("place", "body_digest", "content_digest", "batch_link")}),
        ("Content", {"fields": ("bytes_text", "delivery_headers", "marked")}),
    )

    @override
    def get_urls(self) -> list[URLPattern]:
        groups = self.admin_site.admin_view(partial(groups_page, admin=self))
        return [path("groups/", groups, name="ingestion_deadletter_groups"), *super().get_urls()]

    @override
    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(
            request, {"groups_address": self.kind.address("groups"), **(extra_context or {})}
        )

    @override
    def get_readonly_fields(self, request: HttpRequest, obj: DeadLetter | None = None) -> list[str]:
        return [field for _, options in self.fieldsets for field in options["fields"]]

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[DeadLetter]:
        return DeadLetter.objects.all()

    @override
    def matched(self, term: str, queryset: QuerySet[Any], *, may_reveal: bool) -> Matched:
        return matched_events(term, queryset, qualifiers=LETTER_QUALIFIERS, may_reveal=may_reveal)

    @override
    def suggested(self, rows: Sequence[Any]) -> Sequence[str]:
        return suggestions(rows, LETTER_QUALIFIERS)

    @override
    def told_key(self, key: object) -> str:
        return time_of(key) if isinstance(key, UUID) else super().told_key(key)

    @admin.display(description="Event")
    def short(self, letter: DeadLetter) -> SafeString:
        return short_id(letter.pk)

    @admin.display(description="Dead since")
    def died(self, letter: DeadLetter) -> SafeString | str:
        return moment(letter.dead_at)

    @admin.display(description="Event id")
    def whole(self, letter: DeadLetter) -> SafeString:
        return whole_id(letter.pk)

    @admin.display(description="Request id")
    def request_id(self, letter: DeadLetter) -> SafeString:
        return whole_id(request_id_of(letter.pk))

    @admin.display(description="Error")
    def error_text(self, letter: DeadLetter) -> SafeString:
        return Masked.of(letter).folded_error(letter.error)

    @admin.display(description="Fingerprint")
    def fingerprint_link(self, letter: DeadLetter) -> SafeString:
        link = f"{self.kind.address('changelist')}?error={letter.fingerprint}"
        return format_html(
            '{} <a class="console-link" href="{}">letters that failed alike</a>', mono(letter.fingerprint), link
        )

    @admin.display(description="Its way")
    def lineage(self, letter: DeadLetter) -> SafeString:
        return lineage_chart(lineage_of(letter, batch=letter.batch))

    @admin.display(description="Lane")
    def place(self, letter: DeadLetter) -> SafeString:
        return mono(f"{letter.lane} / {letter.sequence:,}")

    @admin.display(description="Body SHA-256")
    def body_digest(self, letter: DeadLetter) -> SafeString | str:
        return digest(letter.body_sha256)

    @admin.display(description="Content SHA-256")
    def content_digest(self, letter: DeadLetter) -> SafeString | str:
        return digest(letter.content_sha256)

    @admin.display(description="Batch")
    def batch_link(self, letter: DeadLetter) -> SafeString:
        link = reverse("admin:ingestion_batch_change", args=[letter.batch_id])
        return format_html('<a class="console-link" href="{}">batch {}</a>', link, letter.batch_id)
