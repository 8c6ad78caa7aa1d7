"""A bundle is kept as an artifact with its row and its audit entry, by command and by order."""

from __future__ import annotations

import hashlib
import io
import json
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from django.core.management import call_command

from evidence.audit import Actor
from evidence.bundles.export import export
from evidence.bundles.orders import order, settle, start_next
from evidence.models import AuditEntry, Bundle, BundleOrder
from evidence.runs.folders import RunUnknown
from evidence.store import open_artifact
from tests.evidence.bundles.conftest import Bundles

pytestmark = pytest.mark.django_db
ACTOR = Actor.process("test")


def command(*words: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with pytest.raises(SystemExit) as ended, redirect_stdout(out):
        call_command("evidence", "export", *words, stderr=err)
    return int(ended.value.code or 0), out.getvalue(), err.getvalue()


def test_the_command_keeps_the_archive_and_says_its_verdict(bundles: Bundles, tmp_path: Path) -> None:
    words = ["--run", bundles.whole.run_id, "--out", str(tmp_path), "--by", "ann", "--json"]
    status, out, _ = command(*words)
    told = json.loads(out)
    archive = (tmp_path / told["archive"]).read_bytes()
    assert (status, told["verdict"]) == (0, "FAIL")
    assert hashlib.sha256(archive).hexdigest() == told["sha256"] == bundles.made.sha256
    with open_artifact(told["sha256"]) as file:
        assert file.read() == archive
    row = Bundle.objects.get(artifact=told["sha256"])
    assert (row.run_id, row.actor, row.missing) == (bundles.whole.run_id, "os:ann", told["missing"])
    entry = AuditEntry.objects.get(act="bundle.exported", actor="os:ann")
    assert (entry.subject, entry.facts["artifact"]) == (f"run {bundles.whole.run_id}", told["sha256"])


def test_a_failed_run_is_exported_too_and_the_latest_run_is_the_default(bundles: Bundles) -> None:
    status, out, _ = command()
    assert status == 0
    assert bundles.refused.run_id in out
    assert "FAIL" in out.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--run", "r20260102T030405-0a0b0c"], "no folder of a run"),
        (["--gate", "z"], "known: a, smoke"),
        (["--order", "99999"], "no such order"),
    ],
)
def test_wrong_usage_says_what_a_right_value_is(bundles: Bundles, words: list[str], complaint: str) -> None:
    status, _, err = command(*words)
    assert status == 2
    assert complaint in err


def test_the_same_run_again_is_the_same_artifact_and_another_act(bundles: Bundles) -> None:
    first = export(bundles.whole, actor=ACTOR)
    again = export(bundles.whole, actor=ACTOR)
    assert (first.is_new, again.is_new) == (True, False)
    assert first.bundle == again.bundle
    assert AuditEntry.objects.filter(act="bundle.exported", actor="test").count() == 2


def asked(bundles: Bundles) -> BundleOrder:
    return order(run_id=bundles.whole.run_id, gate_name="a", actor=ACTOR)


def test_asking_twice_while_it_waits_is_one_order(bundles: Bundles) -> None:
    assert asked(bundles) == asked(bundles)


@pytest.mark.parametrize("run_id", ["../../etc", "/tmp", "r20260102T030405-0a0b0c", ""])
def test_only_runs_below_the_evidence_root_can_be_asked_for(bundles: Bundles, run_id: str) -> None:
    with pytest.raises(RunUnknown):
        order(run_id=run_id, gate_name="a", actor=ACTOR)


def test_an_order_is_made_in_the_askers_name(bundles: Bundles) -> None:
    settled = settle(asked(bundles).pk)
    assert (settled.state, settled.why) == ("done", "")
    assert settled.bundle is not None
    assert AuditEntry.objects.filter(act="bundle.exported", actor="test", actor_kind="process").exists()


def test_a_cancelled_order_ends_before_its_next_step_and_leaves_no_bundle(bundles: Bundles) -> None:
    waiting, before = asked(bundles), Bundle.objects.count()
    BundleOrder.objects.filter(pk=waiting.pk).update(cancel_asked_at=waiting.asked_at, cancel_asked_by="ann")
    settled = settle(waiting.pk)
    assert (settled.state, settled.bundle) == ("cancelled", None)
    assert settled.why == "cancelled by ann before sealing the batches of the run"
    assert Bundle.objects.count() == before


def test_each_step_of_the_making_is_told(bundles: Bundles) -> None:
    told: list[str] = []
    export(bundles.whole, actor=ACTOR, on_step=told.append)
    assert told[0] == "sealing the batches of the run"
    assert any(step.startswith("collecting ") and step.endswith("(6 of 14)") for step in told)
    assert told[-2:] == ["packing the archive", "storing the archive"]


def test_an_order_that_cannot_be_made_says_why(bundles: Bundles) -> None:
    waiting = asked(bundles)
    (bundles.whole.path / "journal.jsonl").rename(bundles.whole.path / "away")
    try:
        settled = settle(waiting.pk)
    finally:
        (bundles.whole.path / "away").rename(bundles.whole.path / "journal.jsonl")
    assert settled.state == "failed"
    assert "its files cannot be read" in settled.why


def test_one_order_at_a_time_is_started(bundles: Bundles, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []
    monkeypatch.setattr("evidence.orders.start._start", lambda _, *, number: started.append(number))
    first = asked(bundles)
    second = order(run_id=bundles.whole.run_id, gate_name="smoke", actor=ACTOR)
    assert (start_next(), start_next()) == (first.pk, None)
    settle(first.pk)
    assert start_next() == second.pk
    assert started == [first.pk, second.pk]


def test_the_ops_job_has_a_process_of_its_own_make_what_was_asked_for(bundles: Bundles) -> None:
    made = bundles.ordered
    assert (made.state, made.why) == ("done", "")
    assert made.bundle is not None
    assert (made.bundle.run_id, made.bundle.gate) == (bundles.whole.run_id, "smoke")
    told = {"act": "bundle.exported", "actor": "somebody", "subject": f"run {bundles.whole.run_id}"}
    assert AuditEntry.objects.filter(**told).count() == 1
