"""One history, built once, and copies of it to be spoilt: a database each, from a template, and the log's files."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import batched
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.core.management import call_command
from django.db import connection, transaction
from django.test import override_settings
from psycopg import sql

from evidence.audit import Act, Actor, record
from evidence.log.names import LogName
from evidence.log.reads import checkpoint_note, latest_seal
from ingestion.buffer.store import LaneBuffer, lane_buffer
from tests.support.ageing import age
from tests.support.history import Sender, bury_and_retry, drain_all, mixture, seal_logs

TEMPLATE, OLD, COPY = "tamper_history", "tamper_old", "tamper_case"
GUARDED = (
    "evidence_auditentry",
    "evidence_audithead",
    "evidence_logincarnation",
    "evidence_seal",
    "evidence_sealedbatch",
    "evidence_logkey",
)
PART_COUNT = 70
BATCH_COUNT = 20
TESTER = Actor.process("test")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What an outsider kept of a log's state: the checkpoints of both logs."""

    notes: tuple[str, ...]

    @classmethod
    def now(cls) -> Kept:
        seals = [seal for log in LogName if (seal := latest_seal(log))]
        return cls(notes=tuple(checkpoint_note(seal) for seal in seals))


@dataclass(slots=True)
class Arena:
    """`folder` holds the files as they were at the end, `old` as they were in the middle; `kept` is from the end."""

    base: Path
    kept: Kept | None = None

    @property
    def folder(self) -> Path:
        return self.base / "history"

    @property
    def old(self) -> Path:
        return self.base / "old"

    def build(self) -> None:
        """Three parts: of the first the events aged out, of the second the bodies, the third is whole."""
        with on_database(TEMPLATE, fresh=True), evidence_root(self.folder):
            call_command("migrate", verbosity=0)
            buffer = lane_buffer()
            buffer.client.flushdb()
            self._traffic(buffer, "a")
            age(days=100)
            self._traffic(buffer, "b")
            age(days=40)
        self._keep_as_backup()
        with on_database(TEMPLATE), evidence_root(self.folder):
            self._traffic(lane_buffer(), "c")
            bury_and_retry(lane_buffer(), list(mixture(name="r", count=4)))
            seal_logs()
            self.kept = Kept.now()

    def _traffic(self, buffer: LaneBuffer, name: str) -> None:
        """Some batches, a seal after every other one, and acts between them."""
        sender = Sender(buffer)
        for number, bodies in enumerate(batched(mixture(name=name, count=PART_COUNT), BATCH_COUNT)):
            for body in bodies:
                sender.send(body)
            drain_all(buffer)
            with transaction.atomic():
                record(Act.PROVIDER_ADDED, actor=TESTER, subject=f"{name}-{number}")
            if number % 2:
                seal_logs()
        seal_logs()

    def _keep_as_backup(self) -> None:
        _copy_database(TEMPLATE, OLD)
        shutil.copytree(self.folder, self.old, dirs_exist_ok=True)

    @contextmanager
    def copy(self) -> Iterator[Case]:
        """A copy of the whole history, gone afterwards."""
        folder = self.base / "case"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.folder, folder)
        _copy_database(TEMPLATE, COPY)
        with on_database(COPY), evidence_root(folder):
            yield Case(folder=folder, arena=self)

    def remove(self) -> None:
        for name in (COPY, OLD, TEMPLATE):
            _drop(name)


@dataclass(slots=True)
class Case:
    """One copy. `run` is the tamperer: a superuser who takes every trigger away and puts it back."""

    folder: Path
    arena: Arena

    def run(self, *statements: str) -> None:
        with _connect(COPY) as opened:
            opened.execute("SET session_replication_role = replica")
            for table in GUARDED:
                opened.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER USER").format(sql.Identifier(table)))
            for statement in statements:
                done = opened.execute(statement.encode())
                assert done.rowcount != 0, f"changed nothing: {statement}"
            for table in GUARDED:
                _enable_always(opened, table)

    def value(self, query: str) -> Any:
        with _connect(COPY) as opened:
            row = opened.execute(query.encode()).fetchone()
            return row[0] if row else None

    def restore(self, *, with_files: bool) -> None:
        """The backup from the middle of the history."""
        connection.close()
        _copy_database(OLD, COPY)
        if with_files:
            shutil.rmtree(self.folder)
            shutil.copytree(self.arena.old, self.folder)

    def files(self, pattern: str, *, log: str = "events") -> list[Path]:
        found = sorted(self.folder.glob(f"log/{log}/*/{pattern}"))
        assert found, pattern
        return found

    @property
    def kept(self) -> Kept:
        assert self.arena.kept is not None
        return self.arena.kept


def _enable_always(opened: psycopg.Connection[Any], table: str) -> None:
    rows = opened.execute(
        "SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass AND NOT tgisinternal", [table]
    ).fetchall()
    for (trigger,) in rows:
        opened.execute(
            sql.SQL("ALTER TABLE {} ENABLE ALWAYS TRIGGER {}").format(sql.Identifier(table), sql.Identifier(trigger))
        )


def _connect(database: str) -> psycopg.Connection[Any]:
    params = connection.get_connection_params()
    given = {key: params[key] for key in ("host", "port", "user", "password") if params.get(key)}
    return psycopg.connect(**given, dbname=database, autocommit=True)


def _copy_database(source: str, target: str) -> None:
    with _connect("postgres") as opened:
        opened.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(target)))
        opened.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(target), sql.Identifier(source)))


def _drop(name: str) -> None:
    with _connect("postgres") as opened:
        opened.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def on_database(name: str, *, fresh: bool = False) -> Iterator[None]:
    """Django talks to this database, and to the one before afterwards."""
    before = connection.settings_dict["NAME"]
    if fresh:
        _copy_database("template0", name)
    connection.close()
    connection.settings_dict["NAME"] = name
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = before


@contextmanager
def evidence_root(folder: Path) -> Iterator[None]:
    with override_settings(AUTOCOM=replace(settings.AUTOCOM, evidence_root=folder)):
        yield
