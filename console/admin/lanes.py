"""Lanes as PostgreSQL knows them: the committed end of each. Depth and lease are Redis's and stand on the overview."""

from typing import override

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString

from console.admin.read_only import ReadOnlyAdmin
from console.shown import moment
from ingestion.models import Lane


@admin.register(Lane)
class LaneAdmin(ReadOnlyAdmin):
    list_display = ("number", "epoch", "cursor", "fence", "updated")
    fields = ("number", "epoch", "cursor", "fence", "updated")

    @override
    def get_readonly_fields(self, request: HttpRequest, obj: Lane | None = None) -> list[str]:
        return list(self.fields)

    @admin.display(description="Last commit")
    def updated(self, lane: Lane) -> SafeString | str:
        return moment(lane.updated_at)
