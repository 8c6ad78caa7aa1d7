"""A snapshot as sentences and figures for the overview's template. What is not known is UNKNOWN, with the reason."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.urls import reverse

from autocom.kernel.clock import datetime_of
from console.access import Permission
from console.charts.histogram import Histogram, histogram
from console.lane_rest import LaneRest, rest_of
from console.pages.overview_gates import GateFigures, GatesRead, complaints, gate_figures, left, tightest
from console.pages.overview_snapshot import OverviewSnapshot, Reading
from console.promises import Promises
from console.selectors import COUNTED_AT_MOST
from console.shown import UNKNOWN, age, milliseconds
from evidence.charts.axis import milliseconds_label
from evidence.slo.shipped import objectives
from evidence.status.budgets import Budget
from ingestion.autoscale.standing import Standing
from ingestion.selectors import STUCK_STATES, LaneState, StageLatency, WorkerState

OBJECTIVE_MS = 120.0
ALIVE_WITHIN = timedelta(seconds=90)
CHARTED_STAGES = ("ack", "end_to_end")
STAGE_TITLES = {
    "ack": "Acknowledge",
    "queue": "Wait in lane",
    "commit": "Commit",
    "end_to_end": "Received to committed",
}


@dataclass(frozen=True, slots=True)
class Card:
    """One figure with its name, what stands behind it, and the page it leads to (none: the reader may not see that)."""

    key: str
    title: str
    icon: str
    figure: str
    detail: str
    is_bad: bool = False
    is_unknown: bool = False
    link: str = ""


@dataclass(frozen=True, slots=True)
class StageRow:
    title: str
    count: str
    figures: Sequence[str]
    within: str
    is_over: bool


@dataclass(frozen=True, slots=True)
class LaneRow:
    lane: int
    depth: str
    oldest: str
    state: str
    holder: str
    is_stuck: bool
    rest: LaneRest | None = None
    is_paused: bool = False


@dataclass(frozen=True, slots=True)
class WorkerRow:
    name: str
    queue: str
    state: str
    heartbeat: str
    is_late: bool


@dataclass(frozen=True, slots=True)
class ChartPart:
    key: str
    title: str
    chart: Histogram | None
    nothing: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OverviewFiguresContent:
    read_at: datetime
    stages_read_at: datetime
    window_title: str
    status: str
    needs_attention: bool
    is_empty: bool
    cards: Sequence[Card]
    stages: Sequence[StageRow]
    stages_problem: str
    lanes: Sequence[LaneRow]
    lanes_problem: str
    workers: Sequence[WorkerRow]
    workers_problem: str
    scaling: str
    charts: Sequence[ChartPart]
    gates: Sequence[GateFigures]
    gates_problem: str
    gates_read_at: datetime | None


def figures_of(snapshot: OverviewSnapshot, *, may_see: Callable[[str], bool]) -> OverviewFiguresContent:
    """`may_see` tells whether the reader holds a permission: links lead only where they may go."""
    stages = {stage.stage: stage for stage in snapshot.stages.value or ()}
    workers = [_worker_row(worker, now=snapshot.read_at) for worker in snapshot.workers.value or ()]
    found = _complaints(snapshot, workers)
    gates = snapshot.gates.value
    return OverviewFiguresContent(
        read_at=snapshot.read_at.astimezone(UTC),
        stages_read_at=snapshot.stages_read_at.astimezone(UTC),
        window_title=snapshot.window.span,
        status="; ".join(found) if found else "Nothing needs attention",
        needs_attention=bool(found),
        is_empty=snapshot.has_events.value is False,
        cards=[
            _rate_card(snapshot),
            _backlog_card(snapshot.lanes, link=_link("ingestion_lane", Permission.LANE_READ, may_see)),
            _latency_card("ack", "Ack P95", stages, snapshot.stages),
            _latency_card("end_to_end", "End to end P95", stages, snapshot.stages),
            _dead_letter_card(snapshot.open_dead_letters, may_see),
            _worker_card(snapshot.workers, workers),
            _duplicate_card(snapshot.duplicates_hour, may_see),
            _quarantine_card(snapshot.quarantined_day, may_see),
            _promise_card(snapshot.promises, may_see),
            *_gate_cards(snapshot.gates, may_see),
            _budget_card(snapshot.gates, may_see),
        ],
        stages=[_stage_row(stages.get(name), name) for name in STAGE_TITLES] if not snapshot.stages.problem else [],
        stages_problem=snapshot.stages.problem,
        lanes=[_lane_row(lane, now=snapshot.read_at) for lane in snapshot.lanes.value or ()],
        lanes_problem=snapshot.lanes.problem,
        workers=workers,
        workers_problem=snapshot.workers.problem,
        scaling=_scaling(snapshot.scaling.value, now=snapshot.read_at),
        charts=[_chart(name, stages.get(name), snapshot) for name in CHARTED_STAGES],
        gates=gate_figures(gates, may_see=may_see) if gates and may_see(Permission.GATE_READ) else [],
        gates_problem=snapshot.gates.problem,
        gates_read_at=gates.at.astimezone(UTC) if gates else None,
    )


def share_within(within_count: int, count: int) -> str:
    """Per cent with two decimals, rounded down: 100.00 % means every single one. UNKNOWN of nothing."""
    if count <= 0:
        return UNKNOWN
    hundredths = within_count * 10_000 // count
    return f"{hundredths // 100}.{hundredths % 100:02d} %"


def _rate_card(snapshot: OverviewSnapshot) -> Card:
    now, minute = snapshot.rate_10s, snapshot.rate_60s
    detail = now.problem or f"events, last 10 s; {_rate(minute.value)} over 60 s"
    return Card("rate", "Ingest rate", "speed", _rate(now.value), detail, is_unknown=now.value is None)


def _rate(value: float | None) -> str:
    if value is None:
        return UNKNOWN
    return f"{value:,.0f}/s" if value >= 10 else f"{value:.1f}/s"


def _backlog_card(lanes: Reading[Sequence[LaneState]], *, link: str) -> Card:
    if lanes.value is None:
        return Card("backlog", "Backlog", "inventory_2", UNKNOWN, lanes.problem or UNKNOWN, is_unknown=True, link=link)
    depth_count = sum(lane.depth_count for lane in lanes.value)
    ages = [lane.oldest_age_ms for lane in lanes.value if lane.oldest_age_ms is not None]
    waiting = sum(1 for lane in lanes.value if lane.depth_count)
    where = f"{waiting} lane{'s' if waiting != 1 else ''}"
    detail = f"oldest {age(timedelta(milliseconds=max(ages)))}, in {where}" if ages else "no event waits"
    if paused := [str(lane.lane) for lane in lanes.value if lane.paused_since is not None]:
        detail += f"; paused: lane {', '.join(paused)}"
    stuck = any(lane.state in STUCK_STATES for lane in lanes.value)
    return Card("backlog", "Backlog", "inventory_2", f"{depth_count:,}", detail, is_bad=stuck, link=link)


def _latency_card(
    name: str, title: str, stages: dict[str, StageLatency], reading: Reading[Sequence[StageLatency]]
) -> Card:
    stage = stages.get(name)
    icon = "timer" if name == "ack" else "route"
    if stage is None or stage.p95_ms is None:
        count = 0 if stage is None else stage.count
        detail = reading.problem or ("no event in this window" if not count else f"{count:,} events: too few")
        return Card(name, title, icon, UNKNOWN, detail, is_unknown=True)
    within = share_within(stage.within_slo_count, stage.count)
    detail = f"{within} of {stage.count:,} within 120 ms"
    return Card(
        name, title, icon, milliseconds(stage.p95_ms), detail, is_bad=name == "ack" and stage.p95_ms > OBJECTIVE_MS
    )


def _dead_letter_card(open_letters: Reading[int], may_see: Callable[[str], bool]) -> Card:
    link = _link("ingestion_deadletter", Permission.DEAD_LETTER_READ, may_see, query="?state=open")
    count = open_letters.value
    if count is None:
        detail = open_letters.problem or UNKNOWN
        return Card("dead_letters", "Open dead letters", "report", UNKNOWN, detail, is_unknown=True, link=link)
    figure = f"{count:,}" if count <= COUNTED_AT_MOST else f"over {COUNTED_AT_MOST:,}"
    detail = "a person decides about each" if count else "nothing failed for good"
    return Card("dead_letters", "Open dead letters", "report", figure, detail, is_bad=count > 0, link=link)


def _duplicate_card(reading: Reading[int], may_see: Callable[[str], bool]) -> Card:
    link = _link("ingestion_suppressedduplicate", Permission.DUPLICATE_READ, may_see)
    detail = reading.problem or "events that came again, last hour"
    return Card(
        "duplicates",
        "Duplicates",
        "content_copy",
        _counted(reading),
        detail,
        is_unknown=reading.value is None,
        link=link,
    )


def _quarantine_card(reading: Reading[int], may_see: Callable[[str], bool]) -> Card:
    link = _link("ingestion_quarantinedevent", Permission.QUARANTINE_READ, may_see)
    return Card(
        "quarantine",
        "Quarantined",
        "gpp_maybe",
        _counted(reading),
        reading.problem or "known identity, other content, last day",
        is_bad=bool(reading.value),
        is_unknown=reading.value is None,
        link=link,
    )


def _promise_card(reading: Reading[Promises], may_see: Callable[[str], bool]) -> Card:
    link = _link("evidence_promiseincident", Permission.PROMISE_READ, may_see)
    found = reading.value
    if found is None or (found.standing is None and not found.open_count):
        detail = reading.problem or (found.detail if found else UNKNOWN)
        return Card("promises", "Broken promises", "handshake", UNKNOWN, detail, is_unknown=True, link=link)
    is_bad = any(True for _ in found.complaints)
    return Card("promises", "Broken promises", "handshake", f"{found.open_count:,}", found.detail, is_bad, link=link)


def _gate_cards(reading: Reading[GatesRead], may_see: Callable[[str], bool]) -> list[Card]:
    """One for each gate whose GO enables something; only a PASS is not bad."""
    if reading.value is None:
        return [Card("gate", "Gate", "gavel", UNKNOWN, reading.problem or UNKNOWN, is_unknown=True)]
    return [
        Card(
            f"gate_{gate.status.spec.name}",
            f"Gate {gate.status.spec.name.upper()}",
            "gavel",
            gate.verdict,
            gate.detail,
            is_bad=not gate.is_passed and gate.verdict != UNKNOWN,
            is_unknown=gate.verdict == UNKNOWN,
            link=gate.address,
        )
        for gate in gate_figures(reading.value, may_see=may_see)
    ]


def _budget_card(reading: Reading[GatesRead], may_see: Callable[[str], bool]) -> Card:
    title, icon = "Error budget left", "savings"
    link = reverse("admin:status") if may_see(Permission.GATE_READ) else ""
    least = tightest(reading.value) if reading.value else None
    if least is None:
        detail = reading.problem or "nothing was measured in the window"
        return Card("budget", title, icon, UNKNOWN, detail, is_unknown=True, link=link)
    detail = f"least of all: {least.name}; {least.bad:,} bad of {least.valid:,}; {least.state}"
    return Card("budget", title, icon, left(least), detail, is_bad=least.is_frozen or left_is_gone(least), link=link)


def left_is_gone(budget: Budget) -> bool:
    return budget.remaining_pct is not None and budget.remaining_pct <= 0


def _counted(reading: Reading[int]) -> str:
    if reading.value is None:
        return UNKNOWN
    return f"{reading.value:,}" if reading.value <= COUNTED_AT_MOST else f"over {COUNTED_AT_MOST:,}"


def _worker_card(reading: Reading[Sequence[WorkerState]], rows: Sequence[WorkerRow]) -> Card:
    if reading.value is None:
        return Card("workers", "Workers alive", "memory", UNKNOWN, reading.problem or UNKNOWN, is_unknown=True)
    alive_count = sum(1 for row in rows if not row.is_late)
    late_count = len(rows) - alive_count
    detail = f"{late_count} with an old heartbeat" if late_count else "every heartbeat is fresh"
    if not alive_count:
        detail = "nothing drains the lanes: start one with manage.py worker"
    return Card(
        "workers", "Workers alive", "memory", f"{alive_count}", detail, is_bad=not alive_count or late_count > 0
    )


def _scaling(standing: Standing | None, *, now: datetime) -> str:
    """A sentence; nothing where no autoscaler runs."""
    if standing is None:
        return ""
    said = (
        f"Autoscaler: {standing.wanted_count} wanted, {standing.alive_count} running, "
        f"{standing.minimum_count} to {standing.maximum_count} allowed; {standing.why}."
    )
    if not standing.changed_us:
        return said
    since = max(now - datetime_of(us=standing.changed_us), timedelta(0))
    changed = f"{standing.changed_from_count} to {standing.changed_to_count}"
    return f"{said} Last change {age(since)} ago, {changed}: {standing.changed_why}."


def _complaints(snapshot: OverviewSnapshot, workers: Sequence[WorkerRow]) -> list[str]:
    """What a person should look at now; also what could not be read, as silence is no good news."""
    said = sorted({reading.problem for reading in _readings(snapshot) if reading.problem})
    for state in sorted(STUCK_STATES):
        if lanes := [str(lane.lane) for lane in snapshot.lanes.value or () if lane.state == state]:
            said.append(f"lane {', '.join(lanes)} {state.replace('_', ' ')}")
    if snapshot.workers.value is not None and not any(not row.is_late for row in workers):
        said.append("no worker is alive")
    if snapshot.scaling.value is not None and snapshot.scaling.value.is_at_maximum:
        said.append(f"all {snapshot.scaling.value.wanted_count} workers that may run are not enough")
    said += snapshot.promises.value.complaints if snapshot.promises.value else ()
    said += complaints(snapshot.gates.value) if snapshot.gates.value else ()
    if count := snapshot.open_dead_letters.value:
        said.append(f"{count:,} open dead letter{'s' if count > 1 else ''}")
    return [sentence[0].upper() + sentence[1:] for sentence in said]


def _readings(snapshot: OverviewSnapshot) -> Sequence[Reading[object]]:
    readings: Sequence[Reading[object]] = (
        snapshot.rate_10s,
        snapshot.lanes,
        snapshot.workers,
        snapshot.stages,
        snapshot.open_dead_letters,
        snapshot.duplicates_hour,
        snapshot.quarantined_day,
        snapshot.promises,
        snapshot.gates,
    )
    return readings


def _stage_row(stage: StageLatency | None, name: str) -> StageRow:
    if stage is None:
        return StageRow(STAGE_TITLES[name], UNKNOWN, [UNKNOWN] * 5, UNKNOWN, is_over=False)
    figures = [milliseconds(value) for value in (stage.p50_ms, stage.p95_ms, stage.p99_ms, stage.p999_ms, stage.max_ms)]
    is_over = name == "ack" and stage.p95_ms is not None and stage.p95_ms > OBJECTIVE_MS
    within = share_within(stage.within_slo_count, stage.count)
    return StageRow(STAGE_TITLES[name], f"{stage.count:,}", figures, within, is_over)


def _lane_row(lane: LaneState, *, now: datetime) -> LaneRow:
    oldest = "none" if lane.oldest_age_ms is None else age(timedelta(milliseconds=lane.oldest_age_ms))
    state = lane.state.replace("_", " ")
    return LaneRow(
        lane.lane,
        f"{lane.depth_count:,}",
        oldest,
        state,
        lane.holder or "nobody",
        lane.state in STUCK_STATES,
        rest_of(lane, now=now),
        lane.paused_since is not None,
    )


def _worker_row(worker: WorkerState, *, now: datetime) -> WorkerRow:
    if worker.last_heartbeat is None:
        return WorkerRow(worker.name, worker.queue, worker.state, "never", is_late=True)
    since = now - worker.last_heartbeat
    return WorkerRow(worker.name, worker.queue, worker.state, f"{age(since)} ago", is_late=since > ALIVE_WITHIN)


def _chart(name: str, stage: StageLatency | None, snapshot: OverviewSnapshot) -> ChartPart:
    title = STAGE_TITLES[name]
    chart = None
    if stage is not None:
        promised_ms = _promised_ms(stage)
        chart = histogram(
            name=name,
            title=f"{title}: distribution of {stage.count:,} durations",
            description=_kept(stage, promised_ms)
            + f"P95 {milliseconds(stage.p95_ms)}, max {milliseconds(stage.max_ms)}.",
            buckets=stage.buckets,
            objective_ms=promised_ms,
        )
    nothing = snapshot.stages.problem or f"No event in the last {snapshot.window.span}."
    return ChartPart(name, title, chart, nothing)


def _promised_ms(stage: StageLatency) -> float | None:
    """What the error budgets promise of this stage; None of one without a promise, or inside a bucket."""
    promised = [slo.within_us / 1_000 for slo in objectives().slos.values() if slo.source == stage.stage]
    return next((each for each in promised if each in dict(stage.buckets)), None)


def _kept(stage: StageLatency, promised_ms: float | None) -> str:
    if promised_ms is None:
        return ""
    within_count = sum(count for edge_ms, count in stage.buckets if edge_ms <= promised_ms)
    return f"{share_within(within_count, stage.count)} within {milliseconds_label(promised_ms)}, "


def _link(model: str, permission: Permission, may_see: Callable[[str], bool], query: str = "") -> str:
    return f"{reverse(f'admin:{model}_changelist')}{query}" if may_see(permission) else ""
