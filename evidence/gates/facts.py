"""What the files of a bundle say, beside the run's own figures, for criteria to name. Pure: from the folder alone.

A file that is not there leaves its facts out, and what is left out is INCONCLUSIVE where a criterion asks for it.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from evidence.audit_chain import verify
from evidence.audit_export import read_entries, read_head
from evidence.gates.history import freeze_before, read_acts
from evidence.runs.folders import began_at

SMOKE, FAULTS, DRILL = "data/smoke/summary.json", "data/faults/faults.json", "data/rollback/drill.json"
ENVIRONMENT = "data/environment/environment.json"
RBAC, RBAC_SUMMARY, AUDIT = "data/rbac/matrix.csv", "data/rbac/summary.json", "data/audit/entries.jsonl"
SPEC, SUMMARY, SAMPLES = "data/gate/spec.json", "data/replay/summary.json", "data/replay/samples.csv"
UNKNOWN = "unknown"
CODE_OF_FAULTS = ("commit", "is_changed")
CODE_OF_LEFT = ("commit", "build")  # `build` is a MAC by the key of one installation; the fault suite has its own
FIELD_LIMIT_CHARACTERS = 1 << 24  # a sample holds whatever message id the provider chose
UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, StopIteration, csv.Error)


def facts_of(bag: Path) -> dict[str, Any]:
    """Each group by its name; `at` in it is when it was found out, ISO 8601."""
    readers: dict[str, Callable[[Path], Mapping[str, Any]]] = {
        "smoke": _smoke,
        "faults": _faults,
        "rbac": _rbac,
        "rollback": _drill,
        "audit": _audit,
        "freeze": _freeze,
        "acks": _acks,
    }
    facts: dict[str, Any] = {}
    for name, read in readers.items():
        try:
            facts[name] = dict(read(bag))
        except UNREADABLE:
            continue
    return facts


def _smoke(bag: Path) -> Mapping[str, Any]:
    summary: dict[str, Any] = _json(bag / SMOKE)
    names = ("planned", "accepted", "accepted_ratio", "ack_ms", "run_id")
    return {**{name: summary[name] for name in names}, "at": began_at(summary["run_id"]).isoformat()}


def _faults(bag: Path) -> Mapping[str, Any]:
    """`fewest`: of the fault that passed under the fewest seeds, of the trial with the fewest events."""
    told = _of_same_code(bag, FAULTS, by=CODE_OF_FAULTS)
    passed = [each for each in told["cells"] if each["outcome"] == "PASS"]
    seeds = Counter(fault for fault, _ in {(str(each["fault"]), int(each["seed"])) for each in passed})
    missed = sum(each["is_caught"] is not True for each in told["planted_bugs"])
    return {
        "passed": len(passed),
        "not_passed": len(told["cells"]) - len(passed),
        "kinds": len(seeds),
        "fewest_seeds": min(seeds.values(), default=0),
        "fewest_events": min((int(each["planned_count"]) for each in passed), default=0),
        "bugs_missed": missed,
        "bugs_caught": len(told["planted_bugs"]) - missed,
        "at": told["started_at"],
    }


def _rbac(bag: Path) -> Mapping[str, Any]:
    with (bag / RBAC).open(encoding="utf-8", newline="") as file:
        verdicts = Counter(row["verdict"] for row in csv.DictReader(file))
    not_matching = verdicts.total() - verdicts["match"]
    return {
        "cells": verdicts.total(),
        "mismatches": verdicts["MISMATCH"],
        "untested": not_matching - verdicts["MISMATCH"],
        "at": _of_same_code(bag, RBAC_SUMMARY, by=CODE_OF_LEFT)["at"],
    }


def _drill(bag: Path) -> Mapping[str, Any]:
    told = _of_same_code(bag, DRILL, by=CODE_OF_LEFT)
    return {"seconds": told["seconds"], "at": told["at"]}


def _audit(bag: Path) -> Mapping[str, Any]:
    with (bag / AUDIT).open("rb") as file:
        head = read_head(file.readline())
        verification = verify(read_entries(file), head=head)
    return {"entries": verification.entry_count, "findings": verification.finding_count}


def _freeze(bag: Path) -> Mapping[str, Any]:
    """The newest freeze of this gate before the run, if it is of this very text. Raises LookupError without one."""
    spec = (bag / SPEC).read_bytes()
    found = freeze_before(read_acts(bag / AUDIT), gate=json.loads(spec)["name"], run_id=_json(bag / SUMMARY)["run_id"])
    if found is None or found.facts["sha256"] != hashlib.sha256(spec).hexdigest():
        raise LookupError("the specification was not frozen before the run")
    return {"entry": found.number, "at": found.at.isoformat()}


def _acks(bag: Path) -> Mapping[str, Any]:
    """First attempts answered 2xx, and how many of them within the P95's threshold: exact, of the raw samples."""
    threshold_us = _p95_threshold_ms(_json(bag / SPEC)) * 1_000
    csv.field_size_limit(FIELD_LIMIT_CHARACTERS)
    with (bag / SAMPLES).open(encoding="utf-8", newline="") as file:
        latencies_us = [int(row["latency_us"]) for row in csv.DictReader(file) if row["first_status"].startswith("2")]
    return {"count": len(latencies_us), "within": sum(each <= threshold_us for each in latencies_us)}


def _p95_threshold_ms(spec: Mapping[str, Any]) -> float:
    return next(float(each["threshold"]) for each in spec["criteria"] if each["metric"] == "ack_ms.p95")


def is_same_code(one: Mapping[str, Any], other: Mapping[str, Any], *, by: Sequence[str]) -> bool:
    """Of one known commit, and alike in what else is named. Raises LookupError where one of them is not told."""
    return one["commit"] != UNKNOWN and all(one[name] == other[name] for name in by)


def _of_same_code(bag: Path, where: str, *, by: Sequence[str]) -> Mapping[str, Any]:
    """The file, if it was made on the code that the run ran on. Raises LookupError otherwise."""
    told: Mapping[str, Any] = _json(bag / where)
    if not is_same_code(told, _json(bag / ENVIRONMENT)["autocom"], by=by):
        raise LookupError(f"{where} is of other code than the run")
    return told


def _json(path: Path) -> Any:
    return json.loads(path.read_bytes())
