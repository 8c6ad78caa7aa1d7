"""`manage.py api_schema`: the API's document, as `docs/openapi.yaml` has it."""

from __future__ import annotations

from typing import Any

import yaml

from console.api.v1.schema import document
from ingestion.management.with_examples import WithExamples


class Command(WithExamples):
    help = "Print the API's OpenAPI document: manage.py api_schema > docs/openapi.yaml. Exit 0: done."
    examples = ("api_schema",)
    requires_system_checks = ()

    def handle(self, **_: Any) -> None:
        self.stdout.write(document_text(), ending="")


def document_text() -> str:
    return yaml.safe_dump(document(), sort_keys=False, allow_unicode=True, width=120)
