"""A countersignature is stored if a known witness made it over a checkpoint of ours, once; others are refused."""

from __future__ import annotations

import base64
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.db.models import QuerySet
from django.test import Client

from autocom.kernel.cosignature import WitnessKey, cosigned_message
from autocom.kernel.signed_note import open_note, signature_line
from evidence.audit import Act
from evidence.log.names import LogName
from evidence.log.reads import checkpoint_note
from evidence.log.sealer import seal_everything
from evidence.models import AuditEntry, Cosignature, Seal
from evidence.witnesses import cosign
from tests.support.witnessed import Auditor, environment, new_witness_key, seal_events

PASS = 0
ADDRESS = "/log/events/cosignatures"


class Cosigner:
    def __init__(self, name: str = "auditor.example.com/w1") -> None:
        self.private = Ed25519PrivateKey.generate()
        self.key = WitnessKey(name, self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    def note(self, seal: Seal, *, at_seconds: int | None = None, text: str | None = None) -> str:
        signed = open_note(checkpoint_note(seal)).text if text is None else text
        at = int(time.time()) if at_seconds is None else at_seconds
        signature = self.private.sign(cosigned_message(signed, at_seconds=at))
        return f"{signed}\n{signature_line(self.key.name, self.key.hash + at.to_bytes(8, 'big') + signature)}\n"


@pytest.fixture
def cosigner() -> Cosigner:
    return Cosigner()


@pytest.fixture
def sealed(log_folder: Path, cosigner: Cosigner) -> Any:
    """A seal of events, in a service that knows the witness."""
    with environment(witness_keys=(cosigner.key.vkey,)):
        yield seal_events(batches=3)


def post(note: str, *, log: str = "events") -> tuple[int, str]:
    client = Client(enforce_csrf_checks=True)
    answer = client.post(f"/log/{log}/cosignatures", note, content_type="text/plain")
    return answer.status_code, answer.json().get("code", "")


def entries(seal: Seal) -> QuerySet[AuditEntry]:
    """Of countersignatures of this log; those of other tests stay in the audit log."""
    return AuditEntry.objects.filter(act=Act.WITNESS_COSIGNED, subject=f"log {seal.incarnation.origin}")


def test_a_known_witness_is_stored_shown_and_recorded_once(sealed: Seal, cosigner: Cosigner, client: Client) -> None:
    note = cosigner.note(sealed)
    assert post(note) == (201, "")
    assert post(note) == (200, "")
    assert post(cosigner.note(sealed, at_seconds=int(time.time()) - 60)) == (200, "")  # the first time counts
    stored = Cosignature.objects.get()
    assert (stored.origin, stored.tree_size, stored.vkey) == (sealed.incarnation.origin, 4, cosigner.key.vkey)
    shown = client.get("/log/events/checkpoint").content.decode()
    assert shown == checkpoint_note(sealed) + note.rpartition("\n\n")[2]
    entry = entries(sealed).get()
    assert (entry.actor, entry.subject) == (cosigner.key.name, f"log {sealed.incarnation.origin}")
    assert (entry.facts["tree_size"], entry.facts["root"]) == (4, bytes(sealed.root).hex())


def test_the_countersigned_note_as_a_whole_is_taken_too(sealed: Seal, cosigner: Cosigner) -> None:
    line = cosigner.note(sealed).rpartition("\n\n")[2]
    assert post(checkpoint_note(sealed) + line) == (201, "")


def test_countersigning_the_log_of_acts_does_not_feed_itself(
    sealed: Seal, cosigner: Cosigner, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = []
    for _ in range(4):
        seal_everything(LogName.AUDIT)
        newest = Seal.objects.filter(incarnation__log="audit").order_by("-number")[0]
        post(cosigner.note(newest), log="audit")
        counts.append(entries(newest).count())
    assert counts == [1, 1, 1, 1]
    assert Cosignature.objects.filter(origin=newest.incarnation.origin).count() == 2
    monkeypatch.setattr(cosign, "ENTRY_EVERY", timedelta(0))
    for batches in (1, 1):
        post(cosigner.note(newest := seal_events(batches=batches)))
    assert entries(newest).count() == 2


def test_a_stranger_is_refused_whatever_name_it_uses(sealed: Seal, cosigner: Cosigner) -> None:
    assert post(Cosigner("stranger.example.com").note(sealed)) == (403, "cosignature_witness_unknown")
    assert post(Cosigner(cosigner.key.name).note(sealed)) == (403, "cosignature_witness_unknown")
    assert not Cosignature.objects.exists()
    assert not entries(sealed).exists()


def test_the_name_and_key_hash_of_a_witness_do_not_make_its_signature(sealed: Seal, cosigner: Cosigner) -> None:
    stranger = Cosigner(cosigner.key.name)
    text, _, line = stranger.note(sealed).rpartition("\n\n")
    packed = base64.b64decode(line.strip().rpartition(" ")[2])
    forged = signature_line(cosigner.key.name, cosigner.key.hash + packed[4:])
    assert post(f"{text}\n\n{forged}\n") == (400, "cosignature_invalid")
    assert not Cosignature.objects.exists()


def test_only_a_checkpoint_that_was_signed_here_is_countersigned(sealed: Seal, cosigner: Cosigner) -> None:
    text = open_note(checkpoint_note(sealed)).text
    for other in (
        text.replace("\n4\n", "\n5\n"),
        text.replace("events", "audit"),
        text.replace("localhost", "example.com"),
        f"{text}an extension line\n",
        text.replace(text.split("\n")[2], base64.b64encode(bytes(32)).decode()),
    ):
        assert post(cosigner.note(sealed, text=other)) == (404, "cosignature_checkpoint_unknown"), other
    assert post(cosigner.note(sealed), log="audit") == (404, "cosignature_checkpoint_unknown")


def test_a_time_that_is_to_come_is_refused(sealed: Seal, cosigner: Cosigner) -> None:
    for ahead in (3_600, 2**62):
        told = post(cosigner.note(sealed, at_seconds=int(time.time()) + ahead))
        assert told == (400, "cosignature_invalid")
    assert post(cosigner.note(sealed, at_seconds=int(time.time()) + 60)) == (201, "")


@pytest.mark.parametrize(
    ("note", "expected"),
    [
        ("", (413, "cosignature_too_large")),
        ("nonsense", (400, "cosignature_malformed")),
        ("a\n1\nb\n\n\N{EM DASH} w x\n", (400, "cosignature_malformed")),
        (f"a\n{'9' * 5_000}\nb\n\n\N{EM DASH} w AAAAAAAA\n", (400, "cosignature_malformed")),
        ("x" * 20_000, (413, "cosignature_too_large")),
    ],
)
def test_what_is_no_note_is_refused(sealed: Seal, note: str, expected: tuple[int, str]) -> None:
    assert post(note) == expected


def test_the_witness_submits_and_the_log_shows_its_signature(auditor: Auditor, capsys: Any, tmp_path: Path) -> None:
    key = new_witness_key(tmp_path / "witness.pem")
    own = ("--key", str(key), "--name", "auditor.example.com/w1")
    status, told = auditor.looks(capsys, *own)
    assert (status, ", countersigned as auditor.example.com/w1" in told) == (PASS, True)
    vkey = told.split()[1]
    assert auditor.looks(capsys, *own, "--submit")[0] == 3  # the log does not know it yet
    with environment(witness_keys=(vkey,)):
        for _ in range(2):
            status, told = auditor.looks(capsys, *own, "--submit")
            assert (status, told.rstrip().endswith("and submitted")) == (PASS, True), told
    assert Cosignature.objects.get().vkey == vkey
    cosigned = next(path for path in auditor.keep.iterdir() if path.name.endswith(".cosigned"))
    note = open_note(cosigned.read_text())
    assert WitnessKey.parse(vkey).cosigned_at_seconds(note.signatures[-1], text=note.text) > 0
    assert "PRIVATE" not in "".join(path.read_text() for path in auditor.keep.iterdir())
