# ruff: noqa: S608  (the statements are the test's own)
"""PostgreSQL refuses to change the audit log, whoever asks; what a superuser does all the same, `verify` finds."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction

from evidence.append_only import protections
from evidence.audit import Act, Actor, record
from evidence.models import AuditEntry, AuditHead
from evidence.selectors import audit_verification

PROTECTIONS = Path(__file__).resolve().parents[2] / "deploy" / "audit-protections.sql"
ENTRY, HEAD = "evidence_auditentry", "evidence_audithead"
REFUSED_CHANGES = (
    f"UPDATE {ENTRY} SET actor = 'x'",
    f"UPDATE {ENTRY} SET number = number",
    f"DELETE FROM {ENTRY}",
    f"TRUNCATE {ENTRY}",
    f"TRUNCATE {ENTRY} CASCADE",
    f"INSERT INTO {ENTRY} SELECT * FROM {ENTRY} ON CONFLICT (number) DO UPDATE SET actor = 'x'",
    f"MERGE INTO {ENTRY} e USING {HEAD} h ON e.number = h.number WHEN MATCHED THEN DELETE",
    f"UPDATE {HEAD} SET number = number",
    f"UPDATE {HEAD} SET number = number - 1",
    f"UPDATE {HEAD} SET number = number + 1",
    f"UPDATE {HEAD} SET entry_sha256 = ''",
    f"DELETE FROM {HEAD}",
    f"TRUNCATE {HEAD}",
    f"INSERT INTO {HEAD} VALUES (2, 0, '')",
)
SEALED = {
    "evidence_logincarnation": "start_line",
    "evidence_seal": "text",
    "evidence_sealedbatch": "leaf_sha256",
    "evidence_logkey": "vkey",
}
REFUSED_LOG_CHANGES = (
    *(
        sql.format(table=table, column=column)
        for table, column in SEALED.items()
        for sql in (
            "UPDATE {table} SET {column} = {column}",
            "DELETE FROM {table}",
            "TRUNCATE {table}",
            "TRUNCATE {table} CASCADE",
            "MERGE INTO {table} t USING evidence_audithead ON true WHEN MATCHED THEN DELETE",
            "MERGE INTO {table} t USING evidence_audithead ON true WHEN MATCHED THEN UPDATE SET {column} = t.{column}",
            "WITH gone AS (DELETE FROM {table} RETURNING 1) SELECT count(*) FROM gone",
        )
    ),
    "INSERT INTO evidence_sealedbatch SELECT * FROM evidence_sealedbatch"
    " ON CONFLICT (batch_number) DO UPDATE SET index = 7",
    "INSERT INTO evidence_logkey SELECT * FROM evidence_logkey ON CONFLICT (vkey) DO UPDATE SET vkey = 'x'",
)
# one row in each, as only INSERT is allowed
A_SEALED_LOG = """
INSERT INTO evidence_logincarnation (log, token, origin, start_line, first_number, started_at)
    VALUES ('events', 't', 'o', 'acs1', 1, now());
INSERT INTO evidence_seal (incarnation_id, number, first_index, tree_size, root, frontier, segment_sha256,
                           segment_bytes, previous_sha256, text, sealed_at)
    SELECT id, 1, 0, 1, 'r', 'f', 's', 4, 'p', 'text', now() FROM evidence_logincarnation WHERE token = 't';
INSERT INTO evidence_sealedbatch (batch_number, incarnation_id, index, leaf_sha256)
    SELECT 9000001, id, 1, 'l' FROM evidence_logincarnation WHERE token = 't';
INSERT INTO evidence_logkey (vkey, first_used_at) VALUES ('test+00000000+', now());
"""
# an entry that does not follow: any number, but the next one only with the right digest
REFUSED_ENTRIES = (
    f"INSERT INTO {ENTRY} SELECT number + 2, at, act, actor_kind, actor, subject, reason, facts, entry_sha256, 'x'"
    f" FROM {ENTRY} ORDER BY number DESC LIMIT 1",
    f"INSERT INTO {ENTRY} SELECT number + 1, at, act, actor_kind, actor, subject, reason, facts, 'x', 'y'"
    f" FROM {ENTRY} ORDER BY number DESC LIMIT 1",
)


@pytest.fixture
def three_entries(db: None) -> None:
    for subject in ("a", "b", "c"):
        record(Act.PROVIDER_ADDED, actor=Actor.process("test"), subject=subject)


def run(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


@pytest.mark.usefixtures("three_entries")
@pytest.mark.parametrize("session_role", ["origin", "replica"])
@pytest.mark.parametrize("sql", [*REFUSED_CHANGES, *REFUSED_ENTRIES])
def test_a_superuser_and_owner_is_refused(sql: str, session_role: str) -> None:
    run(f"SET LOCAL session_replication_role = {session_role}")
    with pytest.raises(DatabaseError), transaction.atomic():
        run(sql)
    assert AuditEntry.objects.filter(actor="test").count() == 3


@pytest.mark.django_db
@pytest.mark.parametrize("session_role", ["origin", "replica"])
@pytest.mark.parametrize("sql", REFUSED_LOG_CHANGES)
def test_a_superuser_and_owner_changes_nothing_that_is_sealed(sql: str, session_role: str) -> None:
    run(A_SEALED_LOG)
    run(f"SET LOCAL session_replication_role = {session_role}")
    with pytest.raises(DatabaseError, match="what is sealed stays"), transaction.atomic():
        run(sql)


@pytest.mark.parametrize("name", ["0001_audit_log", "0002_log_and_artifacts"])
def test_the_migration_cannot_be_undone(name: str) -> None:
    from django.db.migrations.loader import MigrationLoader

    migration = MigrationLoader(None).disk_migrations["evidence", name]
    assert not all(operation.reversible for operation in migration.operations)


@pytest.mark.usefixtures("three_entries")
@pytest.mark.parametrize(
    ("tamper", "fault"),
    [
        (f"UPDATE {ENTRY} SET reason = 'another' WHERE number = (SELECT number - 1 FROM {HEAD})", "changed"),
        (f"UPDATE {ENTRY} SET facts = '{{\"a\": 1.5}}' WHERE number = (SELECT number FROM {HEAD})", "changed"),
        (f"DELETE FROM {ENTRY} WHERE number = (SELECT number - 1 FROM {HEAD})", "missing"),
        (f"DELETE FROM {ENTRY} WHERE number = (SELECT number FROM {HEAD})", "missing"),
        (f"DELETE FROM {ENTRY}", "missing"),
        (f"UPDATE {HEAD} SET number = number - 1", "head"),
    ],
)
def test_what_a_superuser_changes_after_switching_the_triggers_off_is_found(tamper: str, fault: str) -> None:
    for table in (ENTRY, HEAD):
        run(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    run(tamper)
    for table in (ENTRY, HEAD):
        run(f"ALTER TABLE {table} ENABLE TRIGGER USER")
    assert fault in {each.fault.value for each in audit_verification().findings}


@pytest.mark.django_db
def test_the_protections_are_read_from_the_catalogue() -> None:
    required = [each for each in protections() if each.is_required]
    assert len(required) == 14
    assert all(each.is_in_force for each in required)
    told = {each.name: each.is_in_force for each in protections() if not each.is_required}
    assert told["not_superuser"] is False  # the tests' role is one
    assert told["audit_guard"] is False


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("sql", "name"),
    [
        (f"ALTER TABLE {ENTRY} DISABLE TRIGGER audit_entry_stays", "audit_entry_stays"),
        (f"ALTER TABLE {ENTRY} ENABLE TRIGGER audit_entries_stay", "audit_entries_stay"),
        (f"DROP TRIGGER audit_head_follows ON {HEAD}", "audit_head_follows"),
        ("DROP TRIGGER seals_stay ON evidence_seal", "seals_stay"),
        ("ALTER TABLE evidence_seal DISABLE TRIGGER seal_stays", "seal_stays"),
        ("ALTER TABLE evidence_sealedbatch ENABLE REPLICA TRIGGER sealed_batch_stays", "sealed_batch_stays"),
        ("ALTER TABLE evidence_logkey ENABLE TRIGGER log_keys_stay", "log_keys_stay"),
        (
            "DROP TRIGGER incarnation_stays ON evidence_logincarnation; CREATE TRIGGER incarnation_stays BEFORE UPDATE"
            " ON evidence_logincarnation FOR EACH ROW WHEN (false) EXECUTE FUNCTION evidence_refuse_log_change();"
            " ALTER TABLE evidence_logincarnation ENABLE ALWAYS TRIGGER incarnation_stays",
            "incarnation_stays",
        ),
        (
            "CREATE OR REPLACE FUNCTION evidence_audit_append() RETURNS trigger LANGUAGE plpgsql"
            " AS 'BEGIN RETURN NULL; END'",
            "audit_entry_follows",
        ),
    ],
)
def test_a_protection_that_was_taken_away_is_told(sql: str, name: str) -> None:
    run(sql)
    assert [each.name for each in protections() if each.is_required and not each.is_in_force] == [name]


# ---- the second layer, in a database of its own: an event trigger would be in the way of every other test


class Cluster:
    """A database whose owner is the application's role, as many hosts give it out, with the second layer around it."""

    name, application = "audit_layers", "audit_app"

    def __init__(self) -> None:
        self.given = {key: value for key, value in connection.get_connection_params().items() if key != "context"}

    def connect(self, database: str) -> psycopg.Connection[Any]:
        given = {key: self.given[key] for key in ("host", "port", "user", "password") if self.given.get(key)}
        return psycopg.connect(**given, dbname=database, autocommit=True)

    def run(self, sql: str, *, as_role: str = "", replica: bool = False) -> list[tuple[Any, ...]]:
        with self.connect(self.name) as opened:
            if replica:
                opened.execute("SET session_replication_role = replica")
            if as_role:
                opened.execute(f"SET SESSION AUTHORIZATION {as_role}")
            done = opened.execute(sql)
            return done.fetchall() if done.description else []


@pytest.fixture(scope="module")
def cluster(django_db_setup: None, django_db_blocker: Any) -> Iterator[Cluster]:
    with django_db_blocker.unblock():
        made = Cluster()
        migration = StringIO()
        for number in ("0001", "0002"):
            call_command("sqlmigrate", "evidence", number, stdout=migration)
    with made.connect("postgres") as opened:
        _remove(opened, made)
        opened.execute(f"CREATE ROLE {made.application} LOGIN")
        opened.execute(f"CREATE DATABASE {made.name} OWNER {made.application}")
    made.run(migration.getvalue(), as_role=made.application)
    made.run(PROTECTIONS.read_text(encoding="utf-8"))
    made.run(f"SELECT audit_guard.protect('{made.application}')")
    yield made
    with made.connect("postgres") as opened:
        _remove(opened, made)


def _remove(opened: psycopg.Connection[Any], cluster: Cluster) -> None:
    opened.execute(f"DROP DATABASE IF EXISTS {cluster.name} WITH (FORCE)")
    opened.execute(f"DROP ROLE IF EXISTS {cluster.application}")
    opened.execute("DROP ROLE IF EXISTS audit_owner")


APPEND = (
    f"WITH head AS (SELECT * FROM {HEAD} FOR UPDATE) INSERT INTO {ENTRY}"
    " SELECT number + 1, now(), 'a.b', 'process', 'x', 's', '', '{}', entry_sha256, sha256(entry_sha256) FROM head"
)


def test_the_application_seals_under_the_second_layer(cluster: Cluster) -> None:
    cluster.run(A_SEALED_LOG, as_role=cluster.application)
    for table in SEALED:
        ((count,),) = cluster.run(f"SELECT count(*) FROM {table}", as_role=cluster.application)
        assert count == 1, table


def test_the_application_appends_under_the_second_layer(cluster: Cluster) -> None:
    ((before,),) = cluster.run(f"SELECT number FROM {HEAD}", as_role=cluster.application)
    cluster.run(APPEND, as_role=cluster.application)
    ((after,),) = cluster.run(f"SELECT number FROM {HEAD}", as_role=cluster.application)
    assert after == before + 1


REFUSED_DEFINITIONS = (
    f"ALTER TABLE {ENTRY} DISABLE TRIGGER ALL",
    f"ALTER TABLE {ENTRY} DISABLE TRIGGER audit_entry_stays",
    f"ALTER TABLE {ENTRY} ADD COLUMN x int",
    f"ALTER TABLE {ENTRY} RENAME TO y",
    f"ALTER TABLE {ENTRY} OWNER TO CURRENT_USER",
    f"DROP TABLE {ENTRY}",
    f"DROP TABLE {HEAD} CASCADE",
    "DROP SCHEMA public CASCADE",
    f"DROP TRIGGER audit_entry_stays ON {ENTRY}",
    f"CREATE RULE nothing AS ON INSERT TO {ENTRY} DO INSTEAD NOTHING",
    f"CREATE POLICY p ON {ENTRY} USING (false)",
    f"ALTER TABLE {ENTRY} ENABLE ROW LEVEL SECURITY",
    f"CREATE TRIGGER other BEFORE INSERT ON {ENTRY} FOR EACH ROW EXECUTE FUNCTION evidence_refuse_change()",
    f"CREATE TABLE child () INHERITS ({ENTRY})",
    "CREATE OR REPLACE FUNCTION evidence_refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "ALTER FUNCTION evidence_refuse_change() RENAME TO other",
    f"GRANT UPDATE ON {ENTRY} TO PUBLIC",
    f"GRANT DELETE ON {ENTRY} TO audit_app",
    "CREATE OR REPLACE FUNCTION evidence_refuse_log_change() RETURNS trigger LANGUAGE plpgsql"
    " AS 'BEGIN RETURN NEW; END'",
    "ALTER FUNCTION evidence_refuse_log_change() OWNER TO CURRENT_USER",
    *(
        sql.format(table=table, column=column)
        for table, column in SEALED.items()
        for sql in (
            "ALTER TABLE {table} DISABLE TRIGGER ALL",
            "ALTER TABLE {table} ADD CHECK ({column} IS NULL) NOT VALID",
            "ALTER TABLE {table} OWNER TO CURRENT_USER",
            "DROP TABLE {table}",
            "CREATE RULE nothing AS ON INSERT TO {table} DO INSTEAD NOTHING",
            "CREATE POLICY p ON {table} USING (false)",
            "CREATE TABLE child () INHERITS ({table})",
            "GRANT UPDATE ON {table} TO PUBLIC",
            "GRANT TRUNCATE ON {table} TO audit_app",
            "GRANT UPDATE ({column}) ON {table} TO audit_app",
        )
    ),
)


@pytest.mark.parametrize("replica", [False, True])
@pytest.mark.parametrize("sql", REFUSED_DEFINITIONS)
def test_no_statement_changes_the_definition_not_even_a_superusers(cluster: Cluster, sql: str, replica: bool) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="definition of the audit log"):
        cluster.run(sql, replica=replica)


@pytest.mark.parametrize(
    "sql",
    [
        *REFUSED_CHANGES,
        *REFUSED_LOG_CHANGES,
        *(sql for sql in REFUSED_DEFINITIONS if not sql.startswith("GRANT")),
        "ALTER EVENT TRIGGER audit_guard DISABLE",
        "DROP EVENT TRIGGER audit_guard",
        "SET session_replication_role = replica",
        "SELECT audit_guard.protect('audit_app')",
        "DELETE FROM audit_guard.definition",
        "SET ROLE audit_owner",
        f"CREATE TEMP TABLE {ENTRY} (number bigint, entry_sha256 bytea, previous_sha256 bytea);"
        f" INSERT INTO pg_temp.{ENTRY} SELECT number + 1, 'x', entry_sha256 FROM {HEAD};"
        f" UPDATE public.{HEAD} SET number = number + 1, entry_sha256 = 'x'",
    ],
)
def test_the_application_can_only_read_and_append(cluster: Cluster, sql: str) -> None:
    with pytest.raises(psycopg.Error):
        cluster.run(sql, as_role=cluster.application)


@pytest.mark.parametrize("sql", [sql for sql in REFUSED_DEFINITIONS if sql.startswith("GRANT")])
def test_the_application_can_grant_nothing_to_itself(cluster: Cluster, sql: str) -> None:
    cluster.run(sql, as_role=cluster.application)  # PostgreSQL warns that nothing was granted
    for table in (ENTRY, *SEALED):
        asked = f"SELECT has_any_column_privilege('{cluster.application}', '{table}', 'UPDATE')"
        asked += f" OR has_table_privilege('{cluster.application}', '{table}', 'DELETE, TRUNCATE')"
        assert cluster.run(asked) == [(False,)], table


def test_the_second_layer_holds_as_the_application_and_the_doctor_see_it(cluster: Cluster) -> None:
    may = f"has_table_privilege('{cluster.application}', oid, 'INSERT')"
    inserted = cluster.run(
        f"SELECT relname FROM pg_class WHERE relname LIKE 'evidence\\_%' AND relkind = 'r' AND {may}"
    )
    assert {name for (name,) in inserted} >= {ENTRY, *SEALED}
    assert (HEAD,) not in inserted


def test_other_tables_change_as_ever(cluster: Cluster) -> None:
    cluster.run("CREATE TABLE other (n int); ALTER TABLE other ADD COLUMN m int", as_role=cluster.application)
    cluster.run("DROP TABLE other", as_role=cluster.application)


def test_the_head_names_the_newest_entry(db: None) -> None:
    entry = record(Act.PROVIDER_ADDED, actor=Actor.process("test"), subject="a")
    head = AuditHead.objects.get()
    assert (head.number, bytes(head.entry_sha256)) == (entry.number, entry.entry_sha256)
