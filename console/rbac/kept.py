"""A kept run read back cell by cell: filtered as the page's address says, and as CSV."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from console.models import RbacRun
from console.rbac.matrix import csv_text
from console.rbac.probe import Verdict
from console.rbac.runs import STALE, is_stale

STATES = (Verdict.MATCH.value, Verdict.MISMATCH.value, Verdict.UNTESTED.value, STALE)
COLUMNS = ("route", "method", "persona", "declared", "answered", "state", "commit", "probed_at")


@dataclass(frozen=True, slots=True)
class KeptCell:
    answered: str
    state: str

    @property
    def is_bad(self) -> bool:
        return self.state != Verdict.MATCH


@dataclass(frozen=True, slots=True)
class KeptLine:
    """A route, and the methods that were answered alike."""

    route: str
    methods: list[str]
    rule: str
    cells: Mapping[str, KeptCell]  # by persona

    @property
    def is_bad(self) -> bool:
        return any(cell.is_bad for cell in self.cells.values())


@dataclass(frozen=True, slots=True)
class Filter:
    """What the address asks for; empty is everything. `route` is a part of a route, the others are whole names."""

    route: str = ""
    persona: str = ""
    state: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Filter:
        given = {name: query.get(name, "").strip()[:200] for name in ("route", "persona", "state")}
        return cls(**{**given, "route": given["route"].lstrip("/")})

    @property
    def query(self) -> str:
        told = {"route": self.route, "persona": self.persona, "state": self.state}
        return urlencode({name: value for name, value in told.items() if value})


def lines(run: RbacRun, asked: Filter) -> list[KeptLine]:
    """What does not match first. On other code than what runs here no cell is good: a match is STALE there."""
    found = (_line(run, line, asked, stale=is_stale(run)) for line in run.lines if asked.route in line["route"])
    return sorted((line for line in found if line.cells), key=lambda line: not line.is_bad)


def kept_csv(run: RbacRun, asked: Filter) -> str:
    at = run.at.isoformat(timespec="seconds").replace("+00:00", "Z")
    return csv_text(COLUMNS, ((*row, run.commit, at) for row in _rows(run, asked)))


def _rows(run: RbacRun, asked: Filter) -> Iterator[tuple[str, ...]]:
    for line in lines(run, asked):
        for method in line.methods:
            for persona, cell in line.cells.items():
                yield (f"/{line.route}", method, persona, line.rule, cell.answered, cell.state)


def _line(run: RbacRun, line: Mapping[str, object], asked: Filter, *, stale: bool) -> KeptLine:
    """With the cells of the personas that are asked for, all of them where one is in the state that is asked for."""
    pairs: list[tuple[str, str]] = list(line["cells"])  # type: ignore[call-overload]
    cells = {
        persona: KeptCell(answered, STALE if stale and verdict == Verdict.MATCH else verdict)
        for persona, (answered, verdict) in zip(run.personas, pairs, strict=True)
        if asked.persona in ("", persona)
    }
    is_asked = not asked.state or any(cell.state == asked.state for cell in cells.values())
    return KeptLine(str(line["route"]), list(line["methods"]), str(line["rule"]), cells if is_asked else {})  # type: ignore[call-overload]
