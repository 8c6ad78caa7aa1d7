"""Pictures of every page of the console, with what a real installation has after a real run.

`python -m tests.screenshots --out docs/screenshots` starts an installation of its own, sends it webhooks, runs Gate A,
and opens in Chromium each page of the sidebar, the first row of the lists that have pages of their own, and the pages
beside. Nothing is left but the pictures.
"""

from __future__ import annotations

import argparse
import base64
import os
import re
import secrets
import struct
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from console.navigation import SECTIONS
from tests.project.up_kit import Up, new_up

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
MORE_FLAGS = ("--disable-component-update", "--disable-sync", "--disable-default-apps")
LIGHT, DARK = "light", "dark"
WIDE, NARROW = 1440, 390
HEIGHT_LIMIT = 2_000
WHO, WHO_ELSE = "dri", "admin"  # who sees the pages that the first does not
GATE_RUN_SECONDS = 3_600.0  # on a busy machine
ROW = "#result_list tbody th a"
COLOURS_COUNT = 256


@dataclass(frozen=True, slots=True)
class Shown:
    """A page: its address, in which {first} and {last} are the minutes in which replays began, or where a link to it
    stands (`link`, on the page of this `title` in the sidebar).
    """

    name: str
    title: str = ""
    link: str = ""
    path: str = ""
    also: Sequence[tuple[str, int]] = ()  # more of it than light on a wide screen


def named(title: str) -> str:
    return re.sub(r"[^a-z]+", "-", title.lower()).strip("-")


# The pages that say little without a row, and where a link to such a row stands
ROWS: tuple[Shown, ...] = (
    Shown("events-one", "Events", ROW, also=((DARK, NARROW),)),
    Shown("dead-letters-one", "Dead letters", ROW, also=((DARK, NARROW),)),
    Shown("duplicates-one", "Duplicates", ROW),
    Shown("quarantine-one", "Quarantine", ROW),
    Shown("providers-one", "Providers", ROW),
    Shown("lanes-one", "Lanes", ROW),
    Shown("batches-one", "Batches", ROW),
    Shown("gates-one", "Gates", ".console-page a[href='/admin/gates/a/']", also=((DARK, WIDE), (LIGHT, NARROW))),
    Shown("error-budgets-one", "Error budgets", ".console-page a[href*='/budgets/entries/']"),
    Shown("destinations-one", "Destinations", ".console-page a[href*='/destinations/1/']"),
    Shown("evidence-one", "Evidence", ROW),
    Shown("bundles-one", "Bundles", ".console-page a[href*='/bundles/']"),
    Shown("replays-one", "Replays", ".console-page a[href*='/replays/r2']", also=((DARK, WIDE),)),
    Shown("audit-log-one", "Audit log", ROW),
)
# Beside the sidebar
BESIDE: tuple[Shown, ...] = (
    Shown("dead-letters-by-error", path="/admin/ingestion/deadletter/groups/"),
    Shown("latency-compare", path="/admin/latency/compare/?from={last}&to=now&vs_from={first}&vs_to={last}"),
    Shown("latency-runs", path="/admin/latency/runs/"),
    Shown("replays-plan", path="/admin/replays/plan/?count=30000&rate=500"),
    Shown("evidence-upload", path="/admin/evidence/artifact/upload/"),
    Shown("my-sessions", path="/admin/my-sessions/"),
    Shown("second-factor", path="/admin/second-factor/"),
)
ALSO = {
    "Overview": ((DARK, WIDE), (DARK, NARROW)),
    "Latency": ((DARK, WIDE),),
    "Error budgets": ((DARK, NARROW),),
    "Events": ((LIGHT, NARROW),),
}


@dataclass(frozen=True, slots=True)
class Picture:
    shown: Shown
    scheme: str
    width: int

    @property
    def file_name(self) -> str:
        return f"{self.shown.name}-{self.scheme}-{self.width}.png"


def every_page() -> list[Shown]:
    sidebar = [item.title for section in SECTIONS for item in section.items]
    return [*(Shown(named(title), title, also=ALSO.get(title, ())) for title in sidebar), *ROWS, *BESIDE]


def pictures(*, every: bool = False) -> list[Picture]:
    """Light on a wide screen, and of some pages more; `every`: all of them in both colours on both widths."""
    whole = [(scheme, width) for scheme in (LIGHT, DARK) for width in (WIDE, NARROW)]
    return [
        Picture(shown, scheme, width)
        for shown in every_page()
        for scheme, width in (whole if every else [(LIGHT, WIDE), *shown.also])
    ]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.screenshots", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--count", type=int, default=30_000, help="sends of Gate A's run (default: 30000)")
    parser.add_argument("--rate", type=int, default=500, help="sends in a second (default: 500)")
    parser.add_argument("--all", action="store_true", help="each page light and dark at 1440 and 390 px")
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    with new_up() as up:
        up.extra = {"SECOND_FACTOR": "optional"}  # off, its page is one sentence
        up.start()
        stock(up, count=given.count, rate=given.rate)
        with sync_playwright() as playwright:
            executable = os.environ.get("CHROMIUM", "/usr/bin/chromium")
            browser = playwright.chromium.launch(executable_path=executable, args=[*FLAGS, *MORE_FLAGS])
            take(browser, up, pictures(every=given.all), out=given.out)
            browser.close()
    return 0


def stock(up: Up, *, count: int, rate: int) -> None:
    """What a week of work leaves: letters, quarantine, a gate's run and what was decided on it, the matrix."""
    secret, note, password = (up.data_dir / name for name in ("mailgun-secret", "minutes.md", "password-dri"))
    secret.write_text(secrets.token_hex(16))
    note.write_text("# Launch review\n\nWho was there, what was asked, what was answered.\n")
    password.write_text(up.first_passwords[WHO])
    said(up, "provider", "add", "mailgun", "--scheme=mailgun", f"--secret-file={secret}")
    said(up, "destination", "add", "on-call", "https://hooks.acme.example/autocom")
    said(up, "destination", "add", "crm", "https://crm.acme.example/in", "--forward", "--provider=mailgun")
    said(up, "service_token", "create", "ci-evidence", "--scope=evidence:read", "--scope=evidence:write")
    said(up, "evidence", "upload", str(note), "--note=minutes of the launch review")
    said(up, "replay", "--count=3000", "--rate=300", "--duplicates=0.05", "--poison=0.002", "--conflicts=0.002")
    said(up, "gate", "freeze", "a", "--reason=the launch", "--by=ops")
    said(up, "gate", "assign", "a", WHO, "--reason=owns the launch", "--by=leadership")
    said(up, "gate", "run", "a", f"--count={count}", f"--rate={rate}")
    why = "--reason=the fault suite has not run on this build"
    said(up, "gate", "decide", "a", "NO-GO", f"--as={WHO}", f"--password-file={password}", why)
    until = datetime.now(UTC).replace(second=0, microsecond=0)
    times = (f"--from={(until - timedelta(minutes=3)).isoformat()}", f"--to={until.isoformat()}")
    incident = ("budget", "annotate", "availability", *times, "--reason=a deploy restarted the ingress")
    said(up, *incident, f"--as={WHO}", f"--password-file={password}")


def said(up: Up, *words: str) -> None:
    ended = up.manage(*words, patience_seconds=GATE_RUN_SECONDS)
    print(f"manage.py {' '.join(words)}: exit {ended.returncode}", flush=True)
    if ended.returncode not in (0, 1, 3):  # a FAIL and an INCONCLUSIVE are pictures too
        sys.exit(ended.stdout + ended.stderr)


def take(browser: Browser, up: Up, wanted: Sequence[Picture], *, out: Path) -> None:
    people = {who: signed_in(browser, up, who) for who in (WHO, WHO_ELSE)}
    links = {who: in_sidebar(page) for who, page in people.items()}
    receipt, minutes = str(up.send()["receipt"]), began(up)
    shrinking = browser.new_page()
    for picture in wanted:
        who = WHO if picture.shown.path or picture.shown.title in links[WHO] else WHO_ELSE
        page = people[who]
        page.emulate_media(color_scheme=picture.scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        page.set_viewport_size({"width": picture.width, "height": 900})
        page.goto(picture.shown.path.format_map(minutes) or links[who][picture.shown.title])
        if picture.shown.link:
            page.goto(page.locator(picture.shown.link).first.get_attribute("href") or "")
        FILLED.get(picture.shown.title, nothing)(page, receipt)
        page.wait_for_load_state("networkidle")
        (out / picture.file_name).write_bytes(small(shrinking, shot(page, picture.width)))
    print(f"{len(wanted)} pictures", flush=True)


def began(up: Up) -> dict[str, str]:
    runs = [row[0] for row in up.rows("SELECT facts->>'run_id' FROM evidence_auditentry WHERE act = 'replay.run'")]
    starts = sorted(datetime.strptime(run[1:16], "%Y%m%dT%H%M%S").replace(tzinfo=UTC) for run in runs)
    return {name: f"{start:%Y-%m-%dT%H:%M}" for name, start in (("first", starts[0]), ("last", starts[-1]))}


def shot(page: Page, width: int) -> bytes:
    """As tall as the page, so that the sidebar is whole."""
    height = min(int(page.evaluate("document.documentElement.scrollHeight")), HEIGHT_LIMIT)
    page.set_viewport_size({"width": width, "height": max(height, 900)})
    return page.screenshot()


def nothing(page: Page, receipt: str) -> None:
    """The page as it opens."""


def followed(page: Page, receipt: str) -> None:
    page.goto(f"/admin/follow/?id={receipt.split()[1]}")


def checked(page: Page, receipt: str) -> None:
    page.get_by_label("Receipts").fill(receipt)
    page.get_by_role("button", name="Check").click()


FILLED = {"Follow an event": followed, "Check a receipt": checked}


def signed_in(browser: Browser, up: Up, who: str) -> Page:
    context = browser.new_context(
        base_url=f"http://127.0.0.1:{up.console_port}",
        viewport={"width": WIDE, "height": 900},
        timezone_id="UTC",
        locale="en-GB",
    )
    page = context.new_page()
    page.goto("/admin/login/?next=/admin/")
    page.fill("#id_username", who)
    page.fill("#id_password", up.first_passwords[who])
    page.press("#id_password", "Enter")
    page.wait_for_url("**/admin/")
    return page


def in_sidebar(page: Page) -> dict[str, str]:
    """Title and address of each of its links."""
    found: list[tuple[str, str]] = page.locator("#nav-sidebar a[href^='/admin/']").evaluate_all(
        "links => links.map(a => [a.innerText.split('\\n').pop().trim(), a.getAttribute('href')])"
    )
    return dict(reversed(found))


PALETTE = """async ([png, most]) => {
    const bytes = Uint8Array.from(atob(png), (each) => each.charCodeAt(0));
    const image = await createImageBitmap(new Blob([bytes], {type: 'image/png'}));
    const canvas = new OffscreenCanvas(image.width, image.height).getContext('2d');
    canvas.drawImage(image, 0, 0);
    const pixels = new Uint32Array(canvas.getImageData(0, 0, image.width, image.height).data.buffer);
    const counts = new Map();
    for (const pixel of pixels) counts.set(pixel, (counts.get(pixel) ?? 0) + 1);
    const kept = [...counts].sort((one, other) => other[1] - one[1]).slice(0, most).map(([colour]) => colour);
    const parts = (colour) => [colour & 255, (colour >> 8) & 255, (colour >> 16) & 255];
    const palette = kept.map(parts);
    const near = new Map(kept.map((colour, index) => [colour, index]));
    const nearest = (colour) => {
        const [r, g, b] = parts(colour);
        let best = 0, least = Infinity;
        palette.forEach(([x, y, z], index) => {
            const away = (r - x) ** 2 + (g - y) ** 2 + (b - z) ** 2;
            if (away < least) [best, least] = [index, away];
        });
        near.set(colour, best);
        return best;
    };
    let indices = '';
    for (const pixel of pixels) indices += String.fromCharCode(near.get(pixel) ?? nearest(pixel));
    return [image.width, image.height, palette.flat(), btoa(indices)];
}"""


def small(page: Page, png: bytes) -> bytes:
    """The picture in its most used colours, each other one as the nearest of them: a third of the bytes."""
    asked = [base64.b64encode(png).decode(), COLOURS_COUNT]
    width, height, palette, indices = page.evaluate(PALETTE, asked)
    rows = base64.b64decode(indices)
    scanlines = b"".join(b"\0" + rows[at : at + width] for at in range(0, width * height, width))
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"PLTE", bytes(palette)), (b"IDAT", zlib.compress(scanlines, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
