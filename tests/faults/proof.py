"""After a trial: is everything sealed, and does whoever verifies the log find nothing? Part of the oracle's process."""

from __future__ import annotations

import time
from typing import Any

SEALED_WITHIN_SECONDS = 60.0  # as promised; a seal comes each 2 s


def proof() -> dict[str, Any]:
    """Counts of what was verified, and every finding as a sentence."""
    from evidence.log.check import check_logs
    from evidence.selectors import audit_verification

    late = _wait_until_sealed()
    logs, audit = check_logs(), audit_verification()
    return {
        "sealed_leaves": logs.leaf_count,
        "findings": [
            *late,
            *(f"{each.fault} {each.where}: {each.what}" for each in logs.findings),
            *(f"audit entry {each.number}: {each.what}" for each in audit.findings),
        ],
    }


def _wait_until_sealed() -> list[str]:
    from evidence.log_standing import log_standings

    deadline = time.monotonic() + SEALED_WITHIN_SECONDS
    while True:
        waiting = [each for each in log_standings() if each.waiting_count or each.refused_why or each.seal is None]
        if not waiting:
            return []
        if time.monotonic() > deadline:
            return [f"log {each.log} is not sealed: {each.waiting_count} wait; {each.refused_why}" for each in waiting]
        time.sleep(0.2)
