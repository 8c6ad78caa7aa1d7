"""Every run that is known, from whatever knows it: an order of the console, a folder, an audit entry."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from evidence.audit import Act
from evidence.models import AuditEntry, Bundle, ReplayOrder
from evidence.runs.finish import subject_of
from evidence.runs.folders import ACKS, JOURNAL, RUN_ID, SUMMARY, began_at, runs_root
from ingestion.latency import EDGES_US, SLO_US, without_cycle
from ingestion.latency_store import counts_by_edge
from ingestion.replay.histogram_log import read_log

HEADER_LIMIT_BYTES = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRun:
    """`told` is its summary, `header` the first line of its journal; None where there is none below EVIDENCE_ROOT.

    `bundle` is the newest that was made of it.
    """

    run_id: str
    order: ReplayOrder | None
    told: Mapping[str, Any] | None
    header: Mapping[str, Any] | None
    entry: AuditEntry | None
    bundle: Bundle | None

    @property
    def began_at(self) -> datetime:
        return (self.order.started_at if self.order else None) or began_at(self.run_id)

    @property
    def verdict(self) -> str:
        """Empty where there is none."""
        if self.told is not None:
            return str(self.told["verdict"])
        return str(self.entry.facts["verdict"]) if self.entry else ""

    @property
    def actor(self) -> str:
        """Empty where nobody wrote down whose run it was."""
        source = self.order or self.entry
        return source.actor if source else ""

    @property
    def gate(self) -> str:
        """Empty where nobody wrote it down."""
        if self.order is not None:
            return self.order.gate
        return str((self.told or (self.entry.facts if self.entry else {})).get("gate", ""))


def verdicts_by_run() -> dict[str, str]:
    """Of every run, the newest first; empty where there is no verdict."""
    entries = AuditEntry.objects.filter(act=Act.REPLAY_RUN.value)
    judged = dict(entries.order_by("number").values_list("facts__run_id", "facts__verdict"))
    ids = {*judged, *_folders(), *ReplayOrder.objects.values_list("run_id", flat=True)}
    return {run_id: judged.get(run_id) or _verdict_of_files(run_id) for run_id in sorted(ids, reverse=True)}


def known_runs(run_ids: Sequence[str]) -> list[KnownRun]:
    """In this order. What is no run's id, and a run that nothing knows, is left out."""
    run_ids = [run_id for run_id in run_ids if RUN_ID.fullmatch(run_id)]
    orders = {each.run_id: each for each in ReplayOrder.objects.filter(run_id__in=run_ids)}
    entries = _newest_entries(run_ids)
    bundles = {each.run_id: each for each in Bundle.objects.filter(run_id__in=run_ids).order_by("made_at")}
    found = (
        KnownRun(
            run_id=run_id,
            order=orders.get(run_id),
            told=_summary(run_id),
            header=_header(run_id),
            entry=entries.get(run_id),
            bundle=bundles.get(run_id),
        )
        for run_id in run_ids
    )
    return [run for run in found if run.order or run.told or run.header or run.entry]


def known_run(run_id: str) -> KnownRun | None:
    return next(iter(known_runs([run_id])), None)


def ack_buckets(run_id: str) -> tuple[tuple[float, int], ...]:
    """Acks from the intended moment: upper edge in ms and count. Empty where no histogram can be read."""
    try:
        histogram = read_log(runs_root() / run_id / ACKS) if RUN_ID.fullmatch(run_id) else None
    except (OSError, ValueError, IndexError):
        return ()
    if histogram is None or not histogram.total_count:
        return ()
    without_cycle(histogram)
    within = sum(
        each.count_added_in_this_iter_step
        for each in histogram.get_recorded_iterator()
        if each.value_iterated_to <= histogram.get_highest_equivalent_value(SLO_US)
    )
    edges_ms = (*(edge_us / 1_000 for edge_us in EDGES_US), float("inf"))
    return tuple(zip(edges_ms, counts_by_edge(histogram, within_slo_count=within), strict=True))


def _folders() -> Iterable[str]:
    root = runs_root()
    return [path.name for path in root.iterdir() if RUN_ID.fullmatch(path.name)] if root.is_dir() else ()


def _newest_entries(run_ids: Sequence[str]) -> dict[str, AuditEntry]:
    subjects = {subject_of(run_id): run_id for run_id in run_ids}
    entries = AuditEntry.objects.filter(act=Act.REPLAY_RUN.value, subject__in=subjects)
    return {subjects[each.subject]: each for each in entries.order_by("number")}


def _verdict_of_files(run_id: str) -> str:
    told = _summary(run_id)
    return str(told["verdict"]) if told else ""


def _summary(run_id: str) -> Mapping[str, Any] | None:
    """None for one that is absent, cut off, or of another format."""
    try:
        told = json.loads((runs_root() / run_id / SUMMARY).read_bytes())
    except (OSError, ValueError):
        return None
    return told if isinstance(told, dict) and {"verdict", "run_id"} <= told.keys() else None


def _header(run_id: str) -> Mapping[str, Any] | None:
    return _first_line(runs_root() / run_id / JOURNAL)


def _first_line(path: Path) -> Mapping[str, Any] | None:
    try:
        with path.open("rb") as file:
            told = json.loads(file.readline(HEADER_LIMIT_BYTES))
    except (OSError, ValueError):
        return None
    return told if isinstance(told, dict) else None
