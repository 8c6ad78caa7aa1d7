"""Where a run stands in the logs, once everything of it is sealed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from evidence.audit import Act
from evidence.bundles.errors import BundleRefused, NotThere
from evidence.bundles.run import Run
from evidence.log.errors import SealingRefused
from evidence.log.names import LogName
from evidence.log.reads import START_COUNT, first_seal_over
from evidence.log.sealer import seal
from evidence.models import AuditEntry, LogIncarnation, Seal, SealedBatch
from evidence.runs.finish import subject_of

SEALED_WITHIN_SECONDS = 60.0
POLL_SECONDS = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedRun:
    """`seal` is the first whose checkpoint covers every batch of the run: the same whenever it is asked for."""

    incarnation: LogIncarnation
    seal: Seal
    index_by_batch: Mapping[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedEntry:
    """The run's audit entry, and the first seal over it."""

    incarnation: LogIncarnation
    seal: Seal

    @property
    def last_number(self) -> int:
        """Of the audit entries that the seal's checkpoint covers."""
        return self.incarnation.first_number + self.seal.tree_size - START_COUNT - 1


def wait_until_sealed(run: Run) -> None:
    """Seals both logs, or waits for the sealer that has the lease.

    Raises BundleRefused when the run is not sealed a minute later, with the sealer's own reason where it has one.
    """
    numbers = {row.batch for row in run.stored.rows}
    _seal_until(LogName.EVENTS, lambda: SealedBatch.objects.filter(pk__in=numbers).count() == len(numbers))
    _seal_until(LogName.AUDIT, lambda: _entry(run) is None or _sealed_entry(run) is not None)


def _seal_until(log: LogName, is_sealed: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SEALED_WITHIN_SECONDS
    while not is_sealed():
        if time.monotonic() > deadline:
            raise BundleRefused(f"the log of {log} did not cover the run within a minute: is the ops worker alive?")
        try:
            if seal(log) is None:
                time.sleep(POLL_SECONDS)  # another sealer has the lease, or a transaction under way holds it up
        except SealingRefused as error:
            raise BundleRefused(f"the log of {log} is not sealed: {error}") from error


def sealed_run(run: Run) -> SealedRun:
    """Raises NotThere."""
    numbers = {row.batch for row in run.stored.rows}
    places = list(SealedBatch.objects.filter(pk__in=numbers).select_related("incarnation"))
    if not numbers:
        raise NotThere("PostgreSQL has no row of the run")
    if len(places) < len(numbers):
        raise NotThere(f"{len(numbers) - len(places)} batches of the run are in no log")
    incarnations = {place.incarnation_id: place.incarnation for place in places}
    if len(incarnations) > 1:
        raise NotThere("the log was begun anew in the middle of the run: no single checkpoint covers it")
    (incarnation,) = incarnations.values()
    covering = first_seal_over(incarnation, max(place.index for place in places))
    if covering is None:
        raise NotThere("the seal of the last batch is missing: `manage.py audit verify` says more")
    return SealedRun(
        incarnation=incarnation,
        seal=covering,
        index_by_batch={place.batch_number: place.index for place in places},
    )


def sealed_entry(run: Run) -> SealedEntry:
    """Raises NotThere."""
    if _entry(run) is None:
        raise NotThere("the audit log has no entry of the run")
    found = _sealed_entry(run)
    if found is None:
        raise NotThere("the run's audit entry is not sealed")
    return found


def _sealed_entry(run: Run) -> SealedEntry | None:
    entry = _entry(run)
    if entry is None:
        return None
    of_log = LogIncarnation.objects.filter(log=LogName.AUDIT.value, first_number__lte=entry.number)
    incarnation = of_log.order_by("-id").first()
    if incarnation is None:
        return None
    covering = first_seal_over(incarnation, entry.number - incarnation.first_number + START_COUNT)
    return None if covering is None else SealedEntry(incarnation=incarnation, seal=covering)


def _entry(run: Run) -> AuditEntry | None:
    entries = AuditEntry.objects.filter(act=Act.REPLAY_RUN.value, subject=subject_of(run.run_id))
    return entries.order_by("number").first()
