"""PostgreSQL as it is configured and used now. Reads only."""

from __future__ import annotations

from collections.abc import Mapping

import psycopg
from django.conf import settings
from django.db import connection

from autocom.doctor.judgements.postgres_server import PostgresFacts, Slot
from autocom.doctor.readers.machine import is_here, space_if_seen
from autocom.doctor.readers.session import read_only, rows, value
from autocom.scrubbing import first_line
from ingestion.management.commands.worker import SESSION_LIMITS, SESSION_OPTIONS

ASKED = (
    *("fsync", "full_page_writes", "synchronous_commit", "wal_level", "default_transaction_read_only"),
    *("autovacuum", "track_counts"),
)
LIMIT = """
    SELECT least(
        current_setting('max_connections')::int
            - current_setting('superuser_reserved_connections')::int
            - coalesce(current_setting('reserved_connections', true), '0')::int,
        nullif(d.datconnlimit, -1), nullif(r.rolconnlimit, -1))
    FROM pg_database d, pg_roles r WHERE d.datname = current_database() AND r.rolname = current_user
"""
FOREIGN = """
    SELECT count(*) FROM pg_stat_activity WHERE datname IS NOT NULL AND datname <> current_database()
"""
WITHOUT_AUTOVACUUM = """
    SELECT relname FROM pg_class
    WHERE relkind IN ('r', 't') AND pg_table_is_visible(oid) AND reloptions && ARRAY['autovacuum_enabled=false',
        'autovacuum_enabled=off', 'autovacuum_enabled=0', 'autovacuum_enabled=no']
"""
TRANSACTIONS = """
    SELECT 'pid ' || pid || ' of ' || coalesce(usename, '?') || ' (' || coalesce(state, '?') || ')',
        extract(epoch FROM clock_timestamp() - xact_start)::float8
    FROM pg_stat_activity
    WHERE xact_start IS NOT NULL AND pid <> pg_backend_pid() AND backend_type = 'client backend'
    UNION ALL
    SELECT 'prepared transaction ' || gid, extract(epoch FROM clock_timestamp() - prepared)::float8
    FROM pg_prepared_xacts
"""
HIDDEN = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND query = '<insufficient privilege>'
"""
SLOTS = """
    SELECT slot_name, active, coalesce(wal_status, 'unknown'),
        coalesce(CASE WHEN pg_is_in_recovery() THEN pg_wal_lsn_diff(pg_last_wal_receive_lsn(), restart_lsn)
            ELSE pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) END, 0)::bigint
    FROM pg_replication_slots
"""


def read() -> PostgresFacts:
    """Raises django.db.Error and psycopg.Error when PostgreSQL cannot be asked."""
    limits_ms, trouble = _worker_session()
    with read_only():
        directory = _directory()
        return PostgresFacts(
            version_number=int(value("SHOW server_version_num")),
            settings={name: str(value(f"SHOW {name}")) for name in ASKED},
            is_standby=bool(value("SELECT pg_is_in_recovery()")),
            connection_limit_count=int(value(LIMIT)),
            foreign_connection_count=int(value(FOREIGN)),
            ingress_worker_count=settings.AUTOCOM.ingress_workers,
            worker_count=settings.AUTOCOM.workers_max,
            worker_limits_ms=limits_ms,
            worker_session_trouble=trouble,
            tables_without_autovacuum=[name for (name,) in rows(WITHOUT_AUTOVACUUM)],
            oldest_xid_age_count=int(
                value("SELECT age(datfrozenxid) FROM pg_database WHERE datname = current_database()")
            ),
            long_transactions=_transactions(),
            hidden_session_count=int(value(HIDDEN)),
            slots=[
                Slot(name=name, is_active=active, status=status, held_bytes=held)
                for name, active, status, held in rows(SLOTS)
            ],
            space=space_if_seen(directory) if _is_local() else None,
            directory=directory,
            database_bytes=int(value("SELECT pg_database_size(current_database())")),
        )


def _transactions() -> Mapping[str, float]:
    return dict(rows(TRANSACTIONS))


def _directory() -> str:
    """Where its files are; empty where this role may not know."""
    may_know = value("SELECT pg_has_role('pg_read_all_settings', 'USAGE')")
    return str(value("SHOW data_directory")) if may_know else ""


def _is_local() -> bool:
    pid = int(value("SELECT pg_backend_pid()"))
    return is_here(str(connection.settings_dict["HOST"] or ""), pid=pid, names=("postgres",))


def _worker_session() -> tuple[Mapping[str, int], str]:
    """The time limits of a session opened as a worker opens its own, and why there was none.

    A pooler in between may drop the options, or refuse them.
    """
    asked = {**connection.get_connection_params(), "options": SESSION_OPTIONS}
    for ours in ("cursor_factory", "context"):
        asked.pop(ours, None)
    try:
        with psycopg.connect(**asked, autocommit=True) as session:
            found = session.execute(
                "SELECT name, setting::int FROM pg_settings WHERE name = ANY(%s)", [list(SESSION_LIMITS)]
            ).fetchall()
    except psycopg.Error as error:
        return {}, first_line(str(error))
    return dict(found), ""
