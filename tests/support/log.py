"""A log of the test's own: empty tables, and files in a folder that goes away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection
from django.test import override_settings

TABLES = ("evidence_seal", "evidence_sealedbatch", "evidence_logincarnation", "evidence_logkey")


@contextmanager
def own_log(folder: Path, **changes: Any) -> Iterator[Path]:
    """EVIDENCE_ROOT is the folder; no seal is in the database before and after. `changes`: of the environment."""
    empty_log()
    with override_settings(AUTOCOM=replace(settings.AUTOCOM, evidence_root=folder, **changes)):
        yield folder
    empty_log()


def empty_log() -> None:
    """As a superuser who takes the triggers away, and puts them back."""
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        cursor.execute(f"TRUNCATE {', '.join(TABLES)}, evidence_sealerstate")
        for table in TABLES:
            cursor.execute("SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass AND NOT tgisinternal", [table])
            for (trigger,) in cursor.fetchall():
                cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}")
