"""`manage.py latency`: the page's own figures, in text and as JSON; nothing measured is never a success."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from console.management.latency import compare, show
from console.pages import latency_asked
from ingestion.latency_series import TooManyRows
from tests.console.rows import run_files
from tests.console.test_latency_page import NOW, RUN_A, RUN_B, back
from tests.support.evidence import use_store
from tests.support.latencies import flush

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def fixed_now(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (show, compare):
        monkeypatch.setattr(module, "moment_now", lambda: NOW)


@pytest.fixture
def store(settings: Any, tmp_path: Path) -> Path:
    return use_store(settings, tmp_path / "evidence")


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        call_command("latency", *words)
    return int(ended.value.code or 0)


def told(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert run(*words, "--json") == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_ranges_percentiles_are_those_of_all_processes_together(capsys: pytest.CaptureFixture[str]) -> None:
    flush(back(10), {10_000: 900})
    flush(back(11), {200_000: 100})
    found = told(capsys, "show", "--from", "now-30m")
    ack = next(stage for stage in found["stages"] if stage["stage"] == "ack")
    assert (ack["count"], ack["over_slo_count"], ack["max_ms"]) == (1_000, 100, 200.0)
    assert ack["p50_ms"] == pytest.approx(10, rel=0.001)
    assert ack["p99_ms"] == pytest.approx(200, rel=0.001)
    assert ack["p999_ms"] is None, "of a thousand nobody can tell"
    assert (found["since"], found["provider"]) == ("2026-05-04T11:30:00.000000Z", None)
    assert run("show", "--from", "now-30m") == 0
    shown = capsys.readouterr().out
    assert "2026-05-04T11:30:00Z to " in shown
    assert next(line for line in shown.splitlines() if line.startswith("Acknowledge")).split() == [
        *("Acknowledge", "1,000", "100", "10.0", "ms", "10.0", "ms", "200", "ms", "200", "ms", "UNKNOWN", "200", "ms")
    ]


def test_provider_and_stage_narrow_it_and_an_empty_range_is_no_success(capsys: pytest.CaptureFixture[str]) -> None:
    flush(back(10), [10_000], provider="shop")
    found = told(capsys, "show", "--provider", "shop", "--stage", "ack")
    assert [(stage["stage"], stage["count"]) for stage in found["stages"]] == [("ack", 1)]
    assert run("show", "--provider", "other") == 3
    assert "UNKNOWN" in capsys.readouterr().out


def test_two_ranges_are_compared_in_the_pages_words(capsys: pytest.CaptureFixture[str]) -> None:
    flush(back(10), {10_000: 1_000})
    flush(back(70), {15_000: 990, 150_000: 20})
    asked = ("compare", "--from", "now-30m", "--vs-from", "now-90m", "--vs-to", "now-60m", "--stage", "ack")
    (part,) = told(capsys, *asked)["parts"]
    assert (part["a"]["count"], part["b"]["count"], part["b"]["over_slo_count"]) == (1_000, 1_010, 20)
    assert "P50: B is 5.00 ms slower (50 % more)." in part["told"]
    assert run(*asked) == 0
    assert "P50: B is 5.00 ms slower (50 % more)." in capsys.readouterr().out
    assert run("compare", "--stage", "queue") == 3
    assert "Nothing to compare: no figures in A and B." in capsys.readouterr().out


def test_two_runs_are_compared_the_newest_two_without_ids(capsys: pytest.CaptureFixture[str], store: Path) -> None:
    run_files(RUN_A, [4_000] * 1_999 + [120_001], receiver_us=[2_000] * 2_000)
    run_files(RUN_B, [5_000] * 2_000, receiver_us=[1_000] * 2_000)
    found = told(capsys, "runs")
    assert (found["a"], found["b"]) == (RUN_A, RUN_B)
    sender, receiver = found["parts"]
    assert (sender["a"]["over_slo_count"], sender["b"]["over_slo_count"]) == (1, 0)
    assert receiver["a"]["over_slo_count"] is None
    assert "P50: B is 1.00 ms slower (25 % more)." in sender["told"]
    assert told(capsys, "runs", RUN_B, RUN_A)["a"] == RUN_B
    assert run("runs") == 0
    assert f"A: {RUN_A}, PASS, began" in capsys.readouterr().out


def test_what_makes_no_sense_is_wrong_usage(capsys: pytest.CaptureFixture[str], store: Path) -> None:
    for words, said in (
        (("show", "--from", "yesterday"), "from (“yesterday”) is no time"),
        (("compare", "--vs-from", "now", "--vs-to", "now-1h"), "is not before"),
        (("runs",), "no two runs"),
        (("runs", RUN_A), "give two runs"),
        (("runs", "../../etc", RUN_A), "'../../etc'"),
    ):
        assert run(*words) == 2
        assert said in capsys.readouterr().err


def test_too_many_rows_are_refused_and_no_part_is_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_many(**_: Any) -> Any:
        raise TooManyRows

    monkeypatch.setattr(latency_asked, "stage_series", too_many)
    assert run("show") == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "choose a provider, a stage or a shorter range" in printed.err
