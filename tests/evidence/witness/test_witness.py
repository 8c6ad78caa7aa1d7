"""A witness finds every rewritten history, says what is wrong in its own words, and keeps what it had."""

from __future__ import annotations

import base64
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from autocom.kernel.signed_note import NoteKey, open_note
from autocom.kernel.signing_keys import new_signing_key, signers_of
from evidence.audit import Actor
from evidence.log.keys import known_keys
from evidence.log.names import LogName
from evidence.log.reads import checkpoint_note
from evidence.log.sealer import begin_anew, seal_everything
from evidence.models import LogKey, Seal
from evidence.witnesses.witness import file_name
from ingestion.models import Batch
from tests.support.witnessed import (
    Auditor,
    act,
    environment,
    seal_again,
    seal_events,
    without_triggers,
)

PASS, FAIL, WRONG_USAGE, INCONCLUSIVE = 0, 1, 2, 3
PROGRAM = Path(__file__).resolve().parents[3] / "deploy" / "witness.py"


def test_a_log_that_only_grows_is_consistent_round_after_round(auditor: Auditor, capsys: Any) -> None:
    status, told = auditor.looks(capsys)
    assert (status, "size 6 " in told, "kept for the first time" in told) == (PASS, True, True)
    assert auditor.looks(capsys)[0] == PASS
    for batches in (1, 7, 300):
        last = seal_events(batches=batches)
        status, told = auditor.looks(capsys)
        assert (status, f"size {last.tree_size} root {bytes(last.root).hex()}" in told) == (PASS, True)
    assert "grown from 14" in told
    origin = last.incarnation.origin
    assert auditor.kept()[f"{file_name(origin)}.checkpoint"].decode() == checkpoint_note(last)


def test_the_stand_alone_file_needs_nothing_of_the_project(auditor: Auditor, tmp_path: Path) -> None:
    command = [sys.executable, "-I", "-S", str(PROGRAM), *auditor.arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (PASS, "")
    assert done.stdout.startswith("PASS events: localhost/autocom/events/")


def test_the_log_of_acts_is_witnessed_without_showing_an_act(auditor: Auditor, capsys: Any) -> None:
    act()
    seal_everything(LogName.AUDIT)
    assert auditor.looks(capsys, "--log", "audit")[0] == PASS
    act()
    seal_everything(LogName.AUDIT)
    status, told = auditor.looks(capsys, "--log", "audit")
    assert (status, told.count("PASS"), "grown from" in told) == (PASS, 2, True)


def refused(auditor: Auditor, capsys: Any, *words: str) -> None:
    """With each of the words; what was kept is as it was."""
    before = auditor.kept()
    status, told = auditor.looks(capsys)
    assert status == FAIL, told
    assert [word for word in words if word not in told] == [], told
    assert auditor.kept() == before


def test_a_rewritten_history_sealed_anew_with_the_real_key_is_found(auditor: Auditor, capsys: Any) -> None:
    auditor.looks(capsys)
    second = Batch.objects.order_by("number")[1]
    Batch.objects.filter(pk=second.pk).update(merkle_root=b"\x07" * 32)
    seal_again(batches=2)
    refused(auditor, capsys, "rewritten: its 8 leaves", "did not grow out of the 6 that were kept")


def test_a_truncated_log_is_found(auditor: Auditor, capsys: Any) -> None:
    auditor.looks(capsys)
    Batch.objects.order_by("-number")[:1].get().delete()
    seal_again()
    refused(auditor, capsys, "truncated: it shows 5 leaves, and 6 were kept: 1 are gone")


def test_a_fork_is_found(auditor: Auditor, capsys: Any) -> None:
    auditor.looks(capsys)
    Batch.objects.order_by("-number")[:1].get().delete()
    seal_again(batches=1)
    refused(auditor, capsys, "fork: two roots for the same 6 leaves")


def test_an_older_backup_that_grew_beyond_what_was_kept_is_found(auditor: Auditor, capsys: Any) -> None:
    auditor.looks(capsys)
    Batch.objects.filter(number__gte=Batch.objects.order_by("-number")[1].number).delete()
    seal_again(batches=9)
    refused(auditor, capsys, "rewritten: its 13 leaves")


def test_rows_that_were_changed_under_their_seals_give_no_proof(auditor: Auditor, capsys: Any) -> None:
    auditor.looks(capsys)
    seal_events(batches=3)
    with without_triggers():
        changed = seal_events().incarnation
        from evidence.models import SealedBatch

        SealedBatch.objects.filter(incarnation=changed, index=7).update(leaf_sha256=b"\x07" * 32)
    refused(auditor, capsys, "it gives no proof", "do not lead from 6 leaves to the signed root of 9")


def test_a_forged_signature_is_found(auditor: Auditor, capsys: Any) -> None:
    auditor.looks(capsys)
    last = seal_events(batches=1)
    note = open_note(checkpoint_note(last))
    (line,) = note.signatures
    stranger = signers_of(new_signing_key(), name=line.name)[0]
    packed = base64.b64encode(line.key_hash + stranger.sign(note.text.encode())).decode()
    with without_triggers():
        text = last.text.replace(line.line.rpartition(" ")[2], packed)
        Seal.objects.filter(pk=last.pk).update(text=text)
    refused(auditor, capsys, f"forged: the signature in the name of {line.name}+{line.key_hash.hex()} does not fit")


def test_a_checkpoint_signed_by_an_unknown_key_alone_is_refused(auditor: Auditor, capsys: Any) -> None:
    auditor.looks(capsys)
    with environment(log_signing_key=new_signing_key()):
        seal_events(batches=1)
    newest = known_keys()[-1]
    refused(auditor, capsys, "no key that you trust signed its checkpoint of size 7", newest.hash.hex())


def test_a_witness_that_pins_the_old_key_takes_what_both_keys_signed(auditor: Auditor, capsys: Any) -> None:
    auditor.looks(capsys)
    old, new = settings.AUTOCOM.log_signing_key, new_signing_key()
    with environment(log_signing_key=new + old):
        last = seal_events(batches=1)
    assert len(open_note(checkpoint_note(last)).signatures) == 2
    assert auditor.looks(capsys)[0] == PASS
    with environment(log_signing_key=new):
        seal_events(batches=1)
    refused(auditor, capsys, "no key that you trust signed")
    newer = NoteKey(settings.AUTOCOM.log_name, signers_of(new, name="x")[0].key.public)
    assert auditor.looks(capsys, "--vkey", newer.vkey)[0] == PASS


def anew_log() -> Seal:
    begin_anew(LogName.EVENTS, actor=Actor.process("test"), reason="an older backup was restored")
    return seal_events(batches=2)


def test_a_log_that_began_anew_is_reported_with_what_its_first_leaf_says(auditor: Auditor, capsys: Any) -> None:
    auditor.looks(capsys)
    last = seal_events()
    anew = anew_log()
    words = (f"the log began anew: it was {last.incarnation.origin}, now it is {anew.incarnation.origin}",)
    refused(auditor, capsys, *words, "Its start line says that 6 leaves were there before; 6 were kept")
    assert auditor.looks(capsys, "--accept", anew.incarnation.origin)[0] == PASS
    seal_events(batches=1)
    assert auditor.looks(capsys)[0] == PASS


def test_a_log_that_began_anew_after_an_older_backup_says_how_much_was_lost(auditor: Auditor, capsys: Any) -> None:
    auditor.looks(capsys)
    Batch.objects.filter(number__gte=Batch.objects.order_by("-number")[1].number).delete()
    seal_again()
    anew_log()
    refused(auditor, capsys, "the log began anew", "4 leaves were there before, but 6 were kept: 2 were lost")


def test_the_checkpoint_of_another_log_is_refused(auditor: Auditor, capsys: Any, monkeypatch: Any) -> None:
    from evidence.witnesses.witness import Witness

    asked = Witness.ask
    monkeypatch.setattr(Witness, "ask", lambda self, path: asked(self, path.replace("audit/", "events/")))
    status, told = auditor.looks(capsys, "--log", "audit")
    assert (status, "this is the checkpoint of another log" in told) == (FAIL, True)


def test_a_log_that_cannot_be_asked_or_has_nothing_is_inconclusive(auditor: Auditor, capsys: Any) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}"
    status, told = auditor.looks(capsys, "--url", nobody)
    assert (status, "cannot be asked" in told) == (INCONCLUSIVE, True)
    status, told = auditor.looks(capsys, "--log", "audit")
    assert (status, "Nothing of the log audit has been sealed yet" in told) == (INCONCLUSIVE, True)


def test_no_key_is_trusted_unless_it_is_pinned_or_the_first_one_is_asked_for(auditor: Auditor, capsys: Any) -> None:
    pinned = auditor.arguments
    auditor.arguments = tuple(word for word in pinned if word != "--vkey" and "+" not in word)
    status, told = auditor.looks(capsys)
    assert (status, "--trust-first" in told) == (WRONG_USAGE, True)
    assert auditor.looks(capsys, "--trust-first")[0] == PASS
    with environment(log_signing_key=new_signing_key()):
        seal_events(batches=1)
    assert LogKey.objects.count() == 2
    refused(auditor, capsys, "no key that you trust signed")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--vkey", "nonsense"], "is no Ed25519 verifier key: it is name+hash+base64"),
        (["--url", "ftp://example.com"], "write it as https://"),
        (["--submit"], "give the key that makes it"),
        (["--key", "/nowhere"], "--name auditor.example.com/w1"),
        (["--key", "/nowhere", "--name", "w"], "no Ed25519 private key in PEM"),
    ],
)
def test_wrong_usage_says_what_a_right_one_looks_like(
    auditor: Auditor, capsys: Any, arguments: list[str], word: str
) -> None:
    status, told = auditor.looks(capsys, *arguments)
    assert (status, word in told) == (WRONG_USAGE, True), told


def test_two_witnesses_of_one_directory_keep_one_head(auditor: Auditor) -> None:
    command = [sys.executable, "-I", str(PROGRAM), *auditor.arguments]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    outputs = [(process.communicate()[0], process.returncode) for process in running]
    assert [status for _, status in outputs] == [PASS] * 3
    assert sum("kept for the first time" in told for told, _ in outputs) == 1
    assert len(auditor.kept()) == 2


def test_what_a_server_says_cannot_move_the_readers_cursor(auditor: Auditor, capsys: Any, monkeypatch: Any) -> None:
    from evidence.witnesses.witness import Finding, Witness

    def malicious(self: Witness, path: str) -> str:
        raise Finding("\x1b[2Jgone\r")

    monkeypatch.setattr(Witness, "ask", malicious)
    _, told = auditor.looks(capsys)
    assert "\\u001b[2Jgone\\u000d" in told


def test_the_command_of_the_project_is_the_same_program(auditor: Auditor, capsys: Any) -> None:
    from django.core.management import call_command

    with pytest.raises(SystemExit) as ended:
        call_command("evidence", "witness", *auditor.arguments)
    assert ended.value.code == PASS
    assert "PASS events" in capsys.readouterr().out
