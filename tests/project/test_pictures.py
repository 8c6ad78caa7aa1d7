"""The pictures of the console: of every page, in the document, and small enough for a repository."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from console.navigation import SECTIONS
from tests.screenshots import COLOURS_COUNT, LIGHT, WIDE, Picture, Shown, named, pictures

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "screenshots"
SHOWN = re.compile(r"!\[([^\]]*)\]\(((?:docs/)?screenshots/([^)]+))\)")
TOTAL_LIMIT_BYTES = 6_000_000
ALT_LEAST_CHARS = 12  # "Overview" says no more than the file's name


def test_the_folder_has_exactly_the_pictures_that_the_command_makes() -> None:
    assert {file.name for file in FOLDER.iterdir()} == {picture.file_name for picture in pictures()}


@pytest.mark.parametrize("title", [item.title for section in SECTIONS for item in section.items])
def test_each_page_of_the_sidebar_has_its_picture(title: str) -> None:
    assert (FOLDER / Picture(Shown(named(title)), LIGHT, WIDE).file_name).exists()


def test_the_document_shows_each_picture_once_with_words_for_who_cannot_see_it() -> None:
    found = SHOWN.findall((ROOT / "docs" / "console.md").read_text(encoding="utf-8"))
    assert sorted(name for _, _, name in found) == sorted(picture.file_name for picture in pictures())
    assert [name for alt, _, name in found if len(alt) < ALT_LEAST_CHARS] == []


@pytest.mark.parametrize("document", ["README.md", "docs/console.md"])
def test_no_picture_that_a_document_shows_is_missing(document: str) -> None:
    path = ROOT / document
    found = SHOWN.findall(path.read_text(encoding="utf-8"))
    assert found
    assert [target for _, target, _ in found if not (path.parent / target).exists()] == []


def test_they_are_small_and_as_wide_as_their_names_say() -> None:
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < TOTAL_LIMIT_BYTES
    for picture in pictures():
        width, _, _, colour_type = struct.unpack(">IIBB", (FOLDER / picture.file_name).read_bytes()[16:26])
        assert (width, colour_type) == (picture.width, 3), f"{picture.file_name}: not {COLOURS_COUNT} colours at most"
