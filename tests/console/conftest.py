"""A real Chromium for the console's tests. Absent, it fails them: a skipped browser test proves nothing."""

import os

os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")  # Playwright's loop runs in this thread

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, Playwright

from console.mode_banner import SHOWN
from console.pages import overview
from console.pages.overview_snapshot import OverviewSources, SnapshotCache
from console.roles import Role, sync_roles

AXE = Path(__file__).parent / "vendor" / "axe" / "axe.min.js"
CHROMIUM_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-default-apps", "--disable-domain-reliability"),
)
MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"
WCAG = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")


@pytest.fixture(scope="session")
def chromium(playwright: Playwright) -> Iterator[Browser]:
    path = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    if not Path(path).exists():
        pytest.fail(f"no Chromium at {path}: install one (Debian: chromium), or name it in CHROMIUM")
    browser = playwright.chromium.launch(executable_path=path, args=list(CHROMIUM_FLAGS))
    yield browser
    browser.close()


@pytest.fixture(autouse=True)
def fresh_snapshots(monkeypatch: pytest.MonkeyPatch) -> None:
    """No figure of one test in the next one's overview, nor its mode."""
    SHOWN.forget()
    monkeypatch.setattr(overview, "SNAPSHOTS", SnapshotCache(sources=OverviewSources()))


@pytest.fixture
def person(db: None) -> Callable[..., User]:
    """Makes a staff user with a role, or without one."""

    def make(role: Role | None = None, *, superuser: bool = False, staff: bool = True) -> User:
        sync_roles()
        name = role.name.lower() if role else ("root" if superuser else "nobody")
        user = User.objects.create_user(name, is_staff=staff, is_superuser=superuser)
        if role is not None:
            user.groups.add(Group.objects.get(name=role.value))
        return user

    return make


@pytest.fixture
def signed_in(person: Callable[..., User]) -> Callable[..., Client]:
    """A test client of such a user."""

    def make(role: Role | None = None, **kind: bool) -> Client:
        client = Client()
        client.force_login(person(role, **kind), backend=MODEL_BACKEND)
        return client

    return make


type OpenPage = Callable[..., Page]


@pytest.fixture
def open_page(
    chromium: Browser, live_server: Any, transactional_db: None, signed_in: Callable[..., Client]
) -> Iterator[OpenPage]:
    """Opens a browser page as a user of a role, or as whoever `client` is signed in as; `watched`: a console message or
    foreign request fails the test.
    """
    contexts: list[BrowserContext] = []
    complaints: list[str] = []
    clients: dict[Any, Client] = {}

    def make(
        role: Role | None = Role.DRI,
        *,
        superuser: bool = False,
        client: Client | None = None,
        width: int = 1440,
        scheme: str = "light",
        watched: bool = True,
        script: bool = True,
    ) -> Page:
        context = chromium.new_context(
            base_url=live_server.url,
            viewport={"width": width, "height": 900},
            color_scheme=scheme,  # type: ignore[arg-type]
            timezone_id="UTC",
            locale="en-GB",
            reduced_motion="reduce",
            java_script_enabled=script,
        )
        contexts.append(context)
        who = (role, superuser)
        if client is None and who not in clients:
            clients[who] = signed_in(None if superuser else role, superuser=superuser)
        cookie = (client or clients[who]).cookies[settings.SESSION_COOKIE_NAME].value
        context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": live_server.url}])
        page = context.new_page()
        if watched:
            watch(page, host=urlsplit(live_server.url).netloc, complaints=complaints)
        return page

    yield make
    for context in contexts:
        context.close()
    assert not complaints, "\n".join(complaints)


def watch(page: Page, *, host: str, complaints: list[str]) -> None:
    """Collects console errors and warnings, page errors and requests to other hosts."""

    def on_console(message: Any) -> None:
        if message.type in ("error", "warning"):
            complaints.append(f"{page.url}: console {message.type}: {message.text}")

    def on_request(request: Any) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob") and parts.netloc != host:
            complaints.append(f"{page.url}: request to {request.url}")

    page.on("console", on_console)
    page.on("pageerror", lambda error: complaints.append(f"{page.url}: page error: {error}"))
    page.on("request", on_request)


SETTLED = """async () => {
    const ending = document.getAnimations().filter((each) => each.effect.getComputedTiming().endTime !== Infinity);
    await Promise.allSettled(ending.map((each) => each.finished));
    await new Promise(requestAnimationFrame);
}"""


def faults(page: Page) -> list[str]:
    """What axe finds against WCAG 2.2 AA: rule and element of each."""
    page.evaluate(SETTLED)  # half-way through a transition colours have contrasts that nobody reads by
    page.evaluate(AXE.read_text(encoding="utf-8"))  # a script tag would be refused by the CSP
    found = page.evaluate("tags => axe.run({runOnly: {type: 'tag', values: tags}})", list(WCAG))
    return [
        f"{violation['id']}: {node['target'][0]}" for violation in found["violations"] for node in violation["nodes"]
    ]
