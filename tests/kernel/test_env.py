"""The environment reader: every mistake is one line that names the variable, and all are found at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from autocom.kernel.env import EnvReader


def test_a_value_comes_from_the_variable_or_from_the_file_that_it_names(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("from the file\n")
    read = EnvReader({"A": " direct ", "B_FILE": str(file)})
    assert (read.text("A"), read.text("B")) == ("direct", "from the file")
    assert read.mistakes == []


def test_an_empty_value_counts_as_absent() -> None:
    read = EnvReader({"A": "", "N": "  ", "F": "", "U": ""})
    assert read.text("A", default="x") == "x"
    assert read.integer("N", default=3, at_least=1, at_most=9) == 3
    assert read.flag("F", default=True) is True
    assert read.url("U", schemes=("http",), default="http://x") == "http://x"
    assert read.mistakes == []


def test_all_mistakes_of_one_start_are_found_and_each_names_its_variable(tmp_path: Path) -> None:
    empty, binary = tmp_path / "empty", tmp_path / "binary"
    empty.write_text("\n")
    binary.write_bytes(b"\xff\xfe")
    read = EnvReader(
        {
            "SHORT": "abc",
            "COUNT": "many",
            "LOW": "0",
            "HIGH": "10",
            "FLAG": "perhaps",
            "LINK": "ftp://user:password@host",
            "BAD_LINK": "http://[",
            "BOTH": "x",
            "BOTH_FILE": str(empty),
            "GONE_FILE": str(tmp_path / "gone"),
            "BINARY_FILE": str(binary),
        }
    )
    read.text("MISSING")
    read.text("SHORT", at_least_length=10)
    for name in ("COUNT", "LOW", "HIGH"):
        assert read.integer(name, default=5, at_least=1, at_most=9) == 5
    assert read.flag("FLAG", default=False) is False
    read.url("LINK", schemes=("http", "https"))
    read.url("BAD_LINK", schemes=("http", "https"))
    for name in ("BOTH", "GONE", "BINARY"):
        read.text(name)
    named = [mistake.split()[0] for mistake in read.mistakes]
    assert named == [
        *("MISSING", "SHORT", "COUNT", "LOW", "HIGH", "FLAG", "LINK", "BAD_LINK"),
        *("BOTH", "BOTH_FILE", "GONE_FILE", "BINARY_FILE"),
    ]
    assert all("\n" not in mistake for mistake in read.mistakes)


def test_no_mistake_prints_a_secret_or_the_password_of_a_url() -> None:
    read = EnvReader({"SECRET_KEY": "hunter2", "DB_URL": "mysql://app:hunter2@host/db"})
    read.text("SECRET_KEY", at_least_length=24)
    read.url("DB_URL", schemes=("postgresql",))
    assert len(read.mistakes) == 2
    assert "hunter2" not in " ".join(read.mistakes)


@pytest.mark.parametrize(
    ("text", "value"), [("1", True), ("TRUE", True), ("on", True), ("0", False), ("No", False), ("off", False)]
)
def test_a_flag_has_a_few_spellings(text: str, value: bool) -> None:
    read = EnvReader({"A": text})
    assert read.flag("A", default=not value) is value
    assert read.mistakes == []


def test_a_choice_is_one_of_its_words_as_they_are_written() -> None:
    read = EnvReader({"A": "deciders", "B": "Deciders"})
    assert read.choice("A", default="off", choices=("off", "deciders")) == "deciders"
    assert read.choice("B", default="off", choices=("off", "deciders")) == "off"
    assert read.choice("C", default="off", choices=("off", "deciders")) == "off"
    assert read.mistakes == ["B is 'Deciders': write one of off, deciders"]
