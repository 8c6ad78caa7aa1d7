"""Every group of parts, and why a required file is not there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from evidence.bundles.errors import NotThere
from evidence.bundles.parts import (
    audit,
    budget,
    environment,
    faults,
    gate_runs,
    latency,
    left,
    lineage,
    log,
    replay,
    smoke,
)
from evidence.bundles.run import Run
from evidence.orders.steps import no_step

type Collect = Callable[[Run, Path], None]


def collect(
    run: Run, into: Path, *, gate_name: str, faults_folder: Path, on_step: Callable[[str], None] = no_step
) -> Mapping[str, str]:
    """Everything that there is of the run is below `into` afterwards. Why a path is not there, by path."""
    absent: dict[str, str] = {}
    groups = _groups(gate_name, faults_folder)
    for number, (paths, group) in enumerate(groups, start=1):
        on_step(f"collecting {paths[0]} ({number} of {len(groups)})")
        try:
            group(run, into)
        except NotThere as error:
            absent |= {path: str(error) for path in paths if not (into / path).exists()}
    return absent


def _groups(gate_name: str, faults_folder: Path) -> Sequence[tuple[Sequence[str], Collect]]:
    return (
        (replay.PATHS, replay.collect),
        (environment.PATHS, environment.collect),
        (latency.CLIENT_PATHS, latency.collect_client),
        (latency.RECEIVER_PATHS, latency.collect_receiver),
        (latency.CONSUMER_PATHS, latency.collect_consumer),
        (lineage.PATHS, lineage.collect),
        (log.PATHS, log.collect),
        (audit.PATHS, audit.collect),
        (budget.PATHS, budget.collect),
        (gate_runs.PATHS, partial(gate_runs.collect, gate_name=gate_name)),
        (smoke.PATHS, smoke.collect),
        (left.RBAC_PATHS, left.collect_rbac),
        (left.DRILL_PATHS, left.collect_drill),
        (faults.PATHS, partial(faults.collect, folder=faults_folder)),
    )
