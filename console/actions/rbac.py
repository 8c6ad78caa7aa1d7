"""The matrix of permissions is tested, and the audit log says how it ended."""

from __future__ import annotations

from pathlib import Path

from django.db import transaction

from console.rbac.matrix import Matrix, matrix, write
from console.rbac.probe import Verdict
from console.rbac.runs import keep_run
from evidence.audit import Act, Actor, record


def tested_rbac(*, actor: Actor, folder: Path | None) -> Matrix:
    """Probed, written and on record. Raises ConfigurationError, OSError and django.db.Error."""
    told = matrix()
    digest = write(told, folder)
    facts = {
        "outcome": told.outcome,
        "commit": told.commit,
        "cells": len(told.cells),
        "mismatch": told.count(Verdict.MISMATCH),
        "untested": told.count(Verdict.UNTESTED),
        "matrix_sha256": digest,
    }
    with transaction.atomic():
        keep_run(told, asked_by=actor.name, matrix_sha256=digest)
        record(Act.RBAC_TESTED, actor=actor, subject="rbac matrix", facts=facts)
    return told
