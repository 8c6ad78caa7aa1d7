"""What the previews of an act and of an order have in common: the reason, and the way back."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminTextareaWidget

from console.set_aside.kinds import Kind
from ingestion.redrive.discard import REASON_LIMIT_CHARS


class ReasonForm(forms.Form):
    reason = forms.CharField(
        max_length=REASON_LIMIT_CHARS, widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}), strip=True
    )

    def __init__(self, *arguments: Any, is_needed: bool, **named: Any) -> None:
        super().__init__(*arguments, **named)
        field = self.fields["reason"]
        field.required = is_needed
        field.help_text = "It is kept in the audit log, with your name." + ("" if is_needed else " May be left empty.")
        field.error_messages["required"] = (
            "Say why: a discard needs a reason, such as “test data of 3 May, agreed with the sender”."
        )


def list_address(request: HttpRequest, kind: Kind) -> str:
    """With the filter that the reader came from."""
    query = request.GET.urlencode()
    return kind.address("changelist") + (f"?{query}" if query else "")
