from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from console.management.errors import UsageWrong
from console.management.provider.printing import iso, say, say_json, told
from evidence.gates.freeze import frozen, sha256_of
from evidence.gates.spec import CriterionSpec, GateSpec, GateUnknown, gate, gate_names
from evidence.models import Bundle, FrozenSpec

HELP = "Every gate, or one with its criteria: is it frozen, and what came of its newest bundle."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("gate", nargs="?", help="with its criteria; default: a line for each gate")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")


def run(*, gate: str | None, json: bool, **_: object) -> int:
    specs = [_spec(name) for name in ([gate] if gate else gate_names())]
    if json:
        say_json({"gates": [gate_json(spec) for spec in specs]})
    else:
        say(*(line for spec in specs for line in _lines(spec, is_whole=gate is not None)))
    return 0


def _spec(name: str) -> GateSpec:
    try:
        return gate(name)
    except GateUnknown as error:
        raise UsageWrong(str(error)) from error


def _newest(spec: GateSpec) -> Bundle | None:
    return Bundle.objects.filter(gate=spec.name).order_by("-made_at").first()


def _lines(spec: GateSpec, *, is_whole: bool) -> Iterator[str]:
    newest = _newest(spec)
    yield f"{spec.name}  version {spec.version}  {spec.title}"
    yield f"  {_frozen_line(spec, frozen(spec.name))}"
    yield f"  {_bundle_line(newest)}"
    yield f"  a GO may enable: {', '.join(spec.grants) or 'no mode'}"
    if is_whole:
        yield from map(_criterion_line, spec.criteria)


def _frozen_line(spec: GateSpec, found: FrozenSpec | None) -> str:
    if found is None:
        return f"not frozen: `manage.py gate freeze {spec.name} --reason …` comes before the run"
    since = f"version {found.version} frozen {told(found.frozen_at, none='')} by {found.actor}"
    is_this = found.sha256 == sha256_of(spec)
    return since if is_this else f"{since}; the text of version {spec.version} here is another and is not frozen"


def _bundle_line(newest: Bundle | None) -> str:
    if newest is None:
        return "no bundle yet: its verdict is UNKNOWN"
    version = f"version {newest.gate_version}"
    return f"newest bundle: {newest.verdict}, {version}, run {newest.run_id}, made {told(newest.made_at, none='')}"


def _criterion_line(criterion: CriterionSpec) -> str:
    age = f", at most {criterion.max_age_hours:g} h old" if criterion.max_age_hours is not None else ""
    limit = f"{criterion.operator} {criterion.threshold:g} {criterion.unit}"
    return f"  {'*' if criterion.key else ' '} {criterion.name:<28} {criterion.metric:<24} {limit}{age}"


def gate_json(spec: GateSpec) -> dict[str, Any]:
    """The specification, whether it is frozen, and its newest bundle."""
    found, newest = frozen(spec.name), _newest(spec)
    return {
        "gate": spec.name,
        "version": spec.version,
        "title": spec.title,
        "sha256": sha256_of(spec),
        "grants": list(spec.grants),
        "frozen": None
        if found is None
        else {
            "version": found.version,
            "sha256": found.sha256,
            "at": iso(found.frozen_at),
            "by": found.actor,
            "audit_entry": found.audit_number,
        },
        "newest_bundle": None
        if newest is None
        else {
            "sha256": newest.artifact_id,
            "run_id": newest.run_id,
            "gate_version": newest.gate_version,
            "verdict": newest.verdict,
            "made_at": iso(newest.made_at),
        },
        "criteria": [
            {
                "name": each.name,
                "metric": each.metric,
                "operator": each.operator.value,
                "threshold": each.threshold,
                "unit": each.unit,
                "key": each.key,
                "source": each.source,
                "max_age_hours": each.max_age_hours,
            }
            for each in spec.criteria
        ],
    }
