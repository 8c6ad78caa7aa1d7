"""What a check of stored rows finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

type Fault = Literal["changed", "missing", "unexpected"]


@dataclass(frozen=True, slots=True)
class RowFinding:
    """`where` names a row ("event <id>", "delivery <id>") or, where no row can be told, its batch. `what` is a
    sentence."""

    fault: Fault
    where: str
    what: str
