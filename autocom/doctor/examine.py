"""Runs readers and judgements. Whatever cannot be asked, or is not judged, becomes UNKNOWN."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from autocom.doctor.finding import Check, Finding
from autocom.scrubbing import without_data

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part[Facts]:
    """Checks that share one reading. `unreachable` is what to do when nothing could be read."""

    checks: Sequence[Check]
    read: Callable[[], Facts]
    judge: Callable[[Facts], Iterable[Finding]]
    unreachable: str


def examined(parts: Iterable[Part[object]], *, accepted_unknown: Sequence[str]) -> list[Finding]:
    """Every check of every part has a finding, in the parts' order."""
    found = [finding for part in parts for finding in _examined(part)]
    return [replace(finding, is_accepted=finding.check.id in accepted_unknown) for finding in found]


def _examined(part: Part[object]) -> list[Finding]:
    try:
        found = list(part.judge(part.read()))
    except Exception as error:
        log.debug("doctor_part_failed", exc_info=True)
        reason = f"could not be asked: {type(error).__name__}: {without_data(str(error))}"
        return [check.unknown(reason, mend=part.unreachable) for check in part.checks]
    judged = {finding.check: finding for finding in found}
    return [judged.get(check) or check.unknown("was not judged") for check in part.checks]
