"""A gate's specification, as the JSON file of its name says it. Versions: a spec that was judged by is never edited."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from autocom.kernel.errors import AutocomError
from ingestion.replay.verdict import Operator

FORMATS = ("autocom-gate/1", "autocom-gate/2")  # 2: ages, sources, and the modes that a GO may enable
FOLDER = Path(__file__).parent


class GateUnknown(AutocomError):
    """There is no such gate; the message names those that there are."""

    code = "gate_unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class CriterionSpec:
    """`metric` is a path of names with dots into the run's summary and the bundle's facts (`evidence.gates.facts`).

    `key`: shown first to whoever decides. `source`: the file of the bundle that tells. `max_age_hours`: how old what it
    tells may be at the end of the run.
    """

    name: str
    metric: str
    operator: Operator
    threshold: float
    unit: str
    key: bool
    source: str = ""
    max_age_hours: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSpec:
    """`text` is the file as it stands: its digest names the policy. `grants`: the modes that a GO may enable."""

    name: str
    version: int
    title: str
    criteria: Sequence[CriterionSpec]
    required_files: Sequence[str]
    max_age_hours: int
    text: bytes
    grants: Sequence[str] = ()

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """Raises GateUnknown for a text that is no specification."""
        try:
            told = json.loads(text)
            if told["format"] not in FORMATS:
                raise ValueError(f"its format is none of {', '.join(FORMATS)}")
            return cls(
                name=told["name"],
                version=told["version"],
                title=told["title"],
                criteria=tuple(_criterion(each) for each in told["criteria"]),
                required_files=tuple(told["required_files"]),
                max_age_hours=told["max_age_hours"],
                text=text,
                grants=tuple(told.get("grants", ())),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise GateUnknown(f"no gate specification: {error!r}") from error


def _criterion(told: Mapping[str, Any]) -> CriterionSpec:
    return CriterionSpec(**{**told, "operator": Operator(told["operator"])})


def gate_names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def gate(name: str) -> GateSpec:
    """Raises GateUnknown."""
    if name not in gate_names():
        raise GateUnknown(f"{name!r}: there is no such gate; known: {', '.join(gate_names())}")
    return GateSpec.parse((FOLDER / f"{name}.json").read_bytes())
