"""Whether the newest matrix still says what a new one would: so long a gate's run does not ask 40,000 times again."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings

from console.models import RbacRun
from console.rbac.runs import is_stale
from evidence.audit import Act
from evidence.models import AuditEntry
from evidence.runs.environment import commit

TRUE_FOR = timedelta(hours=1)  # a gate takes one of a day
CHANGES = (Act.ROLE_CHANGED, Act.ROLE_DELETED, Act.ACCESS_GRANTED, Act.ACCESS_WITHDRAWN)


def matrix_still_true(*, now: datetime) -> RbacRun | None:
    """A PASS of this very code, whose file is as it was written, with no role changed since. Raises django.db.Error."""
    run = RbacRun.objects.first()
    if run is None or run.outcome != "PASS" or is_stale(run) or run.commit != commit()["commit"]:
        return None
    if not timedelta(0) <= now - run.at < TRUE_FOR or _file_sha256() != run.matrix_sha256:
        return None
    changed = AuditEntry.objects.filter(act__in=[each.value for each in CHANGES], at__gte=run.at)
    return None if changed.exists() else run


def _file_sha256() -> str:
    try:
        return hashlib.sha256((Path(settings.AUTOCOM.evidence_root) / "rbac" / "matrix.csv").read_bytes()).hexdigest()
    except OSError:
        return ""
