# ruff: noqa: S608  (the statements are the attacker's)
"""The table: every tampering with what finds it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from autocom.kernel.digest import sha256
from autocom.kernel.merkle import root_of_hashes
from autocom.kernel.signed_note import Checkpoint, open_note, signed_note
from autocom.kernel.signing_keys import new_signing_key, signers_of
from tests.tamper.arena import Case
from tests.tamper.columns import CHOSEN, column_tamperings
from tests.tamper.finders import KEPT
from tests.tamper.table import Tampering

OTHER = "message_id = 'c-r20260101T000000-000000-00000006'"


def by_sql(*statements: str) -> Callable[[Case], None]:
    return lambda case: case.run(*statements)


def swap(table: str, columns: Sequence[str], one: str, other: str) -> Callable[[Case], None]:
    """Each of the two rows has the other's values afterwards."""
    pairs = ", ".join(f"{column} = o.{column}" for column in columns)
    return by_sql(
        f"UPDATE {table} t SET {pairs} FROM (SELECT * FROM {table} WHERE {one} UNION ALL SELECT * FROM {table} WHERE"
        f" {other}) o WHERE (t.{one} AND o.{other}) OR (t.{other} AND o.{one})"
    )


def rows() -> Iterator[Tampering]:
    """Of events, letters, deliveries and batches."""
    group = "rows"
    yield Tampering(
        name="one event deleted",
        group=group,
        do=by_sql(f"DELETE FROM ingestion_event WHERE {CHOSEN}"),
        faults=frozenset({"missing"}),
    )
    yield Tampering(
        name="several events deleted",
        group=group,
        do=by_sql("DELETE FROM ingestion_event WHERE message_id LIKE 'c-%0000001_'"),
        faults=frozenset({"missing"}),
    )
    yield Tampering(
        name="the newest events deleted",
        group=group,
        do=by_sql("DELETE FROM ingestion_event WHERE batch_id > (SELECT max(number) - 3 FROM ingestion_batch)"),
        faults=frozenset({"missing"}),
    )
    for table, name in (
        ("ingestion_event", "events"),
        ("ingestion_deadletter", "dead letters"),
        ("ingestion_quarantinedevent", "quarantined events"),
        ("ingestion_delivery", "deliveries"),
        ("ingestion_batchleaves", "kept leaves"),
        ("ingestion_batch", "batches"),
        ("evidence_sealedbatch", "sealed batches"),
        ("evidence_seal", "seals"),
        ("evidence_logincarnation", "incarnations"),
        ("evidence_logkey", "log keys"),
        ("evidence_auditentry", "audit entries"),
    ):
        faults = {"missing"} | ({"invalid"} if name == "log keys" else set())
        yield Tampering(
            name=f"all {name} deleted",
            group="whole tables",
            do=by_sql(f"TRUNCATE {table} CASCADE; SELECT 1"),
            faults=frozenset(faults),
        )
    yield Tampering(
        name="one delivery deleted",
        group=group,
        do=by_sql(f"DELETE FROM ingestion_delivery WHERE request_id = (SELECT id FROM ingestion_event WHERE {CHOSEN})"),
        faults=frozenset({"missing"}),
    )
    yield Tampering(
        name="one dead letter deleted",
        group=group,
        do=by_sql("DELETE FROM ingestion_deadletter WHERE message_id LIKE 'c-poison-%'"),
        faults=frozenset({"missing"}),
    )
    yield Tampering(
        name="one quarantined event deleted",
        group=group,
        do=by_sql("DELETE FROM ingestion_quarantinedevent WHERE message_id LIKE 'c-%'"),
        faults=frozenset({"missing"}),
    )
    yield Tampering(
        name="payloads of two events exchanged",
        group=group,
        do=swap("ingestion_event", ["payload"], CHOSEN, OTHER),
        faults=frozenset({"changed"}),
    )
    yield Tampering(
        name="places of two events exchanged",
        group=group,
        do=swap("ingestion_event", ["lane", "epoch", "sequence", "batch_id"], CHOSEN, OTHER),
        faults=frozenset({"changed", "missing", "unexpected"}),
    )
    yield Tampering(
        name="bodies of two deliveries exchanged, with their digests",
        group=group,
        do=swap(
            "ingestion_delivery",
            ["body", "body_sha256"],
            f"request_id = (SELECT id FROM ingestion_event WHERE {CHOSEN})",
            f"request_id = (SELECT id FROM ingestion_event WHERE {OTHER})",
        ),
        faults=frozenset({"changed"}),
    )
    yield Tampering(
        name="an event forged into a batch",
        group=group,
        do=by_sql(FORGED),
        faults=frozenset({"unexpected", "changed"}),
    )
    yield Tampering(
        name="an event forged into a batch whose root and count were made to fit",
        group=group,
        do=forge_with_root,
        faults=frozenset({"changed"}),
    )
    yield Tampering(
        name="an event deleted, root and count of its batch made to fit",
        group=group,
        do=delete_with_root,
        faults=frozenset({"changed"}),
    )
    yield Tampering(
        name="a batch deleted with its events and deliveries",
        group=group,
        do=by_sql(
            "DELETE FROM ingestion_delivery WHERE request_id IN (SELECT id FROM ingestion_event WHERE batch_id = 41)",
            "DELETE FROM ingestion_event WHERE batch_id = 41",
            "DELETE FROM ingestion_batch WHERE number = 41",
        ),
        faults=frozenset({"missing"}),
    )
    yield Tampering(
        name="the newest batches deleted with their events and their place in the log",
        group=group,
        do=by_sql(
            "DELETE FROM ingestion_event WHERE batch_id > 50",
            "DELETE FROM ingestion_batch WHERE number > 50",
            "DELETE FROM evidence_sealedbatch WHERE batch_number > 50",
        ),
        faults=frozenset({"missing"}),
    )
    yield Tampering(
        name="two batches in the other order",
        group=group,
        do=by_sql(
            "UPDATE ingestion_event SET batch_id = -batch_id WHERE batch_id IN (41, 42)",
            "UPDATE ingestion_batch SET number = -number WHERE number IN (41, 42)",
            "UPDATE ingestion_batch SET number = 83 + number WHERE number < 0",
            "UPDATE ingestion_event SET batch_id = 83 + batch_id WHERE batch_id < 0",
        ),
        faults=frozenset({"changed"}),
    )
    yield Tampering(
        name="two batches in the other order in the log",
        group=group,
        do=by_sql(
            "UPDATE evidence_sealedbatch SET index = -index WHERE batch_number IN (41, 42)",
            "UPDATE evidence_sealedbatch SET index = 83 + index WHERE index < 0",
        ),
        faults=frozenset({"changed"}),
    )
    yield Tampering(
        name="a forged batch with a forged event, of yesterday",
        group=group,
        do=by_sql(FORGED_BATCH),
        faults=frozenset({"unexpected", "changed", "unsealed_late"}),
    )


FORGED = (
    "INSERT INTO ingestion_event SELECT (jsonb_populate_record(e, jsonb_build_object('id', gen_random_uuid(),"
    " 'identity', '\\x00', 'message_id', 'forged'))).* FROM ingestion_event e WHERE " + CHOSEN
)
FORGED_BATCH = (
    "WITH made AS (INSERT INTO ingestion_batch SELECT (jsonb_populate_record(b, jsonb_build_object('number', 900,"
    " 'committed_at', b.committed_at - interval '1 day'))).* FROM ingestion_batch b WHERE number = 44 RETURNING number)"
    " INSERT INTO ingestion_event SELECT (jsonb_populate_record(e, jsonb_build_object('id', gen_random_uuid(),"
    " 'identity', '\\x00', 'message_id', 'forged', 'batch_id', 900))).* FROM ingestion_event e, made WHERE " + CHOSEN
)


def forge_with_root(case: Case) -> None:
    case.run(FORGED)
    _fit_batch(case, int(case.value(f"SELECT batch_id FROM ingestion_event WHERE {CHOSEN}")))


def delete_with_root(case: Case) -> None:
    batch = int(case.value(f"SELECT batch_id FROM ingestion_event WHERE {CHOSEN}"))
    case.run(
        f"DELETE FROM ingestion_delivery WHERE request_id = (SELECT id FROM ingestion_event WHERE {CHOSEN})",
        f"DELETE FROM ingestion_event WHERE {CHOSEN}",
    )
    _fit_batch(case, batch)


def _fit_batch(case: Case, number: int) -> None:
    """Root and count of the batch as its rows are now. It has events alone."""
    from ingestion.leaves import leaf_of_row
    from ingestion.models import Event

    events = list(Event.objects.filter(batch_id=number).order_by("sequence", "id"))
    root = root_of_hashes([leaf_of_row(event) for event in events])
    case.run(
        f"UPDATE ingestion_batch SET merkle_root = '\\x{root.hex()}', event_count = {len(events)}"
        f" WHERE number = {number}"
    )


def log_rows() -> Iterator[Tampering]:
    group = "rows of the logs"
    yield Tampering(
        name="a seal removed from the middle",
        group=group,
        do=by_sql("DELETE FROM evidence_seal WHERE number = 3"),
        faults=frozenset({"gap"}),
    )
    yield Tampering(
        name="the newest seal of each log removed",
        group=group,
        do=by_sql(
            "DELETE FROM evidence_seal s WHERE number = (SELECT max(number) FROM evidence_seal t WHERE"
            " t.incarnation_id = s.incarnation_id)"
        ),
        faults=frozenset({"missing"}),
    )
    yield Tampering(
        name="one audit entry deleted",
        group=group,
        do=by_sql("DELETE FROM evidence_auditentry WHERE number = 5"),
        faults=frozenset({"missing"}),
    )
    yield Tampering(
        name="the newest audit entries deleted, the head put back",
        group=group,
        do=by_sql(
            "DELETE FROM evidence_auditentry WHERE number > 10",
            "UPDATE evidence_audithead SET number = 10, entry_sha256 = (SELECT entry_sha256 FROM evidence_auditentry"
            " WHERE number = 10)",
        ),
        faults=frozenset({"missing"}),
    )
    yield Tampering(
        name="two audit entries exchanged",
        group=group,
        do=by_sql(
            "UPDATE evidence_auditentry SET number = -number WHERE number IN (5, 6)",
            "UPDATE evidence_auditentry SET number = 11 + number WHERE number < 0",
        ),
        faults=frozenset({"changed"}),
    )
    yield Tampering(
        name="an audit entry changed and the whole chain written anew",
        group=group,
        do=rechain,
        faults=frozenset({"changed"}),
    )


def rechain(case: Case) -> None:
    """As somebody who knows how entries are hashed."""
    from evidence.audit_chain import canonical_entry
    from evidence.models import AuditEntry
    from evidence.selectors import chained

    case.run("UPDATE evidence_auditentry SET actor = 'somebody else' WHERE number = 5")
    digest = b""
    for row in AuditEntry.objects.filter(number__gte=5).order_by("number"):
        row.previous_sha256 = digest or row.previous_sha256
        digest = sha256(canonical_entry(chained(row)))
        case.run(
            f"UPDATE evidence_auditentry SET previous_sha256 = '\\x{bytes(row.previous_sha256).hex()}', entry_sha256 ="
            f" '\\x{digest.hex()}' WHERE number = {row.number}"
        )
    case.run(f"UPDATE evidence_audithead SET entry_sha256 = '\\x{digest.hex()}'")


def backups() -> Iterator[Tampering]:
    group = "old backups"
    yield Tampering(
        name="an old backup of the database restored, files left",
        group=group,
        do=lambda case: case.restore(with_files=False),
        faults=frozenset({"missing"}),
    )
    yield Tampering(
        name="an old backup of database and files restored",
        group=group,
        do=lambda case: case.restore(with_files=True),
        faults=frozenset({"missing"}),
        finder=KEPT,
    )


def edit(path: Path, change: Callable[[bytes], bytes]) -> None:
    content = path.read_bytes()
    changed = change(content)
    assert changed != content
    path.write_bytes(changed)


def flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def exchange(one: Path, other: Path) -> None:
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


def files() -> Iterator[Tampering]:
    for log in ("events", "audit"):
        for kind in ("segments", "seals"):
            yield from numbered_files(log, kind)
        yield from checkpoint_files(log)


def numbered_files(log: str, kind: str) -> Iterator[Tampering]:
    def one(case: Case, *, at: int = 1) -> Path:
        return case.files(f"{kind}/*.txt", log=log)[at]

    def cut(case: Case) -> None:
        edit(one(case), lambda content: content[:-10])

    def add_line(case: Case) -> None:
        edit(one(case), lambda content: content + b"acb1\t7\n")

    name, changed, missing = kind.removesuffix("s"), frozenset({"changed"}), frozenset({"missing"})
    told: tuple[tuple[str, Callable[[Case], None], frozenset[str]], ...] = (
        (f"one byte of a {name} changed", lambda case: edit(one(case), flip), changed),
        (f"a {name} cut short", cut, changed),
        (f"a line added to a {name}", add_line, changed),
        (f"a {name} deleted", lambda case: one(case).unlink(), missing),
        (f"two {kind} exchanged", lambda case: exchange(one(case), one(case, at=2)), changed),
    )
    yield from named(log, told)


def checkpoint_files(log: str) -> Iterator[Tampering]:
    def one(case: Case) -> Path:
        return case.files("checkpoint", log=log)[0]

    either = frozenset({"changed", "missing"})
    told: tuple[tuple[str, Callable[[Case], None], frozenset[str]], ...] = (
        ("one byte of the checkpoint changed", lambda case: edit(one(case), flip), frozenset({"invalid"})),
        ("the checkpoint forged with another key", lambda case: forge_checkpoint(case, log), frozenset({"invalid"})),
        ("the checkpoint deleted", lambda case: one(case).unlink(), frozenset({"missing"})),
        ("an older checkpoint put back", lambda case: older_checkpoint(case, log), either),
        ("all files deleted", lambda case: shutil.rmtree(case.folder / "log" / log), frozenset({"missing"})),
    )
    yield from named(log, told)


def named(log: str, told: Sequence[tuple[str, Callable[[Case], None], frozenset[str]]]) -> Iterator[Tampering]:
    for name, do, faults in told:
        yield Tampering(name=f"{log}: {name}", group=f"files of the log of {log}", do=do, faults=faults)


def forge_checkpoint(case: Case, log: str) -> None:
    """Another root, signed by a key of the same name."""
    path = case.files("checkpoint", log=log)[0]
    told = Checkpoint.parse(open_note(path.read_text()).text)
    name = told.origin.rpartition(f"/{log}/")[0]
    forged = Checkpoint(told.origin, told.size, sha256(b"forged"))
    path.write_text(signed_note(forged.text, signers_of(new_signing_key(), name=name)))


def older_checkpoint(case: Case, log: str) -> None:
    note = case.files("seals/*.txt", log=log)[0].read_text().partition("\n\n")[2]
    case.files("checkpoint", log=log)[0].write_text(note)


def tamperings() -> list[Tampering]:
    found = [*column_tamperings(), *rows(), *log_rows(), *backups(), *files()]
    assert len({each.name for each in found}) == len(found)
    return found
