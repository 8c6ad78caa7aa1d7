"""deploy/prometheus: promtool takes the rules, each alert fires in its trouble alone, and all that they and the
dashboard ask for is exposed."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from evidence.budget.prometheus import burn_rules
from evidence.guardrails.rules import Rule, shipped_rules
from ingestion.buffer.store import LaneBuffer
from ingestion.latency import EDGES_US, Stage
from ingestion.metrics import MetricName, TotalsCollector
from ingestion.problems import Problem
from tests.project.alert_cases import CASES, rule_tests
from tests.project.test_docs import everything_told

PROJECT = Path(__file__).resolve().parents[2]
FOLDER = PROJECT / "deploy" / "prometheus"
RULE_FILES = ["alerts.yaml", "burn-rates.yaml"]
RECORDED = re.compile(r"\bautocom:[a-z0-9_:]+")
ASKED = re.compile(r"\b(autocom_[a-z_]+)(\{[^}]*\})?")
MATCHER = re.compile(r'(\w+)(=~?)"([^"]*)"')
SUFFIX = re.compile(r"_(total|bucket|sum|count)$")
GROUPED = re.compile(r"\bby \(([^)]*)\)")
LEGEND = re.compile(r"\{\{(\w+)\}\}")
UNITS = {"s", "short", "percentunit", "reqps"}  # of Grafana's ids, those that fit what is exposed


def promtool(*words: str) -> str:
    """A missing promtool fails the test: `sh deploy/system-packages` brings it."""
    done = subprocess.run(["promtool", *words], cwd=FOLDER, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rules(*files: str) -> list[dict[str, Any]]:
    groups = [group for file in files or RULE_FILES for group in yaml.safe_load((FOLDER / file).read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def alerts(*files: str) -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in rules(*files) if "alert" in rule}


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text())
    return found


def panels() -> Iterator[dict[str, Any]]:
    yield from (panel for panel in dashboard()["panels"] if panel["type"] != "row")


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules())
    yield from (target["expr"] for panel in panels() for target in panel["targets"])


def test_promtool_takes_the_rules_and_the_configuration() -> None:
    assert "SUCCESS" in promtool("check", "rules", *RULE_FILES)
    assert "SUCCESS" in promtool("check", "config", "prometheus.yaml")


def panel_rules(*expressions: str) -> str:
    """A rule file that asks the same, at one of the intervals that Grafana would choose."""
    asked = [each.replace("$__rate_interval", "5m") for each in expressions]
    named = [{"record": f"panel:{number}", "expr": expr} for number, expr in enumerate(asked)]
    return yaml.safe_dump({"groups": [{"name": "panels", "rules": named}]}, width=10_000)


def test_promtool_takes_the_expression_of_every_panel(tmp_path: Path) -> None:
    found = [target["expr"] for panel in panels() for target in panel["targets"]]
    (tmp_path / "panels.yaml").write_text(panel_rules(*found))
    assert f"SUCCESS: {len(found)} rules found" in promtool("check", "rules", str(tmp_path / "panels.yaml"))
    (tmp_path / "broken.yaml").write_text(panel_rules(*found, "sum by (code (rate(autocom_answers_total[$window])))"))
    with pytest.raises(AssertionError, match="parse error"):
        promtool("check", "rules", str(tmp_path / "broken.yaml"))


def test_without_promtool_the_rules_are_not_taken_for_checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError):
        promtool("check", "rules", *RULE_FILES)


@pytest.mark.parametrize("file", RULE_FILES)
def test_each_alert_fires_in_its_trouble_with_its_words_and_none_while_all_is_well(file: str, tmp_path: Path) -> None:
    tests = tmp_path / "tests.yaml"
    tests.write_text(yaml.safe_dump(rule_tests(str(FOLDER / file), sorted(alerts(file))), width=10_000))
    assert "SUCCESS" in promtool("test", "rules", str(tests))


def test_no_alert_is_without_a_case_and_no_case_without_an_alert() -> None:
    assert {case.alert for case in CASES} == set(alerts())


@pytest.mark.parametrize("expression", sorted(set(expressions())))
def test_what_a_rule_or_a_panel_asks_for_is_declared_or_recorded(expression: str) -> None:
    declared, recorded = set(get_args(MetricName.__value__)), {rule.get("record") for rule in rules()}
    asked = {SUFFIX.sub("", name) if name not in declared else name for name, _ in ASKED.findall(expression)}
    assert asked | set(RECORDED.findall(expression)) or "up{" in expression, "it asks for nothing of ours"
    assert asked <= declared
    assert set(RECORDED.findall(expression)) <= recorded


@pytest.mark.django_db
def test_the_labels_and_series_that_are_asked_for_are_exposed(buffer: LaneBuffer) -> None:
    everything_told(buffer)
    samples = [sample for family in TotalsCollector().collect() for sample in family.samples]
    exposed = {
        name: {label for s in samples if s.name == name for label in s.labels} for name in {s.name for s in samples}
    }
    scraped = {"job", "instance"}
    for panel in panels():
        for target in panel["targets"]:
            grouped = {label.strip() for labels in GROUPED.findall(target["expr"]) for label in labels.split(",")}
            known = {label for name, _ in ASKED.findall(target["expr"]) for label in exposed[name]}
            assert grouped <= known, target["expr"]
            if known:  # else it shows what a rule recorded
                assert set(LEGEND.findall(target.get("legendFormat", ""))) <= grouped, target["expr"]
    for expression in expressions():
        for name, matchers in ASKED.findall(expression):
            assert name in exposed, f"{name} in {expression}"
            assert {label for label, _, _ in MATCHER.findall(matchers)} <= exposed[name] | scraped, expression


def test_the_values_of_labels_that_are_asked_for_can_come() -> None:
    known = {
        "code": {"accepted", "duplicate", "handshake", *map(str, Problem)},
        "stage": set(map(str, Stage)),
        "le": {f"{edge / 1e6:g}" for edge in EDGES_US} | {f"{edge / 1e6:.1f}" for edge in EDGES_US} | {"+Inf"},
        "fate": {"duplicate", "quarantined", "dead_letter", "retry_stored", "retry_duplicate", "retry_failed"},
        "count": {"wanted", "alive", "minimum", "maximum"},
        "source": {"redis"},
        "job": {"autocom"},
    }
    for expression in expressions():
        for _, matchers in ASKED.findall(expression):
            for label, operator, value in MATCHER.findall(matchers):
                told = set(value.split("|")) if operator == "=~" else {value}
                assert told <= known.get(label, set()), f"{label} in {expression}"


def test_the_burn_rates_are_those_of_the_objectives() -> None:
    made = burn_rules()
    assert (FOLDER / "burn-rates.yaml").read_text() == made, "run python -m evidence.budget.prometheus"


type Mark = Callable[[Rule], str]
# the rules that look at the figure of a guardrail, with the number that both have
SHARED: dict[str, tuple[str, Mark, Mark]] = {
    "ack-p95": (
        "AutocomAckSlow",
        lambda rule: f'le="{rule.threshold / 1000:g}"',
        lambda rule: f">= {rule.minimum_count}",
    ),
    "signature-failures": (
        "AutocomSignatureFailures",
        lambda rule: f"> {rule.threshold:g}",
        lambda rule: f">= {rule.minimum_count}",
    ),
    "tokens-reused": ("AutocomTokensReused", lambda rule: f">= {rule.threshold:g}", lambda rule: "5m"),
    "nothing-lost": ("AutocomPromisesBroken", lambda rule: f"> {rule.threshold:g}", lambda rule: "missing"),
    "lag": ("AutocomEventsLate", lambda rule: f"> {rule.threshold:g}", lambda rule: "oldest_age"),
    "sealing": ("AutocomLogNotSealed", lambda rule: f"> {rule.threshold:g}", lambda rule: "waiting_seconds"),
    "sealer-refuses": ("AutocomSealerRefuses", lambda rule: f"> {rule.threshold:g}", lambda rule: "refused"),
    "dead-letters": ("AutocomDeadLetters", lambda rule: f"> {rule.threshold:g}", lambda rule: "dead_letter"),
}


@pytest.mark.parametrize("name", SHARED)
def test_where_a_guardrail_looks_at_the_same_figure_threshold_severity_and_runbook_are_its_own(name: str) -> None:
    (rule,) = (rule for rule in shipped_rules() if rule.name == name)
    alert, *marks = SHARED[name]
    found = alerts()[alert]
    assert [mark(rule) for mark in marks if mark(rule) not in found["expr"]] == []
    assert found["labels"]["severity"] == rule.severity
    assert found["annotations"]["runbook_url"] == f"docs/runbooks/{name}.md"


def test_the_dashboard_is_one_that_grafana_imports_with_every_panel_in_its_place() -> None:
    found = dashboard()
    assert found["uid"] == "autocom"
    assert [variable["type"] for variable in found["templating"]["list"]] == ["datasource"]
    ids = [panel["id"] for panel in found["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in found["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    for panel in panels():
        assert panel["title"]
        assert panel["description"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
