"""What an exported audit log says of a gate: when its specification was frozen, and which runs came since. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from evidence.audit_chain import ChainEntry
from evidence.audit_export import read_entries

SPEC_FROZEN, RUN = "gate.spec_frozen", "replay.run"
COLUMNS = ("entry", "at", "run_id", "verdict", "planned", "accepted", "lost")


def read_acts(path: Path) -> list[ChainEntry]:
    """The freezes and runs of an export. Lines that cannot be read are the chain's findings, and left out here."""
    with path.open("rb") as file:
        file.readline()  # the head
        entries = [each for each in read_entries(file) if isinstance(each, ChainEntry)]
    return [each for each in entries if each.act in (SPEC_FROZEN, RUN)]


def freeze_before(acts: Sequence[ChainEntry], *, gate: str, run_id: str) -> ChainEntry | None:
    """The gate's newest freeze before the run's own entry. None without one, or without the run."""
    run = next((each for each in acts if each.act == RUN and each.facts.get("run_id") == run_id), None)
    if run is None:
        return None
    of_gate = (each for each in acts if each.act == SPEC_FROZEN and each.facts.get("gate") == gate)
    return max((each for each in of_gate if each.number < run.number), key=lambda each: each.number, default=None)


def runs_since(acts: Sequence[ChainEntry], freeze: ChainEntry) -> list[tuple[str, ...]]:
    """Every run of the gate after the freeze, failures too, as rows of COLUMNS."""
    gate = freeze.facts.get("gate")
    runs = (each for each in acts if each.act == RUN and each.number > freeze.number)
    return [_row(each) for each in runs if each.facts.get("gate") == gate]


def _row(entry: ChainEntry) -> tuple[str, ...]:
    facts, counts = entry.facts, entry.facts.get("counts")
    told = counts if isinstance(counts, dict) else {}
    known = [str(told[name]) if told.get(name) is not None else "" for name in ("planned", "accepted", "lost")]
    return (str(entry.number), entry.at.isoformat(), str(facts.get("run_id")), str(facts.get("verdict")), *known)
