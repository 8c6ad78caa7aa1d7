"""`--help` as a manual page: what the command does, its exit codes, and examples to copy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, override

from django.core.management.base import BaseCommand, CommandParser, DjangoHelpFormatter

HEADING = "examples:"


class _KeepsLines(DjangoHelpFormatter):
    """Of the examples: argparse would run them together."""

    @override
    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if text.startswith(HEADING) else super()._fill_text(text, width, indent)


class WithExamples(BaseCommand):
    """Each example is the words after `manage.py`; the tests parse it."""

    examples: ClassVar[Sequence[str]]

    @override
    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        lines = [HEADING, *(f"  manage.py {example}" for example in self.examples)]
        return super().create_parser(
            prog_name, subcommand, epilog="\n".join(lines), formatter_class=_KeepsLines, **kwargs
        )
