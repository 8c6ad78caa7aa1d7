from __future__ import annotations

from pathlib import Path

from tests.tamper.matrix import matrix, unseen

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tamper.md"


def test_the_page_has_exactly_the_table_of_the_suite() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert "\n".join(matrix()) in text
    assert "\n".join(unseen()) in text
