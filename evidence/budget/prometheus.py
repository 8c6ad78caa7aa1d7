"""The burn rates as rules for Prometheus, from the same objectives and windows as the console's. Pure.

`python -m evidence.budget.prometheus > deploy/prometheus/burn-rates.yaml` writes the file; a test keeps it so.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import timedelta
from fractions import Fraction

from evidence.budget.arithmetic import ENOUGH_BAD_COUNT, RULES, WINDOWS, AlertRule
from evidence.slo.objective import Slo, Source
from evidence.slo.shipped import objectives

HEADER = """\
# Made by `python -m evidence.budget.prometheus` from evidence/slo/slos.yaml: do not edit. A burn rate of 1 spends the
# budget exactly by the end of its window; docs/runbooks/burn-page.md says what to do about a faster one.
groups:
  - name: autocom-burn-rates
    interval: 30s
    rules:
"""
RUNBOOK = "docs/runbooks/burn-page.md"


def burn_rules() -> str:
    """The file's text."""
    slos = [objectives().slo(name) for name in objectives().names]
    records = [line for slo in slos for window in WINDOWS for line in _records(slo, span(window))]
    return "".join([HEADER, *records, *(line for rule in RULES for line in _alert(rule))])


def span(window: timedelta) -> str:
    """As PromQL writes it."""
    minutes = window // timedelta(minutes=1)
    return f"{minutes // 1440}d" if minutes % 1440 == 0 else f"{minutes // 60}h" if minutes % 60 == 0 else f"{minutes}m"


def _records(slo: Slo, window: str) -> Iterator[str]:
    bad = f"autocom:slo_bad:increase{window}"
    budget = f"{float(1 - Fraction(slo.target)):g}"
    for name, expression in (
        (bad, _bad(slo, window)),
        # nothing where nothing was valid: no burn rate then, and no alert
        (
            f"autocom:slo_burn:rate{window}",
            f'{bad}{{slo="{slo.name}"}} / on () ({_valid(slo, window)} > 0) / {budget}',
        ),
    ):
        yield f"      - record: {name}\n        expr: {expression}\n        labels: {{slo: {slo.name}}}\n"


def _valid(slo: Slo, window: str) -> str:
    if slo.source is Source.ANSWERS:
        return _answers(sorted(slo.valid_codes), window)
    return f'sum(increase(autocom_stage_seconds_count{{stage="{slo.source}"}}[{window}]))'


def _bad(slo: Slo, window: str) -> str:
    """Refused ones and, of the answered ones, those that came too late."""
    if slo.source is Source.ANSWERS:
        refused = f"({_answers(sorted(slo.bad_codes), window)} or vector(0))"
        return f"{refused} + ({_late(Source.ACK, slo.within_us, window)} or vector(0))"
    return _late(slo.source, slo.within_us, window)


def _answers(codes: list[str], window: str) -> str:
    return f'sum(increase(autocom_answers_total{{code=~"{"|".join(codes)}"}}[{window}]))'


def _late(stage: Source, within_us: int, window: str) -> str:
    every = f'sum(increase(autocom_stage_seconds_count{{stage="{stage}"}}[{window}]))'
    edge = f"{within_us / 1e6:g}"
    edge = edge if "." in edge else f"{edge}|{edge}.0"  # Prometheus 3 writes an edge with its point
    return f'{every} - sum(increase(autocom_stage_seconds_bucket{{stage="{stage}",le=~"{edge}"}}[{window}]))'


def _alert(rule: AlertRule) -> Iterator[str]:
    long, short, factor = span(rule.long), span(rule.short), f"{float(rule.factor):g}"
    yield f"      - alert: AutocomBudgetBurn{long}\n"
    yield f"        expr: autocom:slo_burn:rate{long} > {factor} and autocom:slo_burn:rate{short} > {factor}"
    yield f" and autocom:slo_bad:increase{long} >= {ENOUGH_BAD_COUNT}\n"
    yield f"        labels: {{severity: {rule.severity}}}\n"
    yield "        annotations:\n"
    yield '          summary: "{{ $labels.slo }}: the error budget burns '
    yield f'{{{{ printf \\"%.1f\\" $value }}}} times too fast over {long} (limit {factor})"\n'
    yield f"          runbook_url: {RUNBOOK}\n"


if __name__ == "__main__":
    sys.stdout.write(burn_rules())
