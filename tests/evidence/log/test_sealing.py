# ruff: noqa: E501, S608  (a table of statements)
"""What is committed is sealed, proved and checked; a fault of any part of it is found."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from django.db import connection, transaction

from autocom.kernel.merkle import is_consistent, leaf_hash, root_of_hashes, root_of_path
from autocom.kernel.signed_note import Checkpoint, open_note
from evidence.audit import Act, Actor, record
from evidence.log.check import check_logs
from evidence.log.errors import NoSigningKey, NotSealedYet, NotStored, SealingRefused
from evidence.log.files import republish, seal_path, segment_path
from evidence.log.findings import LogFault
from evidence.log.keys import known_keys
from evidence.log.names import LogName
from evidence.log.proofs import consistency, event_proof
from evidence.log.reads import checkpoint_note, current_incarnation, latest_seal, leaf_hashes, leaf_lines
from evidence.log.sealer import begin_anew, seal, seal_everything
from evidence.log.unsealed import sealed_through
from evidence.models import AuditEntry, Seal, SealedBatch, SealerState
from ingestion.buffer.store import LaneBuffer
from ingestion.models import Batch, Event
from ingestion.retention.bounds import bounds_now
from tests.support.ageing import age
from tests.support.lanes import LANES, LaneKit
from tests.support.log import own_log


@pytest.fixture
def kit(buffer: LaneBuffer, log_folder: Path) -> LaneKit:
    return LaneKit(buffer=buffer)


def commit(kit: LaneKit, *, events: int = 3, lane: int = 0, start: int = 0) -> None:
    """One batch."""
    for number in range(start, start + events):
        kit.receive(f"evt-{lane}-{number}", lane=lane)
    kit.drain(lane)


def faults() -> set[tuple[LogFault, str]]:
    return {(each.fault, each.what) for each in check_logs().findings}


def run(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def as_superuser(table: str, sql: str) -> None:
    run(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    run(sql)
    with connection.cursor() as cursor:
        cursor.execute("SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass AND NOT tgisinternal", [table])
        for (trigger,) in cursor.fetchall():
            cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}")


def test_committed_batches_are_leaves_of_a_signed_tree_in_segments_on_disk(kit: LaneKit) -> None:
    for lane in range(3):
        commit(kit, lane=lane)
    assert seal_everything(LogName.EVENTS) == 4  # the start line and three batches
    incarnation, last = current_incarnation(LogName.EVENTS), latest_seal(LogName.EVENTS)
    assert incarnation is not None
    assert last is not None
    lines = list(leaf_lines(incarnation, 0, 4))
    assert lines[0].startswith(b"acs1\tlocalhost/autocom/events/")
    assert [line.split(b"\t")[1] for line in lines[1:]] == [b"%d" % b.number for b in Batch.objects.order_by("number")]
    assert leaf_hashes(incarnation, size=4) == [leaf_hash(line) for line in lines]
    note = open_note(checkpoint_note(last))
    assert note.signed_by(known_keys())
    assert Checkpoint.parse(note.text) == Checkpoint(incarnation.origin, 4, root_of_hashes(list(map(leaf_hash, lines))))
    segment = b"".join(segment_path(incarnation, n).read_bytes() for n in range(1, last.number + 1))
    assert segment == b"".join(line + b"\n" for line in lines)
    assert check_logs().findings == []
    assert seal(LogName.EVENTS) is None


def test_an_event_is_proved_by_hand_from_its_line_to_the_checkpoint(kit: LaneKit) -> None:
    for start in (0, 5, 10):
        commit(kit, events=5, start=start)
    event = Event.objects.order_by("sequence")[7]
    with pytest.raises(NotSealedYet):
        event_proof(event.pk)
    seal_everything(LogName.EVENTS)
    proof = event_proof(event.pk)
    root = root_of_path(leaf_hash(proof.leaf), proof.path, position=proof.position, leaf_count=proof.leaf_count)
    assert proof.batch_line.split(b"\t")[10] == root.hex().encode()
    head = Checkpoint.parse(open_note(proof.checkpoint).text)
    leaf = leaf_hash(proof.batch_line)
    assert root_of_path(leaf, proof.log_path, position=proof.index, leaf_count=head.size) == head.root
    assert str(event.pk).encode() in proof.leaf
    assert f"index {proof.index}\n" in proof.text
    with pytest.raises(NotStored):
        event_proof(event.pk.__class__(int=1))


def test_every_tree_is_consistent_with_every_earlier_one(kit: LaneKit) -> None:
    for start in range(0, 12, 2):
        commit(kit, events=2, start=start)
        seal_everything(LogName.EVENTS)
    seals = list(Seal.objects.filter(incarnation=current_incarnation(LogName.EVENTS)).order_by("number"))
    assert len(seals) == 6
    for old in seals:
        for new in seals[old.number - 1 :]:
            path = consistency(LogName.EVENTS, old.tree_size, new.tree_size)
            roots = {"old_root": bytes(old.root), "root": bytes(new.root)}
            assert is_consistent(old_size=old.tree_size, size=new.tree_size, path=path, **roots)
    with pytest.raises(IndexError):
        consistency(LogName.EVENTS, 3, 99)


def test_audit_entries_are_sealed_as_the_bytes_that_their_digest_is_of(kit: LaneKit) -> None:
    record_one("a")
    seal_everything(LogName.AUDIT)
    incarnation = current_incarnation(LogName.AUDIT)
    last = latest_seal(LogName.AUDIT)
    assert incarnation is not None
    assert last is not None
    assert last.tree_size == 1 + AuditEntry.objects.count()
    assert check_logs().findings == []


def record_one(subject: str) -> None:
    with transaction.atomic():
        record(Act.PROVIDER_ADDED, actor=Actor.process("test"), subject=subject)


def test_a_batch_that_commits_after_a_later_number_was_sealed_is_sealed_too(kit: LaneKit) -> None:
    commit(kit, lane=0)
    commit(kit, lane=1)
    early, late = Batch.objects.order_by("number")
    number = early.number
    kept = SealedBatch.objects.filter(pk=number)
    hidden = list(Event.objects.filter(batch=early).values())
    Event.objects.filter(batch=early).delete()
    early.delete()
    seal_everything(LogName.EVENTS)
    early.number = number
    early.save(force_insert=True)
    Event.objects.bulk_create([Event(**values) for values in hidden])
    assert not kept.exists()
    assert sealed_through() == number - 1
    seal_everything(LogName.EVENTS)
    assert kept.get().index > SealedBatch.objects.get(pk=late.pk).index
    assert sealed_through() == late.number
    assert check_logs().findings == []


def test_without_a_signing_key_nothing_is_sealed_and_the_state_says_so(kit: LaneKit, tmp_path: Path) -> None:
    commit(kit)
    with own_log(tmp_path / "other", log_signing_key=""):
        with pytest.raises(NoSigningKey):
            seal(LogName.EVENTS)
        assert "LOG_SIGNING_KEY" in SealerState.objects.get(log="events").refused_why
        assert not Seal.objects.exists()
        assert (sealed_through() or 0) < Batch.objects.get().number  # so nothing of it ages


def test_a_gap_holds_its_lane_and_no_other(kit: LaneKit) -> None:
    commit(kit, lane=0)
    commit(kit, lane=1)
    seal_everything(LogName.EVENTS)
    for start in (3, 6):
        commit(kit, lane=0, start=start)
        commit(kit, lane=1, start=start)
    gone = Batch.objects.filter(lane=0).order_by("number")[1]
    Event.objects.filter(batch=gone).delete()
    gone.delete()
    seal_everything(LogName.EVENTS)
    state = SealerState.objects.get(log="events")
    assert "lane 0" in state.refused_why
    assert "sequences 4 to 6" in state.refused_why
    assert AuditEntry.objects.filter(act=Act.LOG_SEALING_REFUSED, reason=state.refused_why).count() == 1
    assert SealedBatch.objects.count() == 4
    assert (LogFault.GAP, f"the sealer stands still: {state.refused_why}") in faults()


TAMPERED = [
    ("ingestion_batch", "UPDATE ingestion_batch SET merkle_root = '\\x00' WHERE lane = 1", LogFault.CHANGED, "not as it was sealed"),
    ("ingestion_batch", "UPDATE ingestion_batch SET dead_count = 7 WHERE lane = 1", LogFault.CHANGED, "not as it was sealed"),
    ("evidence_sealedbatch", "UPDATE evidence_sealedbatch SET leaf_sha256 = '\\x00' WHERE index = 2", LogFault.CHANGED, "not as it was sealed"),
    ("evidence_sealedbatch", "DELETE FROM evidence_sealedbatch WHERE index = 2", LogFault.MISSING, "is sealed, and its row is gone"),
    ("evidence_sealedbatch", "UPDATE evidence_sealedbatch SET index = -index WHERE index IN (2, 3); UPDATE evidence_sealedbatch SET index = 5 + index WHERE index < 0", LogFault.CHANGED, "another root"),
    ("evidence_seal", "DELETE FROM evidence_seal WHERE number = 2 AND tree_size > 2", LogFault.GAP, "missing before it"),
    ("evidence_seal", "DELETE FROM evidence_seal WHERE number > 1", LogFault.MISSING, "sealed history is gone"),
    ("evidence_seal", "UPDATE evidence_seal SET root = '\\x00' WHERE number = 2", LogFault.CHANGED, "columns are not"),
    ("evidence_seal", "UPDATE evidence_seal SET frontier = '\\x00' WHERE number = 2", LogFault.CHANGED, "frontier is not"),
    ("evidence_seal", "UPDATE evidence_seal SET text = replace(text, 'tree_size 3', 'tree_size 4') WHERE number = 2", LogFault.INVALID, "another size"),
    ("evidence_logkey", "DELETE FROM evidence_logkey", LogFault.INVALID, "signed by no key"),
    ("evidence_logincarnation", "DELETE FROM evidence_logincarnation", LogFault.MISSING, "does not know"),
]  # fmt: skip


@pytest.fixture
def sealed(kit: LaneKit) -> LaneKit:
    for lane in range(4):
        commit(kit, lane=lane)
        seal_everything(LogName.EVENTS)
    assert check_logs().findings == []
    return kit


@pytest.mark.usefixtures("sealed")
@pytest.mark.parametrize(("table", "sql", "fault", "words"), TAMPERED)
def test_what_a_superuser_changes_in_the_tables_is_found(table: str, sql: str, fault: LogFault, words: str) -> None:
    as_superuser(table, sql)
    found = faults()
    assert any(each == fault and words in what for each, what in found), found


@pytest.mark.usefixtures("sealed")
@pytest.mark.parametrize("kind", ["segment", "seal", "checkpoint"])
def test_one_changed_byte_of_any_file_is_found(kind: str, log_folder: Path) -> None:
    incarnation = current_incarnation(LogName.EVENTS)
    assert incarnation is not None
    path = {
        "segment": segment_path(incarnation, 2),
        "seal": seal_path(incarnation, 2),
        "checkpoint": log_folder / "log" / "events" / incarnation.token / "checkpoint",
    }[kind]
    content = path.read_bytes()
    for at in range(0, len(content), 7):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        assert not check_logs().is_sound, at
    path.write_bytes(content)
    assert check_logs().is_sound


@pytest.mark.usefixtures("sealed")
def test_files_that_were_lost_are_written_again_from_the_rows(log_folder: Path) -> None:
    before = {path.relative_to(log_folder): path.read_bytes() for path in log_folder.rglob("*") if path.is_file()}
    shutil.rmtree(log_folder / "log")
    for log in (LogName.EVENTS,):
        incarnation = current_incarnation(log)
        assert incarnation is not None
        republish(incarnation)
    after = {path.relative_to(log_folder): path.read_bytes() for path in log_folder.rglob("*") if path.is_file()}
    assert after == before


def test_a_database_behind_its_published_log_is_not_sealed_on(sealed: LaneKit) -> None:
    last = latest_seal(LogName.EVENTS)
    assert last is not None
    as_superuser("evidence_seal", f"DELETE FROM evidence_seal WHERE id = {last.pk}")
    as_superuser("evidence_sealedbatch", f"DELETE FROM evidence_sealedbatch WHERE index >= {last.first_index}")
    commit(sealed, lane=0, start=50)
    with pytest.raises(SealingRefused, match="older backup"):
        seal(LogName.EVENTS)


def test_a_history_sealed_anew_with_the_real_key_is_found_by_a_kept_checkpoint(
    sealed: LaneKit, log_folder: Path
) -> None:
    last = latest_seal(LogName.EVENTS)
    assert last is not None
    kept = checkpoint_note(last)
    assert check_logs(kept=[kept]).findings == []
    token, origin, line = last.incarnation.token, last.incarnation.origin, last.incarnation.start_line
    Batch.objects.filter(lane=1).update(merkle_root=b"\x00" * 32)
    shutil.rmtree(log_folder / "log")
    as_superuser("evidence_seal", "DELETE FROM evidence_seal")
    as_superuser("evidence_sealedbatch", "DELETE FROM evidence_sealedbatch")
    SealerState.objects.all().delete()
    commit(sealed, lane=0, start=50)
    seal_everything(LogName.EVENTS)
    again = current_incarnation(LogName.EVENTS)
    assert again is not None
    assert (again.token, again.origin, again.start_line) == (token, origin, line)
    assert check_logs(rows=False).findings == []
    found = check_logs(kept=[kept], rows=False).findings
    assert [each.fault for each in found] == [LogFault.REWRITTEN]


def test_a_forged_batch_below_the_floor_is_found(sealed: LaneKit) -> None:
    first = Batch.objects.order_by("number").first()
    assert first is not None
    for _ in range(3):
        commit(sealed, start=100)
        seal_everything(LogName.EVENTS)
    assert SealerState.objects.get(log="events").sealed_below >= first.number
    first.number = first.number - 1 if not Batch.objects.filter(number=first.number - 1).exists() else -5
    first.save(force_insert=True)
    as_superuser(
        "ingestion_batch",
        "UPDATE ingestion_batch SET committed_at = now() - interval '5 minutes' WHERE number < 0 OR number = "
        + str(first.number),
    )
    assert any(each.fault is LogFault.UNSEALED_LATE for each in check_logs().findings)


def test_only_what_is_sealed_ages_and_what_aged_is_proved_by_its_leaf(kit: LaneKit) -> None:
    commit(kit, lane=0)
    seal_everything(LogName.EVENTS)
    commit(kit, lane=1)
    sealed_event, unsealed_event = (Event.objects.filter(lane=lane).order_by("sequence")[1] for lane in (0, 1))
    report = age(days=91, bounds=bounds_now(kit.buffer, lane_count=LANES))
    assert report.removed["events"] == 3
    assert Event.objects.filter(pk=unsealed_event.pk).exists()
    proof = event_proof(sealed_event.pk)
    assert (proof.leaf, proof.position) == (b"", 1)
    root = root_of_path(proof.leaf_sha256, proof.path, position=1, leaf_count=3)
    assert proof.batch_line.split(b"\t")[10] == root.hex().encode()
    seal_everything(LogName.EVENTS)
    assert check_logs().findings == []


def test_after_a_loss_a_person_begins_the_log_anew_and_its_first_leaf_names_the_head_that_is_left(
    sealed: LaneKit,
) -> None:
    old = latest_seal(LogName.EVENTS)
    assert old is not None
    as_superuser("evidence_seal", f"DELETE FROM evidence_seal WHERE id = {old.pk}")
    as_superuser("evidence_sealedbatch", f"DELETE FROM evidence_sealedbatch WHERE index >= {old.first_index}")
    left = latest_seal(LogName.EVENTS)
    assert left is not None
    with pytest.raises(ValueError, match="must be said"):
        begin_anew(LogName.EVENTS, actor=Actor.command_line("ops"), reason=" ")
    again = begin_anew(LogName.EVENTS, actor=Actor.command_line("ops"), reason="the disk of the database died")
    root = bytes(left.root).hex()
    assert again.start_line.split("\t")[2:5] == [old.incarnation.origin, str(left.tree_size), root]
    assert seal_everything(LogName.EVENTS) == 2  # the start line, and the batch whose seal was lost
    entry = AuditEntry.objects.get(act=Act.LOG_STARTED, subject=again.origin)
    assert (entry.actor, entry.reason) == ("os:ops", "the disk of the database died")
    assert checkpoint_note(old) in entry.facts["published_before"]
    found = check_logs().findings
    assert {each.fault for each in found} == {LogFault.MISSING}  # the loss itself, for as long as its files are there


def test_a_database_that_knows_nothing_of_the_published_log_does_not_begin_one_by_itself(sealed: LaneKit) -> None:
    for table in ("evidence_seal", "evidence_sealedbatch", "evidence_logincarnation"):
        as_superuser(table, f"DELETE FROM {table}")
    with pytest.raises(SealingRefused, match="restart-log"):
        seal(LogName.EVENTS)
    assert any("does not know" in what for _, what in faults())
