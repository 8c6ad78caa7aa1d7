"""Whether PostgreSQL protects the audit log and the log of seals right now, read from its catalogue.

Two layers. Migrations 0001 and 0002 make the triggers; without one of them a log is open, and `is_required` says so.
The other layer is a DBA's (`deploy/audit-protections.sql`): the application is not the owner, and no statement changes
the definition of a log. Not checked: what a superuser did meanwhile and undid; `audit verify` finds its traces.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import connection

_MIGRATIONS = Path(__file__).parent / "migrations"
DEFINITIONS = (_MIGRATIONS / "0001_audit_log.sql", _MIGRATIONS / "0002_log_and_artifacts.sql")
_FUNCTION = re.compile(r"CREATE FUNCTION (\w+)\(\).*?AS \$\$(.*?)\$\$", re.DOTALL)
# as the migrations write it and as PostgreSQL tells it; a trigger with a condition is none of these
_TRIGGER = re.compile(
    r"CREATE TRIGGER (\w+) (BEFORE|AFTER) ([\w ]+?) ON (?:\w+\.)?(\w+)\s+FOR EACH (ROW|STATEMENT)"
    r" EXECUTE FUNCTION (?:\w+\.)?(\w+)\(\)"
)
TABLES = (
    "evidence_auditentry",
    "evidence_audithead",
    "evidence_logincarnation",
    "evidence_seal",
    "evidence_sealedbatch",
    "evidence_logkey",
)


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


@dataclass(frozen=True, slots=True)
class _Trigger:
    """One trigger with what it does. `events` are as `UPDATE`, or `UPDATE OF column`."""

    name: str
    moment: str
    events: frozenset[str]
    table: str
    each: str
    function: str

    @classmethod
    def found_in(cls, text: str) -> Iterator[_Trigger]:
        for name, moment, events, table, each, function in _TRIGGER.findall(text):
            yield cls(name, moment, frozenset(events.split(" OR ")), table, each, function)


def _triggers() -> Iterator[Protection]:
    text = "\n".join(path.read_text(encoding="utf-8") for path in DEFINITIONS)
    sources = {name: source.strip() for name, source in _FUNCTION.findall(text)}
    there = {
        trigger: (enabled, source.strip())
        for definition, enabled, source in _rows(
            "SELECT pg_get_triggerdef(pg_trigger.oid), tgenabled, prosrc FROM pg_trigger "
            "JOIN pg_proc ON pg_proc.oid = tgfoid WHERE tgrelid = ANY (%s::regclass[]) AND NOT tgisinternal",
            [list(TABLES)],
        )
        for trigger in _Trigger.found_in(definition)
    }
    for trigger in _Trigger.found_in(text):
        yield Protection(
            name=trigger.name,
            is_in_force=there.get(trigger) == ("A", sources[trigger.function]),
            is_required=True,
            what=f"{trigger.table} has the trigger {trigger.name}, enabled always, as the migration made it",
        )


def _role() -> Iterator[Protection]:
    ((owns, is_superuser, may_change),) = _rows(
        "SELECT bool_or(pg_has_role(current_user, relowner, 'USAGE')),"
        " (SELECT rolsuper FROM pg_roles WHERE rolname = current_user),"
        " bool_or(has_table_privilege(oid, 'UPDATE, DELETE, TRUNCATE'))"
        " FROM pg_class WHERE oid = ANY (%s::regclass[])",
        [list(TABLES)],
    )
    told = (
        ("not_superuser", not is_superuser, "the application's role is no superuser"),
        (
            "not_owner",
            not owns,
            "the application's role owns no table of the logs, so it cannot take the triggers away",
        ),
        (
            "no_grants",
            not may_change,
            "the application's role was granted UPDATE, DELETE or TRUNCATE of no table of the logs",
        ),
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
        what="the event trigger audit_guard, enabled always, refuses every change of the logs' definition",
    )


def _rows(sql: str, parameters: list[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall())
