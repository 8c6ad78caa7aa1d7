"""The pages of replays: who may start one, what is refused with words, and that nothing unknown is shown as good."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from console.access import Permission
from console.mode_banner import SHOWN
from console.pages import replays
from console.roles import PERMISSIONS_BY_ROLE, Role
from evidence.models import AuditEntry, ReplayOrder
from evidence.orders.life import living
from evidence.runs import asked, orders
from evidence.runs.folders import runs_root
from evidence.selectors import newest_number
from tests.console.rows import ago, bundle_row, provider_row
from tests.console.runs import OTHER, RUN, UNDER_WAY, criterion, entered, folder, order_row
from tests.support.gates import own_store

pytestmark = pytest.mark.django_db
SignedIn = Callable[..., Client]
PLAN = {"count": "100", "rate": "50", "keys": "5", "duplicates_percent": "2", "seed": "1", "provider": "default"}
EVIL = '"><script>alert(1)</script>'


@pytest.fixture(autouse=True)
def store(tmp_path: Path) -> Iterator[None]:
    with own_store(tmp_path):
        yield


def text(client: Client, name: str, *words: str, query: str = "") -> str:
    answer = client.get(reverse(f"admin:{name}", args=words) + query)
    assert answer.status_code == 200
    return answer.content.decode()


def ask(client: Client, **changes: str) -> str:
    """The page that follows."""
    form = {**PLAN, "gate": "a", "reason": "a rehearsal", **changes}
    return client.post(reverse("admin:replay_plan"), form, follow=True).content.decode()


@pytest.mark.parametrize("role", list(Role))
def test_a_run_is_started_and_cancelled_by_those_who_may_and_read_by_all(signed_in: SignedIn, role: Role) -> None:
    client, may = signed_in(role), Permission.REPLAY_START in PERMISSIONS_BY_ROLE[role]
    before = newest_number()
    assert client.get(reverse("admin:replay_plan")).status_code == (200 if may else 403)
    ask(client)
    assert ReplayOrder.objects.filter(actor=role.name.lower(), state="waiting").count() == may
    run_id = (ReplayOrder.objects.first() or order_row(state="waiting", started_at=None)).run_id
    page = text(client, "replay", run_id)
    assert ("Cancel the run</button></p>" in page) == may
    assert ("DRI and Platform Ops have it" in page) == (not may)
    assert client.post(reverse("admin:replay_cancel", args=[run_id])).status_code == (302 if may else 403)
    assert ReplayOrder.objects.filter(state="cancelled").count() == may
    assert AuditEntry.objects.filter(act="permission.refused", number__gt=before).count() == (0 if may else 3)


@pytest.mark.parametrize("name", ["replays", "replay_plan", "replay", "replay_progress"])
def test_nobody_without_the_permission_sees_a_run(signed_in: SignedIn, name: str) -> None:
    folder()
    words = [RUN] if name in ("replay", "replay_progress") else []
    assert signed_in().get(reverse(f"admin:{name}", args=words)).status_code == 403


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"count": "0"}, "Sends: 0 is not between 1 and 300,000"),
        ({"count": "300001"}, "Sends: 300,001 is not between 1 and 300,000"),
        ({"rate": "0"}, "Sends a second: 0 is not between 1 and 5,000"),
        ({"rate": "5001"}, "Sends a second: 5,001 is not between 1 and 5,000"),
        ({"keys": "10001"}, "Ordering keys: 10,001 is not between 1 and 10,000"),
        ({"duplicates_percent": "91"}, "Duplicates, per cent: 91 is not between 0 and 90"),
        ({"seed": "-1"}, "Seed: “-1” is no whole number"),
        ({"count": "many"}, "Sends: “many” is no whole number"),
        ({"count": "9" * 40}, "is no whole number"),
        ({"count": "300000", "rate": "1"}, "an hour is the most"),
        ({"gate": "z"}, "z: there is no such gate"),
        ({"provider": "nobody"}, "there is no such provider that is enabled"),
        ({"provider": "\x00"}, "there is no such provider that is enabled"),
        ({"gate": "\x00"}, "there is no such gate"),
        ({"reason": "a\x00b"}, "NUL character"),
        ({"reason": "  "}, "say why the run is made"),
        ({"reason": "x" * 501}, "501 characters: 500 at most"),
    ],
)
def test_what_is_out_of_bounds_is_refused_with_words_and_nothing_is_asked_for(
    signed_in: SignedIn, changes: dict[str, str], complaint: str
) -> None:
    client, before = signed_in(Role.DRI), newest_number()
    assert complaint in ask(client, **changes)
    assert not ReplayOrder.objects.exists()
    assert not AuditEntry.objects.filter(act="replay.asked", number__gt=before).exists()


def test_a_target_in_the_form_is_ignored_since_only_the_own_ingress_is_loaded(signed_in: SignedIn) -> None:
    client = signed_in(Role.DRI)
    plan = client.get(reverse("admin:replay_plan"), {**PLAN, "gate": "a", "target": "http://example.com"})
    assert "http://127.0.0.1:" in plan.content.decode()
    assert "example.com" not in plan.content.decode()


def test_a_disabled_provider_is_not_offered_and_one_that_cannot_sign_is_refused_before_the_run(
    signed_in: SignedIn,
) -> None:
    provider_row("asleep", enabled=False)
    provider_row("keyless")
    client = signed_in(Role.DRI)
    page = text(client, "replay_plan")
    assert '<option value="keyless">' in page
    assert "asleep" not in page
    assert "no secret of it is valid now" in ask(client, provider="keyless")


def test_the_plan_says_what_would_happen_before_anything_does(signed_in: SignedIn) -> None:
    client = signed_in(Role.PLATFORM_OPS)
    page = client.get(reverse("admin:replay_plan"), {**PLAN, "gate": "a"}).content.decode()
    assert "100, about 2 of them repeats" in page
    assert "50 a second, for 2 s" in page
    assert "is not frozen, and a run before that proves nothing to it" in page
    assert "Start the run" in page
    assert not ReplayOrder.objects.exists()


def test_two_runs_at_once_are_refused_with_the_name_of_the_one_under_way(signed_in: SignedIn) -> None:
    with living(order_row()):
        page = ask(signed_in(Role.DRI))
    assert f"run {UNDER_WAY} of dri is under way" in page
    assert ReplayOrder.objects.count() == 1


def test_of_two_people_who_ask_at_the_same_moment_one_is_refused(
    signed_in: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = signed_in(Role.DRI)
    ask(client)
    for module in (orders, replays):  # neither has seen the other
        monkeypatch.setattr(module, "refuse_while_another_is_under_way", lambda: None)
    assert "another run was asked for at this moment" in ask(client)
    assert ReplayOrder.objects.count() == 1


def test_a_reason_that_is_markup_is_shown_as_text_everywhere(signed_in: SignedIn) -> None:
    client = signed_in(Role.DRI)
    order = order_row(reason=EVIL, actor=EVIL, why=EVIL, state="failed")
    for page in (text(client, "replays"), text(client, "replay", order.run_id), ask(client, reason=EVIL + "x" * 500)):
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert(1)" in page
    folder(
        verdict="FAIL",
        criteria=[criterion(EVIL, "FAIL", reason=EVIL)],
        examples=[{"kind": EVIL, "subject": EVIL, "witness": EVIL}],
        refusals={EVIL: 3},
        doubts=[EVIL],
    )
    assert "<script>alert" not in text(client, "replay", RUN)


def test_an_address_that_names_no_run_is_not_found(signed_in: SignedIn) -> None:
    client = signed_in(Role.DRI)
    for run_id in ("r20980102T030405-0a0b0c", "latest", "..", "\x00", EVIL.replace("/", "")):
        assert client.get(reverse("admin:replay", args=[run_id])).status_code == 404
        assert client.get(reverse("admin:replay_progress", args=[run_id])).status_code == 404
        refused = client.post(reverse("admin:replay_cancel", args=[run_id]), {"reason": "\x00"}, follow=True)
        assert "was not started from the console" in refused.content.decode()
    folder()
    assert "nothing to compare with" in text(client, "replay", RUN, query="?with=%00")


def test_runs_of_the_command_line_are_listed_with_what_their_files_and_the_audit_log_say(signed_in: SignedIn) -> None:
    folder()
    entered(OTHER, verdict="FAIL")  # of `--no-files`
    bundle_row(run_id="r20990101T030405-0a0b0c")
    page = text(signed_in(Role.AUDITOR), "replays")
    row = page[page.index(f">{RUN}</a>") :]
    for told in ("PASS", "os:ada", "seed 1", "30,000", "1,000/s", "29,400", "7.00 ms"):
        assert told in row
    other = page[page.index(f">{OTHER}</a>") : page.index(f">{RUN}</a>")]
    assert "FAIL" in other
    assert other.count("UNKNOWN") == 2  # rate and P95 are floats, and stand in files alone
    assert "a: INCONCLUSIVE</a>" in page


def test_the_list_is_filtered_by_verdict_in_the_address(signed_in: SignedIn) -> None:
    folder()
    entered(OTHER, verdict="FAIL")
    client = signed_in(Role.DRI)
    assert RUN not in text(client, "replays", query="?verdict=FAIL")
    assert OTHER in text(client, "replays", query="?verdict=FAIL")
    assert "No run matches" in text(client, "replays", query="?verdict=INCONCLUSIVE")


def test_without_any_run_the_page_says_how_one_is_made(signed_in: SignedIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replays, "verdicts_by_run", dict)  # other tests' runs stay in the audit log
    assert "No replay yet." in text(signed_in(Role.DRI), "replays")


def test_a_running_run_is_polled_with_its_figures_and_a_settled_one_ends_the_polling(signed_in: SignedIn) -> None:
    client, order = signed_in(Role.LEADERSHIP), order_row()
    with living(order):
        answer = client.get(reverse("admin:replay_progress", args=[order.run_id]))
        assert (answer.status_code, "no-store" in answer["Cache-Control"]) == (200, True)
        told = answer.content.decode()
    for figure in ("12,000", "11,990", "11,700", "7.10 ms", "about 18 s"):
        assert figure in told
    assert "order-status" not in told  # read aloud only at the end
    state = re.search(r'id="order-state"[^>]*>(.*?)</div>', told, re.DOTALL)
    assert state is not None
    assert re.sub("<[^>]*>", " ", state[1]).split() == ["play_circle", "running"]
    ReplayOrder.objects.update(state="cancelled", why="cancelled by dri")
    answer = client.get(reverse("admin:replay_progress", args=[order.run_id]))
    assert answer.status_code == 286
    assert "Stopped at 12,000 of 30,000: cancelled by dri." in answer.content.decode()


def test_a_run_that_has_said_nothing_for_long_is_told_to_be_silent(signed_in: SignedIn) -> None:
    order = order_row(seen_at=ago(minutes=3))
    with living(order):
        assert "No word from its process for 3 min" in text(signed_in(Role.DRI), "replay", order.run_id)


def test_a_run_that_was_started_long_ago_and_never_took_its_lock_is_dead(signed_in: SignedIn) -> None:
    client = signed_in(Role.DRI)
    order = order_row(started_at=ago(seconds=10))
    assert "its process died" not in text(client, "replay", order.run_id)
    ReplayOrder.objects.update(started_at=ago(minutes=2))
    assert "its process died" in text(client, "replay", order.run_id)
    assert "died" in text(client, "replays")


def test_nothing_but_a_pass_is_green(signed_in: SignedIn) -> None:
    client = signed_in(Role.DRI)
    folder()
    assert "console-state--good" in text(client, "replay", RUN)
    folder(OTHER, verdict="INCONCLUSIVE", criteria=[criterion("lost", "INCONCLUSIVE", actual=None)], lost=None)
    page = text(client, "replay", OTHER)
    assert "console-state--good" not in page
    assert "UNKNOWN: the database could not be read" in page


def test_the_sentence_tells_what_was_refused_and_what_is_not_met(signed_in: SignedIn) -> None:
    criteria = [criterion("accepted", "FAIL", actual=0.4, unit="ratio")]
    folder(verdict="FAIL", refusals={"503 lane_full": 17_588}, criteria=criteria, kept_pace=False)
    page = text(signed_in(Role.DRI), "replay", RUN)
    assert "30,000 of 30,000 sent; the target answered 17,588 first attempts with 503 lane_full" in page
    assert "not met: accepted; the generator or its connections were behind schedule." in page


def test_the_histogram_counts_every_ack_on_its_side_of_120_ms(signed_in: SignedIn) -> None:
    folder(acks_ms=(2.0, 119.9, 120.0, 120.4, 500.0))
    page = text(signed_in(Role.DRI), "replay", RUN)
    assert "distribution of 5 acks" in page
    assert "60.00 % within 120 ms" in page


def test_two_runs_stand_side_by_side_with_their_differences_in_words(signed_in: SignedIn) -> None:
    folder()
    folder(OTHER, verdict="FAIL", lost=3, ack_ms={"p50": 2.1, "p95": 10.5, "p99": None, "max": 81.0})
    page = text(signed_in(Role.DRI), "replay", RUN, query=f"?with={OTHER}")
    for words in ("3 more", "3.50 ms longer (50%)", "the same", "UNKNOWN: not measured in both"):
        assert words in page
    assert "nothing to compare with" in text(signed_in(Role.AUDITOR), "replay", RUN, query="?with=nothing")


def test_the_list_takes_the_same_number_of_queries_however_many_runs_there_are(signed_in: SignedIn) -> None:
    client = signed_in(Role.DRI)

    def count() -> int:
        SHOWN.forget()  # else the banner's query falls into the first count alone
        with CaptureQueriesContext(connection) as queries:
            text(client, "replays")
        return len(queries)

    folder()
    count()  # what a process reads once, such as content types, is read here
    few = count()
    for number in range(12):
        folder(f"r209902{number + 10}T030405-0a0b0c")
        order_row(f"r209903{number + 10}T030405-0a0b0c", state="failed", why="no")
    assert count() == few


def test_a_poll_takes_few_queries(signed_in: SignedIn) -> None:
    client, order = signed_in(Role.DRI), order_row()
    with living(order):
        client.get(reverse("admin:replay_progress", args=[order.run_id]))
        with CaptureQueriesContext(connection) as queries:
            client.get(reverse("admin:replay_progress", args=[order.run_id]))
    assert len(queries) <= 7


def test_the_bounds_of_the_form_are_those_that_are_checked(signed_in: SignedIn) -> None:
    page = text(signed_in(Role.DRI), "replay_plan")
    assert all(f"{each.at_least:,} to {each.at_most:,}" in page for each in asked.BOUNDS)


def test_a_run_that_can_no_longer_be_signed_is_not_run_and_leaves_no_folder() -> None:
    order = orders.settle(order_row(provider="gone").pk)
    assert order.state == "failed"
    assert "there is no such provider" in order.why
    assert not (runs_root() / UNDER_WAY).exists()
    assert not list((runs_root().parent / "orders").iterdir())  # its lock is gone with it
