"""The table fault x seed: for people as Markdown, for evidence bundles as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any


class Outcome(StrEnum):
    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    UNTESTED = "UNTESTED"


@dataclass(slots=True, kw_only=True)
class Cell:
    """One fault under one seed."""

    fault: str
    title: str
    seed: int
    planned_count: int = 0
    sent_count: int = 0
    acknowledged_count: int = 0
    refused_count: int = 0  # never acknowledged, whatever was tried
    stored_count: int = 0
    in_flight_count: int = 0
    lost_count: int = 0
    duplicated_count: int = 0
    unexpected_count: int = 0
    corrupted_count: int = 0
    reordered_count: int = 0
    recovered_count: int = 0
    unpromised_count: int = 0
    sealed_leaf_count: int = 0  # of both logs since the service began, verified after this trial
    drained_after_seconds: float | None = None
    slowest_answer_ms: float | None = None
    accepted_p95_ms: float | None = None
    first_answers: dict[int, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    outcome: Outcome = Outcome.PASS

    @property
    def violations_count(self) -> int:
        return (
            self.lost_count
            + self.duplicated_count
            + self.unexpected_count
            + self.corrupted_count
            + self.reordered_count
        )

    def decide(self, *, doubts: Sequence[str]) -> None:
        """A violation fails whatever else is unknown; what proves nothing is INCONCLUSIVE."""
        if self.violations_count or (self.complaints and self.outcome is not Outcome.INCONCLUSIVE):
            self.outcome = Outcome.FAIL
        elif doubts:
            self.outcome = Outcome.INCONCLUSIVE
        self.notes += doubts

    def line(self) -> str:
        """For the terminal, while the suite runs."""
        drained = "never" if self.drained_after_seconds is None else f"{self.drained_after_seconds:.1f} s"
        told = (
            f"{self.outcome:<13}{self.fault:<30} seed {self.seed}  acked {self.acknowledged_count:>6,}"
            f"  in flight {self.in_flight_count:>6,}  l/d/u/c/r {self.lost_count}/{self.duplicated_count}"
            f"/{self.unexpected_count}/{self.corrupted_count}/{self.reordered_count}"
            f"  recovered {self.recovered_count:>5,}  drained {drained}"
        )
        for each in [*self.complaints[:4], *list(self.examples.values())[:2]]:
            told += f"\n    {each}"
        return told


@dataclass(slots=True, kw_only=True)
class Caught:
    """Whether the suite noticed that a safety was taken away."""

    bug: str
    title: str
    fault: str
    is_caught: bool | None  # None: this machine cannot make the fault that shows it
    by: str


def overall(cells: Sequence[Cell], caught: Sequence[Caught]) -> Outcome:
    outcomes = {cell.outcome for cell in cells}
    if Outcome.FAIL in outcomes or any(each.is_caught is False for each in caught):
        return Outcome.FAIL
    if not cells or outcomes - {Outcome.PASS} or any(each.is_caught is None for each in caught):
        return Outcome.INCONCLUSIVE
    return Outcome.PASS


def write(folder: Path, *, cells: Sequence[Cell], caught: Sequence[Caught], about: dict[str, Any]) -> None:
    """`faults.json` and `faults.md`. Written after each trial, so that a suite cut short leaves what it knows."""
    folder.mkdir(parents=True, exist_ok=True)
    outcome = overall(cells, caught)
    document = {
        **about,
        "outcome": outcome,
        "cells": [asdict(cell) for cell in cells],
        "planted_bugs": [asdict(each) for each in caught],
    }
    (folder / "faults.json").write_text(json.dumps(document, indent=1, sort_keys=True, default=str) + "\n")
    (folder / "faults.md").write_text(_markdown(outcome, cells=cells, caught=caught, about=about))


HEADS = (
    "fault",
    "seed",
    "acked",
    "in flight",
    "lost",
    "duplicated",
    "unexpected",
    "corrupted",
    "reordered",
    "recovered",
    "drained after, s",
    "outcome",
)


def _markdown(outcome: Outcome, *, cells: Sequence[Cell], caught: Sequence[Caught], about: dict[str, Any]) -> str:
    lines = [f"# Fault suite: {outcome}", "", *(f"- {name}: {value}" for name, value in about.items()), ""]
    lines += [_row(HEADS), _row(["---"] * len(HEADS))]
    for cell in cells:
        drained = "-" if cell.drained_after_seconds is None else f"{cell.drained_after_seconds:.1f}"
        if cell.outcome is Outcome.UNTESTED:
            unknown = ["-"] * (len(HEADS) - 3)
            lines.append(_row([cell.title, cell.seed, *unknown, f"UNTESTED: {'; '.join(cell.notes)}"]))
            continue
        lines.append(
            _row(
                [
                    cell.title,
                    cell.seed,
                    f"{cell.acknowledged_count:,}",
                    f"{cell.in_flight_count:,}",
                    cell.lost_count,
                    cell.duplicated_count,
                    cell.unexpected_count,
                    cell.corrupted_count,
                    cell.reordered_count,
                    f"{cell.recovered_count:,}",
                    drained,
                    f"{cell.outcome}{': ' + '; '.join(cell.complaints) if cell.complaints else ''}",
                ]
            )
        )
    if caught:
        lines += ["", "## Planted bugs", "", _row(["safety removed", "fault", "caught", "by"]), _row(["---"] * 4)]
        told = {True: "yes", False: "NO", None: "UNTESTED"}
        lines += [_row([each.title, each.fault, told[each.is_caught], each.by]) for each in caught]
    return "\n".join(lines) + "\n"


def _row(values: Sequence[object]) -> str:
    return "| " + " | ".join(str(value).replace("|", "\\|").replace("\n", " ") for value in values) + " |"
