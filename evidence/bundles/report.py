"""The report that a person reads: the verdict with each criterion, the figures, the drawings, what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.template.loader import render_to_string
from django.utils.safestring import mark_safe

from evidence.bundles.parts.files import write
from evidence.bundles.run import Run
from evidence.gates.evaluate import GateCriterion, GateVerdict
from evidence.gates.spec import CriterionSpec, GateSpec
from ingestion.replay.verdict import Outcome

TEMPLATE = "evidence/report.html"
DRAWINGS = (
    ("client", "Ack latency at the sender", "From the intended moment to the end of the answer."),
    ("receiver", "Ack latency as the service measured it", "All senders of the run's minutes."),
    ("consumer", "Accepted to committed", "From the lane to just before COMMIT in PostgreSQL."),
)
CRITERIA = ("criterion", "actual", "target", "margin", "outcome", "why", "age", "with 95 % confidence", "source")
SENTENCES = {
    Outcome.PASS: "Every criterion is met, and everything that the gate requires is here.",
    Outcome.FAIL: "At least one criterion is not met.",
    Outcome.INCONCLUSIVE: "No criterion failed, and something that the gate requires is unknown or not here.",
}


@dataclass(frozen=True, slots=True)
class CriterionLine:
    name: str
    actual: str
    target: str
    margin: str
    outcome: str
    reason: str
    key: bool
    age: str
    at_95: str  # empty: no question of a sample
    source: str
    is_linked: bool  # the source is a file of this bundle


def write_report(bag: Path, run: Run, spec: GateSpec, verdict: GateVerdict, *, why: Mapping[str, str]) -> None:
    """`report.html`, which needs nothing beside it, and `report.md`. `why` is each required file is missing."""
    told = _told(bag, run, spec, verdict, why)
    drawings = [
        {"title": title, "note": note, "svg": mark_safe((bag / path).read_text(encoding="utf-8"))}  # noqa: S308 (ours)
        for name, title, note in DRAWINGS
        if (bag / (path := f"data/latency/{name}.svg")).is_file()
    ]
    write(bag / "report.html", render_to_string(TEMPLATE, {**told, "drawings": drawings}))
    write(bag / "report.md", "\n".join(_markdown(told)) + "\n")


def _told(bag: Path, run: Run, spec: GateSpec, verdict: GateVerdict, why: Mapping[str, str]) -> dict[str, Any]:
    asked = {each.name: each for each in spec.criteria}
    return {
        "title": spec.title,
        "gate": spec.name,
        "version": spec.version,
        "run_id": run.run_id,
        "ended_at": run.ended_at.strftime("%Y-%m-%d %H:%M:%S UTC"),
        "outcome": verdict.outcome.value,
        "sentence": SENTENCES[verdict.outcome],
        "criteria": [_line(bag, each, asked[each.name]) for each in verdict.criteria],
        "doubts": list(verdict.doubts),
        "missing": [(path, why[path]) for path in verdict.missing],
        "figures": list(_figures(run.summary)),
        "environment": list(_environment(run)),
    }


def _line(bag: Path, criterion: GateCriterion, asked: CriterionSpec) -> CriterionLine:
    hours = None if criterion.age is None else criterion.age / timedelta(hours=1)
    return CriterionLine(
        name=criterion.name,
        actual=shown(criterion.actual, criterion.unit),
        target=f"{criterion.operator.value} {shown(criterion.threshold, criterion.unit)}",
        margin=shown(criterion.margin, criterion.unit),
        outcome=criterion.outcome.value,
        reason=criterion.reason,
        key=asked.key,
        age=told_age(hours, may_age=asked.max_age_hours is not None),
        at_95=criterion.at_95.sentence if criterion.at_95 else "",
        source=criterion.source,
        is_linked=bool(criterion.source) and (bag / criterion.source).is_file(),
    )


def told_age(hours: float | None, *, may_age: bool) -> str:
    """Of what is judged, at the end of the run. `may_age`: it comes from before it, so without an age it is unknown."""
    if hours is None:
        return "unknown" if may_age else "of the run"
    return f"{hours:.1f} h"


def shown(value: float | None, unit: str) -> str:
    if value is None:
        return "unknown"
    if unit == "ratio":
        return f"{100 * value:.3f} %"
    return f"{value:.1f} {unit}" if unit in ("ms", "s") else f"{value + 0:,.0f}"


def _figures(summary: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "sends planned", f"{summary['planned']:,}"
    yield "accepted at the first attempt", f"{summary['accepted']:,}"
    yield "accepted after a retry", f"{summary['accepted_after_retry']:,}"
    yield "rejected", f"{summary['rejected']:,}"
    yield "answered as known duplicates", f"{summary['answered_duplicate']:,} of {summary['duplicates_sent']:,} sent"
    yield "rows in PostgreSQL", "unknown" if summary["stored"] is None else f"{summary['stored']:,}"
    offered = f"{summary['rate_offered']:,.0f}/s" if summary["rate_offered"] else "as fast as possible"
    yield "rate", f"{summary['rate_achieved']:,.1f}/s, offered {offered}"
    for name, label in (("ack_ms", "ack latency"), ("service_ms", "service time")):
        yield label, _quantiles(summary[name])
    after = summary["drained_after_seconds"]
    yield "everything stored", "not within two minutes" if after is None else f"{after:.2f} s after the last ack"
    for reason, count in summary["refusals"].items():
        yield f"first attempts answered {reason}", f"{count:,}"


def _quantiles(told: Mapping[str, Any]) -> str:
    names = (("P50", "p50"), ("P95", "p95"), ("P99", "p99"), ("P99.9", "p999"), ("max", "max"))
    values = [f"{label} {told[name]:.1f} ms" for label, name in names if told[name] is not None]
    return f"{', '.join(values)} (n = {told['count']:,})" if values else "nothing to measure"


def _environment(run: Run) -> Iterator[tuple[str, str]]:
    """What weighs most; the file has everything."""
    told = run.environment
    if not told:
        return
    changed = " with changes that no commit has" if told["autocom"]["is_changed"] else ""
    yield "commit", f"{run.commit}{changed}"
    yield "lock file SHA-256", told["lock_file_sha256"]
    yield "Python", told["python"]
    host = told["host"]
    yield "machine", f"{host['cpu_count']} CPUs, {host['memory_bytes'] / 2**30:.1f} GiB, {host['kernel']}"
    config = told["redis"].get("config", {})
    modes = ", ".join(f"{name} {config[name]}" for name in sorted(config)) if isinstance(config, dict) else config
    yield "Redis", f"{told['redis'].get('name', '')} {told['redis']['version']}: {modes}".strip()
    postgres = told["postgresql"]
    yield "PostgreSQL", ", ".join(f"{name} {postgres[name]}" for name in sorted(postgres))


def _markdown(told: Mapping[str, Any]) -> Iterator[str]:
    yield f"# {told['outcome']}: {_escaped(told['title'])}"
    yield ""
    yield f"Run {told['run_id']}, ended {told['ended_at']}. Gate {told['gate']}, version {told['version']}."
    yield ""
    yield told["sentence"]
    yield ""
    yield from _table(CRITERIA, _criteria_rows(told))
    yield from _list("Doubts", told["doubts"])
    yield from _list("Missing", [f"`{path}`: {why}" for path, why in told["missing"]])
    for heading, name in (("Figures", "figures"), ("Environment", "environment")):
        yield f"## {heading}"
        yield ""
        yield from _table((heading.lower(), ""), told[name])
    yield "`AUDIT.md` says how to check all of this without our software."


def _criteria_rows(told: Mapping[str, Any]) -> list[Sequence[str]]:
    return [
        (
            f"**{each.name}**" if each.key else each.name,
            each.actual,
            each.target,
            each.margin,
            each.outcome,
            each.reason,
            each.age,
            each.at_95,
            f"[{each.source}]({each.source})" if each.is_linked else each.source,
        )
        for each in told["criteria"]
    ]


def _list(heading: str, items: Sequence[str]) -> Iterator[str]:
    if items:
        yield f"## {heading}"
        yield ""
        yield from (f"- {_escaped(item)}" for item in items)
        yield ""


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield _row(heads)
    yield _row(["---"] * len(heads))
    yield from (_row([_escaped(cell) for cell in row]) for row in rows)
    yield ""


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
