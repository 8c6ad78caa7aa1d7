"""Model pages whose changes are entered in the audit log, in the transaction of the change."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse

from evidence.audit import Actor


class RecordedChanges:
    """Django's admin reports each addition, change and deletion to one of three methods; each makes an entry here.

    Where Django itself opens no transaction (actions on a list), this does.
    """

    def record_addition(self, row: Any, *, actor: Actor) -> None:
        raise NotImplementedError

    def record_change(self, row: Any, *, actor: Actor, fields: list[str]) -> None:
        raise NotImplementedError

    def record_deletion(self, row: Any, *, actor: Actor) -> None:
        raise NotImplementedError

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        self.record_addition(obj, actor=Actor.person(request.user))
        return super().log_addition(request, obj, message)  # type: ignore[misc]

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        if fields := _changed_fields(message):
            self.record_change(obj, actor=Actor.person(request.user), fields=fields)
        return super().log_change(request, obj, message)  # type: ignore[misc]

    def log_deletions(self, request: HttpRequest, queryset: Iterable[Model]) -> Any:
        for row in queryset:
            self.record_deletion(row, actor=Actor.person(request.user))
        return super().log_deletions(request, queryset)  # type: ignore[misc]

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        with transaction.atomic():
            response: HttpResponse | None = super().response_action(request, queryset)  # type: ignore[misc]
        return response


def _changed_fields(message: Any) -> list[str]:
    """Of Django's message, `[{"changed": {"fields": ["Email address"]}}]`; a form sent without a change has none."""
    return [field for part in message for field in part.get("changed", {}).get("fields", [])]
