"""docs/rbac.md tells of the roles as the code has them."""

from __future__ import annotations

from console.rbac.personas import PERSONAS
from tests.console.rbac.mutations import PAGE
from tests.console.rbac.roles_table import BEGIN, END, table


def test_the_page_has_the_roles_of_the_code_and_nothing_else_between_its_marks() -> None:
    told = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    assert told.strip().splitlines() == table(), "python -m tests.console.rbac.roles_table --write"


def test_the_page_tells_of_every_persona() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [persona.name for persona in PERSONAS if persona.name not in text] == []
