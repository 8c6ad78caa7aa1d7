"""The doctor's PostgreSQL checks: on the tests' own server with constraints, indexes and rights taken away."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.db import Error, connection, transaction
from django.db.migrations.recorder import MigrationRecorder

from autocom.doctor.finding import Check, Finding, Level
from autocom.doctor.judgements import postgres_schema as schema
from autocom.doctor.judgements import postgres_server as server
from autocom.doctor.judgements.disk import Space
from autocom.doctor.judgements.postgres_server import Slot
from autocom.doctor.readers import postgres_schema as schema_reader
from autocom.doctor.readers import postgres_server as server_reader
from autocom.doctor.readers.session import read_only
from ingestion.models import Lane
from tests.doctor.kit import finding, findings
from tests.support.workers import other_connection

pytestmark = pytest.mark.django_db


def run(*statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def judged(check: Check, **changes: Any) -> Finding:
    """The judgement over the facts of the tests' server with some of them changed."""
    facts = dataclasses.replace(server_reader.read(), **changes)
    (found,) = (each for each in server.judge(facts) if each.check is check)
    return found


def with_settings(**changes: str) -> dict[str, Any]:
    return {"settings": dict(server_reader.read().settings) | changes}


def test_the_tests_own_server_which_does_not_sync_fails_and_nothing_else_does() -> None:
    found = findings("postgres")
    levels = {check: each.level for check, each in found.items()}
    failed = {check: each.found for check, each in found.items() if each.level is Level.FAIL}
    assert set(failed) == {"postgres.durability"}, failed
    assert {check for check, level in levels.items() if level is Level.WARNING} == set()
    assert Level.UNKNOWN not in levels.values()
    assert set(levels) == {check.id for check in (*server.CHECKS, *schema.CHECKS)}


@pytest.mark.parametrize("name", ["fsync", "full_page_writes", "synchronous_commit"])
def test_each_of_three_settings_alone_makes_a_commit_less_than_durable(name: str) -> None:
    durable = dict.fromkeys(("fsync", "full_page_writes", "synchronous_commit"), "on")
    assert judged(server.DURABILITY, **with_settings(**durable)).level is Level.FINE
    assert judged(server.DURABILITY, **with_settings(**durable | {name: "off"})).level is Level.FAIL


def test_an_event_table_without_its_unique_constraint_fails() -> None:
    run("ALTER TABLE ingestion_event DROP CONSTRAINT event_identity_once")
    found = finding(schema.IDENTITY)
    assert (found.level, found.found) == (Level.FAIL, "no unique constraint on ingestion_event (identity)")
    assert "ADD CONSTRAINT event_identity_once UNIQUE (identity)" in found.mend


def test_an_index_on_the_identity_that_is_not_unique_does_not_stand_in() -> None:
    run(
        "ALTER TABLE ingestion_event DROP CONSTRAINT event_identity_once",
        "CREATE INDEX instead ON ingestion_event (identity)",
    )
    assert finding(schema.IDENTITY).level is Level.FAIL


def test_a_unique_index_on_a_part_of_the_events_does_not_stand_in() -> None:
    run(
        "ALTER TABLE ingestion_event DROP CONSTRAINT event_identity_once",
        "CREATE UNIQUE INDEX instead ON ingestion_event (identity) WHERE lane = 0",
    )
    assert finding(schema.IDENTITY).level is Level.FAIL


def test_an_invalid_unique_index_as_a_failed_build_leaves_it_fails() -> None:
    run("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'event_identity_once'::regclass")
    assert finding(schema.IDENTITY).mend == "REINDEX INDEX CONCURRENTLY event_identity_once"
    assert finding(schema.IDENTITY).level is Level.FAIL
    assert finding(schema.INDEXES).found == "not valid: event_identity_once"


INDEXED = {
    "event_message_type": "event by message id and type",
    "event_ordering_key": "events of an ordering key",
    "event_lane_sequence": "event by lane and sequence",
    "batch_lane_sequence": "batch by lane and sequence",
    "dead_letter_state": "open dead letters",
    "quarantined_original": "quarantined rivals of an event",
    "refusal_count_recent": "refusals of a provider",
}


@pytest.mark.parametrize(("index", "query"), INDEXED.items())
def test_a_dropped_index_is_missed_and_so_is_its_use(index: str, query: str) -> None:
    run(f"DROP INDEX {index}")
    missing, unserved = finding(schema.INDEXES), finding(schema.PLANS)
    assert (missing.level, unserved.level) == (Level.FAIL, Level.FAIL)
    assert missing.found.startswith("missing: ingestion_")
    assert unserved.found == f"no index serves: {query}"


CONSTRAINED = {
    "ingestion_event DROP CONSTRAINT event_identity_once": "event by identity",
    "ingestion_delivery DROP CONSTRAINT ingestion_delivery_pkey": "delivery by id",
    "ingestion_deadletter DROP CONSTRAINT ingestion_deadletter_pkey": "dead letter by id",
    "ingestion_event DROP CONSTRAINT ingestion_event_pkey": "event by id",
    "ingestion_latencyflush DROP CONSTRAINT latency_flush_once": "latency of a stage over a range",
}


@pytest.mark.parametrize(("change", "query"), CONSTRAINED.items())
def test_a_dropped_key_is_missed_by_the_query_that_needs_it(change: str, query: str) -> None:
    run(f"ALTER TABLE {change}")
    assert query in finding(schema.PLANS).found
    assert finding(schema.PLANS).level is Level.FAIL


UNNAMED = {
    "ingestion_deadletter": ("fingerprint", "dead letters that failed alike"),
    "ingestion_ackoutcome": ("flushed_at", "answers of late"),
    "ingestion_suppressedduplicate": ("original_event_id", "duplicates of an event"),
}


@pytest.mark.parametrize("table", UNNAMED)
def test_an_index_that_django_named_is_missed_too(table: str) -> None:
    column, query = UNNAMED[table]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indexname FROM pg_indexes WHERE tablename = %s AND indexdef LIKE %s AND indexdef NOT LIKE '%%,%%'",
            [table, f"%({column}%"],
        )
        names = [name for (name,) in cursor.fetchall()]
    assert names
    run(*(f'DROP INDEX "{name}"' for name in names))
    assert finding(schema.PLANS).found == f"no index serves: {query}"
    assert f"{table} ({column})" in finding(schema.INDEXES).found


def test_every_hot_query_has_a_test_that_takes_its_index_away() -> None:
    tried = {*INDEXED.values(), *CONSTRAINED.values(), *(query for _, query in UNNAMED.values())}
    assert tried == {plan.query for plan in schema_reader.read().plans}


def test_a_big_table_that_the_planner_reads_whole_fails() -> None:
    """The index is there; statistics that say every row is alike make PostgreSQL pass it by."""
    run(
        "INSERT INTO ingestion_refusalcount (minute, provider, reason, process, flush_number, count, flushed_at)"
        " SELECT now(), 'none', 'r', 'p', n, 1, now() FROM generate_series(1, 60000) n",
        "ANALYZE ingestion_refusalcount",
    )
    found = finding(schema.PLANS)
    assert found.level is Level.FAIL
    assert found.found == "reads the whole table: refusals of a provider (ingestion_refusalcount, about 60,000 rows)"


def test_a_small_table_that_the_planner_reads_whole_is_fine() -> None:
    plans = schema_reader.read().plans
    assert any(plan.scans_now for plan in plans)
    assert finding(schema.PLANS).level is Level.FINE


def test_a_migration_that_is_not_applied_fails_and_one_of_newer_code_is_a_warning() -> None:
    MigrationRecorder(connection).record_unapplied("ingestion", "0004_refusals")
    found = finding(schema.MIGRATIONS)
    assert found.level is Level.FAIL
    assert "ingestion.0004_refusals" in found.found
    MigrationRecorder(connection).record_applied("ingestion", "0004_refusals")
    MigrationRecorder(connection).record_applied("ingestion", "9999_of_tomorrow")
    found = finding(schema.MIGRATIONS)
    assert (found.level, found.found) == (
        Level.WARNING,
        "applied, but unknown to this code: ingestion.9999_of_tomorrow",
    )


def test_tables_that_are_not_there_yet_leave_the_rest_unknown() -> None:
    MigrationRecorder(connection).record_unapplied("ingestion", "0004_refusals")
    found = findings("postgres")
    assert {found[check.id].level for check in (schema.RIGHTS, schema.PLANS, schema.APPEND_ONLY)} == {Level.UNKNOWN}


@pytest.fixture
def little_role() -> Iterator[None]:
    """A role that may read and insert, and update where a commit does."""
    run(
        "CREATE ROLE little",
        "GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO little",
        "GRANT UPDATE ON ingestion_lane TO little",
        "SET LOCAL ROLE little",
    )
    yield
    run("RESET ROLE")


def test_a_role_with_just_the_rights_of_a_commit_is_fine(little_role: None) -> None:
    assert finding(schema.RIGHTS).level is Level.FINE


@pytest.mark.parametrize("right", ["INSERT ON ingestion_batch", "UPDATE ON ingestion_lane"])
def test_a_missing_right_is_named(little_role: None, right: str) -> None:
    run("RESET ROLE", f"REVOKE {right} FROM little", "SET LOCAL ROLE little")
    found = finding(schema.RIGHTS)
    assert (found.level, found.found) == (Level.FAIL, f"missing: {right.replace('ON', 'on')}")


def test_where_the_files_are_is_unknown_to_a_role_that_may_not_ask(little_role: None) -> None:
    assert finding(server.DISK).level is Level.UNKNOWN
    assert finding(server.DURABILITY).level is Level.FAIL  # this it may ask


def test_a_role_that_may_not_insert_another_head_of_the_audit_log_is_fine(little_role: None) -> None:
    run("RESET ROLE", "REVOKE INSERT ON evidence_audithead FROM little", "SET LOCAL ROLE little")
    assert finding(schema.RIGHTS).level is Level.FINE


@pytest.mark.parametrize(
    ("change", "trigger"),
    [
        ("ALTER TABLE evidence_seal DISABLE TRIGGER seal_stays", "seal_stays"),
        ("ALTER TABLE evidence_auditentry ENABLE TRIGGER audit_entry_stays", "audit_entry_stays"),
        ("DROP TRIGGER sealed_batch_stays ON evidence_sealedbatch", "sealed_batch_stays"),
    ],
)
def test_a_log_that_can_be_changed_fails(change: str, trigger: str) -> None:
    run(change)
    found = finding(schema.APPEND_ONLY)
    assert (found.level, found.found) == (Level.FAIL, f"missing, changed or not enabled always: {trigger}")


def test_a_log_without_the_second_layer_on_a_database_of_somebody_else_is_a_warning() -> None:
    assert finding(schema.APPEND_ONLY).level is Level.FINE
    facts = dataclasses.replace(schema_reader.read(), is_local=False)
    (found,) = (each for each in schema.judge(facts) if each.check is schema.APPEND_ONLY)
    assert found.level is Level.WARNING
    assert found.found.endswith("second layer: audit_guard, no_grants, not_owner, not_superuser")


def test_a_superuser_on_a_database_of_somebody_else_is_a_warning() -> None:
    facts = dataclasses.replace(schema_reader.read(), is_local=False)
    (found,) = (each for each in schema.judge(facts) if each.check is schema.RIGHTS)
    assert found.level is Level.WARNING


def test_a_role_that_may_only_read_fails() -> None:
    run("SET LOCAL default_transaction_read_only = on")
    assert finding(server.WRITABLE).level is Level.FAIL
    assert judged(server.WRITABLE, is_standby=True).level is Level.FAIL


def test_a_role_with_fewer_connections_than_our_processes_need_fails() -> None:
    run("ALTER ROLE CURRENT_USER CONNECTION LIMIT 10")
    found = finding(server.CONNECTIONS)
    assert found.level is Level.FAIL
    assert found.found.startswith("10 for normal roles; 2 ingress processes, console, 4 workers")
    assert judged(server.CONNECTIONS, connection_limit_count=30, foreign_connection_count=20).level is Level.WARNING


def test_a_session_without_the_workers_time_limit_fails() -> None:
    assert judged(server.TIMEOUTS).level is Level.FINE
    for name, limit_ms in server_reader.read().worker_limits_ms.items():
        assert limit_ms > 0
        without = {**server_reader.read().worker_limits_ms, name: 0}  # as behind a pooler that drops it
        assert judged(server.TIMEOUTS, worker_limits_ms=without).level is Level.FAIL


def test_a_session_that_is_refused_to_workers_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(**_: Any) -> Any:
        raise psycopg.OperationalError("unsupported startup parameter: options")

    monkeypatch.setattr(psycopg, "connect", refused)
    found = finding(server.TIMEOUTS)
    assert found.level is Level.FAIL
    assert found.found.endswith("unsupported startup parameter: options")


def test_a_table_without_autovacuum_fails() -> None:
    run("ALTER TABLE ingestion_event SET (autovacuum_enabled = off)")
    assert finding(server.AUTOVACUUM).found == "off for ingestion_event"
    assert finding(server.AUTOVACUUM).level is Level.FAIL
    assert (
        judged(server.AUTOVACUUM, tables_without_autovacuum=[], **with_settings(autovacuum="off")).level is Level.FAIL
    )
    assert (
        judged(server.AUTOVACUUM, tables_without_autovacuum=[], oldest_xid_age_count=1_500_000_000).level
        is Level.WARNING
    )


def test_a_transaction_that_stays_open_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    with other_connection() as other:
        other.execute("BEGIN")
        other.execute("SELECT 1")
        monkeypatch.setattr(server, "LONG_SECONDS", 0)
        found = finding(server.LONG_TRANSACTIONS)
        assert found.level is Level.WARNING
        assert f"pid {other.info.backend_pid} of" in found.found
        assert "(idle in transaction)" in found.found
        other.execute("ROLLBACK")


def test_a_full_disk_fails() -> None:
    full = Space(free_bytes=1_000_000, total_bytes=1 << 40, free_inode_count=0, total_inode_count=0)
    assert judged(server.DISK, space=full).level is Level.FAIL


def test_sessions_that_cannot_be_seen_are_unknown() -> None:
    assert judged(server.LONG_TRANSACTIONS, hidden_session_count=2).level is Level.UNKNOWN


def test_a_slot_that_nobody_reads_is_a_warning() -> None:
    run("SELECT pg_create_physical_replication_slot('forgotten', true)")
    try:
        (slot,) = server_reader.read().slots
        assert (slot.name, slot.is_active, slot.status) == ("forgotten", False, "reserved")
        assert finding(server.SLOTS).level is Level.FINE  # it holds next to nothing yet
    finally:
        run("SELECT pg_drop_replication_slot('forgotten')")
    held = Slot(name="forgotten", is_active=False, held_bytes=2 << 30, status="extended")
    assert judged(server.SLOTS, slots=[held]).level is Level.WARNING
    lost = Slot(name="forgotten", is_active=True, held_bytes=0, status="lost")
    assert judged(server.SLOTS, slots=[lost]).level is Level.WARNING


def test_an_old_server_fails_and_a_minimal_log_is_a_warning() -> None:
    assert judged(server.VERSION, version_number=140_012).level is Level.FAIL
    assert judged(server.VERSION, version_number=150_018).level is Level.FINE
    assert judged(server.WAL_LEVEL, **with_settings(wal_level="minimal")).level is Level.WARNING


def test_without_postgresql_every_check_of_it_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_reader, "read_only", _gone)
    monkeypatch.setattr(schema_reader, "read_only", _gone)
    assert {found.level for found in findings("postgres").values()} == {Level.UNKNOWN}


def _gone() -> Any:
    raise Error("connection refused")


def test_what_the_doctor_asks_cannot_write() -> None:
    with pytest.raises(Error, match="read-only"), transaction.atomic(), read_only():
        Lane.objects.create(number=7)


def test_the_tables_of_every_app_of_ours_are_looked_at() -> None:
    looked_at = {index.table for index in schema_reader.read().wanted}
    ours = {
        model._meta.db_table for name in ("ingestion", "evidence") for model in apps.get_app_config(name).get_models()
    }
    assert looked_at == ours
