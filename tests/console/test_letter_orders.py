"""More letters than one act takes: asked for, carried out act by act, cancelled, killed, asked again. Nothing twice."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.conf import settings
from django.contrib.auth.models import Permission as StoredPermission
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client, override_settings
from playwright.sync_api import expect
from rq import Queue
from rq.serializers import JSONSerializer

from console.access import Permission
from console.jobs import start_letters
from console.management.deadletters import acting
from console.pages import orders as order_pages
from console.roles import PERMISSIONS_BY_ROLE, Role
from console.set_aside import chosen, decide, decide_order, orders
from evidence.models import AuditEntry, SetAsideOrder
from evidence.orders.life import living
from evidence.orders.steps import Steps
from ingestion.buffer import keys
from ingestion.buffer.store import LaneBuffer
from ingestion.drain import Drainer
from ingestion.models import DeadLetter, Event, SetAsideAttempt, SetAsideState
from ingestion.worker import rq_client
from tests.console.conftest import MODEL_BACKEND, OpenPage, faults
from tests.console.letters import DEAD, QUARANTINE, freed, many, mended, text_of
from tests.console.rows import provider_row
from tests.support.lanes import LANES
from tests.support.workers import environment, process_of, running_worker, wait_for

pytestmark = pytest.mark.django_db(transaction=True)
State = SetAsideOrder.State
SECONDS = 60.0  # a busy machine imports Django
TO_BE_RETRIED, TO_BE_DISCARDED = f"{DEAD}retry/", f"{DEAD}discard/"


@pytest.fixture(autouse=True)
def own_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("DB_URL", "REDIS_URL"):
        monkeypatch.setenv(name, environment()[name])
    monkeypatch.setenv("EVIDENCE_ROOT", str(tmp_path))
    with override_settings(AUTOCOM=replace(settings.AUTOCOM, evidence_root=tmp_path)):
        yield


@pytest.fixture
def by_threes(monkeypatch: pytest.MonkeyPatch) -> None:
    """One act takes three letters."""
    for module in (chosen, decide, decide_order, orders):
        monkeypatch.setattr(module, "ACT_LIMIT_COUNT", 3)


def ask(client: Client, address: str, *, query: str = "", **form: str) -> SetAsideOrder:
    """By the preview's form, as its button sends it."""
    before = set(SetAsideOrder.objects.values_list("pk", flat=True))
    answer = client.post(f"{address}{query}", {**form_of(client.post(f"{address}{query}", {"all": "1"})), **form})
    assert answer.status_code == 302, text_of(answer)
    made = SetAsideOrder.objects.exclude(pk__in=before).get()
    assert answer["Location"] == re.sub("(retry|discard)/$", f"orders/{made.pk}/", address)
    return made


def form_of(preview: Any) -> dict[str, str]:
    found = re.findall(
        r'<input type="hidden" name="(all|letters|newest_batch)" value="([^"]*)"', preview.content.decode()
    )
    assert len(found) == 3, text_of(preview)
    return dict(found)


def page_of(client: Client, order: SetAsideOrder, *, place: str = DEAD) -> str:
    return text_of(client.get(f"{place}orders/{order.pk}/"))


def at(order: SetAsideOrder) -> SetAsideOrder:
    order.refresh_from_db()
    return order


def acts_of(order: SetAsideOrder) -> list[tuple[str, str]]:
    entries = AuditEntry.objects.filter(subject=f"dead letters, order {order.pk}").order_by("number")
    return [(each.act, each.actor) for each in entries]


def in_state(state: str) -> int:
    return DeadLetter.objects.filter(state=state).count()


@pytest.mark.usefixtures("by_threes")
def test_a_preview_of_many_tells_how_many_which_errors_and_what_becomes_of_the_oldest(
    signed_in: Callable[..., Client],
) -> None:
    many(4)
    mended("m-9", error_class="OperationalError", error="the disk was full", fingerprint="f" * 16)
    client = signed_in(Role.DRI)
    text = text_of(client.post(TO_BE_RETRIED, {"all": "1"}))
    for part in (
        "Retry 5 dead letters: preview",
        "What would become of the oldest 3",
        "3 would be stored",
        "All 5, by error",
        "DataError: a check refused it 4",
        "OperationalError: the disk was full 1",
    ):
        assert part in text, part
    assert in_state("open") == 5, "a preview changes nothing"
    assert not SetAsideOrder.objects.exists()


@pytest.mark.usefixtures("by_threes")
def test_confirmed_it_waits_on_record_with_its_page_and_in_the_list_and_nothing_has_changed(
    signed_in: Callable[..., Client],
) -> None:
    letters = many(5)
    client = signed_in(Role.DRI)
    order = ask(client, TO_BE_RETRIED, query="?state=open", reason="<b>mended</b>")
    assert (order.state, order.count, order.chosen, order.actor) == (State.WAITING, 5, "state=open", "dri")
    assert orders.letters_of(order) == [each.pk for each in letters]
    assert in_state("open") == 5
    entry = AuditEntry.objects.filter(act="set_aside.ordered").latest("number")
    assert (entry.subject, entry.reason, entry.facts["count"]) == (
        f"dead letters, order {order.pk}",
        "<b>mended</b>",
        5,
    )
    assert entry.facts["chosen"] == "state=open"
    page = client.get(f"{DEAD}orders/{order.pk}/")
    assert "Waits for the ops worker" in text_of(page)
    assert "<b>mended</b>" not in page.content.decode()
    assert "data-live" in page.content.decode()
    assert f"{order.pk}: Retry 5 dead letters schedule waiting 0 of 5 dri" in text_of(client.get(DEAD))
    again = client.post(
        f"{TO_BE_RETRIED}?state=open", form_of(client.post(f"{TO_BE_RETRIED}?state=open", {"all": "1"}))
    )
    assert again["Location"] == f"{DEAD}orders/{order.pk}/", "a double click asks once"


@pytest.mark.usefixtures("by_threes")
def test_what_somebody_else_decided_since_the_preview_is_shown_and_nothing_is_done(
    signed_in: Callable[..., Client],
) -> None:
    letters = many(6)
    client = signed_in(Role.DRI)
    form = form_of(client.post(TO_BE_RETRIED, {"all": "1"}))
    mended("set aside after the preview")
    DeadLetter.objects.filter(pk=letters[2].pk).update(state=SetAsideState.DISCARDED)
    answer = client.post(TO_BE_RETRIED, form)
    assert "Nothing was done. The letters that match are not the ones" in text_of(answer)
    assert "Retry 5 dead letters" in text_of(answer), "of the preview's moment: what came later is no part of it"
    assert client.post(TO_BE_RETRIED, form_of(answer)).status_code == 302
    assert SetAsideOrder.objects.get().count == 5


@pytest.mark.usefixtures("by_threes")
def test_a_discard_of_many_asks_for_a_reason(signed_in: Callable[..., Client]) -> None:
    many(4)
    client = signed_in(Role.PLATFORM_OPS)
    form = form_of(client.post(TO_BE_DISCARDED, {"all": "1"}))
    assert "Say why: a discard needs a reason" in text_of(client.post(TO_BE_DISCARDED, {**form, "reason": " "}))
    assert not SetAsideOrder.objects.exists()


@pytest.mark.usefixtures("by_threes")
def test_a_cancelled_order_ends_between_two_acts_and_the_rest_can_be_asked_for(
    signed_in: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    many(7)
    client = signed_in(Role.DRI)
    order = ask(client, TO_BE_DISCARDED, reason="test data")
    act_on = orders.act_on

    def then_cancelled(*arguments: Any) -> AuditEntry:
        entry = act_on(*arguments)
        if not at(order).cancel_asked_at:
            assert client.post(f"{DEAD}discard/orders/{order.pk}/cancel/").status_code == 302
        return entry

    monkeypatch.setattr(orders, "act_on", then_cancelled)
    orders.settle(order.pk)
    assert (at(order).state, order.position, order.done_count) == (State.CANCELLED, 3, 3)
    assert (in_state("discarded"), in_state("open")) == (3, 4)
    text = page_of(client, order)
    assert "Stopped after 3 of 7 letters: cancelled by dri" in text
    assert "The other 4 stay as they were." in text
    assert [act for act, _ in acts_of(order)] == [
        "set_aside.ordered",
        "dead_letter.discarded",
        "set_aside.order_cancelled",
        "set_aside.order_ended",
    ]
    monkeypatch.undo()
    assert client.post(f"{DEAD}discard/orders/{order.pk}/cancel/", follow=True).status_code == 200
    assert "Discard the 4 dead letters that are left" in text
    client.post(f"{DEAD}discard/orders/{order.pk}/rest/")
    rest = SetAsideOrder.objects.latest("pk")
    assert (rest.rest_of_id, rest.count, rest.reason) == (order.pk, 4, "test data")
    assert orders.settle(rest.pk).state == State.DONE
    assert (at(rest).done_count, in_state("discarded"), in_state("open")) == (4, 7, 0)
    text = page_of(client, rest)
    assert "4 discarded, 0 left as they were." in text
    assert f"the rest of order {order.pk}" in text
    assert f"Order {rest.pk} for what was left" in page_of(client, order)


@pytest.mark.usefixtures("by_threes")
def test_one_that_waits_is_cancelled_at_once(signed_in: Callable[..., Client]) -> None:
    many(4)
    client = signed_in(Role.DRI)
    order = ask(client, TO_BE_RETRIED)
    client.post(f"{DEAD}discard/orders/{order.pk}/cancel/")
    assert at(order).state == State.WAITING, "not by the address of another act"
    client.post(f"{DEAD}retry/orders/{order.pk}/cancel/")
    assert at(order).state == State.CANCELLED
    assert "cancelled before it began" in page_of(client, order)
    assert start_letters() is None


@pytest.mark.usefixtures("by_threes")
def test_a_permission_that_was_taken_away_after_asking_ends_the_order_on_record_and_touches_nothing(
    signed_in: Callable[..., Client],
) -> None:
    many(5)
    order = ask(signed_in(Role.DRI), TO_BE_DISCARDED, reason="test data")
    User.objects.get(username="dri").groups.clear()
    orders.settle(order.pk)
    assert (at(order).state, order.position, in_state("open")) == (State.FAILED, 0, 5)
    assert order.why == "dri does not hold ingestion.discard_set_aside any more: what is left was not touched"
    assert acts_of(order)[-1] == ("set_aside.order_ended", "dri")
    refused = AuditEntry.objects.filter(act="permission.refused", actor="dri").latest("number")
    assert refused.facts == {"permission": Permission.SET_ASIDE_DISCARD.value}


@pytest.mark.usefixtures("by_threes")
@pytest.mark.parametrize("change", [{"is_active": False}, {"is_staff": False}])
def test_whoever_may_not_sign_in_any_more_has_no_order_carried_out(
    signed_in: Callable[..., Client], change: dict[str, bool]
) -> None:
    many(4)
    order = ask(signed_in(superuser=True), TO_BE_DISCARDED, reason="test data")
    User.objects.filter(username="root").update(**change)
    orders.settle(order.pk)
    assert (at(order).state, in_state("open")) == (State.FAILED, 4)


@pytest.mark.usefixtures("by_threes")
def test_two_processes_at_one_order_do_nothing_twice(signed_in: Callable[..., Client]) -> None:
    many(6)
    order = ask(signed_in(Role.DRI), TO_BE_DISCARDED, reason="test data")
    slow, quick = SetAsideOrder.objects.get(), SetAsideOrder.objects.get()
    first = next(orders.batches_left(slow))
    orders.act_on(quick, first)
    with pytest.raises(orders.TurnTaken):
        orders.act_on(slow, first)
    assert (at(order).position, order.done_count, order.refused_count) == (3, 3, 0)
    SetAsideOrder.objects.update(state=State.DIED)  # and asked again meanwhile, by whoever saw it dead
    with pytest.raises(orders.TurnTaken):
        orders.act_on(quick, list(orders.batches_left(quick))[-1])
    assert in_state("discarded") == 3


@pytest.mark.usefixtures("by_threes")
def test_two_orders_over_the_same_letters_do_each_letter_once(signed_in: Callable[..., Client]) -> None:
    many(4)
    client = signed_in(Role.DRI)
    discard = ask(client, TO_BE_DISCARDED, reason="test data")
    retry = ask(client, TO_BE_RETRIED)
    with living(discard):
        SetAsideOrder.objects.filter(pk=discard.pk).update(state=State.RUNNING)
        assert f"Waits until order {discard.pk} has ended" in page_of(client, retry)
        assert start_letters() is None
    orders.settle(discard.pk)
    orders.settle(retry.pk)
    assert (at(retry).state, retry.done_count, retry.refused_count) == (State.DONE, 0, 4)
    assert (in_state("discarded"), SetAsideAttempt.objects.count()) == (4, 0)
    assert "0 sent back to their lanes, 4 left as they were." in page_of(client, retry)


@pytest.mark.usefixtures("by_threes")
def test_the_way_to_the_audit_log_is_shown_to_who_may_read_it(
    signed_in: Callable[..., Client], person: Callable[..., User]
) -> None:
    many(4)
    client = signed_in(Role.DRI)
    address = f"{DEAD}orders/{ask(client, TO_BE_RETRIED).pk}/"
    assert "its entries in the audit log" in text_of(client.get(address))
    stranger = person()
    stranger.user_permissions.add(StoredPermission.objects.get(codename="view_deadletter"))
    client.force_login(stranger, backend=MODEL_BACKEND)
    assert "its entries in the audit log" not in text_of(client.get(address))


@pytest.mark.usefixtures("by_threes")
def test_quarantined_events_are_ordered_alike(signed_in: Callable[..., Client]) -> None:
    for _ in range(4):
        freed()
    client = signed_in(Role.DRI)
    text = text_of(client.post(f"{QUARANTINE}discard/", {"all": "1"}))
    assert "All 4, by provider" in text
    order = ask(client, f"{QUARANTINE}discard/", reason="test data")
    assert orders.settle(order.pk).state == State.DONE
    assert "4 discarded" in page_of(client, order, place=QUARANTINE)
    assert client.get(f"{DEAD}orders/{order.pk}/").status_code == 404


@pytest.mark.usefixtures("by_threes")
@pytest.mark.parametrize("role", list(Role))
def test_who_may_cancel_an_order_and_ask_for_its_rest(signed_in: Callable[..., Client], role: Role) -> None:
    many(4)
    order = ask(signed_in(superuser=True), TO_BE_RETRIED)
    client, may = signed_in(role), Permission.SET_ASIDE_RETRY in PERMISSIONS_BY_ROLE[role]
    if Permission.DEAD_LETTER_READ in PERMISSIONS_BY_ROLE[role]:
        page = client.get(f"{DEAD}orders/{order.pk}/").content.decode()
        assert ("disabled>Cancel the order" in page) == (not may)
    assert client.post(f"{DEAD}retry/orders/{order.pk}/cancel/").status_code == (302 if may else 403)
    assert (at(order).state == State.CANCELLED) == may
    assert client.post(f"{DEAD}retry/orders/{order.pk}/rest/").status_code == (302 if may else 403)
    assert SetAsideOrder.objects.count() == 1 + may


@pytest.mark.usefixtures("by_threes")
def test_the_command_line_carries_out_lists_cancels_and_asks_again(
    signed_in: Callable[..., Client], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*words: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            call_command("deadletters", *words)
        told = capsys.readouterr()
        return int(str(ended.value.code)), told.out + told.err

    monkeypatch.setattr(acting, "ACT_LIMIT_COUNT", 3)
    letters = many(5)
    provider_row("default")
    waits = ask(signed_in(Role.DRI), TO_BE_DISCARDED, reason="test data")
    words = ("discard", "--provider", "default", "--reason", "test data", "--limit", "100000", "--yes")
    assert run(*words) == (
        2,
        f"deadletters discard: order {waits.pk} is under way for the same letters: "
        "deadletters orders says how far it is\n",
    )
    assert run("cancel", str(waits.pk)) == (0, f"order {waits.pk} is cancelled: 0 of 5 letters have had their turn\n")
    DeadLetter.objects.filter(pk=letters[0].pk).update(state=SetAsideState.RETRIED)
    status, told = run(*words, "--json")
    assert (status, json.loads(told)["done_count"], in_state("discarded")) == (0, 4, 4)
    status, told = run("rest", str(waits.pk))
    assert (status, "over 5 letters waits for the ops worker" in told) == (0, True)
    assert orders.settle(SetAsideOrder.objects.latest("pk").pk).state == State.DONE
    listed = run("orders")[1]
    assert f"order {waits.pk}  dead_letter discard  cancelled  0 of 5 had their turn" in listed
    assert "done       5 of 5 had their turn, 0 done, 5 left as they were" in listed
    assert run("cancel", "999999")[0] == 2
    assert run("carry-out", "--order", "999999")[0] == 2


def test_a_killed_process_is_shown_as_died_at_once_and_the_rest_is_retried_once(
    signed_in: Callable[..., Client], buffer: LaneBuffer, drainer: Drainer
) -> None:
    many(620)
    client = signed_in(Role.DRI)
    order = ask(client, TO_BE_RETRIED, reason="mended")
    Queue(keys.OPS_QUEUE, connection=rq_client(), serializer=JSONSerializer).enqueue(start_letters)
    with running_worker(queue=keys.OPS_QUEUE):
        wait_for(lambda: at(order).state != State.WAITING, what="the ops worker starts it", seconds=SECONDS)
    wait_for(lambda: at(order).position == 500, what="the first act is done", seconds=SECONDS)
    wait_for(lambda: "waiting until" in at(order).step, what="it waits for its letters", seconds=SECONDS)
    assert (in_state("retrying"), in_state("open")) == (500, 120), "no more are on the lanes than of one act"
    assert client.get(f"{DEAD}orders/{order.pk}/progress/").status_code == 200
    assert "500 of 620" in client.get(f"{DEAD}orders/{order.pk}/").content.decode()
    killed = process_of("carry-out", "--order", str(order.pk))
    killed.kill()
    wait_for(lambda: not killed.is_running() or killed.status() == psutil.STATUS_ZOMBIE, what="it is gone")
    assert at(order).state == State.RUNNING  # nobody has written it down yet
    assert "Its process died after 500 of 620 letters. The other 120 stay as they were." in page_of(client, order)
    assert client.get(f"{DEAD}orders/{order.pk}/progress/").status_code == 286
    assert "died 500 of 620" in text_of(client.get(DEAD))
    drained(drainer)
    client.post(f"{DEAD}retry/orders/{order.pk}/rest/")
    assert at(order).state == State.DIED
    assert acts_of(order)[-1] == ("set_aside.order_ended", "ops")
    rest = SetAsideOrder.objects.latest("pk")
    assert (rest.count, start_letters()) == (120, rest.pk)
    wait_for(lambda: drained(drainer) and not at(rest).is_open, what="its letters are committed", seconds=SECONDS)
    assert (rest.state, rest.done_count, rest.stored_count, rest.reopened_count) == (State.DONE, 120, 120, 0)
    assert (in_state("retried"), Event.objects.filter(redriven_at__isnull=False).count()) == (620, 620)
    assert SetAsideAttempt.objects.filter(number=2).count() == 620
    assert not SetAsideAttempt.objects.filter(number__gt=2).exists(), "nothing was retried twice"


def drained(drainer: Drainer) -> bool:
    """True, for who waits for what follows."""
    for lane in range(LANES):
        drainer.drain(lane, job_id="test")
    return True


@pytest.mark.browser
def test_progress_arrives_by_itself_through_to_the_end_and_a_reload_shows_the_same(
    open_page: OpenPage, buffer: LaneBuffer, drainer: Drainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order_pages, "POLL_SECONDS", 1)
    for module in (chosen, decide, decide_order, orders):
        monkeypatch.setattr(module, "ACT_LIMIT_COUNT", 100)
    many(250)
    page = open_page(Role.DRI)
    page.goto(f"{DEAD}?state=open")
    page.get_by_role("button", name="Retry all open that match…").click()
    assert faults(page) == []
    page.get_by_label("Reason").fill("the check is mended")
    page.get_by_role("button", name="Retry 250 dead letters").click()
    figures, status = page.locator("#order-figures"), page.locator("#order-status")
    expect(figures).to_contain_text("Waits for the ops worker")
    order = SetAsideOrder.objects.get()
    SetAsideOrder.objects.update(state=State.RUNNING, started_at=order.asked_at)
    with living(order):  # as its process, step by step
        steps = Steps(order)
        for batch, so_far in zip(list(orders.batches_left(order)), (100, 200, 250), strict=True):
            steps(f"retrying letters {so_far}")
            entry = orders.act_on(order, batch)
            expect(page.get_by_role("progressbar")).to_have_attribute("value", str(so_far))
            drained(drainer)
            orders.follow(order, entry, steps)
            if so_far == 200:
                expect(figures).to_contain_text(re.compile(r"Stored\s*200"))
                page.reload()
                expect(page.get_by_role("progressbar")).to_have_attribute("value", "200")
                expect(figures).to_contain_text(re.compile(r"Stored\s*200"))
                expect(page.locator("#order-state")).to_contain_text("running")
                assert faults(page) == []
    orders.settle(order.pk)
    expect(status).to_contain_text("250 sent back to their lanes, 0 left as they were.")
    expect(page.get_by_role("button", name="Cancel the order")).to_have_count(0)
    assert (in_state("retried"), Event.objects.filter(redriven_at__isnull=False).count()) == (250, 250)
    assert faults(page) == []
