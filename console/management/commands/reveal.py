"""`manage.py reveal ID --reason WHY`: what is masked of one event, on record."""

from __future__ import annotations

import json as json_text
import sys
from typing import Any, override
from uuid import UUID

from django.core.management.base import CommandParser
from django.db import Error

from autocom.kernel.ids import request_id_of
from console.actions.operator import Operator
from console.actions.reveal_personal import reveal_personal
from console.management.deadletters.arguments import add_json, event_id, name
from console.management.deadletters.discard import reason as reason_text
from console.management.deadletters.printing import visible
from console.management.provider.printing import say, say_json
from console.personal import Content
from console.shown import masked
from ingestion.management.with_examples import WithExamples
from ingestion.models import DeadLetter, Delivery, Event, QuarantinedEvent

DONE, NOT_FOUND, FAILED = 0, 1, 1
MODELS = (Event, DeadLetter, QuarantinedEvent)


class Command(WithExamples):
    help = (
        "Print what is masked of one event, dead letter or quarantined event: ordering key, headers, payload. "
        "The audit log keeps who asked and why. Exit 0: done. 1: nothing has this id."
    )
    examples = ('reveal 01890000-0000-7000-8000-000000000000 --reason "complaint 4711 of the recipient"',)
    requires_system_checks = ()

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", type=event_id, metavar="ID")
        parser.add_argument("--reason", required=True, type=reason_text, help="why it must be seen")
        parser.add_argument("--actor", metavar="NAME", type=name, help="for the audit log (default: who runs this)")
        add_json(parser)

    @override
    def handle(self, *, id: UUID, reason: str, actor: str | None, json: bool, **_: Any) -> None:
        try:
            sys.exit(reveal(id, reason=reason, actor=actor, json=json))
        except Error as error:
            self.stderr.write(f"reveal: PostgreSQL cannot be asked: {str(error).partition('\n')[0]}")
            sys.exit(FAILED)


def reveal(event: UUID, *, reason: str, actor: str | None, json: bool) -> int:
    rows: list[Content] = [row for model in MODELS for row in model._default_manager.filter(pk=event)]
    if not rows:
        say(f"{event} is no event, no dead letter and no quarantined event: manage.py lineage {event} tells what it is")
        return NOT_FOUND
    for row in rows:
        entry = reveal_personal(Operator.command_line(actor), row, reason=reason)
        delivery = Delivery.objects.only("headers").filter(pk=request_id_of(row.pk)).first()
        found = {
            "audit_entry": entry.number,
            "what": str(row._meta.verbose_name),
            "event_id": str(row.pk),
            "ordering_key": row.ordering_key,
            "error": getattr(row, "error", ""),
            "headers": {} if delivery is None else masked(delivery.headers),
            "payload": _payload(row),
        }
        if json:
            say_json(found)
        else:
            say(*(f"{label:<12}  {visible(str(value), keep=chr(10))}" for label, value in found.items()))
    return DONE


def _payload(row: Content) -> str:
    if isinstance(row, Event):
        return json_text.dumps(row.payload, ensure_ascii=False)
    return bytes(row.payload_bytes).decode("utf-8", "backslashreplace")
