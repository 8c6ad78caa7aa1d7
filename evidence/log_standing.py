"""How far each log has come: sequenced (committed), integrated (sealed), published (on disk); why one stands still."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Exists, Min, OuterRef, QuerySet

from autocom.kernel.clock import us_of
from autocom.kernel.signed_note import Checkpoint, NoteInvalid, open_note
from evidence.log.files import published_note
from evidence.log.names import LogName
from evidence.log.reads import START_COUNT, current_incarnation, last_of
from evidence.models import AuditEntry, LogIncarnation, Seal, SealedBatch, SealerState
from evidence.selectors import newest_number
from ingestion.log_figures import LogFigures
from ingestion.models import Batch


@dataclass(frozen=True, slots=True, kw_only=True)
class LogStanding:
    """Counts are of leaves. `published_count` None: the file cannot be read here, so nothing is known of it."""

    log: LogName
    incarnation: LogIncarnation | None
    seal: Seal | None
    waiting_count: int
    oldest_waiting_at: datetime | None
    published_count: int | None
    refused_why: str
    refused_at: datetime | None

    @property
    def integrated_count(self) -> int:
        return self.seal.tree_size if self.seal else 0

    @property
    def sequenced_count(self) -> int:
        """With the start line, which is entered by the first seal."""
        return max(self.integrated_count, START_COUNT) + self.waiting_count

    @property
    def figures(self) -> LogFigures:
        return LogFigures(
            log=self.log.value,
            size_count=self.integrated_count,
            waiting_count=self.waiting_count,
            oldest_waiting_us=us_of(self.oldest_waiting_at) if self.oldest_waiting_at else 0,
            is_refused=int(bool(self.refused_why)),
        )


def log_standings() -> list[LogStanding]:
    """Of every log, as of now."""
    return [log_standing(name) for name in LogName]


def log_standing(log: LogName) -> LogStanding:
    state = SealerState.objects.filter(log=log.value).first()
    incarnation = current_incarnation(log)
    seal = last_of(incarnation) if incarnation else None
    waiting_count, oldest_at = _waiting_batches(state) if log is LogName.EVENTS else _waiting_entries(incarnation, seal)
    return LogStanding(
        log=log,
        incarnation=incarnation,
        seal=seal,
        waiting_count=waiting_count,
        oldest_waiting_at=oldest_at,
        published_count=_published_count(incarnation),
        refused_why=state.refused_why if state else "",
        refused_at=state.refused_at if state else None,
    )


def _waiting_batches(state: SealerState | None) -> tuple[int, datetime | None]:
    sealed = SealedBatch.objects.filter(batch_number=OuterRef("pk"))
    floor = state.sealed_below if state else 0
    waiting = Batch.objects.filter(~Exists(sealed), number__gt=floor)
    found = waiting.aggregate(count=Count("pk"), oldest=Min("committed_at"))
    return found["count"], found["oldest"]


def _waiting_entries(incarnation: LogIncarnation | None, seal: Seal | None) -> tuple[int, datetime | None]:
    first = incarnation.first_number if incarnation else 1
    next_number = first + max((seal.tree_size if seal else 0) - START_COUNT, 0)
    count = max(newest_number() - next_number + 1, 0)
    oldest: QuerySet[AuditEntry, datetime] = AuditEntry.objects.filter(number=next_number).values_list("at", flat=True)
    return count, oldest.first()


def _published_count(incarnation: LogIncarnation | None) -> int | None:
    if incarnation is None:
        return 0
    try:
        note = published_note(incarnation)
        return Checkpoint.parse(open_note(note).text).size if note else 0
    except (OSError, ValueError, NoteInvalid):
        return None
