"""Pictures of every page of the console, with what a real installation has after a real run.

`python -m tests.screenshots --out docs/screenshots` starts an installation of its own, sends it webhooks, runs Gate A,
and opens each page of the sidebar, and the first row of each list, in Chromium. Nothing is left but the pictures.
"""

from __future__ import annotations

import argparse
import os
import re
import secrets
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests.project.up_kit import Up, new_up

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
MORE_FLAGS = ("--disable-component-update", "--disable-sync", "--disable-default-apps")
SCHEMES_SHOWN, WIDTHS = ("light", "dark"), (1440, 390)
KEPT = {("light", 1440), ("dark", 390)}  # of every page; --all makes the other two as well
HEIGHT_LIMIT = 2_400
WHO = "dri"
GATE_RUN_SECONDS = 1_200.0
FIRST_ROW = "#result_list tbody th a, .console-page table tbody th a, .console-page table tbody td a"


@dataclass(frozen=True, slots=True)
class Shown:
    name: str
    path: str


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.screenshots", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--count", type=int, default=30_000, help="sends of Gate A's run, 0: none (default: 30000)")
    parser.add_argument("--rate", type=int, default=500, help="sends in a second (default: 500)")
    parser.add_argument("--all", action="store_true", help="light and dark at 1440 and 390 px, not two of the four")
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    combinations = {(s, w) for s in SCHEMES_SHOWN for w in WIDTHS} if given.all else KEPT
    with new_up() as up:
        up.start()
        stock(up, count=given.count, rate=given.rate)
        with sync_playwright() as playwright:
            executable = os.environ.get("CHROMIUM", "/usr/bin/chromium")
            browser = playwright.chromium.launch(executable_path=executable, args=[*FLAGS, *MORE_FLAGS])
            take(browser, up, combinations, out=given.out)
            browser.close()
    return 0


def stock(up: Up, *, count: int, rate: int) -> None:
    """What a week of work leaves: letters, quarantine, a gate's run, the matrix."""
    secret = up.data_dir / "mailgun-secret"
    secret.write_text(secrets.token_hex(16))
    said(up, "provider", "add", "mailgun", "--scheme=mailgun", f"--secret-file={secret}")
    said(up, "replay", "--count=3000", "--rate=300", "--duplicates=0.05", "--poison=0.002", "--conflicts=0.002")
    said(up, "gate", "freeze", "a", "--reason=the launch", "--by=ops")
    said(up, "gate", "assign", "a", WHO, "--reason=owns the launch", "--by=leadership")
    if count:
        said(up, "gate", "run", "a", f"--count={count}", f"--rate={rate}")


def said(up: Up, *words: str) -> None:
    ended = up.manage(*words, patience_seconds=GATE_RUN_SECONDS)
    print(f"manage.py {' '.join(words)}: exit {ended.returncode}", flush=True)
    if ended.returncode not in (0, 1, 3):  # a FAIL and an INCONCLUSIVE are pictures too
        sys.exit(ended.stdout + ended.stderr)


def take(browser: Browser, up: Up, combinations: set[tuple[str, int]], *, out: Path) -> None:
    page = signed_in(browser, up, scheme="light", width=1440)
    shown = list(pages(page))
    page.context.close()
    for scheme, width in sorted(combinations):
        page = signed_in(browser, up, scheme=scheme, width=width)
        for each in shown:
            page.goto(each.path)
            page.wait_for_load_state("networkidle")
            height = min(page.evaluate("document.documentElement.scrollHeight"), HEIGHT_LIMIT)
            page.set_viewport_size({"width": width, "height": max(int(height), 700)})
            page.screenshot(path=out / f"{each.name}-{scheme}-{width}.png")
            page.set_viewport_size({"width": width, "height": 900})
        page.context.close()
        print(f"{len(shown)} pages, {scheme}, {width} px", flush=True)


def signed_in(browser: Browser, up: Up, *, scheme: str, width: int) -> Page:
    context = browser.new_context(
        base_url=f"http://127.0.0.1:{up.console_port}",
        viewport={"width": width, "height": 900},
        color_scheme=scheme,  # type: ignore[arg-type]
        timezone_id="UTC",
        locale="en-GB",
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.goto("/admin/login/?next=/admin/")
    page.fill("#id_username", WHO)
    page.fill("#id_password", up.first_passwords[WHO])
    page.press("#id_password", "Enter")
    page.wait_for_url("**/admin/")
    return page


def pages(page: Page) -> Iterator[Shown]:
    """The sidebar's, and behind each the page of its first row."""
    links = page.locator("#nav-sidebar a[href^='/admin/']").evaluate_all(
        "links => links.map(a => [a.textContent.trim(), a.getAttribute('href')])"
    )
    items = {path: named(text, path) for text, path in links if path not in ("/admin/", "/admin/logout/")}
    yield Shown("overview", "/admin/")
    for path, name in items.items():
        yield Shown(name, path)
        page.goto(path)
        first = page.locator(FIRST_ROW).first
        target = first.get_attribute("href") if first.count() else None
        if target and target.startswith("/admin/") and target.partition("?")[0] not in items:
            yield Shown(f"{name}-one", target)


def named(text: str, path: str) -> str:
    words = re.sub(r"[a-z_]*_[a-z_]*", " ", text.lower())  # the icon's ligature
    word = re.sub(r"[^a-z]+", "-", words.split("\n")[-1].strip()).strip("-")
    return word or path.strip("/").rpartition("/")[2]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
