"""The run as a table, and as JSON, CSV and Markdown in its folder."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.soak.sample import EVERY_SECONDS, Sample
from bench.soak.series import Series
from bench.soak.trend import (
    JUDGED_SAMPLES_AT_LEAST,
    JUDGED_SECONDS_AT_LEAST,
    NATURE_TOLERANCE,
    Nature,
    Rule,
    Verdict,
)

EXIT_WELL, EXIT_FAIL, EXIT_CANNOT_TELL = 0, 1, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Soak:
    """Everything a run came to."""

    seconds: float
    rate: float
    samples: Sequence[Sample]
    series: Sequence[Series]
    keys_by_kind: Sequence[Mapping[str, int]]
    reconciled: Mapping[str, int | None]  # what must be 0; None: could not be told
    totals: Mapping[str, float | int | None]
    broken: Sequence[str]  # why the run fails whatever the series say
    doubts: Sequence[str]  # why nothing good can be said

    @property
    def growing(self) -> list[Series]:
        return [each for each in self.series if each.trend.verdict is Verdict.GROWS]

    @property
    def exit_code(self) -> int:
        if self.broken or any(self.reconciled.values()) or any(not is_latency(each) for each in self.growing):
            return EXIT_FAIL
        if self.doubts or None in self.reconciled.values():
            return EXIT_CANNOT_TELL
        if not self.series or any(each.trend.verdict is Verdict.TOO_SHORT for each in self.series):
            return EXIT_CANNOT_TELL
        return EXIT_FAIL if self.growing else EXIT_WELL

    @property
    def _kept(self) -> str:
        if any(self.reconciled.values()):
            return "PROMISES WERE BROKEN"
        is_known = bool(self.reconciled) and None not in self.reconciled.values()
        return "every promise was kept" if is_known else "whether every promise was kept is UNKNOWN"

    @property
    def conclusion(self) -> str:
        kept = self._kept
        if self.exit_code == EXIT_CANNOT_TELL:
            why = "; ".join(self.doubts) or (
                f"the run is too short to tell flat from growing: {JUDGED_SAMPLES_AT_LEAST} samples over "
                f"{JUDGED_SECONDS_AT_LEAST:.0f} s behind the warm-up are needed, such as --seconds 180"
            )
            return f"INCONCLUSIVE: {why}; {kept}"
        said = [*self.broken, *(f"{each.name} grows" for each in self.growing)]
        return f"{'FLAT' if not self.exit_code else 'FAIL: ' + '; '.join(said) if said else 'FAIL'}; {kept}"


def is_latency(series: Series) -> bool:
    """Of these a machine that was busy with other work may be the cause; of memory it is not."""
    return series.name.startswith(("ack|", "lag|", "redis|waiting"))


def as_text(soak: Soak) -> str:
    lines = [
        f"{'series':<30} {'unit':<11} {'first':>11} {'last':>11} {'median':>11} {'per hour':>12} {'growth':>9} "
        f"{'allowed':>9}  verdict"
    ]
    lines += [_line(each) for each in soak.series]
    lines += ["", "by nature:"]
    lines += [
        f"  {each.name}: {each.rule.why}; bound: {each.rule.bound}"
        for each in soak.series
        if isinstance(each.rule, Nature)
    ]
    lines += ["", "reconciled: " + ", ".join(f"{name} {_told(count)}" for name, count in soak.reconciled.items())]
    lines += [", ".join(f"{name} {_told(value)}" for name, value in soak.totals.items())]
    return "\n".join([*lines, "", soak.conclusion])


def _line(each: Series) -> str:
    trend = each.trend
    return (
        f"{each.name:<30} {each.unit:<11} {trend.first:>11,.1f} {trend.last:>11,.1f} {trend.median:>11,.1f} "
        f"{trend.per_hour:>+12,.1f} {trend.growth:>+9,.1f} {_allowed(trend.allowed):>9}  {trend.verdict}"
    )


def _allowed(value: float) -> str:
    return "any" if value == float("inf") else f"{value:,.1f}"


def _told(value: float | None) -> str:
    if value is None:
        return "UNKNOWN"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def write_files(folder: Path, soak: Soak) -> None:
    """soak.json, soak.csv (a line a sample) and soak.md. The folder exists."""
    (folder / "soak.json").write_text(json.dumps(_as_json(soak), indent=1))
    names = list(dict.fromkeys(name for sample in soak.samples for name in sample))
    with (folder / "soak.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, names, restval="")
        writer.writeheader()
        writer.writerows(soak.samples)
    (folder / "soak.md").write_text(as_markdown(soak))


def _as_json(soak: Soak) -> dict[str, object]:
    return {
        "seconds": soak.seconds,
        "rate": soak.rate,
        "conclusion": soak.conclusion,
        "exit_code": soak.exit_code,
        "reconciled": dict(soak.reconciled),
        "totals": dict(soak.totals),
        "broken": list(soak.broken),
        "doubts": list(soak.doubts),
        "keys_by_kind": list(soak.keys_by_kind),
        "series": [
            {"name": each.name, "unit": each.unit, **_finite(asdict(each.trend)), "rule": _finite(asdict(each.rule))}
            for each in soak.series
        ],
    }


def _finite(fields: Mapping[str, object]) -> dict[str, object]:
    """JSON knows no infinity: what has no limit is null."""
    return {name: None if value == float("inf") else value for name, value in fields.items()}


def as_markdown(soak: Soak) -> str:
    rows = [
        f"| {_titled(each.name)} | {each.unit} | {each.trend.first:,.1f} | {each.trend.last:,.1f} | "
        f"{each.trend.per_hour:+,.1f} | {each.trend.growth:+,.1f} | {_allowed(each.trend.allowed)} | "
        f"{_allowed(each.trend.unseen_per_hour)} | {each.trend.verdict} |"
        for each in soak.series
    ]
    natures = [f"- {_titled(name)}: {rule.why}. Bound: {rule.bound}." for name, rule in _natures(soak.series)]
    return "\n".join(
        [
            f"# Soak: {soak.rate:,.0f}/s for {soak.seconds:,.0f} s",
            "",
            f"**{soak.conclusion}**",
            "",
            "Reconciled: " + ", ".join(f"{name} {_told(count)}" for name, count in soak.reconciled.items()) + ".",
            "",
            ", ".join(f"{name} {_told(value)}" for name, value in soak.totals.items()) + ".",
            "",
            _method(),
            "",
            "| series | unit | first | last | per hour | growth | allowed | unseen per hour | verdict |",
            "|---|---|---|---|---|---|---|---|---|",
            *rows,
            "",
            "## What grows by nature",
            "",
            *natures,
            "",
            "## Rules",
            "",
            *_rules(soak.series),
            "",
        ]
    )


def _method() -> str:
    return (
        f"A sample every {EVERY_SECONDS:g} s. The first third is warm-up. Slope: Theil and Sen's over the rest; "
        "growth: slope times that time. Flat: a growth of at most the larger of the rule's share of the median and its "
        f"amount. As expected: no more than the expected slope and {NATURE_TOLERANCE:.0%}. Unseen: a slope that this "
        "run would have called flat."
    )


def _natures(series: Sequence[Series]) -> list[tuple[str, Nature]]:
    return [(each.name, each.rule) for each in series if isinstance(each.rule, Nature)]


def _titled(name: str) -> str:
    return name.replace("|", ": ")  # a bar would end the table's cell


def _rules(series: Sequence[Series]) -> list[str]:
    """One line for each measure."""
    told = {
        each.name.partition("|")[2]: f"{each.rule.share:.0%} of the median or {each.rule.amount:g} {each.unit}"
        for each in series
        if isinstance(each.rule, Rule)
    }
    return [f"- {measure}: {rule}" for measure, rule in told.items()]
