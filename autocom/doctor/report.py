"""Findings for people, aligned, and for programs, as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from autocom.doctor.finding import Finding, Level

WORDS = {Level.FINE: "fine", Level.WARNING: "warning", Level.FAIL: "FAIL", Level.UNKNOWN: "UNKNOWN"}
COLOURS = {Level.FINE: "32", Level.WARNING: "33", Level.FAIL: "31;1", Level.UNKNOWN: "35;1"}


def verdict(findings: Sequence[Finding]) -> str:
    """FAIL as soon as one check fails or is unknown; nothing asked is no PASS either."""
    return "FAIL" if not findings or any(finding.is_trouble for finding in findings) else "PASS"


def as_json(findings: Sequence[Finding], *, not_asked: Sequence[str]) -> dict[str, Any]:
    return {
        "verdict": verdict(findings),
        "counts": {level.value: sum(finding.level is level for finding in findings) for level in Level},
        "not_asked": list(not_asked),
        "findings": [
            {
                "check": finding.check.id,
                "group": finding.check.group,
                "level": finding.level.value,
                "accepted": finding.is_accepted and finding.level is Level.UNKNOWN,
                "found": finding.found,
                "why": finding.check.why,
                "mend": finding.mend,
            }
            for finding in findings
        ],
    }


def lines(findings: Sequence[Finding], *, not_asked: Sequence[str], in_colour: bool) -> Iterator[str]:
    width = max((len(finding.check.id) for finding in findings), default=0)
    for group, found in groupby(findings, key=lambda finding: finding.check.group):
        yield group
        for finding in found:
            yield from _told(finding, width=width, in_colour=in_colour)
    for group in not_asked:
        yield f"{group}: not asked"
    counts = Counter(finding.level for finding in findings)
    shown = ", ".join(f"{counts[level]} {WORDS[level]}" for level in reversed(Level) if counts[level])
    yield f"{verdict(findings)}: {shown or 'nothing was asked'}"


def _told(finding: Finding, *, width: int, in_colour: bool) -> Iterator[str]:
    level = finding.level
    word = f"{WORDS[level]:<7}"
    shown = f"\x1b[{COLOURS[level]}m{word}\x1b[0m" if in_colour else word
    accepted = " (accepted)" if finding.is_accepted and level is Level.UNKNOWN else ""
    yield f"  {shown}  {finding.check.id:<{width}}  {finding.found}{accepted}"
    if level is not Level.FINE:
        indent = " " * 11
        yield f"{indent}why   {finding.check.why}"
        yield f"{indent}mend  {finding.mend}"
