"""`manage.py status_report`: where the service stands, as a text that can be handed on."""

from __future__ import annotations

import json as json_text
import sys
from pathlib import Path
from typing import Any, override

from django.core.management.base import CommandParser

from evidence.status.standing import Standing, read_standing
from evidence.status.write import as_html, as_json, as_markdown
from ingestion.management.with_examples import WithExamples

WRITERS = {"md": as_markdown, "html": as_html}
WRONG_USAGE = 2


class Command(WithExamples):
    help = (
        "Summary, mode, evidence, blockers with owners, criteria, budgets, dependencies, decisions asked for and next "
        "steps, all from what is on record now; what cannot be asked is UNKNOWN. Exit 0: written. 2: wrong usage."
    )
    examples = ("status_report", "status_report --format html --out status.html")
    requires_system_checks = ()

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--format", choices=sorted(WRITERS), default="md", help="default: md")
        parser.add_argument("--out", type=Path, metavar="FILE", help="a new file; nothing is overwritten")
        parser.add_argument("--json", action="store_true", help="one JSON object with the figures instead")

    @override
    def handle(self, *, format: str, out: Path | None, json: bool, **_: Any) -> None:
        text = _written(read_standing(), format=format, json=json)
        if out is None:
            sys.stdout.write(text)
            return
        try:
            with out.open("x", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            self.stderr.write(f"status_report: --out {out}: {error.strerror}")
            sys.exit(WRONG_USAGE)


def _written(standing: Standing, *, format: str, json: bool) -> str:  # noqa: A002
    if json:
        return json_text.dumps(as_json(standing), indent=2, ensure_ascii=False) + "\n"
    return WRITERS[format](standing)
