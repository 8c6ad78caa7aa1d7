"""`manage.py COMMAND --help` is a manual page: what it does, its exit codes, and examples that its parser takes."""

from __future__ import annotations

import re
import shlex

import pytest
from django.core.management import get_commands

from ingestion.management.with_examples import HEADING
from tests.project.doc_blocks import parser_of, verbs_of

OURS = ("autocom", "console", "evidence", "ingestion")
COMMANDS = sorted(name for name, app in get_commands().items() if app in OURS)
VERBS = sorted((name, verb) for name in COMMANDS for verb in verbs_of(parser_of(name)))


def test_the_commands_are_found() -> None:
    assert {"up", "worker", "provider", "replay", "audit", "lineage"} <= set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_says_what_it_does_with_which_exit_codes_and_gives_examples(name: str) -> None:
    text = " ".join(parser_of(name).format_help().partition("options:")[0].split())
    assert re.search(r"\w.{20,}\. Exit 0: \w", text), text
    lines = parser_of(name).format_help().partition(HEADING)[2].splitlines()[1:]
    assert lines
    for line in lines:
        words = shlex.split(line)
        assert words[:2] == ["manage.py", name]
        parser_of(name).parse_args(words[2:])


@pytest.mark.parametrize(("name", "verb"), VERBS)
def test_each_verb_says_what_it_does(name: str, verb: str) -> None:
    parser = verbs_of(parser_of(name))[verb]
    assert parser.description
    assert parser.description.endswith((".", "?"))
