"""The console in a real Chromium: silent, WCAG 2.2 AA, by keys alone, at 390 px, without script, live and stale."""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import resolve, reverse
from playwright.sync_api import Page, expect

from console.actions.lanes import pause_lane
from console.actions.operator import Operator
from console.models import ConsoleSession
from console.pages import overview, pipeline
from console.pages.pipeline_figures import Looks
from console.rbac.routes import SAMPLES, routes
from console.roles import Role
from evidence.alerts import close_alert, raise_alert
from evidence.models import Alert, CorrectionProposal, Outgoing, WithheldCount
from evidence.runs.folders import runs_root
from ingestion.buffer.store import LaneBuffer
from ingestion.certificates import import_certificate
from ingestion.latency import Stage
from ingestion.models import Lane, LaneIncident, ProviderSecret, WantedCertificate
from ingestion.pauses import paused_lanes
from ingestion.provider_changes.add import add_provider
from ingestion.secret_box import unseal
from tests.console.budget_rows import SLO, burn, correction, lived_hour, signed_in_as
from tests.console.conftest import OpenPage, faults
from tests.console.letters import DEAD, QUARANTINE, confirmed, freed, mended, picked
from tests.console.order_rows import order_pages
from tests.console.rows import (
    ago,
    artifact_row,
    audit_row,
    batch_row,
    bundle_row,
    dead_letter_row,
    delivery_row,
    duplicate_row,
    event_row,
    latencies,
    promise_row,
    provider_row,
    publication_row,
    quarantined_row,
    rbac_run_row,
    refusal_rows,
    run_files,
    seal_row,
    token_rows,
)
from tests.console.runs import OTHER, RUN, UNDER_WAY, criterion, entered, folder, order_row
from tests.console.test_destination_pages import destination, message
from tests.support.evidence import digest, place_of, use_store
from tests.support.gates import person as known_person
from tests.support.latencies import flush
from tests.support.resting import rest
from tests.support.schemes import RSA_KEY, TOPIC, certified

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

# Django's two-list permission picker; this list may only shrink
# A file, a redirect, and two of the site's own, of which the crawl has one in full: the page of an app
NO_PAGES = {
    "admin/receipts/proof/<uuid:event_id>/",
    "admin/r/<path:content_type_id>/<path:object_id>/",
    "admin/^<app_label>/$",
    "admin/<url>$",
    "admin/login/openid/back/",  # without an identity provider; with one: tests/console/sign_in
}
ARGUMENT = re.compile(r"<(?:\w+:)?(\w+)>")
KNOWN_FAULTS = {name: {"aria-prohibited-attr"} for name in ("user", "group", "group_add")}


@pytest.fixture
def stocked(transactional_db: None, buffer: LaneBuffer) -> dict[str, str]:
    """Something on every page. Returns the pages' addresses by name."""
    rbac_run_row()
    token_rows()
    provider = provider_row("default")
    billing = provider_row("billing", scheme="standard", enabled=False)
    ProviderSecret.objects.create(provider=billing, ciphertext=b"x", fingerprint="1f0c33ab")
    ProviderSecret.objects.create(provider=billing, ciphertext=b"x", fingerprint="2f0c33ab", last_used_at=ago(hours=3))
    mail = provider_row("mail", scheme="ses", options={"topic_arns": [TOPIC]})
    event_row(provider="mail", event_type="SubscriptionConfirmation", ordering_key=TOPIC)
    WantedCertificate.objects.create(
        provider=mail,
        url="https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem",
        count=3,
        first_seen_at=ago(hours=1),
        last_seen_at=ago(minutes=1),
    )
    import_certificate(
        provider=mail, pem=certified(RSA_KEY), file_name="SimpleNotificationService-01.pem", now=ago(minutes=0)
    )
    events = [event_row(event_type='"><script>alert(1)</script>' if n == 3 else "email.delivered") for n in range(60)]
    delivery_row(events[0], **{"x-webhook-signature": "sha256=feed"})
    masked = event_row(
        recipe="sendgrid/1",
        payload={"event": "bounce", "email": "ada@example.com", "reason": "500 mailbox of Ada is full"},
        received_at=ago(minutes=3),
        accepted_at=ago(seconds=59),
        batch=batch_row(at=ago(seconds=58)),
        redriven_at=ago(minutes=1),
        redriven_from_sequence=7,
    )
    delivery_row(masked, **{"x-twilio-email-event-webhook-timestamp": "1764068280"})
    letter = dead_letter_row()
    duplicates = [duplicate_row(events[0], late=n == 1) for n in range(25)]
    quarantined = quarantined_row(events[0])
    refusal_rows("default", detail="by no key")
    refusal_rows("default", reason="too_old", cause="as_reason", detail="signed 3600 s ago")
    lane = Lane.objects.create(number=0, epoch=1, cursor=7, fence=1)
    rest(buffer, attempts=4)
    pause_lane(Operator.command_line("anna"), 1, reason="wrong amounts since 09:12")
    incident = LaneIncident.objects.create(
        lane=0, kind="gap", epoch=1, first_sequence=1, last_sequence=2, detail="missing"
    )
    latencies(Stage.ACK, [4.0] * 500 + [150.0])
    latencies(Stage.END_TO_END, [30.0] * 500)
    for minutes in (20, 21, 30):
        flush(ago(minutes=minutes), {4_000: 300, 60_000: 30, 200_000: 3})
    for run_id in ("r20250103T030405-0a0b0c", "r20250104T030405-0a0b0c"):
        if not (runs_root() / run_id).exists():
            run_files(run_id, [4_000] * 990 + [130_000] * 20, receiver_us=[2_000] * 1_010)

    def change(row: Any) -> str:
        return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])

    return {
        "overview": reverse("admin:index"),
        "latency": reverse("admin:latency"),
        "latency_few": reverse("admin:latency") + "?from=now-15m&to=now&stage=end_to_end",
        "latency_wrong": reverse("admin:latency") + "?from=yesterday",
        "latency_compare": reverse("admin:latency_compare") + "?from=now-10m&to=now&vs_from=now-40m&vs_to=now-10m",
        "latency_runs": reverse("admin:latency_runs"),
        "events": "/admin/ingestion/event/",
        "search": "/admin/ingestion/event/?q=type:email.delivered&provider=default",
        "nothing": "/admin/ingestion/event/?q=nothing-like-it",
        "event": change(events[0]),
        "event_masked": change(masked),
        "follow": f"/admin/follow/?id={events[0].pk}",
        "follow_nothing": "/admin/follow/?id=nothing-like-it",
        "pipeline": "/admin/pipeline/",
        "letters": "/admin/ingestion/deadletter/?state=open",
        "letter": change(letter),
        "letter_groups": "/admin/ingestion/deadletter/groups/",
        "duplicates": "/admin/ingestion/suppressedduplicate/",
        "duplicates_found": f"/admin/ingestion/suppressedduplicate/?q=original:{events[0].pk}",
        "duplicate": change(duplicates[0]),
        "quarantine": "/admin/ingestion/quarantinedevent/",
        "quarantined": change(quarantined),
        "providers": "/admin/ingestion/provider/",
        "provider": change(provider),
        "provider_add": "/admin/ingestion/provider/add/",
        "provider_secrets": change(billing),
        "provider_certificates": change(mail),
        "provider_rotate": reverse("admin:ingestion_provider_rotate", args=[billing.pk]),
        "provider_revoke": reverse("admin:ingestion_provider_revoke", args=[billing.pk, "2f0c33ab"]),
        "lanes": "/admin/ingestion/lane/",
        "lane": change(lane),
        "batches": "/admin/ingestion/batch/",
        "batch": change(events[0].batch),
        "incidents": "/admin/ingestion/laneincident/",
        "incident": change(incident),
        **outcome_pages(),
        "promises": "/admin/evidence/promiseincident/",
        "promise": change(promise_row(events[1])),
        "receipts": reverse("admin:receipts"),
        "history": reverse("admin:ingestion_event_history", args=[events[0].pk]),
        "audit": "/admin/evidence/auditentry/",
        "audit_found": "/admin/evidence/auditentry/?q=act:provider.added",
        "audit_entry": change(audit_row()),
        "audit_verify": reverse("admin:evidence_auditentry_verify"),
        "publications": "/admin/evidence/publication/",
        "publication": change(publication_row(link="https://evidence.example.com/evidence/" + "ab" * 32)),
        "publication_failed": change(publication_row("failed", error="it answers 403: the token has no scope")),
        "artifacts": "/admin/evidence/artifact/",
        "artifacts_nothing": "/admin/evidence/artifact/?q=nothing-like-it",
        "artifact": change(artifact := artifact_row()),
        **replay_pages(),
        "bundles": reverse("admin:bundles"),
        "bundle": reverse("admin:bundle", args=[(bundle := bundle_row()).artifact_id]),
        **order_pages(bundle),
        "artifact_upload": reverse("admin:evidence_artifact_upload"),
        "artifact_verify": reverse("admin:evidence_artifact_verify", args=[artifact.pk]),
        "service_tokens": reverse("admin:service_tokens"),
        "status": reverse("admin:status"),
        "mode": reverse("admin:mode"),
        **budget_addresses(),
        **destination_addresses(),
        "gates": reverse("admin:gates"),
        "gate": reverse("admin:gate", args=["a"]),
        "log": reverse("admin:log"),
        "rbac": reverse("admin:rbac"),
        "seals": "/admin/evidence/seal/?log=audit",
        "seal": change(seal_row()),
        "app": "/admin/ingestion/",
        "users": "/admin/auth/user/",
        "user": change(user := User.objects.create_user("subject", is_staff=True)),
        "user_add": "/admin/auth/user/add/",
        "user_password": reverse("admin:auth_user_password_change", args=[user.pk]),
        "user_delete": reverse("admin:auth_user_delete", args=[user.pk]),
        "groups": "/admin/auth/group/",
        "group": change(group := Group.objects.create(name="Subject")),
        "group_add": "/admin/auth/group/add/",
        "group_delete": reverse("admin:auth_group_delete", args=[group.pk]),
        "password": "/admin/password_change/",
        "password_done": reverse("admin:password_change_done"),
        "my_sessions": reverse("admin:my_sessions"),
        "second_factor": reverse("admin:second_factor"),
        "sign_ins": reverse("admin:sign_ins"),
    }


def replay_pages() -> dict[str, str]:
    """A run that passed, one that did not, one that only the audit log knows, one under way, one that died."""
    wrong = {"kind": "lost", "subject": "event " + "ab" * 30, "witness": "answered 2xx, and no table has it " * 3}
    criteria = [
        criterion("lost", "FAIL", actual=3),
        criterion("ack P95", "INCONCLUSIVE", actual=None, reason="too few"),
    ]
    folder()
    folder(OTHER, verdict="FAIL", lost=3, examples=[wrong], refusals={"503 lane_full": 17}, criteria=criteria)
    entered("r20990101T030405-0a0b0f", verdict="INCONCLUSIVE")
    order_row("r20990105T030405-0a0b0c", state="died", reason="long-reason-" * 20)
    order_row(started_at=datetime.now(UTC))
    plan = reverse("admin:replay_plan")
    return {
        "replays": reverse("admin:replays"),
        "replays_nothing": reverse("admin:replays") + "?verdict=nothing-like-it",
        "replay_plan": plan,
        "replay_planned": f"{plan}?count=100&rate=10",
        "replay_refused": f"{plan}?count=0",
        "replay": reverse("admin:replay", args=[RUN]),
        "replay_failed": reverse("admin:replay", args=[OTHER]),
        "replay_compared": reverse("admin:replay", args=[RUN]) + f"?with={OTHER}",
        "replay_under_way": reverse("admin:replay", args=[UNDER_WAY]),
        "replay_died": reverse("admin:replay", args=["r20990105T030405-0a0b0c"]),
    }


def outcome_pages() -> dict[str, str]:
    """A letter of each kind that was given up, and what became of it."""
    known_person("olga", Role.PLATFORM_OPS)
    client, found = signed_in_as("olga"), {}
    for name, address, letter in (("letter", DEAD, mended()), ("quarantine", QUARANTINE, freed())):
        preview = client.post(f"{address}discard/", picked(letter))
        answer = client.post(f"{address}discard/", confirmed(preview, reason="test data"))
        found[f"{name}_outcome"] = answer["Location"]
    return found


def budget_addresses() -> dict[str, str]:
    """A ledger of an hour with an unknown one after it, a correction that waits, and every page of them."""
    at = lived_hour(provider="mail")
    known_person("ann", Role.DRI)
    client = signed_in_as("ann")
    client.post(reverse("admin:budget_annotate"), correction(at))
    client.post(reverse("admin:budget_propose"), correction(at))
    return {
        "budgets": reverse("admin:budgets"),
        "budgets_found": f"{reverse('admin:budgets')}?slo={SLO}&window={at:%Y-%m}&kind=BURN&sort=worst",
        "budget_entry": reverse("admin:budget_entry", args=[burn().number]),
        "budget_annotate": reverse("admin:budget_annotate"),
        "budget_propose": reverse("admin:budget_propose"),
        "budget_correction": reverse("admin:budget_correction", args=[CorrectionProposal.objects.latest("pk").pk]),
    }


def destination_addresses() -> dict[str, str]:
    """One that fails, with messages that wait for a person, and alerts, one of them told."""
    to = destination(forwards=True, providers=["mail"], address=f"https://hooks.example.com/{'long-path/' * 20}")
    alert = raise_alert("burn", f"{SLO} 3 d", severity=Alert.Severity.TICKET, summary="The budget burns too fast")
    raise_alert("lag", "lag", severity=Alert.Severity.PAGE, summary="The oldest waiting event is 75 s old")
    close_alert("lag", "lag")
    message(Outgoing.State.DEAD, to)
    message(Outgoing.State.WITHHELD, to)
    message(Outgoing.State.SENT, to, alert=alert, event_id=None)
    WithheldCount.objects.create(destination=to, hour=ago(hours=1), count=40)
    return {
        "destinations": reverse("admin:destinations"),
        "destination": reverse("admin:destination", args=[to.pk]),
        "destination_add": reverse("admin:destination_add"),
        "outgoing": reverse("admin:outgoing"),
        "outgoing_all": f"{reverse('admin:outgoing')}?state=all",
        "alerts": reverse("admin:alerts"),
        "alerts_closed": f"{reverse('admin:alerts')}?state=closed",
    }


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_every_page_is_silent_accessible_in_both_colours_and_no_wider_than_the_screen(
    open_page: OpenPage, stocked: dict[str, str], width: int, scheme: str
) -> None:
    page = open_page(superuser=True, width=width, scheme=scheme)
    found: dict[str, set[str]] = {}
    told: list[str] = []
    for name, address in stocked.items():
        visit(page, name, address)
        here = faults(page)
        recolour(page)
        here += faults(page)
        told += [f"{name}: {fault}" for fault in here]
        if here:
            found[name] = {fault.partition(":")[0] for fault in here}
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    assert found == KNOWN_FAULTS, told


def recolour(page: Page) -> None:
    """To the other scheme. The theme asks for it when a page loads, and a second load would show nothing else new."""
    to = page.evaluate("document.documentElement.classList.contains('dark') ? 'light' : 'dark'")
    page.emulate_media(color_scheme=to)
    page.evaluate("to => document.documentElement.classList.toggle('dark', to === 'dark')", to)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), f"{page.url} in {to}"


def test_every_page_that_the_console_answers_with_is_in_the_crawl(
    stocked: dict[str, str], signed_in: Callable[..., Client]
) -> None:
    client = signed_in(superuser=True)
    found = [resolve(address.partition("?")[0]) for address in stocked.values()]
    crawled = {family(each.route) for each in found}
    values = {each.route.partition("<")[0]: list(each.kwargs.values()) for each in found if each.kwargs}
    left, not_found = set[str](), set[str]()
    for route in routes():
        if not route.path.startswith("admin/") or route.act or family(route.path) in crawled:
            continue
        answer = client.get(filled(route.path, values.get(route.path.partition("<")[0], ())))
        if answer.status_code == 404:
            not_found.add(route.path)
        elif answer.status_code == 200 and not answer.streaming and b"<!DOCTYPE html>" in answer.content:
            left.add(route.path)
    assert left == set(), "pages that no browser has looked at"
    assert not_found == NO_PAGES, "what is not found may be a page: crawl it with a row of its own"


def filled(path: str, values: Iterable[Any]) -> str:
    """The route's address with these arguments, and samples of what is missing."""
    known = iter(values)
    return "/" + ARGUMENT.sub(lambda name: str(next(known, SAMPLES[name[1]])), path)


def family(path: str) -> str:
    """One for all histories of a row: they are one template of the theme."""
    return "history" if path.endswith("/history/") else path


def visit(page: Page, name: str, address: str) -> None:
    page.goto(address)
    page.wait_for_function("document.documentElement.hasAttribute('x-cloak') === false")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), f"{name} scrolls sideways"


def test_palette_filters_menu_and_help_open_without_a_fault(open_page: OpenPage, stocked: dict[str, str]) -> None:
    page = open_page(Role.DRI)
    page.goto(stocked["events"])
    page.get_by_text("Filters").click()
    expect(page.locator("#changelist-filter")).to_be_visible()
    assert faults(page) == []
    page.locator("#changelist-filter-close").click(position={"x": 20, "y": 20})
    page.locator("#user-menu-button").click()
    expect(page.locator("#user-menu")).to_be_visible()
    assert faults(page) == []
    page.keyboard.press("Escape")
    expect(page.locator("#user-menu")).to_be_hidden()
    page.keyboard.press("?")
    page.keyboard.press("?")
    page.keyboard.press("Control+k")
    expect(page.locator("#search-input-command")).to_be_focused()
    page.keyboard.type("dead")
    expect(page.locator("#command-results-list li")).to_have_count(1)
    page.keyboard.press("ArrowDown")
    expect(page.locator("#command-results-list li.active")).to_have_count(1)
    assert faults(page) == []


def test_the_sidebar_folds_and_resizes(open_page: OpenPage, stocked: dict[str, str]) -> None:
    page = open_page(Role.DRI)
    page.goto(stocked["overview"])
    expect(page.locator("#nav-sidebar")).to_have_css("width", "288px")
    page.mouse.move(287, 400)
    page.mouse.down()
    page.mouse.move(320, 400)
    page.mouse.move(330, 400)
    page.mouse.up()
    expect(page.locator("#nav-sidebar")).to_have_css("width", "330px")
    page.keyboard.press("[")
    expect(page.locator("#nav-sidebar")).to_be_hidden()


def test_the_theme_switch_darkens_the_page(open_page: OpenPage, stocked: dict[str, str]) -> None:
    page = open_page(Role.DRI)
    page.goto(stocked["overview"])
    page.locator("#user-menu-button").click()
    page.get_by_text("Dark", exact=True).click()
    expect(page.locator("html")).to_have_class(re.compile(r"\bdark\b"))
    assert faults(page) == []


def test_enter_in_the_palette_opens_the_event_of_a_whole_id(open_page: OpenPage, transactional_db: None) -> None:
    event = event_row(event_type="invoice.paid")
    page = open_page(Role.DRI)
    page.goto("/admin/")
    page.keyboard.press("Control+k")
    expect(page.locator("#search-input-command")).to_be_focused()
    page.keyboard.type(str(event.pk))
    expect(page.locator("#command-results-list li")).to_have_count(1)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"/ingestion/event/{event.pk}/change/$"))


def test_tab_reaches_the_content_first_and_keys_alone_log_out(open_page: OpenPage, stocked: dict[str, str]) -> None:
    page = open_page(Role.DRI)
    page.goto(stocked["overview"])
    page.keyboard.press("Tab")
    expect(page.locator(".console-skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("#content$"))
    page.keyboard.press("Tab")
    assert page.evaluate("document.getElementById('content').contains(document.activeElement)")
    page.locator("#user-menu-button").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#user-menu")).to_be_visible()
    page.get_by_role("button", name="Log out").focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/admin/logout/"))


def test_g_then_o_leads_to_the_overview_but_not_while_typing(open_page: OpenPage, stocked: dict[str, str]) -> None:
    page = open_page(Role.DRI)
    page.goto(stocked["events"])
    page.locator("#searchbar").press_sequentially("go")
    expect(page.locator("#searchbar")).to_have_value("go")
    page.locator("#searchbar").blur()
    page.keyboard.press("g")
    page.keyboard.press("o")
    expect(page).to_have_url(re.compile("/admin/$"))


def test_a_payload_opens_and_closes_without_script(open_page: OpenPage, transactional_db: None) -> None:
    event = event_row(payload={"invoice": "x-1"})
    page = open_page(Role.DRI, script=False)
    page.goto(f"/admin/ingestion/event/{event.pk}/change/")
    page.get_by_text("Show payload").click()
    expect(page.locator(".console-pre")).to_contain_text('"invoice": "x-1"')


@pytest.mark.parametrize(("width", "beside"), [(1440, True), (390, False)])
def test_quarantined_contents_stand_beside_each_other_where_there_is_room(
    open_page: OpenPage, stocked: dict[str, str], width: int, beside: bool
) -> None:
    page = open_page(Role.AUDITOR, width=width, script=False)
    page.goto(stocked["quarantined"])
    original, quarantined = page.locator(".console-pair > section").all()
    for part, address in ((original, "someone@example.com"), (quarantined, "someone-else@example.com")):
        expect(part.locator(".console-pre")).to_be_hidden()
        part.get_by_text("Show payload").click()
        expect(part.locator(".console-pre")).to_contain_text(address)
    left, right = original.bounding_box(), quarantined.bounding_box()
    assert left is not None
    assert right is not None
    assert (right["x"] > left["x"] + left["width"] - 1) == beside
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_from_an_event_to_its_duplicates_and_back(open_page: OpenPage, stocked: dict[str, str]) -> None:
    page = open_page(Role.DRI)
    page.goto(stocked["event"])
    page.get_by_role("link", name="all duplicates of this event").click()
    expect(page.locator("#result_list tbody tr")).to_have_count(25)
    page.locator("#result_list tbody tr").first.locator("th a").click()
    page.get_by_role("link", name="the stored event").click()
    expect(page).to_have_url(re.compile(f"{stocked['event']}$"))


@pytest.mark.parametrize("width", [1440, 390])
def test_the_overview_is_complete_without_script(open_page: OpenPage, stocked: dict[str, str], width: int) -> None:
    page = open_page(Role.DRI, script=False, width=width)
    page.goto(stocked["overview"])
    expect(page.locator("#card-ack")).to_contain_text("99.80 % of 501 within 120 ms")
    expect(page.get_by_text("Reload for new figures")).to_be_visible()
    expect(page.locator(f"#nav-sidebar a[href='{stocked['incidents']}']")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_a_copy_button_selects_the_id_where_no_clipboard_may_be_written(
    open_page: OpenPage, transactional_db: None
) -> None:
    event = event_row()
    page = open_page(Role.DRI)
    page.add_init_script("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    page.goto(f"/admin/ingestion/event/{event.pk}/change/")
    page.locator("[data-copy]").first.click()
    assert page.evaluate("window.getSelection().toString()") == str(event.pk)


def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "POLL_SECONDS", 1)


def test_new_figures_arrive_by_themselves_and_leave_the_focus_where_it_is(
    open_page: OpenPage, stocked: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fast(monkeypatch)
    page = open_page(Role.DRI)
    page.goto(stocked["overview"])
    expect(page.locator("#card-dead_letters")).to_contain_text("1")
    page.get_by_role("link", name="Open dead letters").focus()
    page.locator("summary").first.click()
    page.get_by_role("link", name="Open dead letters").focus()
    dead_letter_row()
    expect(page.locator("#card-dead_letters")).to_contain_text("2")
    expect(page.locator("#overview-status")).to_contain_text("2 open dead letters")
    expect(page.get_by_role("link", name="Open dead letters")).to_be_focused()
    expect(page.locator("details").first).to_have_attribute("open", "")


def test_the_stale_banner_comes_with_the_time_of_the_figures_and_goes(
    open_page: OpenPage, stocked: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fast(monkeypatch)
    page = open_page(Role.DRI, watched=False)
    page.goto(stocked["overview"])
    expect(page.locator("#stale-banner")).to_be_hidden()
    for cut in (lambda route: route.abort(), lambda route: route.fulfill(status=500)):
        page.route("**/overview/figures/**", cut)
        expect(page.locator("#stale-banner")).to_be_visible()
        shown = page.locator("#overview-read-at").inner_text().strip()
        expect(page.locator("#stale-since")).to_have_text(shown)
        page.unroute("**/overview/figures/**")
        expect(page.locator("#stale-banner")).to_be_hidden()


def test_a_hidden_tab_is_silent(open_page: OpenPage, stocked: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    fast(monkeypatch)
    page = open_page(Role.DRI)
    polls: list[str] = []
    page.on("request", lambda request: polls.append(request.url) if "figures" in request.url else None)
    page.goto(stocked["overview"])
    hide(page, hidden=True)
    polls.clear()
    page.wait_for_timeout(2_500)
    assert polls == []
    hide(page, hidden=False)
    with page.expect_request("**/overview/figures/**"):
        pass


def hide(page: Page, *, hidden: bool) -> None:
    page.evaluate("hidden => Object.defineProperty(document, 'hidden', {value: hidden, configurable: true})", hidden)


def test_a_poll_after_the_session_ended_leads_to_the_login_and_back(
    open_page: OpenPage, stocked: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fast(monkeypatch)
    page = open_page(Role.DRI, watched=False)
    page.goto(f"{stocked['overview']}?last=15m")
    ConsoleSession.objects.all().delete()
    expect(page).to_have_url(re.compile(r"/admin/login/\?next=%2Fadmin%2F%3Flast%3D15m$"))


def test_the_login_page_is_silent_and_accessible(open_page: OpenPage, live_server: Any) -> None:
    page = open_page(Role.DRI)
    page.context.clear_cookies()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.goto("/admin/login/")
        expect(page.locator("input[name=username]")).to_be_visible()
        assert faults(page) == []


def test_a_refusal_and_a_missing_page_are_accessible(open_page: OpenPage, stocked: dict[str, str]) -> None:
    page = open_page(Role.LEADERSHIP, watched=False)  # the browser itself reports a 403 and a 404 as errors
    page.goto(stocked["events"])
    expect(page.get_by_text("ingestion.view_event")).to_be_visible()
    assert faults(page) == []
    page.goto("/nowhere")
    expect(page.get_by_text("Nothing here")).to_be_visible()
    assert faults(page) == []


def test_print_shows_the_content_alone_on_white(open_page: OpenPage, stocked: dict[str, str]) -> None:
    page = open_page(Role.DRI, scheme="dark")
    page.goto(stocked["overview"])
    page.emulate_media(media="print")
    expect(page.locator("#nav-sidebar")).to_be_hidden()
    expect(page.locator("#card-ack")).to_be_visible()
    # colours pass over to those of the other medium in a moment
    expect(page.locator(".console-card").first).to_have_css("background-color", "rgb(255, 255, 255)")
    assert page.evaluate("getComputedStyle(document.querySelector('.console-bar')).fill") == "rgb(74, 140, 199)"


def test_a_provider_is_added_by_hand_and_switched_by_an_action(open_page: OpenPage, stocked: dict[str, str]) -> None:
    page = open_page(Role.PLATFORM_OPS)
    page.goto(stocked["provider_add"])
    page.locator("input[name=name]").fill("acme")
    page.locator("select[name=scheme]").select_option("generic")
    page.locator("textarea[name=options]").fill('{"policy": "nonsense"}')
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("policy is both, bearer or signature")).to_be_visible()
    page.locator("textarea[name=options]").fill('{"policy": "both"}')
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("This is the only time that it is shown.")).to_be_visible()
    page.get_by_role("link", name="Done").click()
    page.goto(stocked["providers"])
    row = page.locator("tr", has=page.get_by_text("acme"))
    row.locator("input.action-select").check()
    page.locator("select[name=action]").select_option("disable")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_text("Disabled: acme")).to_be_visible()
    expect(row.get_by_text("disabled")).to_be_visible()


def test_a_secret_is_rotated_copied_and_the_old_one_revoked_by_hand(
    open_page: OpenPage, transactional_db: None
) -> None:
    added = add_provider(name="acme", scheme="generic", options={}, secret=None, now=datetime.now(UTC))
    page = open_page(Role.PLATFORM_OPS, width=390)
    page.goto(f"/admin/ingestion/provider/{added.provider.pk}/change/")
    page.get_by_role("link", name="Rotate").click()
    page.get_by_role("button", name="Rotate").click()
    shown = page.locator(".console-secret code").inner_text()
    new = ProviderSecret.objects.exclude(fingerprint=added.secret.fingerprint).get()
    assert shown == unseal(new.ciphertext)
    expect(page.get_by_role("button", name="Copy the secret")).to_be_visible()
    assert faults(page) == []
    page.get_by_role("link", name="Done").click()
    expect(page.get_by_text("never")).to_have_count(2)
    assert shown not in page.content()
    page.get_by_role("link", name=f"Revoke …{added.secret.fingerprint}").click()
    page.get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("is revoked")).to_be_visible()
    expect(page.get_by_role("cell", name="ended")).to_be_visible()


def test_a_file_is_uploaded_verified_and_saved_by_hand(
    open_page: OpenPage, transactional_db: None, settings: Any, tmp_path: Path
) -> None:
    use_store(settings, tmp_path / "evidence")
    (file := tmp_path / "page.svg").write_bytes(b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>')
    page = open_page(Role.DRI, width=390)
    page.goto("/admin/evidence/artifact/")
    page.get_by_role("link", name="Upload").click()
    page.get_by_label("File").set_input_files(file)
    page.get_by_label("Expected SHA-256").fill("0" * 64)
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_text("not 000000")).to_be_visible()
    assert faults(page) == []
    page.get_by_label("File").set_input_files(file)
    page.get_by_label("Expected SHA-256").fill(digest(file.read_bytes()))
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_text("Stored: page.svg.")).to_be_visible()
    assert faults(page) == []
    with page.expect_download() as download:  # saved, and not opened
        page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "page.svg"
    assert Path(download.value.path()).read_bytes() == file.read_bytes()
    page.get_by_role("link", name="Verify now").click()
    expect(page.get_by_text("PASS:")).to_be_visible()
    place_of(tmp_path / "evidence", digest(file.read_bytes())).write_bytes(b"<svg/>")
    page.reload()
    expect(page.get_by_text("FAIL: changed")).to_be_visible()
    assert faults(page) == []


# --- workers, lanes and queues; personal data ---


@pytest.fixture
def pipeline_page(monkeypatch: pytest.MonkeyPatch) -> str:
    """The page's address, with no look of another test, read again at every poll."""
    monkeypatch.setattr(pipeline, "LOOKS", Looks())
    monkeypatch.setattr(pipeline, "POLL_SECONDS", 1)
    return reverse("admin:pipeline")


def test_a_lane_is_paused_with_a_reason_seen_by_another_tab_and_resumed(
    open_page: OpenPage, transactional_db: None, buffer: LaneBuffer, pipeline_page: str
) -> None:
    watching, acting = open_page(Role.AUDITOR), open_page(Role.PLATFORM_OPS)
    watching.goto(pipeline_page)
    expect(watching.locator("#pipeline-status")).not_to_contain_text("paused")
    acting.goto(pipeline_page)
    acting.get_by_label("Lane", exact=True).select_option("2")
    acting.get_by_label("Reason").fill("wrong amounts since 09:12")
    acting.get_by_role("button", name="Pause").click()
    expect(acting.get_by_text("Lane 2 is paused.")).to_be_visible()
    expect(acting).to_have_url(re.compile(r"\?lane=2$"))
    expect(watching.locator("#pipeline-status")).to_contain_text("paused: lane 2")
    expect(watching.locator("#pipeline-lanes")).to_contain_text("wrong amounts since 09:12")
    expect(watching.get_by_role("button", name="Pause")).to_have_count(0)
    assert set(paused_lanes()) == {2}
    acting.get_by_label("Reason").fill("they are right again")
    acting.get_by_role("button", name="Resume").click()
    expect(watching.locator("#pipeline-status")).not_to_contain_text("paused")
    assert paused_lanes() == {}


def test_the_lanes_page_is_complete_without_script_and_by_keys_alone(
    open_page: OpenPage, transactional_db: None, buffer: LaneBuffer, pipeline_page: str
) -> None:
    page = open_page(Role.DRI, script=False, width=390)
    page.goto(pipeline_page)
    expect(page.get_by_text("Reload for new figures")).to_be_visible()
    expect(page.get_by_text("No worker has reported")).to_be_visible()
    page.get_by_label("Reason").focus()
    page.keyboard.type("wrong amounts")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Lane 0 is paused.")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_figures_that_no_longer_come_say_that_they_are_old(
    open_page: OpenPage, transactional_db: None, buffer: LaneBuffer, pipeline_page: str
) -> None:
    page = open_page(Role.DRI, watched=False)
    page.goto(pipeline_page)
    page.context.set_offline(True)
    expect(page.locator("#stale-banner")).to_be_visible()
    expect(page.locator("#stale-since")).to_contain_text("UTC")
    page.context.set_offline(False)
    expect(page.locator("#stale-banner")).to_be_hidden()


def test_personal_data_is_shown_once_after_a_reason_and_masked_again_behind_it(
    open_page: OpenPage, transactional_db: None
) -> None:
    event = event_row(recipe="sendgrid/1", payload={"email": "ada.lovelace@example.com"})
    page = open_page(Role.DRI)
    page.goto(f"/admin/ingestion/event/{event.pk}/change/")
    page.get_by_text("Show payload").click()
    expect(page.locator(".console-pre")).to_contain_text("•••@•••")
    page.get_by_label("Why must you see it?").fill("complaint 4711")
    page.get_by_role("button", name="Show once").click()
    page.get_by_text("Show payload").click()
    expect(page.locator(".console-pre")).to_contain_text("ada.lovelace@example.com")
    assert faults(page) == []
    page.get_by_role("link", name="Back to the masked page").click()
    expect(page.get_by_text("•••@•••")).to_be_attached()
    expect(page.locator("body")).not_to_contain_text("ada.lovelace@example.com")
