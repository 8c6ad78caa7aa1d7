"""A page of one row with more beside its fields: offers, forms, what became of it."""

from __future__ import annotations

from typing import Any, override

from django.http import HttpRequest, HttpResponse

from console.admin.read_only import ReadOnlyAdmin


class Panels(ReadOnlyAdmin):
    """The row is read once more for them, so only pages that have some are this."""

    def panels(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """For the page's templates. Asked for those alone who may see the row."""
        raise NotImplementedError

    @override
    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id) if object_id else None
        context = dict(extra_context or {})
        if row is not None and self.has_view_permission(request):
            context |= self.panels(request, row)
        answer: HttpResponse = super().changeform_view(request, object_id, form_url, context)
        return answer
