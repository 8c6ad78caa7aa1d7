"""Whether PostgreSQL protects the audit log right now, read from its catalogue.

Two layers. Migration 0001 makes the triggers; without one of them the log is open, and `is_required` says so. The other
layer is a DBA's (`deploy/audit-protections.sql`): the application is not the owner, and no statement changes the
definition of the log. Not checked: what a superuser did meanwhile and undid; `audit verify` finds its traces.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import connection

DEFINITIONS = Path(__file__).parent / "migrations" / "0001_audit_log.sql"
_FUNCTION = re.compile(r"CREATE FUNCTION (\w+)\(\).*?AS \$\$(.*?)\$\$", re.DOTALL)
_TRIGGER = re.compile(r"CREATE TRIGGER (\w+) .*? ON (\w+)\s.*?EXECUTE FUNCTION (\w+)\(\)", re.DOTALL)
TABLES = ("evidence_auditentry", "evidence_audithead")


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """`is_in_force` False: what `what` says is not so."""

    name: str
    is_in_force: bool
    is_required: bool
    what: str


def protections() -> list[Protection]:
    """As they are now, the required ones first. Raises django.db.Error."""
    return [*_triggers(), *_role(), _definition_guard()]


def _triggers() -> Iterator[Protection]:
    text = DEFINITIONS.read_text(encoding="utf-8")
    sources = {name: source.strip() for name, source in _FUNCTION.findall(text)}
    there = {
        (table, trigger): (enabled, source.strip())
        for table, trigger, enabled, source in _rows(
            "SELECT tgrelid::regclass::text, tgname, tgenabled, prosrc FROM pg_trigger "
            "JOIN pg_proc ON pg_proc.oid = tgfoid WHERE tgrelid = ANY (%s::regclass[]) AND NOT tgisinternal",
            [list(TABLES)],
        )
    }
    for trigger, table, function in _TRIGGER.findall(text):
        yield Protection(
            name=trigger,
            is_in_force=there.get((table, trigger)) == ("A", sources[function]),
            is_required=True,
            what=f"{table} has the trigger {trigger}, enabled always, with the function of the migration",
        )


def _role() -> Iterator[Protection]:
    ((owns, is_superuser, may_change),) = _rows(
        "SELECT bool_or(pg_has_role(current_user, relowner, 'USAGE')),"
        " (SELECT rolsuper FROM pg_roles WHERE rolname = current_user),"
        " has_table_privilege('evidence_auditentry', 'UPDATE, DELETE, TRUNCATE')"
        " FROM pg_class WHERE oid = ANY (%s::regclass[])",
        [list(TABLES)],
    )
    told = (
        ("not_superuser", not is_superuser, "the application's role is no superuser"),
        ("not_owner", not owns, "the application's role does not own the log, so it cannot take the triggers away"),
        ("no_grants", not may_change, "the application's role was not granted UPDATE, DELETE or TRUNCATE"),
    )
    for name, holds, what in told:
        yield Protection(name=name, is_in_force=holds, is_required=False, what=what)


def _definition_guard() -> Protection:
    ((enabled,),) = _rows(
        "SELECT coalesce(max(evtenabled), 'D') FROM pg_event_trigger"
        " WHERE evtname = %s AND evtevent = 'ddl_command_end'",
        ["audit_guard"],
    )
    return Protection(
        name="audit_guard",
        is_in_force=enabled == "A",
        is_required=False,
        what="the event trigger audit_guard, enabled always, refuses every change of the log's definition",
    )


def _rows(sql: str, parameters: list[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall())
