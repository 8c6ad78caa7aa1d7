"""How far the sealed logs are behind."""

from __future__ import annotations

from datetime import UTC, datetime

from autocom.doctor.judgements.log import LogFacts
from autocom.doctor.readers.session import read_only
from evidence.log.names import LogName
from evidence.log.unsealed import unsealed_batches
from evidence.models import SealerState


def read() -> LogFacts:
    """Raises django.db.Error."""
    with read_only():
        states = {state.log: state for state in SealerState.objects.all()}
        events = states.get(LogName.EVENTS) or SealerState(log=LogName.EVENTS)
        waiting = next(unsealed_batches(events), None)
    return LogFacts(
        refused_why={log: state.refused_why for log, state in states.items() if state.refused_why},
        waiting_seconds=(datetime.now(UTC) - waiting.committed_at).total_seconds() if waiting else None,
    )
