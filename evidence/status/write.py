"""The report as Markdown, as a page that needs nothing beside it, and as one JSON object."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from django.template.loader import render_to_string

from evidence.status.asked_for import steps
from evidence.status.blockers import blockers
from evidence.status.gate_status import GateStatus
from evidence.status.sections import sections, verdict_of
from evidence.status.standing import Standing

TEMPLATE = "evidence/status.html"
FORMAT = "autocom-status/1"


def as_html(standing: Standing) -> str:
    return render_to_string(TEMPLATE, {"at": _moment(standing.at), "sections": sections(standing)})


def as_markdown(standing: Standing) -> str:
    return "\n".join(_markdown(standing)) + "\n"


def as_json(standing: Standing) -> dict[str, Any]:
    """Figures as they are, not as they are shown. null: UNKNOWN, and `why` has the reason."""
    change = standing.mode.change
    return {
        "format": FORMAT,
        "at": standing.at.isoformat(),
        "build": standing.build,
        "mode": {
            "mode": standing.mode.mode.value,
            "why_not": standing.mode.why_not,
            "audit_entry": change.audit_number if change else None,
        },
        "gates": [_gate(each) for each in standing.gates.value] if standing.gates.value is not None else None,
        "open_dead_letters": standing.open_dead_letters.value,
        "broken_promises": standing.broken_promises.value,
        "audit_entries": standing.audit_entries.value,
        "open_alerts": None if standing.alerts.value is None else len(standing.alerts.value),
        "budgets": None if standing.budgets.value is None else [dataclasses.asdict(b) for b in standing.budgets.value],
        "dependencies": [dataclasses.asdict(each) for each in standing.dependencies],
        "blockers": [dataclasses.asdict(each) for each in blockers(standing)],
        "steps": [dataclasses.asdict(each) for each in steps(standing)],
        "why": {name: asked.why for name, asked in _asked(standing) if asked.why},
    }


def _asked(standing: Standing) -> Iterator[tuple[str, Any]]:
    for name in ("gates", "alerts", "open_dead_letters", "broken_promises", "audit_entries", "budgets", "roles"):
        yield name, getattr(standing, name)


def _gate(gate: GateStatus) -> dict[str, Any]:
    return {
        "gate": gate.spec.name,
        "version": gate.spec.version,
        "is_frozen": gate.is_frozen,
        "dri": gate.dri or None,
        "verdict": verdict_of(gate),
        "run_id": gate.bundle.run_id if gate.bundle else None,
        "bundle_sha256": gate.bundle.artifact_id if gate.bundle else None,
        "runs_since_freeze": dict(gate.runs_since),
        "criteria": [dict(each) for each in gate.criteria],
        "decision": gate.decision.kind if gate.decision else None,
        "approver": gate.approver or None,
        "why_go_fails": gate.why_go_fails,
        "why": gate.verdict.why,
    }


def _markdown(standing: Standing) -> Iterator[str]:
    yield f"# Status report, {_moment(standing.at)}"
    for section in sections(standing):
        yield from ("", f"## {section.title}", "")
        yield from (f"- {_escaped(line)}" for line in section.said)
        if section.heads:
            yield from _table(section.heads, section.rows)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for cells in (heads, ["---"] * len(heads), *rows):
        yield f"| {' | '.join(_escaped(cell) for cell in cells)} |"


def _escaped(text: str) -> str:
    """Reasons and names are people's own words: none of them is markup, or another row."""
    line = " ".join(text.split())
    return line.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("[", "\\[").replace("`", "\\`")


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
