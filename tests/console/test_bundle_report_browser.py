"""The report of a bundle in a real Chromium: from the disk, in both colours, on a phone, and on paper."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from playwright.sync_api import Browser

from evidence.bundles.make import make
from ingestion.buffer.store import lane_buffer
from tests.console.conftest import AXE, WCAG
from tests.evidence.bundles.conftest import unpacked, whole_run
from tests.support.log import own_log

pytestmark = [pytest.mark.browser, pytest.mark.django_db]


@pytest.fixture(scope="module")
def archive(django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("evidence")
    with django_db_blocker.unblock(), own_log(root):
        lane_buffer().client.flushdb()
        try:
            yield make(whole_run(), into=root).archive
        finally:
            call_command("flush", interactive=False, verbosity=0)
            lane_buffer().client.flushdb()


@pytest.fixture
def report(archive: Path, tmp_path: Path) -> Path:
    return unpacked(archive, tmp_path) / "report.html"


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (1440, "dark"), (390, "light"), (390, "dark")])
def test_the_report_reads_from_the_disk_without_script_or_anything_beside_it(
    chromium: Browser, report: Path, width: int, scheme: Any
) -> None:
    alone = report.rename(report.parents[1] / "alone.html")
    page = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text))
    try:
        page.goto(alone.as_uri())
        assert asked == [alone.as_uri()]
        assert page.locator("script").count() == 0
        assert page.get_by_role("img").count() == 3
        assert page.get_by_text("INCONCLUSIVE", exact=True).first.is_visible()
        assert page.get_by_text("data/rbac/matrix.csv").first.is_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.add_script_tag(path=AXE)
        found = page.evaluate("tags => axe.run({runOnly: tags}).then(done => done.violations)", list(WCAG))
        assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == []
        assert errors == []
    finally:
        page.close()


def test_each_criterion_links_its_source_and_tells_its_age_and_what_holds_with_95_percent_confidence(
    chromium: Browser, report: Path
) -> None:
    verdict = json.loads((report.parent / "data/gate/verdict.json").read_bytes())
    by_name = {each["name"]: each for each in verdict["criteria"]}
    spec = json.loads((report.parent / "data/gate/spec.json").read_bytes())
    max_age = {each["name"]: each.get("max_age_hours") for each in spec["criteria"]}
    page = chromium.new_page()
    try:
        page.goto(report.as_uri())
        rows = page.locator(".criteria tbody tr").all()
        assert len(rows) == len(by_name)
        for row in rows:
            told = by_name[row.locator("td").first.inner_text()]
            is_here = (report.parent / told["source"]).is_file()
            links = [link.get_attribute("href") for link in row.locator("a").all()]
            assert links == ([told["source"]] if is_here else [])
            assert ("With 95 % confidence it" in row.inner_text()) is (told["at_95"] is not None)
            without = "unknown" if max_age[told["name"]] else "of the run"
            age = without if told["age_hours"] is None else f"{told['age_hours']:.1f} h"
            assert row.locator("td").last.inner_text().startswith(age)
    finally:
        page.close()
    accepted = by_name["accepted"]["at_95"]
    text = (report.parent / "report.md").read_text()
    assert f"{accepted['bad']:,} of {accepted['count']:,} bad" in text
    assert "| [data/replay/summary.json](data/replay/summary.json) |" in text


def test_the_report_prints_on_a_few_pages_of_a4(chromium: Browser, report: Path) -> None:
    page = chromium.new_page(color_scheme="dark")
    try:
        page.goto(report.as_uri())
        printed = page.pdf(prefer_css_page_size=True)
    finally:
        page.close()
    pages = len(re.findall(rb"/Type\s*/Page\b", printed))
    assert 1 <= pages <= 6
    (width, height) = map(float, re.findall(rb"/MediaBox\s*\[0 0 ([\d.]+) ([\d.]+)\]", printed)[0])
    assert (round(width), round(height)) == (595, 842)
