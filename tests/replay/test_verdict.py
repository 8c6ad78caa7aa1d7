"""Figures, criteria, verdict and the ways to say them."""

import csv
import json
import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
from hypothesis import given
from hypothesis import strategies as st

from ingestion.replay.errors import ReplayUsageError
from ingestion.replay.figures import Figures, Quantiles, figures_of
from ingestion.replay.files import prepare_folder, write_files
from ingestion.replay.findings import Finding, Kind, Reconciliation
from ingestion.replay.history import History
from ingestion.replay.percentiles import P50, P95, P99, P999, nearest_rank, samples_needed
from ingestion.replay.reconcile import reconcile
from ingestion.replay.report import Report, as_json, as_text, summary
from ingestion.replay.run import GeneratorResult
from ingestion.replay.verdict import GATE_A, Operator, Outcome, Verdict, decide, judge
from tests.replay.kit import answer, attempt, history, planned, row, self_check

MS = 1_000_000
CLEAN = Reconciliation(findings={}, doubts=(), acknowledged_count=1_000, stored_count=1_000, stored_without_ack_count=0)


def figures(**changes: Any) -> Figures:
    quantiles = Quantiles(count=1_000, p50=2.0, p95=8.0, p99=12.0, p999=None, max=20.0)
    given_figures: dict[str, Any] = {
        "planned": 1_000,
        "sent": 1_000,
        "unsent": 0,
        "accepted": 1_000,
        "rejected": 0,
        "accepted_after_retry": 0,
        "acknowledged": 1_000,
        "answered_duplicate": 20,
        "retries": 0,
        "unknown": 0,
        "ack_ms": quantiles,
        "service_ms": quantiles,
        "rate_offered": 1_000.0,
        "rate_achieved": 999.9,
        "sending_seconds": 1.0,
        "kept_pace": True,
        "was_on_time": True,
        "refusals": (),
    }
    return Figures(**(given_figures | changes))


def outcome_of(verdict: Verdict, metric: str) -> Outcome:
    return next(criterion.outcome for criterion in verdict.criteria if criterion.metric == metric)


def with_p95(value: float | None) -> Quantiles:
    return Quantiles(count=1_000 if value is not None else 50, p50=1.0, p95=value, p99=None, p999=None, max=500.0)


def finding(kind: Kind) -> Reconciliation:
    return replace(CLEAN, findings={kind: (Finding(kind, "m1 email.opened", "what shows it"),)})


def test_a_clean_run_passes() -> None:
    verdict = judge(figures(), CLEAN)
    assert verdict.outcome is Outcome.PASS
    assert {criterion.outcome for criterion in verdict.criteria} == {Outcome.PASS}


@pytest.mark.parametrize(
    ("accepted", "expected"), [(1_000, Outcome.PASS), (999, Outcome.PASS), (998, Outcome.FAIL), (0, Outcome.FAIL)]
)
def test_at_least_999_of_1000_sends_must_be_accepted(accepted: int, expected: Outcome) -> None:
    assert judge(figures(accepted=accepted, rejected=1_000 - accepted), CLEAN).outcome is expected


@pytest.mark.parametrize(
    ("p95", "expected"), [(120.0, Outcome.PASS), (120.001, Outcome.FAIL), (None, Outcome.INCONCLUSIVE)]
)
def test_p95_must_be_at_most_120_ms_and_known(p95: float | None, expected: Outcome) -> None:
    assert judge(figures(ack_ms=with_p95(p95)), CLEAN).outcome is expected


@pytest.mark.parametrize("kind", list(Kind))
def test_a_single_finding_of_any_kind_fails(kind: Kind) -> None:
    verdict = judge(figures(), finding(kind))
    assert verdict.outcome is Outcome.FAIL
    assert sum(criterion.outcome is Outcome.FAIL for criterion in verdict.criteria) == 1


def test_a_generator_that_did_not_keep_the_pace_cannot_pass_a_service() -> None:
    verdict = judge(figures(kept_pace=False, was_on_time=False), CLEAN)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "did not keep the pace" in next(criterion.reason for criterion in verdict.criteria)


def test_a_slow_p95_is_the_service_s_fault_only_when_the_generator_was_on_time() -> None:
    slow = figures(ack_ms=with_p95(500.0), kept_pace=False, was_on_time=True)
    assert outcome_of(judge(slow, CLEAN), "ack_ms.p95") is Outcome.FAIL
    assert outcome_of(judge(replace(slow, was_on_time=False), CLEAN), "ack_ms.p95") is Outcome.INCONCLUSIVE


def test_a_fail_wins_over_what_could_not_be_measured() -> None:
    assert judge(figures(kept_pace=False), finding(Kind.LOST)).outcome is Outcome.FAIL
    assert judge(figures(kept_pace=False, accepted=900, rejected=100), CLEAN).outcome is Outcome.FAIL


def test_unsent_sends_of_an_interrupted_run_are_nobody_s_failure() -> None:
    stopped = figures(sent=500, unsent=500, accepted=500, kept_pace=False, was_on_time=False)
    assert judge(stopped, CLEAN).outcome is Outcome.INCONCLUSIVE


def test_unsent_sends_of_a_run_at_full_pace_count_as_not_accepted() -> None:
    assert judge(figures(sent=990, unsent=10, accepted=990), CLEAN).outcome is Outcome.FAIL


def test_a_database_that_could_not_be_read_and_a_doubtful_journal_are_inconclusive() -> None:
    assert judge(figures(), None).outcome is Outcome.INCONCLUSIVE
    assert judge(figures(), replace(CLEAN, doubts=("something",))).outcome is Outcome.INCONCLUSIVE


def test_a_run_without_a_single_promise_proves_nothing_about_promises() -> None:
    verdict = judge(figures(accepted=0, rejected=1_000, acknowledged=0), CLEAN)
    assert outcome_of(verdict, "lost") is Outcome.INCONCLUSIVE
    assert verdict.outcome is Outcome.FAIL


def test_an_empty_history_is_inconclusive_in_every_criterion() -> None:
    whole = history([], [])
    verdict = judge(figures_of(whole), reconcile(whole, rows=[]))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert {criterion.outcome for criterion in verdict.criteria} == {Outcome.INCONCLUSIVE}


@given(st.sampled_from(Operator), st.floats(allow_nan=False), st.none() | st.just(math.nan))
def test_absent_and_nan_are_never_decided(operator: Operator, threshold: float, actual: float | None) -> None:
    assert decide(operator=operator, threshold=threshold, actual=actual) is Outcome.INCONCLUSIVE


@given(st.lists(st.integers(0, 10_000), min_size=1), st.sampled_from([P50, P95, P99, P999, Fraction(100)]))
def test_nearest_rank_is_the_smallest_sample_with_enough_at_or_below_it(samples: list[int], percent: Fraction) -> None:
    value = nearest_rank(sorted(samples), percent=percent)
    share = Fraction(sum(sample <= value for sample in samples), len(samples))
    below = Fraction(sum(sample < value for sample in samples), len(samples))
    assert value in samples
    assert share >= percent / 100 > below


def test_percentiles_are_suppressed_until_ten_samples_lie_beyond_them() -> None:
    assert [samples_needed(percent) for percent in (P50, P95, P99, P999)] == [20, 200, 1_000, 10_000]
    assert Quantiles.of(range(199)).p95 is None
    assert Quantiles.of(range(200)).p95 == 0.189
    assert Quantiles.of([]).max is None


def run(count: int = 400, *, latency_ns: int = 2 * MS, late_ns: int = 0, **changes: Any) -> History:
    sends = [planned(n) for n in range(count)]
    attempts = [attempt(n, n * MS + late_ns, n * MS + late_ns + latency_ns, answer(n, n + 1)) for n in range(count)]
    return history(sends, attempts, **changes)


def test_latency_runs_from_the_intended_moment_and_service_time_from_the_sending() -> None:
    result = figures_of(run(late_ns=30 * MS))
    assert (result.ack_ms.p50, result.service_ms.p50) == (32.0, 2.0)
    assert not result.kept_pace
    assert result.was_on_time


def test_a_2xx_more_than_five_seconds_after_the_intended_moment_is_not_accepted() -> None:
    assert figures_of(run(latency_ns=5_000 * MS)).accepted == 400
    result = figures_of(run(latency_ns=5_000 * MS + 1))
    assert (result.accepted, result.rejected, result.acknowledged) == (0, 400, 400)
    assert result.refusals == (("2xx after more than 5 s", 400),)


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        (self_check(sent_count=400), True),
        (self_check(sent_count=400, own_delay_p99_ms=20.0), False),
        (self_check(sent_count=400, was_interrupted=True), False),
        (None, False),
    ],
)
def test_the_pace_is_kept_when_the_generator_was_on_time_and_came_to_its_end(check: Any, expected: bool) -> None:
    assert figures_of(run(self_check=check)).kept_pace is expected


def test_every_send_is_accepted_rejected_or_unsent() -> None:
    sends = [planned(n) for n in range(5)]
    attempts = [
        attempt(0, 0, MS, answer(0, 1)),
        attempt(1, 0, MS, "", status=0),
        attempt(1, 2 * MS, 3 * MS, answer(1, 2), number=2),
        attempt(2, 0, MS, '{"code":"busy"}', status=503),
        attempt(3, 0, MS, "", status=0),
    ]
    result = figures_of(history(sends, attempts))
    assert (result.planned, result.sent, result.unsent) == (5, 4, 1)
    assert (result.accepted, result.rejected, result.accepted_after_retry) == (1, 3, 1)
    assert (result.acknowledged, result.unknown, result.retries) == (2, 1, 1)
    assert result.accepted_ratio == 0.2
    assert dict(result.refusals) == {"connection_lost": 2, "503 busy": 1}


def report_of(whole: History, **changes: Any) -> Report:
    result = GeneratorResult(journal_path=Path("journal.jsonl"), history=whole, figures=figures_of(whole))
    rows = [row(n, n + 1) for n in range(len(whole.sends))]
    reconciliation = reconcile(whole, rows=rows)
    given_report: dict[str, Any] = {
        "result": result,
        "reconciliation": reconciliation,
        "verdict": judge(result.figures, reconciliation, gate=GATE_A),
        "is_drained": True,
        "drained_after_seconds": 0.25,
    }
    return Report(**(given_report | changes))


JSON_KEYS = (
    "verdict sent accepted rejected accepted_ratio ack_ms lost duplicates idempotency_violations order_violations "
    "criteria seed rate_offered rate_achieved run_id accepted_after_retry drained_after_seconds retries kept_pace "
    "service_ms"
)


def test_the_json_has_the_promised_keys_at_its_top_and_no_nan() -> None:
    value = json.loads(as_json(report_of(run())))
    assert set(JSON_KEYS.split()) <= set(value)
    assert set(value["ack_ms"]) >= {"p50", "p95", "p99", "p999", "max"}
    assert (value["verdict"], value["sent"], value["lost"]) == ("PASS", 400, 0)
    assert value["sent"] == value["accepted"] + value["rejected"]
    first = value["criteria"][0]
    assert set(first) >= {"name", "metric", "operator", "threshold", "actual", "unit", "outcome", "margin"}


@pytest.mark.parametrize(
    ("whole", "expected"), [(run(), 0), (run(latency_ns=200 * MS), 1), (run(self_check=None), 3), (history([], []), 3)]
)
def test_the_exit_code_is_the_verdict_s(whole: History, expected: int) -> None:
    assert report_of(whole).exit_code == expected


def test_the_text_shows_each_criterion_with_its_margin_and_an_example_of_what_is_wrong() -> None:
    good = as_text(report_of(run()))
    assert "ack P95" in good
    assert "118.0 ms" in good
    assert good.endswith("Gate A: PASS")
    whole = run()
    missing = reconcile(whole, rows=[row(n, n + 1) for n in range(399)])
    bad = as_text(report_of(whole, reconciliation=missing, verdict=judge(figures_of(whole), missing)))
    assert "lost (1), for example" in bad
    assert bad.endswith("Gate A: FAIL")


def test_the_text_names_the_most_frequent_refusals() -> None:
    sends = [planned(n) for n in range(10)]
    refused = [attempt(n, n * MS, n * MS + 1, '{"code":"signature_invalid"}', status=401) for n in range(10)]
    report = report_of(history(sends, refused))
    assert "401 signature_invalid (10)" in as_text(report)
    assert report.exit_code == 1


def test_the_folder_holds_every_sample_and_a_histogram_that_others_can_read(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    prepare_folder(folder)
    report = report_of(run(latency_ns=90_000 * MS))
    write_files(folder, report)
    samples = list(csv.DictReader((folder / "samples.csv").open()))
    assert len(samples) == 400
    assert {sample["latency_us"] for sample in samples} == {"90000000"}
    reader = HistogramLogReader(str(folder / "ack.hlog"), HdrHistogram(1, 60_000_000, 3))
    histogram = reader.get_next_interval_histogram()
    reader.close()
    assert histogram is not None
    assert histogram.get_total_count() == 400
    assert json.loads((folder / "summary.json").read_text()) == json.loads(json.dumps(summary(report)))


def test_a_folder_with_an_earlier_journal_is_refused(tmp_path: Path) -> None:
    prepare_folder(tmp_path).write_text("earlier")
    with pytest.raises(ReplayUsageError, match="earlier replay"):
        prepare_folder(tmp_path)
