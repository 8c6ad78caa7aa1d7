"""The documents list exactly what there is: settings, codes with their statuses, metrics with their labels."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

import pytest

from console.api.log.problems import STATUSES as LOG_STATUSES
from console.api.log.problems import LogProblem
from console.api.problems import STATUSES
from evidence.gates import facts
from evidence.gates.facts import facts_of
from evidence.gates.spec import CriterionSpec, GateSpec, gate
from evidence.guardrails.rules import shipped_rules
from evidence.log_standing import log_standings
from ingestion import promises
from ingestion.autoscale.standing import keep_standing
from ingestion.buffer.store import LaneBuffer
from ingestion.latency import LatencyRecorder, Stage
from ingestion.latency_store import add_aged, add_totals
from ingestion.log_figures import keep_log_figures
from ingestion.metrics import MetricName, TotalsCollector
from ingestion.problems import TEXTS, Problem
from ingestion.withheld import count_withheld
from tests.faults.scenarios import SCENARIOS
from tests.ingestion.test_autoscale import STANDING
from tests.project.test_environment import variables_read

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
ROW = re.compile(r"^\| `([^`]+)` \|(.*)\|$", re.MULTILINE)


def rows(document: str) -> dict[str, list[str]]:
    """The tables' rows: what stands in code marks in the first column, and the other cells."""
    found = ROW.findall((DOCS / document).read_text())
    assert len(found) == len({name for name, _ in found}), f"{document} lists something twice"
    return {name: [cell.strip() for cell in rest.split("|")] for name, rest in found}


def test_the_settings_document_lists_exactly_the_variables_that_are_read() -> None:
    assert set(rows("settings.md")) == variables_read()


def test_the_errors_document_lists_exactly_the_codes_with_their_statuses() -> None:
    listed = {code: int(cells[0]) for code, cells in rows("errors.md").items()}
    of_the_log = {str(problem): LOG_STATUSES[problem] for problem in LogProblem}
    assert listed == {str(problem): TEXTS[problem].status for problem in Problem} | of_the_log


def test_each_error_says_what_it_means_and_what_to_do() -> None:
    assert [code for code, cells in rows("errors.md").items() if len(cells) != 3 or not all(cells)] == []


def test_the_document_of_the_api_lists_exactly_its_codes_with_their_statuses() -> None:
    listed = {code: int(cells[0]) for code, cells in rows("api.md").items() if code.replace("_", "").isalpha()}
    assert listed == dict(STATUSES)


def test_the_metrics_document_lists_exactly_the_declared_names() -> None:
    assert set(rows("metrics.md")) == set(get_args(MetricName.__value__))


def everything_told(buffer: LaneBuffer) -> None:
    """Afterwards /metrics has a sample of every metric."""
    recorder = LatencyRecorder(process="test")
    for stage in Stage:
        recorder.record(stage, "default", 5)
    recorder.record_outcome("default", "accepted")
    recorder.record_refusal("default", "too_old")
    recorder.record_set_aside("default", "duplicate", 1)
    add_totals(recorder.take(), client=buffer.client)
    add_aged({"payloads": 1}, client=buffer.client)
    count_withheld("sentry")
    keep_standing(STANDING, buffer=buffer)
    keep_log_figures([standing.figures for standing in log_standings()], buffer=buffer)
    promises.keep_standing(promises.PromiseStanding(whole_us=buffer.now_us()), buffer=buffer)


@pytest.mark.django_db
def test_the_metrics_document_tells_the_type_and_labels_of_each_metric(buffer: LaneBuffer) -> None:
    everything_told(buffer)
    exposed = {
        family.name: (family.type, {label for sample in family.samples for label in sample.labels} - {"le"})
        for family in TotalsCollector().collect()
    }
    documented = {
        name: (cells[0], set(re.findall(r"`([^`]+)`", cells[1]))) for name, cells in rows("metrics.md").items()
    }
    assert exposed == documented


EVERY_DOCUMENT = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


def test_the_links_between_the_documents_lead_somewhere() -> None:
    dead = [
        f"{document.relative_to(ROOT)}: {target}"
        for document in EVERY_DOCUMENT
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text())
        if not (document.parent / target).exists()
    ]
    assert dead == []


def test_the_anchors_that_links_name_are_headings() -> None:
    dead = [
        f"{document.relative_to(ROOT)}: {target}#{anchor}"
        for document in EVERY_DOCUMENT
        for target, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", document.read_text())
        if anchor not in anchors((document.parent / target) if target else document)
    ]
    assert dead == []


def anchors(document: Path) -> set[str]:
    """As GitHub makes them of the headings."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_the_modules_and_targets_that_documents_tell_to_run_are_there() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for document in EVERY_DOCUMENT:
        text = document.read_text()
        for module in re.findall(r"python3? -m ([a-z_.]+[a-z_])", text):
            assert find_spec(module) is not None, f"{document.name}: {module}"
        for quoted, typed in re.findall(r"`make ([a-z]+)|^make ([a-z]+)(?= +#| +[A-Z]+=|$)", text, re.MULTILINE):
            assert (quoted or typed) in targets, f"{document.name}: make {quoted or typed}"


def test_the_tests_and_faults_that_documents_name_are_there() -> None:
    known_faults = {scenario.id for scenario in SCENARIOS}
    for document in EVERY_DOCUMENT:
        text = document.read_text()
        for path, name in re.findall(r"`(tests/[\w/]+(?:\.py)?)(?:::(\w+))?`", text):
            found = ROOT / path
            if "acme" in path:  # what the reader is going to write
                continue
            assert found.exists(), f"{document.name}: {path}"
            assert not name or f"def {name}(" in found.read_text(), f"{document.name}: {path}::{name}"
        for fault in re.findall(r"faults? ((?:`[a-z0-9-]+`(?:, )?)+)", text):
            assert set(re.findall(r"`([a-z0-9-]+)`", fault)) <= known_faults, f"{document.name}: {fault}"


RUNBOOKS = DOCS / "runbooks"
OTHER_ALERTS = {"outgoing"}  # of the console alone, neither a guardrail nor a rule of Prometheus


def runbooks_asked_for() -> set[str]:
    rule_files = [ROOT / "deploy" / "prometheus" / name for name in ("alerts.yaml", "burn-rates.yaml")]
    urls = {url for file in rule_files for url in re.findall(r"runbook_url: docs/runbooks/(\S+)\.md", file.read_text())}
    return urls | {rule.name for rule in shipped_rules()} | OTHER_ALERTS


def test_every_alert_and_every_guardrail_has_its_runbook_and_every_runbook_its_alert() -> None:
    assert {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"} == runbooks_asked_for()


@pytest.mark.parametrize("name", sorted(runbooks_asked_for()))
def test_a_runbook_says_the_symptom_what_to_check_what_to_do_and_how_to_verify(name: str) -> None:
    text = (RUNBOOKS / f"{name}.md").read_text()
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Symptom", "Check", "Do", "Verify"]
    assert "```sh" in text.partition("## Check")[2]
    (raised_by,) = re.findall(r"^Raised by: (.+)\.$", text, re.MULTILINE)
    alerts = ROOT / "deploy" / "prometheus"
    rules = "".join((alerts / file).read_text() for file in ("alerts.yaml", "burn-rates.yaml"))
    for alert in re.findall(r"`(Autocom\w+)`", raised_by):
        assert f"alert: {alert}\n" in rules or f"alert: {alert} #" in rules, f"{name}: {alert}"


def test_the_list_of_runbooks_has_each_of_them() -> None:
    listed = re.findall(r"\]\(([\w-]+)\.md\)", (RUNBOOKS / "README.md").read_text())
    assert sorted(listed) == sorted(runbooks_asked_for())


CRITERION_DOC = (DOCS / "add-a-criterion.md").read_text()


def test_the_criterion_of_the_document_is_one_that_a_specification_takes() -> None:
    (example,) = re.findall(r"```json\n(.*?)```", CRITERION_DOC, re.DOTALL)
    shipped = json.loads(gate("a").text)
    spec = GateSpec.parse(json.dumps({**shipped, "criteria": [json.loads(example)]}).encode())
    assert spec.criteria[0].metric == "order_violations"
    fields = set(re.findall(r"^\| (?:`(\w+)`)", CRITERION_DOC.partition("| field |")[2], re.MULTILINE))
    listed = fields | {"threshold", "unit"}  # two stand beside `operator`
    assert listed == {field.name for field in dataclasses.fields(CriterionSpec)}


def test_the_figures_that_the_document_offers_to_criteria_are_made() -> None:
    groups = set(re.findall(r"^\| `(\w+)\.` \|", CRITERION_DOC, re.MULTILINE))
    source = inspect.getsource(facts_of)
    assert groups == set(re.findall(r'"(\w+)": _', source))
    examples = set(re.findall(r"`(\w+)\.(\w+)`", CRITERION_DOC.partition("begins with")[2].partition("## 2")[0]))
    made = inspect.getsource(facts)
    assert [figure for group, figure in examples if group in groups and f'"{figure}"' not in made] == []
