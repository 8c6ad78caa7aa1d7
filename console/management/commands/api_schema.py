"""`manage.py api_schema`: the API's document, as `docs/openapi.yaml` has it."""

from __future__ import annotations

from typing import Any

import yaml
from django.core.management.base import BaseCommand

from console.api.v1.schema import document


class Command(BaseCommand):
    help = "Print the API's OpenAPI document: manage.py api_schema > docs/openapi.yaml. Exit 0: done."
    requires_system_checks = ()

    def handle(self, **_: Any) -> None:
        self.stdout.write(document_text(), ending="")


def document_text() -> str:
    return yaml.safe_dump(document(), sort_keys=False, allow_unicode=True, width=120)
