"""What the documents tell people to type is what the commands take, and it works on a running installation."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management.base import CommandError

from tests.project.doc_blocks import DOCS, PROJECT, Block, blocks, mentioned, options_of, parser_of, verbs_of
from tests.project.up_kit import Up, new_up, wait_for
from tests.support.senders import signed_headers

BLOCKS = blocks()
COMMANDS = sorted({(block.name, shlex.join(words)) for block in BLOCKS for words in block.commands()})
PLACEHOLDER = re.compile(r"[A-Z_]{2,}[0-9.:…]*|…|\.\.\.|\[.*|.*[\]|].*")
RUN_HERE = sorted({line for block in BLOCKS if block.is_run_here for line in block.lines})  # wherever it stands, once


@pytest.mark.parametrize(("where", "command"), COMMANDS)
def test_each_command_of_a_block_is_one_that_its_parser_takes(where: str, command: str) -> None:
    name, *words = shlex.split(command)
    try:
        parser_of(name).parse_args(words)
    except (KeyError, SystemExit, CommandError) as error:
        pytest.fail(f"{where}: manage.py {command}: {error!r}")


@pytest.mark.parametrize(("document", "text"), sorted(set(mentioned())))
def test_each_command_in_a_sentence_is_there_with_its_verb_and_its_options(document: str, text: str) -> None:
    words = re.sub(r"\$\(|\"[^\"]*\"|'[^']*'", " ", text).split()
    name, *rest = words[words.index("manage.py") + 1 :]
    if PLACEHOLDER.fullmatch(name):
        return
    parser = parser_of(re.split(r"[|]", name)[0])
    verbs = verbs_of(parser)
    while verbs and rest and not rest[0].startswith(("-", "…", "[")) and not rest[0].isupper():
        told = rest.pop(0).split("|")
        assert set(told) <= set(verbs), f"{document}: {text}"
        parser = verbs[told[0]]
        verbs = verbs_of(parser)
    options = {word.strip("[]").partition("=")[0] for word in rest if word.startswith(("--", "[--"))}
    assert {each for option in options for each in option.split("|")} <= options_of(parser), f"{document}: {text}"


def test_a_block_is_run_or_says_why_not() -> None:
    for block in BLOCKS:
        if not block.is_run_here:
            kind, _, said = block.mark.partition(": ")
            assert (kind == "not run" and said) or _is_run_elsewhere(block), f"{block.name}: {block.mark}"


def _is_run_elsewhere(block: Block) -> bool:
    """Only by a test that reads the document or tells its story."""
    path = PROJECT / block.mark.removeprefix("run by ")
    return path.is_file() and f"{block.document}.md" in path.read_text()


@pytest.fixture(scope="module")
def up() -> Iterator[Up]:
    with new_up() as up:
        up.start()
        wait_for(up.is_ready, what=lambda: f"readiness\n{up.text()}")
        yield up


@pytest.fixture(scope="module")
def receipt(up: Up) -> str:
    """Of the event that docs/concepts.md tells of, committed."""
    (body,) = re.findall(r'^\{"id":"hello-1".*\}$', (DOCS / "concepts.md").read_text(), re.MULTILINE)
    bearer, secret = (
        (up.data_dir / "secrets" / name).read_text() for name in ("WEBHOOK_BEARER_KEY", "WEBHOOK_HMAC_SECRET")
    )
    request = urllib.request.Request(
        f"http://127.0.0.1:{up.ingress_port}/webhooks/default",
        data=body.encode(),
        headers=signed_headers(body.encode(), secret=secret, bearer=bearer),
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  (our own ingress)
        told = json.load(answer)
    assert answer.status == 202
    stored = "SELECT count(*) FROM ingestion_event WHERE id = %s"
    wait_for(lambda: up.rows(stored, told["request_id"]) == [(1,)], what=lambda: "the event")
    found: str = told["receipt"]
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the project's folder to whoever types, and nothing that is written stays there."""
    folder = tmp_path_factory.mktemp("docs")
    for name in ("manage.py", "deploy", "Makefile"):
        (folder / name).symlink_to(PROJECT / name)
    return folder


@pytest.mark.parametrize("line", RUN_HERE)
def test_what_a_document_says_works_as_it_stands(line: str, up: Up, receipt: str, folder: Path) -> None:
    text = line.replace(":8000", f":{up.console_port}").replace(":8001", f":{up.ingress_port}")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        cwd=folder,
        env={**up.environ(), "RECEIPT": receipt, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    allowed = set.intersection(*(block.allowed_exits for block in BLOCKS if block.is_run_here and line in block.lines))
    assert done.returncode in allowed, f"{text}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
