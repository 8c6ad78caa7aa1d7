"""List filters that cost next to nothing: their choices are known without reading the filtered table."""

from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, override

from django.contrib.admin import SimpleListFilter
from django.db.models import QuerySet
from django.http import HttpRequest

from console.selectors import earliest_id
from ingestion.models import Provider


class ByColumn(SimpleListFilter):
    """By the column of the parameter's name, or `column`, which has the value that was chosen."""

    column = ""

    @override
    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return queryset if value is None else queryset.filter(**{self.column or str(self.parameter_name): value})


class ProviderFilter(ByColumn):
    title = "provider"
    parameter_name = "provider"

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in Provider.objects.values_list("name", flat=True)]

    @override
    def has_output(self) -> bool:
        return True  # a list of one provider is no reason to refuse the parameter


class StateFilter(ByColumn):
    title = "state"
    parameter_name = "state"

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        choices = model_admin.model._meta.get_field("state").choices
        return [(value, str(label)) for value, label in choices]


class FingerprintFilter(ByColumn):
    """Offers no choices, which would take a look at the whole table: the page of groups leads here."""

    title = "error fingerprint"
    parameter_name = "error"
    column = "fingerprint"

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        asked = request.GET.get(self.parameter_name)
        return [(asked, asked)] if asked else []


class AgeFilter(SimpleListFilter):
    """By the time in the ids, which the primary key's index serves."""

    title = "received"
    parameter_name = "age"
    LENGTHS: ClassVar[dict[str, tuple[str, timedelta]]] = {
        "hour": ("in the last hour", timedelta(hours=1)),
        "day": ("in the last day", timedelta(days=1)),
        "week": ("in the last 7 days", timedelta(days=7)),
        "older": ("more than 7 days ago", timedelta(days=7)),
    }

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, label) for value, (label, _) in self.LENGTHS.items()]

    @override
    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if value not in self.LENGTHS:
            return queryset
        edge = earliest_id(datetime.now(UTC) - self.LENGTHS[value][1])
        return queryset.filter(pk__lt=edge) if value == "older" else queryset.filter(pk__gte=edge)
