"""What dead letters and quarantine have in common: letters to tick, and the pages that decide over them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, override
from uuid import UUID

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display

from autocom.kernel.ids import request_id_of
from console.admin.events import time_of
from console.admin.revealing import Revealing
from console.lineage import lineage_chart, lineage_of
from console.offers import missing
from console.originals import no_longer_kept
from console.pages.letter_orders import ACTS, PAGES, listed_orders
from console.personal import Masked, masked_note
from console.search import Matched, Qualifier, matched_events, suggestions
from console.set_aside.attempts import attempts_table
from console.set_aside.chosen import PICK
from console.set_aside.decide import decide_page
from console.set_aside.kinds import KINDS, Kind, Letter
from console.set_aside.outcome import became, outcome_page, stored_link
from console.set_aside.plan import retry_plan
from console.set_aside.verbs import VERBS, Verb
from console.shown import ID_TAIL_COUNT, digest, moment, mono, short_id, whole_id
from ingestion.models import Delivery, SetAsideState
from ingestion.redrive.place import SetAside
from ingestion.redrive.selectors import attempts_of

STATE_COLOURS = {
    SetAsideState.OPEN: "warning",
    SetAsideState.RETRYING: "info",
    SetAsideState.RETRIED: "success",
    SetAsideState.DISCARDED: "default",
}


class SetAsideAdmin(Revealing):
    """The rows stay read-only: every change is an act with a preview, and an entry in the audit log."""

    set_aside: ClassVar[SetAside]
    qualifiers: ClassVar[Mapping[str, Qualifier]]
    change_list_template = "console/set_aside_list.html"
    change_form_outer_before_template = "console/set_aside_decision.html"
    list_display_links = ("short",)

    @property
    def kind(self) -> Kind:
        return KINDS[self.set_aside]

    @override
    def get_urls(self) -> list[URLPattern]:
        name = f"ingestion_{self.model._meta.model_name}"
        site = self.admin_site.admin_view
        decide = [
            path(f"{verb.name}/", site(partial(decide_page, admin=self, verb=verb)), name=f"{name}_{verb.name}")
            for verb in VERBS
        ]
        outcome = site(partial(outcome_page, admin=self))
        return [
            *decide,
            path("outcome/<int:number>/", outcome, name=f"{name}_outcome"),
            *self._order_urls(name),
            *super().get_urls(),
        ]

    def _order_urls(self, name: str) -> Iterator[URLPattern]:
        site = self.admin_site.admin_view
        page, progress = (each.as_view(admin=self) for each in PAGES[self.set_aside])
        yield path("orders/<int:number>/", site(page), name=f"{name}_order")
        yield path("orders/<int:number>/progress/", site(progress), name=f"{name}_order_progress")
        for told, act in ACTS.items():
            verb, _, what = told.partition("/")
            view = site(act.as_view(admin=self))
            yield path(f"{verb}/orders/<int:number>/{what}/", view, name=f"{name}_{verb}_{what}")

    @override
    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        acts = [self.offered(verb, request) for verb in VERBS]
        answer: HttpResponse = super().changelist_view(
            request, {"acts": acts, "orders": listed_orders(self.kind), **(extra_context or {})}
        )
        return answer

    @override
    def panels(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        last = attempts_of(self.set_aside, row.pk).last()
        return {
            **super().panels(request, row),
            "letter": row,
            "is_open": row.state == SetAsideState.OPEN,
            "forecast": retry_plan(self.set_aside, [row.pk]).letters[0],
            "became": became(row, last),
            "stored": stored_link(row.pk, last) if row.state == SetAsideState.RETRIED else "",
            "acts": [self.offered(verb, request) for verb in VERBS],
        }

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = self.model._default_manager.all()
        return rows

    @override
    def matched(self, term: str, queryset: QuerySet[Any], *, may_reveal: bool) -> Matched:
        return matched_events(term, queryset, qualifiers=self.qualifiers, may_reveal=may_reveal)

    @override
    def suggested(self, rows: Sequence[Any]) -> Sequence[str]:
        return suggestions(rows, self.qualifiers)

    @override
    def told_key(self, key: object) -> str:
        return time_of(key) if isinstance(key, UUID) else super().told_key(key)

    def offered(self, verb: Verb, request: HttpRequest) -> dict[str, Any]:
        """For its button, which says what is missing to those who may not press it."""
        return {
            "name": verb.name,
            "address": self.kind.address(verb.name),
            "is_permitted": request.user.has_perm(verb.permission),
            "missing": missing(verb.permission, act=verb.name),
        }

    @admin.display(description="Tick")
    def pick(self, letter: Letter) -> SafeString:
        return format_html(
            '<input type="checkbox" class="console-pick" name="{}" value="{}" aria-label="Tick …{}">',
            PICK,
            letter.pk,
            str(letter.pk)[-ID_TAIL_COUNT:],
        )

    @display(description="State", label=STATE_COLOURS)  # type: ignore[untyped-decorator]
    def state_label(self, letter: Letter) -> str:
        return letter.state

    @admin.display(description="Event")
    def short(self, letter: Letter) -> SafeString:
        return short_id(letter.pk)

    @admin.display(description="Event id")
    def whole(self, letter: Letter) -> SafeString:
        return whole_id(letter.pk)

    @admin.display(description="Request id")
    def request_id(self, letter: Letter) -> SafeString:
        return whole_id(request_id_of(letter.pk))

    @admin.display(description="Its way")
    def lineage(self, letter: Letter) -> SafeString:
        return lineage_chart(lineage_of(letter, batch=letter.batch))

    @admin.display(description="Lane")
    def place(self, letter: Letter) -> SafeString:
        return mono(f"{letter.lane} / {letter.sequence:,}")

    @admin.display(description="Body SHA-256")
    def body_digest(self, letter: Letter) -> SafeString | str:
        return digest(letter.body_sha256)

    @admin.display(description="Batch")
    def batch_link(self, letter: Letter) -> SafeString:
        link = reverse("admin:ingestion_batch_change", args=[letter.batch_id])
        return format_html('<a class="console-link" href="{}">batch {}</a>', link, letter.batch_id)

    @admin.display(description="Attempts")
    def attempts(self, letter: Letter) -> SafeString | str:
        return attempts_table(letter, place=self.set_aside)

    @admin.display(description="Discarded")
    def discarded(self, letter: Letter) -> SafeString | str:
        if letter.state != SetAsideState.DISCARDED:
            return "no"
        return format_html("{} {}", moment(letter.state_at), letter.discard_reason)

    @admin.display(description="Ordering key")
    def whole_key(self, letter: Letter) -> str:
        return Masked.of(letter).ordering_key

    @admin.display(description="Bytes as received")
    def bytes_text(self, letter: Letter) -> SafeString | str:
        return Masked.of(letter).payload()

    @admin.display(description="Signed headers")
    def delivery_headers(self, letter: Letter) -> SafeString | str:
        delivery = Delivery.objects.only("headers").filter(pk=request_id_of(letter.pk)).first()
        return no_longer_kept(letter.pk) if delivery is None else Masked.of(letter).headers(delivery.headers)

    @admin.display(description="Masked")
    def marked(self, letter: Letter) -> SafeString | str:
        return masked_note(Masked.of(letter))
