"""Are our tables, constraints and indexes there, valid, ours to use, and do the hot queries use them?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from autocom.doctor.finding import Check, Finding
from autocom.doctor.judgements.sizes import listed

BIG_TABLE_ROWS = 50_000

MIGRATIONS = Check(
    "postgres.migrations",
    "Code and tables that do not fit each other fail at the first commit that needs what is missing.",
    "manage.py migrate (after a backup), or deploy the code that the database was migrated for",
)
RIGHTS = Check(
    "postgres.rights",
    "A commit needs every right at once: with one missing all lanes rest and fill up.",
    "GRANT SELECT, INSERT on each table that is named, and UPDATE on ingestion_lane, TO <role>",
)
IDENTITY = Check(
    "postgres.identity",
    "The unique constraint on an event's identity is what makes exactly once true after a crash or a late duplicate.",
    "remove duplicates, then ALTER TABLE ingestion_event ADD CONSTRAINT event_identity_once UNIQUE (identity)",
)
INDEXES = Check(
    "postgres.indexes",
    "A missing or invalid index makes commits and pages slower with every event that is stored.",
    "REINDEX INDEX CONCURRENTLY <name>; one that is missing: CREATE INDEX CONCURRENTLY as its migration says "
    "(manage.py sqlmigrate ingestion 0001)",
)
PLANS = Check(
    "postgres.plans",
    "A hot query that reads a whole table takes longer with every event, until commits miss their time.",
    'psql "$DB_URL" -c ANALYZE; if it stays, see postgres.indexes and EXPLAIN (ANALYZE) of the query',
)
APPEND_ONLY = Check(
    "postgres.append_only",
    "The audit log and the seals prove something only while nobody can change them unseen.",
    "let a DBA run deploy/audit-protections.sql as its first lines say; a trigger that is missing was taken away: find "
    "out by whom, restore it as evidence/migrations/0001_audit_log.sql and 0002_log_and_artifacts.sql have it, then "
    "manage.py audit verify",
)
CHECKS = (MIGRATIONS, RIGHTS, IDENTITY, INDEXES, PLANS, APPEND_ONLY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """One that should be there, or is. `columns` is empty where the index is on an expression: its name tells it."""

    table: str
    columns: tuple[str, ...]
    is_unique: bool
    name: str = ""
    is_valid: bool = True
    is_partial: bool = False

    def serves(self, wanted: Index) -> bool:
        is_same = self.columns == wanted.columns if wanted.columns else self.name == wanted.name
        is_enough = self.is_unique >= wanted.is_unique and self.is_partial <= wanted.is_partial
        return self.table == wanted.table and is_same and is_enough


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How PostgreSQL would run one hot query: as it would now, and with sequential scans ruled out where possible."""

    query: str
    table: str
    row_count: float  # as PostgreSQL estimates
    scans_now: bool
    can_use_index: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """One protection of the logs. `is_required`: by the migrations; else by the DBA's file."""

    name: str
    is_in_force: bool
    is_required: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaFacts:
    unapplied: Sequence[str]
    unknown_applied: Sequence[str]  # the database has them, this code does not
    missing_rights: Sequence[str] | None  # None: not asked, as tables are missing
    is_superuser: bool
    is_local: bool  # a database of autocom's own, where the role is a superuser by design
    identities: Sequence[Index]  # that keep an event from being stored twice
    wanted: Sequence[Index]
    found: Sequence[Index]
    plans: Sequence[Plan]
    guards: Sequence[Guard]  # empty: not asked, as tables are missing


def judge(facts: SchemaFacts) -> Iterator[Finding]:
    yield _migrations(facts)
    yield _rights(facts)
    yield _identity(facts)
    yield _indexes(facts)
    yield _plans(facts)
    yield _append_only(facts)


def _migrations(facts: SchemaFacts) -> Finding:
    if facts.unapplied:
        return MIGRATIONS.fail(f"not applied: {listed(facts.unapplied)}")
    if facts.unknown_applied:
        return MIGRATIONS.warning(f"applied, but unknown to this code: {listed(facts.unknown_applied)}")
    return MIGRATIONS.fine("all applied")


def _rights(facts: SchemaFacts) -> Finding:
    if facts.missing_rights is None:
        return RIGHTS.unknown("rights on tables that are missing cannot be asked", mend=MIGRATIONS.mend)
    if facts.missing_rights:
        return RIGHTS.fail(f"missing: {listed(facts.missing_rights)}")
    if facts.is_superuser and not facts.is_local:
        return RIGHTS.warning(
            "the role is a superuser, whom no right and no trigger holds back",
            mend="make a role that owns the database and nothing else, and name it in DB_URL",
        )
    return RIGHTS.fine("the role has what a commit needs")


def _identity(facts: SchemaFacts) -> Finding:
    """Every one that the models ask for: with one missing, its table may take an event twice."""
    told, serving = [], []
    for wanted in facts.identities:
        found = [index for index in facts.found if index.serves(wanted)]
        valid = [index for index in found if index.is_valid]
        where = f"{wanted.table} ({', '.join(wanted.columns)})"
        serving += [f"{index.name}: unique on {where}" for index in valid[:1]]
        if found and not valid:
            return IDENTITY.fail(
                f"{found[0].name} on {where} is not valid", mend=f"REINDEX INDEX CONCURRENTLY {found[0].name}"
            )
        told += [f"no unique constraint on {where}"] * (not found)
    return IDENTITY.required(holds=bool(serving) and not told, found="; ".join(told or serving))


def _indexes(facts: SchemaFacts) -> Finding:
    missing = [
        f"{wanted.table} ({', '.join(wanted.columns) or wanted.name})"
        for wanted in facts.wanted
        if not any(index.serves(wanted) for index in facts.found)
    ]
    invalid = [index.name for index in facts.found if not index.is_valid]
    troubles = [f"missing: {listed(missing)}"] * bool(missing) + [f"not valid: {listed(invalid)}"] * bool(invalid)
    return INDEXES.required(
        holds=not troubles, found="; ".join(troubles) or f"{len(facts.wanted)} wanted, all there and valid"
    )


def _plans(facts: SchemaFacts) -> Finding:
    if not facts.plans:
        return PLANS.unknown("tables that are not migrated cannot be asked", mend=MIGRATIONS.mend)
    unserved = [plan.query for plan in facts.plans if not plan.can_use_index]
    if unserved:
        return PLANS.fail(f"no index serves: {listed(unserved)}", mend=INDEXES.mend)
    scanned = [
        f"{plan.query} ({plan.table}, about {plan.row_count:,.0f} rows)" for plan in facts.plans if _is_slow(plan)
    ]
    if scanned:
        return PLANS.fail(f"reads the whole table: {listed(scanned)}")
    return PLANS.fine(f"an index serves each of {len(facts.plans)} hot queries")


def _is_slow(plan: Plan) -> bool:
    return plan.scans_now and plan.row_count > BIG_TABLE_ROWS


def _append_only(facts: SchemaFacts) -> Finding:
    if not facts.guards:
        return APPEND_ONLY.unknown("tables that are not migrated have no triggers", mend=MIGRATIONS.mend)
    gone = [each.name for each in facts.guards if each.is_required and not each.is_in_force]
    if gone:
        return APPEND_ONLY.fail(f"missing, changed or not enabled always: {listed(gone)}")
    open_ = [each.name for each in facts.guards if not each.is_in_force]
    if open_ and not facts.is_local:
        return APPEND_ONLY.warning(f"every trigger is in force, but not the second layer: {listed(open_)}")
    told = "the second layer is left out, as the database is autocom's own" if open_ else "and so is the second layer"
    return APPEND_ONLY.fine(f"{sum(each.is_required for each in facts.guards)} triggers are in force; {told}")
