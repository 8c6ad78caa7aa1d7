"""List filters that cost next to nothing: their choices are known without reading the filtered table."""

from typing import Any, override

from django.contrib.admin import SimpleListFilter
from django.db.models import QuerySet
from django.http import HttpRequest

from ingestion.models import DeadLetter, Provider


class ProviderFilter(SimpleListFilter):
    title = "provider"
    parameter_name = "provider"

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in Provider.objects.values_list("name", flat=True)]

    @override
    def has_output(self) -> bool:
        return True  # a list of one provider is no reason to refuse the parameter

    @override
    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return queryset if value is None else queryset.filter(provider=value)


class StateFilter(SimpleListFilter):
    title = "state"
    parameter_name = "state"

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, str(label)) for value, label in DeadLetter.State.choices]

    @override
    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return queryset if value is None else queryset.filter(state=value)
