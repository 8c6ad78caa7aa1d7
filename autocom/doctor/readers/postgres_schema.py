"""Our tables as PostgreSQL has them, beside what the models want. Reads only."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import connection, transaction
from django.db.migrations.loader import MigrationLoader
from django.db.models import Model, QuerySet, UniqueConstraint

from autocom.doctor.judgements.postgres_schema import Guard, Index, Plan, SchemaFacts
from autocom.doctor.readers.session import read_only, rows, value
from evidence.append_only import protections
from ingestion.hot_queries import HotQuery, hot_queries

APPS = ("ingestion", "evidence")
RIGHTS = ("SELECT", "INSERT")  # UPDATE only where a commit needs it: append-only tables may well refuse it
UPDATED = ("ingestion_lane",)
MOVED_BY_TRIGGER = "evidence_audithead"  # one row, made by the migration: nobody may insert another
INDEXES = """
    SELECT t.relname, i.relname, x.indisunique, x.indisvalid AND x.indisready AND x.indislive, x.indpred IS NOT NULL,
        coalesce(array_agg(a.attname ORDER BY k.position) FILTER (WHERE a.attname IS NOT NULL), '{}'),
        bool_or(k.number = 0)
    FROM pg_index x
    JOIN pg_class t ON t.oid = x.indrelid
    JOIN pg_class i ON i.oid = x.indexrelid
    CROSS JOIN unnest(x.indkey::int[]) WITH ORDINALITY AS k(number, position)
    LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.number AND k.number > 0
    WHERE t.relname = ANY(%s) AND pg_table_is_visible(t.oid) AND k.position <= x.indnkeyatts
    GROUP BY 1, 2, 3, 4, 5
"""


def read() -> SchemaFacts:
    """Raises django.db.Error when PostgreSQL cannot be asked."""
    unapplied, unknown = _migrations()
    with read_only():
        models = [model for name in APPS for model in apps.get_app_config(name).get_models()]
        found = _found_indexes([model._meta.db_table for model in models])
        wanted = [index for model in models for index in wanted_indexes(model)]
        return SchemaFacts(
            unapplied=unapplied,
            unknown_applied=unknown,
            missing_rights=None if unapplied else _missing_rights([model._meta.db_table for model in models]),
            is_superuser=bool(value("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")),
            is_local=settings.AUTOCOM.db_is_local,
            identities=[index for index in wanted if index.is_unique and index.columns == ("identity",)],
            wanted=wanted,
            found=found,
            plans=[] if unapplied else [_plan(query, found) for query in hot_queries(now=datetime.now(UTC))],
            guards=[] if unapplied else _guards(),
        )


def _guards() -> list[Guard]:
    return [Guard(name=each.name, is_in_force=each.is_in_force, is_required=each.is_required) for each in protections()]


def _migrations() -> tuple[list[str], list[str]]:
    """Those that are not applied, and those that only the database knows."""
    loader = MigrationLoader(connection)
    unapplied = [f"{app}.{name}" for app, name in loader.graph.nodes if (app, name) not in loader.applied_migrations]
    unknown = [f"{app}.{name}" for app, name in loader.applied_migrations if app in APPS]
    known = {f"{app}.{name}" for app, name in (*loader.disk_migrations, *loader.replacements)}
    return unapplied, sorted(set(unknown) - known)


def wanted_indexes(model: type[Model]) -> Iterator[Index]:
    """What the model's fields, indexes and unique constraints ask for."""
    options = model._meta

    def columns(names: Sequence[str]) -> tuple[str, ...]:
        return tuple(str(options.get_field(name).column) for name in names)  # type: ignore[union-attr]

    table = options.db_table
    for field in options.local_fields:
        if field.unique or getattr(field, "db_index", False):
            yield Index(table=table, columns=(str(field.column),), is_unique=field.unique)
    for index in options.indexes:
        fields = columns([name for name, _ in index.fields_orders])
        yield Index(
            table=table, columns=fields, is_unique=False, name=index.name, is_partial=index.condition is not None
        )
    for rule in options.constraints:
        if isinstance(rule, UniqueConstraint):
            yield Index(
                table=table,
                columns=columns(rule.fields),
                is_unique=True,
                name=rule.name,
                is_partial=rule.condition is not None,
            )


def _found_indexes(tables: Sequence[str]) -> list[Index]:
    return [
        Index(
            table=table,
            columns=() if has_expression else tuple(columns),
            is_unique=is_unique,
            name=name,
            is_valid=is_valid,
            is_partial=is_partial,
        )
        for table, name, is_unique, is_valid, is_partial, columns, has_expression in rows(INDEXES, [list(tables)])
    ]


def _missing_rights(tables: Sequence[str]) -> list[str]:
    asked = [(table, right) for table in tables for right in (*RIGHTS, *(["UPDATE"] if table in UPDATED else []))]
    return [
        f"{right} on {table}"
        for table, right in asked
        if (table, right) != (MOVED_BY_TRIGGER, "INSERT")
        and not value("SELECT has_table_privilege(%s, %s)", [table, right])
    ]


def _plan(query: HotQuery, indexes: Sequence[Index]) -> Plan:
    """With few rows the planner rightly scans: whether an index can serve shows only where scans are ruled out."""
    now = list(_nodes(_explained(query.rows)))
    before = transaction.savepoint()
    rows("SET LOCAL enable_seqscan = off")
    forced = list(_nodes(_explained(query.rows)))
    transaction.savepoint_rollback(before)  # and the setting is what it was
    return Plan(
        query=query.name,
        table=query.rows.model._meta.db_table,
        row_count=float(_explained(query.rows.model._default_manager.order_by())["Plan Rows"]),
        scans_now=_scans(now),
        can_use_index=not _scans(forced)
        and (_enters_index(forced, {index.name: index.columns for index in indexes}) or _has_index(query, indexes)),
    )


def _has_index(query: HotQuery, indexes: Sequence[Index]) -> bool:
    """PostgreSQL 18 may skip through an index by its second column where the first has few values."""
    table = query.rows.model._meta.db_table
    beginnings = {index.columns[:1] for index in indexes if index.table == table and index.is_valid}
    return (query.column,) in beginnings


def _enters_index(nodes: Sequence[dict[str, Any]], columns: Mapping[str, Sequence[str]]) -> bool:
    """True when each index is entered by its first column: without that PostgreSQL may still walk all of it."""
    used = [(str(node.get("Index Cond", "")), columns[node["Index Name"]]) for node in nodes if "Index Name" in node]
    return bool(used) and all(names and re.search(rf"\b{re.escape(names[0])}\b", by) for by, names in used)


def _explained(rows: QuerySet[Any]) -> dict[str, Any]:
    plan: dict[str, Any] = json.loads(rows.explain(format="json"))[0]["Plan"]
    return plan


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from _nodes(below)


def _scans(nodes: Sequence[dict[str, Any]]) -> bool:
    return any(node["Node Type"].endswith("Seq Scan") for node in nodes)
