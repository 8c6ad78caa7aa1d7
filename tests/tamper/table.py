"""One line of the suite's table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.tamper.arena import Case
from tests.tamper.finders import VERIFY


@dataclass(frozen=True, slots=True, kw_only=True)
class Tampering:
    """`faults`: what the finder calls it, one of them. `why_unseen`: nobody finds it, and why that is so."""

    name: str
    group: str
    do: Callable[[Case], None]
    faults: frozenset[str]
    finder: str = VERIFY
    why_unseen: str = ""
