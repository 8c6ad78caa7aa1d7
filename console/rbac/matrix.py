"""The whole matrix: probed, counted, and left below EVIDENCE_ROOT for the next bundle."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings

from autocom.build import build
from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from console.rbac.personas import PERSONAS
from console.rbac.policy import POLICY
from console.rbac.probe import Cell, Verdict, probe
from console.rbac.routes import METHODS, Route, routes
from evidence.runs.environment import commit

FORMAT = "autocom-rbac/1"
COLUMNS = ("route", "method", "persona", "view", "rule", "expected", "http", "decision", "verdict")
STOPPED = "let in, stopped there"


@dataclass(slots=True)
class Progress:
    """How far a probe is; another thread may read it."""

    done_count: int = 0
    cell_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    cells: Sequence[Cell]
    at: datetime
    commit: str
    is_changed: bool | None
    build: str
    seconds: float

    def count(self, verdict: Verdict) -> int:
        return sum(cell.verdict is verdict for cell in self.cells)

    @property
    def faults(self) -> list[Cell]:
        """The mismatches first."""
        return sorted(
            (cell for cell in self.cells if cell.verdict is not Verdict.MATCH),
            key=lambda cell: cell.verdict is Verdict.UNTESTED,
        )

    @property
    def outcome(self) -> str:
        if self.count(Verdict.MISMATCH):
            return "FAIL"
        return "PASS" if self.cells and not self.count(Verdict.UNTESTED) else "INCONCLUSIVE"

    @property
    def sentence(self) -> str:
        mismatch, untested = self.count(Verdict.MISMATCH), self.count(Verdict.UNTESTED)
        told = f"{self.count(Verdict.MATCH):,} match, {mismatch:,} MISMATCH, {untested:,} UNTESTED"
        return f"{self.outcome}: {len(self.cells):,} cells, {told}, in {self.seconds:.1f} s"

    def as_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "at": self.at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "commit": self.commit,
            "is_changed": self.is_changed,
            "build": self.build,
            "cells": len(self.cells),
            "match": self.count(Verdict.MATCH),
            "mismatch": self.count(Verdict.MISMATCH),
            "untested": self.count(Verdict.UNTESTED),
            "routes": len({cell.route for cell in self.cells}),
            "personas": list(dict.fromkeys(cell.persona for cell in self.cells)),
            "statuses": dict(sorted(Counter(_http(cell) for cell in self.cells).items())),
            "seconds": round(self.seconds, 3),
            "outcome": self.outcome,
        }


def matrix(found: Sequence[Route] | None = None, *, progress: Progress | None = None) -> Matrix:
    """Of every route, or of these. Raises ConfigurationError and django.db.Error."""
    began, at, told = time.monotonic(), datetime_of(us=SYSTEM_CLOCK.now_us()), commit()
    asked, progress = routes() if found is None else found, progress or Progress()
    progress.cell_count = sum(len(route.methods) for route in asked) * len(PERSONAS)
    cells = []
    for cell in probe(asked):
        cells.append(cell)
        progress.done_count += 1
    return Matrix(
        cells=cells,
        at=at,
        commit=told["commit"],
        is_changed=told["is_changed"],
        build=build(),
        seconds=time.monotonic() - began,
    )


def matrix_csv(cells: Sequence[Cell]) -> str:
    return csv_text(
        COLUMNS,
        (
            (c.route, c.method, c.persona, c.view, c.rule, c.expected, _http(c), c.decision, c.verdict.value)
            for c in cells
        ),
    )


def policy_csv() -> str:
    """Who is to get what, as reviewed: one line for each rule of a route, one column for each persona."""
    return csv_text(("route", "methods", "rule", *(persona.name for persona in PERSONAS)), _policy_lines())


def write(told: Matrix, folder: Path | None = None) -> str:
    """Whole files or none; the summary last, as it says of which commit the matrix is. Returns the matrix's SHA-256.

    Raises OSError.
    """
    folder = folder or Path(settings.AUTOCOM.evidence_root) / "rbac"
    folder.mkdir(parents=True, exist_ok=True)
    text = matrix_csv(told.cells)
    digest = hashlib.sha256(text.encode()).hexdigest()
    _replace(folder / "matrix.csv", text)
    _replace(folder / "summary.json", json.dumps({**told.as_json(), "matrix_sha256": digest}, indent=2) + "\n")
    return digest


def _policy_lines() -> Iterator[tuple[str, ...]]:
    for path, row in sorted(POLICY.items()):
        rules = {method: row.rule(method) for method in METHODS}
        for rule in dict.fromkeys(rule for rule in rules.values() if rule is not None):
            methods = " ".join(method for method in METHODS if rules[method] == rule)
            yield (path, methods, str(rule), *(rule.expected(persona).value for persona in PERSONAS))


def _http(cell: Cell) -> str:
    if cell.status is not None:
        return str(cell.status)
    return STOPPED if cell.observed is not None else "error"


def csv_text(columns: Sequence[str], rows: Iterator[tuple[object, ...]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def _replace(path: Path, text: str) -> None:
    half = path.with_suffix(".part")
    half.write_text(text, encoding="utf-8")
    half.rename(path)
