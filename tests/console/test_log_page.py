"""The page Log: three states of each log, who watches, why a sealer refuses, and UNKNOWN where nothing is known."""

from __future__ import annotations

import html
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from playwright.sync_api import expect

from autocom.kernel.cosignature import WitnessKey
from console.roles import Role
from evidence.log.files import folder_of
from evidence.log.names import LogName
from evidence.log.sealer import seal_everything
from evidence.log_standing import log_standing
from evidence.models import Cosignature, SealerState
from tests.console.conftest import OpenPage, faults
from tests.console.rows import ago
from tests.support.log import own_log
from tests.support.witnessed import commit, environment, seal_events

pytestmark = pytest.mark.django_db(transaction=True)
WITNESS = WitnessKey("auditor.example.com/w1", bytes(range(32)))
PROGRAM = Path(__file__).resolve().parents[2] / "deploy" / "witness.py"


@pytest.fixture
def log_folder(transactional_db: None, tmp_path: Path) -> Iterator[Path]:
    with own_log(tmp_path / "evidence") as folder:
        yield folder


def page(client: Client) -> str:
    answer = client.get(reverse("admin:log"))
    assert answer.status_code == 200
    shown = html.unescape(re.sub(r"<[^>]+>", " ", answer.content.decode()))
    return re.sub(r"\s+", " ", shown)


def test_the_three_states_differ_by_what_waits(log_folder: Path, signed_in: Any) -> None:
    client = signed_in(Role.AUDITOR)
    assert "nothing is sealed yet" in page(client)
    seal = seal_events(batches=3)
    commit(2)
    told = page(client)
    assert "Sequenced 6 leaves are committed; the oldest that waits came" in told
    assert "Integrated 4 leaves are sealed" in told
    assert "Published 4 leaves are in the checkpoint on disk" in told
    assert seal.incarnation.origin in told
    assert bytes(seal.root).hex() in told
    standing = log_standing(LogName.EVENTS)
    assert (standing.sequenced_count, standing.waiting_count, standing.figures.waiting_count) == (6, 2, 2)


def test_a_checkpoint_file_that_lags_or_cannot_be_read_is_said(log_folder: Path, signed_in: Any) -> None:
    client = signed_in(Role.DRI)
    seal = seal_events(batches=1)
    file = folder_of(seal.incarnation) / "checkpoint"
    old = file.read_text()
    seal_events(batches=1)
    file.write_text(old)
    assert "Published 2 leaves are in the checkpoint on disk, not as many as are sealed" in page(client)
    file.write_text("nonsense")
    assert "Published UNKNOWN leaves" in page(client)


def test_a_sealer_that_refuses_says_why(log_folder: Path, signed_in: Any) -> None:
    seal_events(batches=1)
    why = "lane 0, epoch 1: sequences 2 to 3 are in no batch before 9"
    SealerState.objects.filter(log="events").update(refused_why=why, refused_at=ago(minutes=3))
    told = page(signed_in(Role.LEADERSHIP))
    assert f"The sealer refuses: {why}" in told
    assert log_standing(LogName.EVENTS).figures.is_refused == 1


def test_witnesses_are_shown_with_the_largest_tree_that_they_countersigned(log_folder: Path, signed_in: Any) -> None:
    client = signed_in(Role.AUDITOR)
    seal = seal_events(batches=1)
    assert "No witness has countersigned this log" in page(client)
    for size in (2, 1):
        Cosignature.objects.create(
            origin=seal.incarnation.origin,
            tree_size=size,
            vkey=WITNESS.vkey,
            line="-",
            cosigned_at=ago(minutes=7),
            received_at=ago(minutes=7),
        )
    assert re.search(r"auditor\.example\.com/w1 \(no longer known here\) \w{8} 2 .{20,40} 7 min ago", page(client))
    with environment(witness_keys=(WITNESS.vkey,)):
        assert "no longer known here" not in page(client)


def test_the_shown_command_runs_as_it_is(log_folder: Path, signed_in: Any, live_server: Any, tmp_path: Path) -> None:
    seal_events(batches=1)
    seal_everything(LogName.AUDIT)
    answer = signed_in(Role.AUDITOR).get(reverse("admin:log"))
    (command,) = re.findall(r'data-copy="(python3 [^"]+)"', answer.content.decode())
    _, _, *arguments = shlex.split(html.unescape(command).replace("http://testserver", live_server.url))
    done = subprocess.run(
        [sys.executable, "-I", str(PROGRAM), *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.count("PASS")) == (0, 2), done.stdout + done.stderr


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_the_page_is_accessible_and_fits(
    open_page: OpenPage, log_folder: Path, width: int, scheme: str, tmp_path: Path
) -> None:
    seal = seal_events(batches=3)
    seal_everything(LogName.AUDIT)
    SealerState.objects.filter(log="events").update(refused_why="lane 0: a gap", refused_at=ago(minutes=3))
    with environment(witness_keys=(WITNESS.vkey,)):
        opened = open_page(Role.AUDITOR, width=width, scheme=scheme)
        opened.goto(reverse("admin:log"))
        opened.get_by_text("Checkpoint of events").click()
        expect(opened.locator(".console-pre").first).to_contain_text(seal.incarnation.origin)
        assert faults(opened) == []
        assert opened.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        opened.screenshot(path=tmp_path / f"log-{width}.png", full_page=True)
        opened.get_by_role("link", name="All seals of events").click()
        expect(opened.locator("#result_list tbody tr")).to_have_count(1)
