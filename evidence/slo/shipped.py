"""The objectives that this version ships. A changed promise is a new version in the file, which the ledger names."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from evidence.slo.objective import Objectives
from evidence.slo.parse import parse

PATH = Path(__file__).with_name("slos.yaml")


@cache
def objectives() -> Objectives:
    """Raises SloInvalid."""
    return parse(PATH.read_bytes())
