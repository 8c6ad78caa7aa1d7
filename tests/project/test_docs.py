"""The documents list exactly what there is: settings, codes with their statuses, metrics with their labels."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from console.api.log.problems import STATUSES as LOG_STATUSES
from console.api.log.problems import LogProblem
from console.api.problems import STATUSES
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
from tests.ingestion.test_autoscale import STANDING
from tests.project.test_environment import variables_read

DOCS = Path(__file__).resolve().parents[2] / "docs"
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


@pytest.mark.django_db
def test_the_metrics_document_tells_the_type_and_labels_of_each_metric(buffer: LaneBuffer) -> None:
    recorder = LatencyRecorder(process="test")
    recorder.record(Stage.ACK, "default", 5)
    recorder.record_outcome("default", "accepted")
    recorder.record_refusal("default", "too_old")
    recorder.record_set_aside("default", "duplicate", 1)
    add_totals(recorder.take(), client=buffer.client)
    add_aged({"payloads": 1}, client=buffer.client)
    count_withheld("sentry")
    keep_standing(STANDING, buffer=buffer)
    keep_log_figures([standing.figures for standing in log_standings()], buffer=buffer)
    promises.keep_standing(promises.PromiseStanding(whole_us=buffer.now_us()), buffer=buffer)
    exposed = {
        family.name: (family.type, {label for sample in family.samples for label in sample.labels} - {"le"})
        for family in TotalsCollector().collect()
    }
    documented = {
        name: (cells[0], set(re.findall(r"`([^`]+)`", cells[1]))) for name, cells in rows("metrics.md").items()
    }
    assert exposed == documented


def test_the_links_between_the_documents_lead_somewhere() -> None:
    dead = [
        f"{document.name}: {target}"
        for document in DOCS.glob("*.md")
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text())
        if not (document.parent / target).exists()
    ]
    assert dead == []
