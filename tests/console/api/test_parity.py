"""What the console can do, a command or the API can: docs/api.md says where, and nothing is left out."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand

from console.api.v1.schema import document
from console.management.verbs import VerbCommand
from console.navigation import SECTIONS
from tests.project.test_docs import rows

ACTIONS = Path(settings.BASE_DIR) / "console" / "actions"
# what an act asks before it acts is none
GUARDS = {"operator.check", "evidence_store.may_upload", "service_tokens.may_manage"}
WHO = {"operator", "actor", "user"}
NONE = re.compile(r"none: \S.{10,}")
MARKED = re.compile(r"`([^`]+)`")


def acts(folder: Path = ACTIONS) -> Iterator[str]:
    """Public functions of the folder that somebody is named for."""
    for file in sorted(folder.glob("*.py")):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                names = {each.arg for each in (*node.args.args, *node.args.kwonlyargs)}
                if names & WHO and (act := f"{file.stem}.{node.name}") not in GUARDS:
                    yield act


def listed() -> dict[str, list[str]]:
    """Rows of the two tables: acts have a dot, pages a colon, codes of refusals neither."""
    return {name: cells for name, cells in rows("api.md").items() if "." in name or ":" in name}


def test_every_act_and_every_page_has_a_row_and_no_row_is_of_something_else() -> None:
    pages = {item.url_name for section in SECTIONS for item in section.items}
    assert set(listed()) == set(acts()) | pages


def test_an_act_that_nobody_listed_would_be_seen(tmp_path: Path) -> None:
    (tmp_path / "paint.py").write_text("def paint(operator, *, colour): ...\ndef _helper(operator): ...\nX = 1\n")
    assert list(acts(tmp_path)) == ["paint.paint"]
    assert set(acts()) > {"providers.rotate", "gates.decide_go", "retry_set_aside.retry_set_aside"}


@pytest.mark.parametrize("name", sorted(listed()))
def test_each_command_and_address_of_a_row_exists_and_each_gap_has_its_reason(name: str) -> None:
    command, address = listed()[name]
    for cell, exists in ((command, command_exists), (address, address_exists)):
        if cell.startswith("none"):
            assert NONE.fullmatch(cell), f"{name}: {cell!r} gives no reason"
        else:
            (found,) = MARKED.findall(cell)
            assert exists(found), f"{name}: there is no {found}"


def test_only_what_concerns_accounts_of_people_is_for_the_console_alone() -> None:
    alone = {name for name, cells in listed().items() if all(cell.startswith("none") for cell in cells)}
    own = ("enrol", "add_passkey", "make_codes", "prove", "remove_one_factor")
    proofs = {"openid.proved", *(f"sign_in.{act}" for act in own)}
    assert alone == {"accounts.user_deleted", "accounts.role_deleted", "admin:auth_user_changelist"} | proofs


def command_exists(words: str) -> bool:
    name, _, verb = words.partition(" ")
    if name not in get_commands():
        return False
    command = load_command_class(get_commands()[name], name)
    assert isinstance(command, BaseCommand)
    if not verb:
        return True
    if isinstance(command, VerbCommand):
        return verb in {module.__name__.rpartition(".")[2].replace("_", "-") for module in command.verbs}
    return re.search(rf"\b{verb}\b", command.create_parser("manage.py", name).format_help()) is not None


def address_exists(text: str) -> bool:
    method, _, path = text.partition(" ")
    return method.lower() in document()["paths"].get(path, {})
