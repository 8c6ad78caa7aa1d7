"""The public log: C2SP's formats, without sign-in, cacheable, and without anybody's name in it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from autocom.kernel.merkle import consistency_path, is_consistent, leaf_hash, root_of_hashes
from autocom.kernel.signed_note import Checkpoint, NoteKey, open_note
from console.api.log.problems import STATUSES, LogProblem
from evidence.audit import Act
from evidence.log.files import segment_path
from evidence.log.names import LogName
from evidence.log.reads import latest_seal, leaf_hashes, leaf_lines
from evidence.log.sealer import seal_everything
from evidence.models import AuditEntry, Seal, SealedBatch
from evidence.selectors import newest_number
from evidence.tiles import sealed
from evidence.tiles.sealed import keep_nodes, nodes_of
from ingestion.buffer.store import LaneBuffer
from ingestion.models import Batch, Event
from tests.support.lanes import LaneKit
from tests.support.log import own_log
from tests.support.witnessed import act, seal_events, without_triggers

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def log_folder(transactional_db: None, tmp_path: Path) -> Iterator[Path]:
    with own_log(tmp_path / "evidence") as folder:
        yield folder


@pytest.fixture
def grown(log_folder: Path) -> Seal:
    """700 leaves of events in three seals, and some acts."""
    for batches in (1, 298, 400):
        seal_events(batches=batches)
    act("carol@example.com")
    seal_everything(LogName.AUDIT)
    keep_nodes()
    seal = latest_seal(LogName.EVENTS)
    assert seal is not None
    assert seal.tree_size == 700
    return seal


def text(address: str) -> str:
    answer = Client().get(address)
    assert answer.status_code == 200, (address, answer.content)
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    return answer.content.decode()


def code(address: str, **extra: Any) -> tuple[int, str]:
    answer = Client().get(address, **extra)
    assert answer["Content-Type"] == "application/problem+json"
    assert answer["Cache-Control"] == "no-store"
    return answer.status_code, answer.json()["code"]


def test_the_checkpoint_verifies_by_the_published_keys(grown: Seal) -> None:
    keys = [NoteKey.parse(line) for line in text("/log/keys").splitlines()]
    note = open_note(text("/log/events/checkpoint"))
    assert note.signed_by(keys) == tuple(keys)
    checkpoint = Checkpoint.parse(note.text)
    assert (checkpoint.origin, checkpoint.size) == (grown.incarnation.origin, 700)
    assert text("/log/events/checkpoint/700") == text("/log/events/checkpoint")
    assert Checkpoint.parse(open_note(text("/log/events/checkpoint/2")).text).size == 2


def test_consistency_proofs_are_those_of_rfc_6962_between_all_seals(grown: Seal) -> None:
    hashes = leaf_hashes(grown.incarnation, size=700)
    for old_size, size in ((1, 2), (2, 300), (2, 700), (300, 700), (299, 700), (700, 700)):
        lines = text(f"/log/events/consistency?old={old_size}&size={size}").splitlines()
        path = [base64.b64decode(line) for line in lines]
        assert path == ([] if old_size == size else consistency_path(hashes[:size], old_size=old_size))
        old_root, root = root_of_hashes(hashes[:old_size]), root_of_hashes(hashes[:size])
        assert is_consistent(old_size=old_size, old_root=old_root, size=size, root=root, path=path)


def test_nodes_that_somebody_changed_do_not_make_a_wrong_proof(grown: Seal) -> None:
    right = text("/log/events/consistency?old=300&size=700")
    level = nodes_of(grown.incarnation).folder / "1"
    assert len(level.read_bytes()) == 64
    level.write_bytes(bytes(64))
    assert text("/log/events/consistency?old=300&size=700") == right
    level.unlink()
    assert text("/log/events/consistency?old=300&size=700") == right


def test_nodes_that_do_not_fit_are_made_again_and_rows_that_do_not_fit_only_once(grown: Seal) -> None:
    level = nodes_of(grown.incarnation).folder / "1"
    right = level.read_bytes()
    level.write_bytes(bytes(64))
    assert keep_nodes() == 2
    assert level.read_bytes() == right
    with without_triggers():
        SealedBatch.objects.filter(incarnation=grown.incarnation, index=5).update(leaf_sha256=bytes(32))
    level.unlink()
    assert [keep_nodes(), keep_nodes(), keep_nodes()] == [4, 0, 0]
    assert code("/log/events/consistency?old=300&size=700") == (409, "log_not_consistent")


def test_a_large_log_whose_nodes_are_not_kept_yet_answers_later(grown: Seal, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes_of(grown.incarnation).forget()
    monkeypatch.setattr(sealed, "tree_of", partial(sealed.tree_of, leaf_limit_count=300))
    assert code("/log/events/consistency?old=300&size=700") == (503, "log_unavailable")


def test_tiles_hold_the_hashes_of_the_leaves_and_of_full_tiles(grown: Seal) -> None:
    hashes = leaf_hashes(grown.incarnation, size=700)
    prefix = f"/log/events/{grown.incarnation.token}/tile"

    def tile(address: str) -> bytes:
        answer = Client().get(f"{prefix}/{address}")
        assert answer["Content-Type"] == "application/octet-stream"
        assert "immutable" in answer["Cache-Control"]
        return answer.content

    assert tile("0/000") == b"".join(hashes[:256])
    assert tile("0/002.p/188") == b"".join(hashes[512:])
    assert tile("0/002.p/1") == hashes[512]
    assert tile("1/000.p/2") == root_of_hashes(hashes[:256]) + root_of_hashes(hashes[256:512])
    bundle = tile("entries/002.p/188")
    lines = []
    while bundle:
        length = int.from_bytes(bundle[:2], "big")
        lines.append(bundle[2 : 2 + length])
        bundle = bundle[2 + length :]
    assert [leaf_hash(line) for line in lines] == hashes[512:]


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("/log/events/tile/0/002", (404, "log_size_unknown")),
        ("/log/events/tile/0/002.p/189", (404, "log_size_unknown")),
        ("/log/events/tile/1/000.p/3", (404, "log_size_unknown")),
        ("/log/events/tile/63/x999/999", (404, "log_size_unknown")),
        ("/log/events/tile/64/000", (400, "log_request_malformed")),
        ("/log/events/tile/01/000", (400, "log_request_malformed")),
        ("/log/events/tile/0/0", (400, "log_request_malformed")),
        ("/log/events/tile/0/x000/001", (400, "log_request_malformed")),
        ("/log/events/tile/0/000.p/0", (400, "log_request_malformed")),
        ("/log/events/tile/0/000.p/256", (400, "log_request_malformed")),
        ("/log/events/tile/entries/003", (404, "log_size_unknown")),
        ("/log/audit/tile/entries/000.p/1", (404, "log_unknown")),
        ("/log/audit/segments/00000001.txt", (404, "log_unknown")),
        ("/log/events/checkpoint/699", (404, "log_size_unknown")),
        ("/log/events/checkpoint/x", (400, "log_request_malformed")),
        (f"/log/events/checkpoint/{'9' * 19}", (400, "log_request_malformed")),
        ("/log/events/consistency", (400, "log_request_malformed")),
        ("/log/events/consistency?old=0&size=700", (404, "log_size_unknown")),
        ("/log/events/consistency?old=701&size=700", (404, "log_size_unknown")),
        ("/log/events/consistency?old=1&size=701", (404, "log_size_unknown")),
        ("/log/events/consistency?old=-1&size=700", (400, "log_request_malformed")),
        ("/log/events/seals/00000004.txt", (404, "log_size_unknown")),
        ("/log/events/nolife/checkpoint", (404, "log_unknown")),
        ("/log/others/checkpoint", (404, "log_unknown")),
        ("/log/nowhere", (404, "log_unknown")),
        ("/log/events/cosignatures", (405, "log_method_not_allowed")),
    ],
)
def test_a_wrong_address_is_told_as_a_problem(grown: Seal, address: str, expected: tuple[int, str]) -> None:
    assert code(address) == expected


def test_nothing_sealed_is_no_empty_log(log_folder: Path) -> None:
    assert code("/log/events/checkpoint") == (404, "log_not_sealed")
    (events, audit) = Client().get("/log/").json()["logs"]
    assert (events["size"], events["root"], audit["origin"]) == (0, None, None)


def test_every_problem_has_a_status_and_only_reading_is_answered(grown: Seal) -> None:
    assert set(STATUSES) == set(LogProblem)
    for address in ("/log/", "/log/keys", "/log/events/checkpoint", "/log/events/tile/0/000"):
        answer = Client().post(address)
        assert (answer.status_code, answer.json()["code"]) == (405, "log_method_not_allowed")


def test_seals_and_segments_are_the_files_byte_for_byte(grown: Seal) -> None:
    previous = bytes(32)
    for number in (1, 2, 3):
        seal = text(f"/log/events/seals/{number:08d}.txt")
        segment = text(f"/log/events/segments/{number:08d}.txt")
        assert segment.encode() == segment_path(grown.incarnation, number).read_bytes()
        assert f"segment_sha256 {hashlib.sha256(segment.encode()).hexdigest()}\n" in seal
        assert f"previous_seal_sha256 {previous.hex()}\n" in seal
        previous = hashlib.sha256(seal.encode()).digest()


def test_a_segment_whose_rows_were_changed_is_refused(grown: Seal) -> None:
    Batch.objects.filter(pk=Batch.objects.order_by("number")[0].pk).update(event_count=2)
    assert code("/log/events/segments/00000001.txt") == (409, "log_not_consistent")


def test_the_index_leads_to_everything(grown: Seal) -> None:
    index = Client().get("/log/").json()
    assert index["keys"] == text("/log/keys").split()
    for log in index["logs"]:
        for name in ("checkpoint", "start", "consistency", "seals"):
            assert Client().get(log["links"][name]).status_code == 200, log["links"][name]
    assert text(index["logs"][0]["links"]["start"]).rstrip("\n").encode() == next(leaf_lines(grown.incarnation, 0, 1))


def test_an_answer_sets_no_cookie_and_may_be_kept(grown: Seal, signed_in: Any) -> None:
    client = signed_in(superuser=True)
    for address, kept in (
        ("/log/events/checkpoint", "max-age=2"),
        ("/log/events/tile/0/000", "public, max-age=60"),
        (f"/log/events/{grown.incarnation.token}/start", "public, max-age=31536000, immutable"),
    ):
        answer = client.get(address)
        assert answer["Cache-Control"] == kept
        assert not answer.cookies
        assert "Cookie" not in answer.get("Vary", "")


def test_the_public_log_names_no_person_and_no_event(buffer: LaneBuffer, log_folder: Path) -> None:
    before, kit = newest_number(), LaneKit(buffer=buffer)
    for number in range(5):
        kit.receive(f"invoice-4711-{number}", lane=0)
    kit.drain(0)
    act("carol@example.com")
    for name in LogName:
        seal_everything(name)
    told = b"".join(Client().get(address).content for address in every_address())
    assert told.count(b"acb1\t") > 0
    entries = AuditEntry.objects.filter(number__gt=before)
    secrets = {
        *("invoice-4711", "carol@example.com", "localhost:5432", "PRIVATE"),
        *Event.objects.values_list("message_id", flat=True),
        *Event.objects.values_list("ordering_key", flat=True),
        *map(str, Event.objects.values_list("pk", flat=True)),
        *entries.values_list("actor", flat=True),
        *entries.values_list("act", flat=True),
        *entries.values_list("subject", flat=True).exclude(act=Act.LOG_STARTED).exclude(act=Act.LOG_KEY_ROTATED),
    }
    assert len(secrets) > 15
    assert sorted(secret for secret in secrets if secret.encode() in told) == []


def every_address() -> list[str]:
    """Every resource of the routes, for both logs, with and without the log's life."""
    from console.api.log.urls import RESOURCES

    parts = {
        "checkpoint/<str:size>": ["checkpoint/{size}"],
        "consistency": ["consistency?old=1&size={size}"],
        "seals/<str:number>.txt": ["seals/00000001.txt"],
        "segments/<str:number>.txt": ["segments/00000001.txt"],
        "tile/<path:address>": ["tile/0/000.p/1", "tile/0/000.p/2", "tile/entries/000.p/2"],
    }
    found = ["/log/", "/log/keys", "/log/nowhere"]
    for name in LogName:
        seal = latest_seal(name)
        assert seal is not None
        for resource, _ in RESOURCES:
            for part in parts.get(resource, [resource]):
                address = part.format(size=seal.tree_size)
                found += [f"/log/{name}/{address}", f"/log/{name}/{seal.incarnation.token}/{address}"]
    return found
