"""The page Latency: figures as measured, gaps and small samples said, comparisons in words, few queries."""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission as StoredPermission
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from playwright.sync_api import expect

from console.pages import latency as latency_page
from console.pages import latency_asked
from console.pages.latency_comparison import difference_told
from console.pages.latency_csv import harmless
from console.pages.latency_figures import over_share
from console.roles import Role
from ingestion import latency_series
from tests.console.conftest import MODEL_BACKEND, OpenPage
from tests.console.rows import provider_row, run_files
from tests.support.evidence import use_store
from tests.support.latencies import flush

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2026, 5, 4, 12, 0, 20, tzinfo=UTC)
RUN_A, RUN_B = "r20260102T030405-0a0b0c", "r20260102T040405-0a0b0c"
ODD = '"><script>alert(1)</script>'


@pytest.fixture(autouse=True)
def fixed_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency_page, "now", lambda: NOW)
    monkeypatch.setattr("console.pages.latency_compare.now", lambda: NOW)
    monkeypatch.setattr(latency_series, "MERGED", latency_series._MergedCells())


def back(minutes: int) -> datetime:
    return NOW - timedelta(minutes=minutes)


def told(answer: Any) -> str:
    """The page's text as a person reads it, without that of the charts."""
    content = re.sub(r"<svg.*?</svg>", " ", answer.content.decode(), flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", content)))


def shown(client: Client, name: str = "latency", **asked: str) -> str:
    answer = client.get(reverse(f"admin:{name}"), asked)
    assert answer.status_code == 200
    return told(answer)


def exported(client: Client, **asked: str) -> list[list[str]]:
    answer = client.get(reverse("admin:latency_export"), asked)
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/csv; charset=utf-8")
    assert answer["Content-Disposition"].startswith("attachment; filename=")
    return list(csv.reader(io.StringIO(answer.content.decode())))


@pytest.mark.parametrize("name", ["latency", "latency_export", "latency_compare", "latency_runs"])
def test_every_role_may_look_and_nobody_else(signed_in: Any, name: str) -> None:
    for role in Role:
        assert signed_in(role).get(reverse(f"admin:{name}")).status_code == 200
    assert signed_in(None).get(reverse(f"admin:{name}")).status_code == 403
    assert Client().get(reverse(f"admin:{name}")).status_code == 302


def test_runs_are_evidence_and_figures_alone_do_not_open_them(db: None) -> None:
    user = User.objects.create_user("figures", is_staff=True)
    user.user_permissions.add(StoredPermission.objects.get(codename="view_latencyflush"))
    client = Client()
    client.force_login(user, backend=MODEL_BACKEND)
    assert reverse("admin:latency_runs") not in client.get(reverse("admin:latency")).content.decode()
    assert client.get(reverse("admin:latency_runs")).status_code == 403


def test_the_share_over_120_ms_comes_from_the_exact_counter(signed_in: Any) -> None:
    # all in one bucket of the histogram, on either side of the objective
    flush(back(5), {119_990: 300, 120_000: 300, 120_001: 3, 120_060: 1})
    page = shown(signed_in(Role.DRI), stage="ack")
    assert "4 of 604 answers (0.67 %) took over 120 ms." in page


def test_a_share_over_is_none_only_when_it_is_none_and_all_only_when_it_is_all() -> None:
    assert over_share(0, 10**9) == "0.00 %"
    assert over_share(1, 10**9) == "0.01 %"
    assert over_share(10**9 - 1, 10**9) == "99.99 %"
    assert over_share(5, 5) == "100.00 %"
    assert over_share(0, 0) == "UNKNOWN"


def test_percentiles_are_of_all_processes_together_and_no_mean_of_theirs(signed_in: Any) -> None:
    flush(back(5), {1_000: 900})
    flush(back(4), {80_000: 100})
    page = shown(signed_in(Role.DRI), stage="ack")
    assert "Acknowledge 1,000 1.00 ms 1.00 ms 80.1 ms 80.1 ms UNKNOWN 80.0 ms 0.00 %" in page
    assert "1,000 answers: too few for P99.9 (10,000 needed)." in page


@pytest.mark.parametrize(
    ("count", "missing"),
    [
        (19, "P50 (20 needed), P90 (100 needed), P95 (200 needed), P99 (1,000 needed), P99.9 (10,000 needed)"),
        (199, "P95 (200 needed), P99 (1,000 needed), P99.9 (10,000 needed)"),
        (999, "P99 (1,000 needed), P99.9 (10,000 needed)"),
        (10_000, ""),
    ],
)
def test_a_percentile_that_so_few_events_cannot_tell_is_unknown_and_said(
    signed_in: Any, count: int, missing: str
) -> None:
    flush(back(5), {5_000: count})
    page = shown(signed_in(Role.DRI), stage="ack")
    row = page[page.index(f"Acknowledge {count:,}") :]
    assert row[: row.index("5.00 ms 0.00 %")].count("UNKNOWN") == missing.count("needed")
    assert (f"{count:,} answers: too few for {missing}." in page) == bool(missing)


def test_missing_minutes_are_gaps_in_words_and_in_the_picture(signed_in: Any) -> None:
    for minutes in (10, 9, 5, 4, 3, 2, 1, 0):
        flush(back(minutes), {5_000: 200})
    answer = signed_in(Role.DRI).get(reverse("admin:latency"), {"from": "now-10m", "to": "now", "stage": "ack"})
    assert "No figures 11:52 to 11:55 (UTC)." in told(answer)
    lines = re.findall(r'<path class="console-line console-line--solid" d="(M[^"]*M[^"]*)"', answer.content.decode())
    assert len(lines) == 2, "in both sizes of the chart the line begins a second time"
    assert answer.content.decode().count('class="console-gap"') == 5  # in each of four drawings, and in the legend
    assert "2026-05-04 11:52 11:53 0 UNKNOWN UNKNOWN UNKNOWN UNKNOWN no figures" in told(answer)


def test_points_with_too_few_events_are_counted_and_said(signed_in: Any) -> None:
    flush(back(3), {5_000: 250})
    flush(back(2), {5_000: 30})
    page = shown(signed_in(Role.DRI), **{"from": "now-4m", "to": "now", "stage": "ack"})
    assert "P95 is not shown at 1 of 5 points: fewer than 200 answers there." in page
    assert "P99 is not shown at 2 of 5 points: fewer than 1,000 answers there." in page


def test_all_four_stages_have_a_distribution_and_one_is_followed_over_time(signed_in: Any) -> None:
    for stage in ("ack", "queue", "commit", "end_to_end"):
        flush(back(5), {5_000: 30}, stage=stage)
    client = signed_in(Role.DRI)
    page = client.get(reverse("admin:latency")).content.decode()
    for stage in ("ack", "queue", "commit", "end_to_end"):
        assert f'id="distribution-{stage}-wide-title"' in page
    assert 'id="heat-ack-wide-title"' in page
    page = client.get(reverse("admin:latency"), {"stage": "commit"}).content.decode()
    assert re.findall(r'id="(\w+-\w+)-wide-title"', page) == ["distribution-commit", "lines-commit", "heat-commit"]


def test_a_provider_is_chosen_by_the_address(signed_in: Any) -> None:
    flush(back(5), {5_000: 30}, provider="one")
    flush(back(5), {5_000: 44}, provider="two")
    client = signed_in(Role.DRI)
    assert "0 of 74 answers" in shown(client, stage="ack")
    assert "0 of 44 answers" in shown(client, stage="ack", provider="two")


def test_names_that_are_no_names_do_no_harm(signed_in: Any) -> None:
    provider_row('<b onmouseover="x">')
    flush(back(5), {5_000: 30}, provider=ODD)
    client = signed_in(Role.DRI)
    for asked in ({"provider": ODD}, {"from": ODD}, {"stage": ODD}, {"provider": "\x00" * 99}, {"to": "\x00"}):
        for name in ("latency", "latency_compare"):
            content = client.get(reverse(f"admin:{name}"), asked).content.decode()
            assert "<script>alert" not in content
            assert "<b onmouseover" not in content
            assert "&lt;b onmouseover" in content
    assert "0 of 30 answers" in shown(client, provider=ODD, stage="ack")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"from": "yesterday"}, "From (“yesterday”) is no time: write now, now-4h"),
        ({"from": "now", "to": "now-1h"}, "is not before to"),
        ({"from": "2019-01-01"}, "longer than 400 days"),
        ({"stage": "nap"}, "There is no such stage: choose one of ack, queue, commit, end_to_end."),
    ],
)
def test_a_wrong_question_is_told_and_answered_with_no_figure(signed_in: Any, asked: dict[str, str], said: str) -> None:
    flush(back(5), {5_000: 30})
    client = signed_in(Role.DRI)
    for name in ("latency", "latency_compare"):
        page = shown(client, name, **asked)
        assert said in page
        assert "took over" not in page
        assert "Nothing to compare" not in page
    refused = client.get(reverse("admin:latency_export"), asked)
    assert (refused.status_code, said in refused.content.decode()) == (400, True)


def test_the_three_kinds_of_empty_say_what_to_do(signed_in: Any) -> None:
    client = signed_in(Role.DRI)
    assert "No events yet. Send a signed test event" in shown(client)
    assert "no figures of this provider and stage. Clear filters" in shown(client, provider="one")
    flush(back(600), {5_000: 30})
    assert "No events in this range. The newest figures are of 2026-05-04 02:00" in shown(client)
    answer = client.get(reverse("admin:latency"), {"stage": "ack"})
    assert "No events in this range with this filter. The newest figures are of 2026-05-04 02:00" in told(answer)
    (address,) = re.findall(r'href="([^"]+)">show that hour', answer.content.decode())
    assert "0 of 30 answers" in told(client.get(html.unescape(address)))


def test_too_many_rows_say_what_to_choose_and_show_no_part(signed_in: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency_series, "MERGED_AT_MOST", 1)
    flush(back(5), {5_000: 30})
    flush(back(4), {5_000: 30}, stage="commit")
    client = signed_in(Role.DRI)
    assert "choose a provider, a stage or a shorter range" in shown(client)
    assert client.get(reverse("admin:latency_export")).status_code == 503
    assert "0 of 30 answers" in shown(client, stage="ack")


def test_a_database_that_cannot_be_asked_makes_latency_unknown(signed_in: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(**_: Any) -> Any:
        raise OperationalError("down")

    monkeypatch.setattr(latency_asked, "stage_series", silent)
    client = signed_in(Role.DRI)
    assert "Latency is UNKNOWN: PostgreSQL cannot be asked" in shown(client)
    assert "Latency is UNKNOWN: PostgreSQL cannot be asked" in shown(client, "latency_compare")


def test_the_number_of_queries_does_not_grow_with_rows(signed_in: Any) -> None:
    client = signed_in(Role.DRI)
    client.get(reverse("admin:latency"))
    counts: dict[str, list[int]] = {"latency": [], "latency_export": [], "latency_compare": []}
    for rows in (1, 60):
        for minutes in range(rows):
            for provider in ("one", "two"):
                flush(back(minutes), {5_000 + minutes: 30}, provider=provider)
                flush(back(200 + minutes), {5_000 + minutes: 30}, provider=provider)
        for name, found in counts.items():
            latency_series.MERGED._cells.clear()
            with CaptureQueriesContext(
                connection,
            ) as captured:
                client.get(reverse(f"admin:{name}"), {"from": "now-2h", "vs_from": "now-5h", "vs_to": "now-3h"})
            # the mode is read again after some seconds, whatever the page
            found.append(sum("evidence_modechange" not in query["sql"] for query in captured.captured_queries))
    assert all(few == many for few, many in counts.values()), counts
    assert max(many for _, many in counts.values()) <= 15, counts


def test_the_csv_has_what_is_on_screen_and_what_was_asked_for(signed_in: Any) -> None:
    provider_row("one")
    for minutes, duration_us in ((3, 5_000), (2, 130_000)):
        flush(back(minutes), {duration_us: 300}, provider="one")
    flush(back(2), {1: 99}, provider="two")
    lines = exported(signed_in(Role.AUDITOR), **{"from": "now-4m", "to": "now", "provider": "one", "stage": "ack"})
    asked = {line[0]: line[1] for line in lines if line[0].startswith("#")}
    assert (asked["# from"], asked["# to"], asked["# provider"], asked["# stage"]) == ("now-4m", "now", "one", "ack")
    assert (asked["# read from"], asked["# read to"]) == ("2026-05-04T11:56:00Z", "2026-05-04T12:01:00Z")
    rows = [line for line in lines if not line[0].startswith("#")][1:]
    summary = {row[6]: row[7] for row in rows if row[0] == "summary"}
    assert (summary["count"], summary["over 120 ms"], summary["P99"], summary["max"]) == ("600", "300", "", "130.0")
    for part in ("distribution", "map"):
        counted = [row for row in rows if row[0] == part]
        assert sum(int(row[7]) for row in counted) == 600
        assert sum(int(row[7]) for row in counted if float(row[4]) >= 120) == 300
    p50 = {row[2]: row[7] for row in rows if row[0] == "over time" and row[6] == "P50"}
    assert p50["2026-05-04T11:57:00Z"] == "5.003"
    assert p50["2026-05-04T11:59:00Z"] == ""


def test_nothing_in_the_csv_is_a_formula(signed_in: Any) -> None:
    lines = exported(signed_in(Role.AUDITOR), provider='=HYPERLINK("http://x")')
    assert ["# provider", '\'=HYPERLINK("http://x")'] in lines
    assert [harmless(text)[0] for text in ("=1", "+1", "-1", "@x", "\tx")] == ["'"] * 5
    assert harmless("now-1h") == "now-1h"


def test_two_ranges_are_compared_in_words_and_drawn_in_one_chart(signed_in: Any) -> None:
    flush(back(10), {10_000: 1_000})
    flush(back(70), {15_000: 990, 150_000: 20})
    asked = {"from": "now-30m", "to": "now", "vs_from": "now-90m", "vs_to": "now-60m", "stage": "ack"}
    answer = signed_in(Role.LEADERSHIP).get(reverse("admin:latency_compare"), asked)
    page = told(answer)
    assert "P50: B is 5.00 ms slower (50 % more)." in page
    assert "P99: B is 140 ms slower" in page
    assert "P99.9: UNKNOWN, too few in A and B (10,000 needed)." in page
    assert "Over 120 ms 0 20" in page
    assert "Share over 0.00 % 1.99 %" in page
    content = answer.content.decode()
    for mark in ("console-filled", "console-outline"):
        assert len(re.findall(rf'class="{mark}" d="M[^"]', content)) == 3, "two sizes and the legend"


def test_a_range_without_figures_is_named_where_it_is_compared(signed_in: Any) -> None:
    flush(back(10), {10_000: 1_000})
    page = shown(signed_in(Role.DRI), "latency_compare", stage="ack")
    assert "Nothing to compare: no figures in B. Choose another range." in page


def test_a_difference_within_the_histograms_error_is_none() -> None:
    assert difference_told(10_007, 10_015) == "the same, as far as histograms tell"
    assert difference_told(10_000, 12_345) == "B is 2.35 ms slower (23 % more)"
    assert difference_told(12_345, 12_000) == "B is 0.34 ms faster (2.8 % less)"


@pytest.fixture
def store(settings: Any, tmp_path: Path) -> Path:
    return use_store(settings, tmp_path / "evidence")


def test_two_runs_are_compared_at_sender_and_receiver(signed_in: Any, store: Path) -> None:
    run_files(RUN_A, [4_000] * 1_999 + [120_001], receiver_us=[2_000] * 2_000)
    run_files(RUN_B, [5_000] * 2_000, receiver_us=[1_000] * 2_000)
    client = signed_in(Role.AUDITOR)
    page = shown(client, "latency_runs")
    assert f"Run {RUN_A} {RUN_B}" in page, "the newest two"
    sender, receiver = page[page.index("At the sender") :].split("At the receiver", 1)
    assert "P50: B is 1.00 ms slower (25 % more)." in sender
    assert "Over 120 ms 1 0" in sender
    assert "P95: B is 1.00 ms faster (50 % less)." in receiver
    assert "Over 120 ms: UNKNOWN, as no exact counter was kept." in receiver
    assert "Planned 2,000 2,000" in page
    assert f"Run {RUN_B} {RUN_A}" in shown(client, "latency_runs", run=RUN_B, vs_run=RUN_A)


def break_samples(folder: Path) -> None:
    (folder / "samples.csv").write_text("n,latency_us\n1,5\n")


def break_receiver(folder: Path) -> None:
    (folder / "receiver.hlog").write_text("1,2,3,HISTFAAAAA==\nnonsense")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (break_samples, "Over 120 ms: UNKNOWN, as no exact counter was kept."),
        (break_receiver, "no figures in A. The run left no receiver.hlog that can be read."),
        (lambda folder: (folder / "ack.hlog").unlink(), "no figures in A. The run left no ack.hlog"),
        (lambda folder: (folder / "ack.hlog").write_bytes(b"\xff" * 99), "no figures in A. The run left no ack.hlog"),
    ],
)
def test_files_that_are_missing_or_broken_make_that_part_unknown(
    signed_in: Any, store: Path, spoil: Callable[[Path], None], said: str
) -> None:
    for run_id in (RUN_A, RUN_B):
        run_files(run_id, [4_000] * 500, receiver_us=[2_000] * 500)
    spoil(store / "runs" / RUN_A)
    page = shown(signed_in(Role.AUDITOR), "latency_runs", run=RUN_A, vs_run=RUN_B)
    assert said in page
    assert "P50: the same" in page, "the other part is shown"


@pytest.mark.parametrize("asked", ["r20990102T030405-0a0b0c", "../../etc", "/etc", ODD, "\x00", "latest"])
def test_only_runs_below_the_evidence_root_can_be_asked_for(signed_in: Any, store: Path, asked: str) -> None:
    run_files(RUN_A, [4_000] * 500)
    answer = signed_in(Role.AUDITOR).get(reverse("admin:latency_runs"), {"run": asked})
    assert "there is no such run below EVIDENCE_ROOT" in told(answer)
    assert "<script>alert" not in answer.content.decode()


def test_without_a_run_the_page_says_how_to_make_one(signed_in: Any, store: Path) -> None:
    assert "No run has left its files yet" in shown(signed_in(Role.AUDITOR), "latency_runs")


@pytest.mark.browser
def test_a_preset_a_stage_and_back_by_keys_and_without_script(open_page: OpenPage) -> None:
    for minutes in range(30):
        flush(back(minutes), {5_000: 300})
        flush(back(minutes), {9_000: 300}, stage="commit")
    page = open_page(Role.DRI, script=False)
    page.goto(reverse("admin:latency"))
    page.get_by_role("link", name="Last 15 minutes").focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"from=now-15m&to=now"))
    page.locator("select[name=stage]").select_option("commit")
    page.get_by_role("button", name="Filter").press("Enter")
    expect(page).to_have_url(re.compile(r"from=now-15m&to=now&provider=&stage=commit"))
    expect(page.get_by_role("heading", name="Commit over time, each point 1 minute")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="Acknowledge over time, each point 1 minute")).to_be_visible()
    page.get_by_role("textbox", name="From").fill("2026-05-04T11:40")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"from=2026-05-04T11%3A40"))
    expect(page.locator("#latency-ack")).to_be_visible()


@pytest.mark.browser
def test_the_copied_link_is_the_one_with_fixed_times(open_page: OpenPage) -> None:
    flush(back(5), {5_000: 300})
    page = open_page(Role.DRI)
    page.add_init_script(
        "Object.defineProperty(navigator, 'clipboard', {value: {writeText: async (t) => {copied = t}}})"
    )
    page.add_init_script("var copied = ''")
    page.goto(reverse("admin:latency"))
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("copied")
    assert "from=2026-05-04T11%3A00%3A20Z&to=2026-05-04T12%3A00%3A20Z" in copied
    page.goto(copied)
    expect(page.locator("#latency-ack")).to_be_visible()
