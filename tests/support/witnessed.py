"""Committed batches, a log that is taken apart by a superuser, and witnesses that look at it."""

from __future__ import annotations

import argparse
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.test import override_settings

from autocom.kernel.digest import sha256
from evidence.audit import Act, Actor, record
from evidence.log.files import folder_of
from evidence.log.names import LogName
from evidence.log.reads import current_incarnation, latest_seal
from evidence.log.sealer import seal_everything
from evidence.models import LogIncarnation, Seal
from evidence.witnesses import witness
from ingestion.models import Batch
from tests.support.log import TABLES, empty_log

_numbers = count(1)


def commit(batches: int = 1) -> None:
    """Batches of one event each, on lane 0, one after the other."""
    last = Batch.objects.filter(lane=0, epoch=1).order_by("-last_sequence").first()
    first = last.last_sequence + 1 if last else 1
    for sequence in range(first, first + batches):
        Batch.objects.create(
            lane=0,
            epoch=1,
            first_sequence=sequence,
            last_sequence=sequence,
            event_count=1,
            merkle_root=sha256(b"%d" % next(_numbers)),
            worker="worker",
            fence=1,
            claimed_at=datetime.now(UTC),
            committed_at=datetime.now(UTC),
        )


def act(subject: str = "somebody") -> None:
    with transaction.atomic():
        record(Act.PROVIDER_ADDED, actor=Actor.process("test"), subject=subject)


def seal_events(batches: int = 0) -> Seal:
    commit(batches)
    seal_everything(LogName.EVENTS)
    found = latest_seal(LogName.EVENTS)
    assert found is not None
    return found


def seal_again(*, batches: int = 0) -> Seal:
    """The whole log of events is sealed once more from the rows as they are now, under its old origin."""
    before = current_incarnation(LogName.EVENTS)
    assert before is not None
    shutil.rmtree(folder_of(before))
    empty_log()
    LogIncarnation.objects.create(
        log=before.log,
        token=before.token,
        origin=before.origin,
        start_line=before.start_line,
        first_number=before.first_number,
        started_at=before.started_at,
    )
    return seal_events(batches)


@contextmanager
def without_triggers() -> Iterator[None]:
    """What only a superuser can do."""
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        try:
            yield
        finally:
            for table in TABLES:
                cursor.execute(
                    "SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass AND NOT tgisinternal", [table]
                )
                for (trigger,) in cursor.fetchall():
                    cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}")


@contextmanager
def environment(**changes: Any) -> Iterator[None]:
    with override_settings(AUTOCOM=replace(settings.AUTOCOM, **changes)):
        yield


class Auditor:
    """A witness with a directory of its own; `looks` is one round of it, its exit code and what it said."""

    def __init__(
        self, *, url: str, keep: Path, vkey: str = "", log: str = "events", arguments: tuple[str, ...] = ()
    ) -> None:
        self.keep = keep
        trust = ("--vkey", vkey) if vkey else ("--trust-first",)
        self.arguments = ("--url", url, "--keep", str(keep), "--log", log, *trust, *arguments)

    def looks(self, capsys: Any, *more: str) -> tuple[int, str]:
        parser = argparse.ArgumentParser()
        witness.add_arguments(parser)
        status = witness.run(parser.parse_args([*self.arguments, *more]))
        out, err = capsys.readouterr()
        return status, out + err

    def kept(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.keep.iterdir() if path.name != ".lock"}


def new_witness_key(file: Path) -> Path:
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(file)], check=True)
    return file
