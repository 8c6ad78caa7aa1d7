"""Is what was committed sealed?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from autocom.doctor.finding import Check, Finding
from autocom.doctor.judgements.sizes import told_seconds

PROMISED_SECONDS = 60

SEALING = Check(
    "log.sealing",
    "What is not sealed can be changed without a trace, and does not age out.",
    "see docs/operate.md, Sealed logs: the ops worker needs LOG_SIGNING_KEY and room in EVIDENCE_ROOT",
)
CHECKS = (SEALING,)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFacts:
    """`refused_why`: by log, where the sealer stands still. `waiting_seconds` None: everything is sealed."""

    refused_why: dict[str, str]
    waiting_seconds: float | None


def judge(facts: LogFacts) -> Iterator[Finding]:
    waiting = facts.waiting_seconds
    if facts.refused_why:
        told = "; ".join(f"{log}: {why}" for log, why in facts.refused_why.items())
        yield SEALING.fail(f"the sealer stands still: {told}")
    elif waiting is not None and waiting > PROMISED_SECONDS:
        yield SEALING.fail(f"a batch waits for its seal for {told_seconds(waiting)}")
    else:
        yield SEALING.fine("every committed batch is sealed" if waiting is None else "the newest batches wait briefly")
