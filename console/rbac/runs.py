"""Probes as they are kept: enough to show the matrix, and to say what changed since the one before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from autocom.build import build
from console.models import RbacRun
from console.rbac.matrix import Matrix
from console.rbac.probe import Cell, Verdict

STALE = "STALE"


@dataclass(frozen=True, slots=True)
class Change:
    """One cell that was another one in the run before. None: the cell was not there."""

    route: str
    method: str
    persona: str
    before: str | None
    after: str | None


def keep_run(told: Matrix, *, asked_by: str, matrix_sha256: str) -> RbacRun:
    return RbacRun.objects.create(
        at=told.at,
        commit=told.commit,
        build=told.build,
        outcome=told.outcome,
        cell_count=len(told.cells),
        match_count=told.count(Verdict.MATCH),
        mismatch_count=told.count(Verdict.MISMATCH),
        untested_count=told.count(Verdict.UNTESTED),
        seconds=told.seconds,
        asked_by=asked_by,
        matrix_sha256=matrix_sha256,
        personas=list(dict.fromkeys(cell.persona for cell in told.cells)),
        lines=lines_of(told.cells),
    )


def is_stale(run: RbacRun) -> bool:
    """Of other code than what runs here: then it says nothing about this."""
    return run.build != build()


def lines_of(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """A line for the methods of a route that answered alike; `cells` in the order of the personas."""
    lines: dict[str, dict[str, Any]] = {}
    for (route, method), group in groupby(cells, key=lambda cell: (cell.route, cell.method)):
        one = list(group)
        told = [[_answered(cell), cell.verdict.value] for cell in one]
        line = lines.setdefault(
            f"{route} {one[0].rule} {told}", {"route": route, "rule": one[0].rule, "methods": [], "cells": told}
        )
        line["methods"].append(method)
    return list(lines.values())


def changes(before: RbacRun, after: RbacRun) -> list[Change]:
    old, new = _cells(before), _cells(after)
    return [Change(*key, old.get(key), new.get(key)) for key in {**old, **new} if old.get(key) != new.get(key)]


def _answered(cell: Cell) -> str:
    if cell.observed is not None:
        return cell.observed.value
    return "error" if cell.status is None else f"answered {cell.status}"


def _cells(run: RbacRun) -> dict[tuple[str, str, str], str]:
    return {
        (line["route"], method, persona): f"{answered}, {verdict}"
        for line in run.lines
        for method in line["methods"]
        for persona, (answered, verdict) in zip(run.personas, line["cells"], strict=True)
    }
