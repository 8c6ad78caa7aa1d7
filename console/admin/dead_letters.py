"""Dead letters: what could never be stored as it was, why, and its bytes."""

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar, override

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString

from console.admin.events import SEARCH_HELP
from console.admin.filters import AgeFilter, FingerprintFilter, ProviderFilter, StateFilter
from console.admin.set_aside import SetAsideAdmin
from console.personal import Masked
from console.search import QUALIFIERS, Qualifier
from console.set_aside.groups import groups_page
from console.shown import digest, moment, mono
from ingestion.models import DeadLetter
from ingestion.redrive.place import SetAside

# this table has no index on ordering keys
LETTER_QUALIFIERS = {**QUALIFIERS, "key": Qualifier("ordering_key", "ordering key", is_indexed=False)}
LETTER_QUALIFIERS["error"] = Qualifier("fingerprint", "error fingerprint", is_indexed=True)


@admin.register(DeadLetter)
class DeadLetterAdmin(SetAsideAdmin):
    """What failed for good: by itself, or grouped with what failed alike."""

    set_aside = SetAside.DEAD_LETTER
    qualifiers = LETTER_QUALIFIERS
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

    @admin.display(description="Dead since")
    def died(self, letter: DeadLetter) -> SafeString | str:
        return moment(letter.dead_at)

    @admin.display(description="Error")
    def error_text(self, letter: DeadLetter) -> SafeString:
        return Masked.of(letter).folded_error(letter.error)

    @admin.display(description="Fingerprint")
    def fingerprint_link(self, letter: DeadLetter) -> SafeString:
        link = f"{self.kind.address('changelist')}?error={letter.fingerprint}"
        return format_html(
            '{} <a class="console-link" href="{}">letters that failed alike</a>', mono(letter.fingerprint), link
        )

    @admin.display(description="Content SHA-256")
    def content_digest(self, letter: DeadLetter) -> SafeString | str:
        return digest(letter.content_sha256)
