"""Lists and details that change nothing: the base of every model page but the providers'."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, override
from urllib.parse import urlencode

from django.contrib.admin import ShowFacets
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import flatten_fieldsets
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.views import ChangeList

from console.access import Permission
from console.keyset import AFTER, BEFORE, SCAN_LIMIT_COUNT, Cursor, CursorInvalid, KeysetPage, keyset_page
from console.search import Matched

PAGE_SIZE_COUNT = 50


class ReadOnlyAdmin(ModelAdmin):  # type: ignore[misc]  # the theme has no types
    """Nobody adds, changes or deletes here, superusers included. Seeing takes Django's view permission of the model."""

    actions = None
    show_facets = ShowFacets.NEVER
    show_full_result_count = False
    list_per_page = PAGE_SIZE_COUNT
    sortable_by = ()

    @override
    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Of an address that PostgreSQL cannot hold there is no row; Django would ask for it."""
        return None if "\0" in object_id else super().get_object(request, object_id, from_field)

    @override
    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Sequence[str]:
        return flatten_fieldsets(self.get_fieldsets(request, obj))

    @override
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @override
    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    @override
    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class KeysetChangeList(ChangeList):  # type: ignore[misc]
    """Django's list page with keyset pages: no count, no offset, newest first, whatever search and filters say."""

    keyset: KeysetPage[Model]
    matched: Matched
    cursor: Cursor

    @override
    def get_queryset(self, request: HttpRequest, exclude_parameters: Sequence[str] | None = None) -> QuerySet[Model]:
        # taken out of the parameters first: a filter or a new search starts at the newest row again
        given = {name: self.params.pop(name) for name in (BEFORE, AFTER) if name in self.params}
        for name in given:
            self.filter_params.pop(name, None)
        try:
            self.cursor = Cursor.from_parameters(given, model=self.model)
        except CursorInvalid as error:
            raise IncorrectLookupParameters(str(error)) from error
        queryset: QuerySet[Model] = super().get_queryset(request, exclude_parameters)
        self.matched = self.model_admin.matched(
            self.query, queryset, may_reveal=request.user.has_perm(Permission.PERSONAL_REVEAL)
        )
        if self.matched.condition is not None:
            queryset = queryset.filter(self.matched.condition)
        columns: Sequence[str] = self.model_admin.list_columns
        return queryset.only(*columns)

    @override
    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Model]) -> list[str]:
        return ["-pk"]

    @override
    def get_results(self, request: HttpRequest) -> None:
        is_narrowed = bool(self.matched.condition) or self.has_active_filters
        self.keyset = keyset_page(
            self.queryset,
            cursor=self.cursor,
            size_count=self.list_per_page,
            is_indexed=self.matched.is_indexed if self.matched.condition else not is_narrowed,
            scan_limit_count=self.model_admin.scan_limit_count,
        )
        self.result_list = self.keyset.rows
        self.result_count = self.full_result_count = len(self.keyset.rows)  # of this page: nobody counted the others
        self.show_full_result_count = self.show_admin_actions = self.can_show_all = self.multi_page = False
        self.paginator = self.model_admin.get_paginator(request, self.queryset, self.list_per_page)

    def _link(self, parameters: Mapping[str, Any]) -> str:
        return str(self.get_query_string({name: str(value) for name, value in parameters.items()}))

    @property
    def older_link(self) -> str | None:
        key = self.keyset.older_before
        return None if key is None else self._link({BEFORE: key})

    @property
    def newer_link(self) -> str | None:
        key = self.keyset.newer_after
        return None if key is None else self._link({AFTER: key})

    @property
    def newest_link(self) -> str | None:
        return None if self.cursor.is_newest else self._link({})

    @property
    def filter_query(self) -> str:
        """The address's filters and search, without the page: what an act on "all that match" means."""
        return self._link({})

    @property
    def suggested(self) -> Sequence[tuple[str, str]]:
        """Search terms with their links: what the reader may have meant, or what matches rows of this page."""
        terms = self.matched.suggested or self.model_admin.suggested(self.keyset.rows)
        return [(term, "?" + urlencode({"q": term})) for term in terms]

    @property
    def searched_to_text(self) -> str:
        edge = self.keyset.searched_to
        return "" if edge is None else self.model_admin.told_key(edge)


class KeysetAdmin(ReadOnlyAdmin):
    """A read-only list of a table that may have millions of rows."""

    change_list_template = "console/keyset_list.html"
    list_columns: ClassVar[Sequence[str]] = ()  # read for the list; big columns are for the detail alone
    empty_sentence: ClassVar[str] = "Nothing yet."
    scan_limit_count: ClassVar[int] = SCAN_LIMIT_COUNT

    def matched(self, term: str, queryset: QuerySet[Any], *, may_reveal: bool) -> Matched:  # noqa: ARG002  (for those who search)
        """What the search term means for this model and this reader. Without a search of its own: nothing."""
        return Matched()

    def suggested(self, rows: Sequence[Model]) -> Sequence[str]:  # noqa: ARG002  (for those who search)
        return ()

    def told_key(self, key: object) -> str:
        """How a person reads where a search stopped."""
        return f"{self.model._meta.verbose_name} {key}"

    @override
    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeysetChangeList]:
        return KeysetChangeList

    @override
    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        return queryset, False  # the list asks `matched`, which also knows what to tell the reader

    @override
    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        # `?payload__icontains=` would read the whole table: only the filters of the page may filter
        return any(lookup == getattr(listed, "parameter_name", None) for listed in self.list_filter)
