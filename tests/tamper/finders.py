"""Who looks, and what they say: every finding as (finder, fault, where and what)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch

from autocom.kernel.clock import SystemClock
from evidence.log.check import check_logs
from evidence.selectors import audit_verification
from tests.tamper.arena import Case

LATER_US = 61_000_000
VERIFY, KEPT = "audit verify", "audit verify --kept"


@dataclass(frozen=True, slots=True)
class Found:
    finder: str
    fault: str
    what: str


def audit_verify(case: Case) -> list[Found]:
    """As the command, without a head from elsewhere."""
    return _checked(VERIFY)


def audit_verify_kept(case: Case) -> list[Found]:
    return _checked(KEPT, kept=case.kept.notes)


@contextmanager
def a_minute_later() -> Iterator[None]:
    """What may still be on its way is not missing: the check gives it a minute."""
    now_us = SystemClock.now_us
    with patch.object(SystemClock, "now_us", lambda clock: now_us(clock) + LATER_US):
        yield


def _checked(finder: str, *, kept: tuple[str, ...] = ()) -> list[Found]:
    with a_minute_later():
        return list(_all_of(finder, kept))


def _all_of(finder: str, kept: tuple[str, ...]) -> Iterator[Found]:
    logs = check_logs(kept=kept)
    for each in logs.findings:
        yield Found(finder, each.fault.value, f"{each.where}: {each.what}")
    for entry in audit_verification().findings:
        yield Found(finder, entry.fault.value, f"audit entry {entry.number}: {entry.what}")


FINDERS = {VERIFY: audit_verify, KEPT: audit_verify_kept}
