"""The code blocks of the documents, each with the mark that stands above it.

A block of commands (```sh or ```bash) is run against a running installation, unless the line above it says otherwise:
`<!-- not run: why -->`, `<!-- run by tests/... -->`, or `<!-- exits 0 or 1: why -->`. Each line is a command
of its own.
"""

from __future__ import annotations

import re
import shlex
from argparse import ArgumentParser, _SubParsersAction
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from pathlib import Path

from django.core.management import get_commands, load_command_class

PROJECT = Path(__file__).resolve().parents[2]
DOCS = PROJECT / "docs"
BLOCK = re.compile(
    r"^(?P<indent> *)(?:<!-- (?P<mark>[^\n]*) -->\n *)?```(?P<kind>sh|bash)\n(?P<text>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)
INLINE = re.compile(r"`((?:python |\.venv/bin/python )?manage\.py [^`]+)`")
TYPED = re.compile(r"^ *(?:\.venv/bin/python )?(manage\.py [^#\n]+)", re.MULTILINE)  # in a block that is not run
EXITS = re.compile(r"exits (\d(?:(?:, | or )\d)*): .+")


@dataclass(frozen=True, slots=True)
class Block:
    document: str
    number: int
    mark: str
    text: str

    @property
    def name(self) -> str:
        return f"{self.document}-{self.number}"

    @property
    def is_run_here(self) -> bool:
        return not self.mark or bool(EXITS.fullmatch(self.mark))

    @property
    def allowed_exits(self) -> set[int]:
        found = EXITS.fullmatch(self.mark)
        return {int(each) for each in re.findall(r"\d", found[1])} if found else {0}

    @property
    def lines(self) -> list[str]:
        """Without the words behind them."""
        joined = self.text.replace("\\\n", " ").splitlines()
        return [line.partition("  #")[0].strip() for line in joined if line.strip()]

    def commands(self) -> Iterator[list[str]]:
        """The words after `manage.py` of each such command; what is piped or chained behind it left out."""
        for line in self.lines:
            if "manage.py" in line:
                lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
                lexer.whitespace_split = True
                tokens = list(lexer)
                first = tokens.index("manage.py") + 1
                yield list(takewhile(lambda token: not set(token) <= set("|&;<>"), tokens[first:]))


def documents() -> list[Path]:
    return sorted([*DOCS.glob("*.md"), *(DOCS / "runbooks").glob("*.md")])


def blocks() -> list[Block]:
    return [
        Block(
            document=str(path.relative_to(DOCS).with_suffix("")),
            number=number,
            mark=found["mark"] or "",
            text="\n".join(line.removeprefix(found["indent"]) for line in found["text"].splitlines()),
        )
        for path in documents()
        for number, found in enumerate(BLOCK.finditer(path.read_text()), start=1)
    ]


def mentioned() -> list[tuple[str, str]]:
    """Every `manage.py …` inside a text, by document. Placeholders are in them, so they cannot be parsed."""
    texts = {path.name: path.read_text() for path in [PROJECT / "README.md", *documents()]}
    return [
        (name, words.strip()) for name, text in texts.items() for words in (*INLINE.findall(text), *TYPED.findall(text))
    ]


@cache
def parser_of(command: str) -> ArgumentParser:
    """Raises KeyError where there is no such command."""
    app = get_commands()[command]
    return load_command_class(app, command).create_parser("manage.py", command)


def verbs_of(parser: ArgumentParser) -> dict[str, ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, _SubParsersAction):
            return dict(action.choices)
    return {}


def options_of(parser: ArgumentParser) -> set[str]:
    return {option for action in parser._actions for option in action.option_strings}
