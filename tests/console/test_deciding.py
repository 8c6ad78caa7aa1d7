"""Retry and discard in the console: what is shown before, what is done, what is on record, and who may."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from console.access import Permission
from console.actions import set_aside
from console.roles import PERMISSIONS_BY_ROLE, Role
from console.set_aside import chosen, decide, decide_order
from evidence.models import AuditEntry
from ingestion.models import DeadLetter, SetAsideState
from tests.console.letters import (
    DEAD,
    FINGERPRINT,
    QUARANTINE,
    change,
    confirmed,
    fates,
    freed,
    later_event,
    mended,
    newest_entry,
    newest_number,
    picked,
    poisoned,
    text_of,
)
from tests.console.rows import ago, dead_letter_row, event_row, provider_row, quarantined_row

pytestmark = pytest.mark.django_db

HOSTILE = '"><script>alert(1)</script>'


def listed(client: Client, address: str, **filters: str) -> set[Any]:
    response = client.get(address, filters)
    assert response.status_code == 200, response
    return {row.pk for row in response.context["cl"].result_list}


@pytest.mark.parametrize("address", [DEAD, QUARANTINE])
def test_letters_are_filtered_by_state_provider_and_age(signed_in: Any, address: str) -> None:
    provider_row("default")
    provider_row("billing")
    event = event_row()

    def make(**fields: Any) -> Any:
        return dead_letter_row(**fields) if address == DEAD else quarantined_row(event, **fields)

    fresh = make()
    old = make(received_at=ago(days=9))
    billed = make(provider="billing", received_at=ago(hours=5))
    given_up = make(state=SetAsideState.DISCARDED, received_at=ago(hours=5))
    client = signed_in(Role.AUDITOR)
    assert listed(client, address) == {fresh.pk, old.pk, billed.pk, given_up.pk}
    assert listed(client, address, state="discarded") == {given_up.pk}
    assert listed(client, address, provider="billing") == {billed.pk}
    assert listed(client, address, age="hour") == {fresh.pk}
    assert listed(client, address, age="day") == {fresh.pk, billed.pk, given_up.pk}
    assert listed(client, address, age="older") == {old.pk}
    assert listed(client, address, age="day", state="open", provider="default") == {fresh.pk}


def test_groups_tell_how_many_failed_alike_and_lead_to_them(signed_in: Any) -> None:
    first = mended("m-1", dead_at=ago(hours=2))
    newest = mended("m-2", dead_at=ago(hours=1))
    mended("m-3", state=SetAsideState.DISCARDED)
    other = poisoned(error="NaN is no JSON number")
    client = signed_in(Role.AUDITOR)
    page = client.get(f"{DEAD}groups/")
    rows = page.context["rows"]
    assert [(row["group"].fingerprint, row["group"].count) for row in rows] == [
        (FINGERPRINT, 2),
        (other.fingerprint, 1),
    ]
    assert change(newest) in page.content.decode()
    assert listed(client, rows[0]["link"]) == {first.pk, newest.pk}
    every = client.get(f"{DEAD}groups/?state=all").context["rows"]
    assert every[0]["group"].count == 3
    assert client.get(f"{DEAD}groups/?provider=billing").context["rows"] == []
    assert "No dead letter matches" in text_of(client.get(f"{DEAD}groups/?provider=billing"))


def test_a_letters_page_says_what_a_retry_would_do_and_offers_both_acts(signed_in: Any) -> None:
    letter = mended()
    client = signed_in(Role.DRI)
    text = text_of(client.get(change(letter)))
    assert "It would be stored" in text
    assert "Retry…" in text
    assert "Discard…" in text
    later_event(letter)
    assert "out of order" in text_of(client.get(change(letter)))
    assert "would fail again" in text_of(client.get(change(poisoned())))


def test_buttons_that_one_may_not_press_say_who_may(signed_in: Any) -> None:
    letter = mended()
    client = signed_in(Role.AUDITOR)
    for address in (DEAD, change(letter), f"{DEAD}groups/"):
        text = text_of(client.get(address))
        assert "Retry takes the permission ingestion.retry_set_aside: DRI and Platform Ops have it" in text, address
        assert "Retry…" not in text
        assert "Discard ticked" not in text


def test_a_preview_says_for_each_letter_and_in_sums_what_will_happen(signed_in: Any) -> None:
    clean, late, twice, stuck = mended("m-1"), mended("m-2", key="customer-2"), mended("m-3"), poisoned()
    later_event(late)
    holder = event_row(identity=bytes(twice.identity), content_sha256=bytes(twice.content_sha256))
    gone = mended("m-4", state=SetAsideState.DISCARDED)
    form = picked(clean, late, twice, stuck, gone)
    unknown = uuid4()
    form["pick"].append(str(unknown))
    preview = signed_in(Role.DRI).post(f"{DEAD}retry/", form)
    assert fates(preview) == {
        "stored": 1,
        "out_of_order": 1,
        "duplicate": 1,
        "still_fails": 1,
        "not_open": 1,
        "unknown_id": 1,
    }
    text = text_of(preview)
    assert f"after sequence {late.sequence}" in text
    assert f"/admin/ingestion/event/{holder.pk}/change/" in preview.content.decode()
    assert "NaN" in text
    assert "was discarded" in text
    assert str(unknown) in text
    assert "Retry 3 dead letters" in text
    assert DeadLetter.objects.filter(state=SetAsideState.OPEN).count() == 4, "a preview changes nothing"


def test_a_preview_asks_the_database_as_often_for_many_letters_as_for_few(signed_in: Any) -> None:
    letters = [mended(f"m-{n}", key=f"customer-{n}") for n in range(40)]
    client = signed_in(Role.DRI)
    counts = []
    for rows in (letters[:2], letters):
        with CaptureQueriesContext(connection) as queries:
            assert client.post(f"{DEAD}retry/", picked(*rows)).status_code == 200
        counts.append(len(queries))
    assert counts[1] <= counts[0] + 2


@pytest.mark.parametrize(("address", "make"), [(DEAD, mended), (QUARANTINE, freed)])
def test_a_discard_needs_a_reason_and_is_on_record_with_it(signed_in: Any, address: str, make: Any) -> None:
    letter = make()
    client = signed_in(Role.PLATFORM_OPS)
    preview = client.post(f"{address}discard/", picked(letter))
    before = newest_number()
    again = client.post(f"{address}discard/", confirmed(preview, reason="  "))
    assert "Say why: a discard needs a reason" in text_of(again)
    letter.refresh_from_db()
    assert (letter.state, newest_number()) == ("open", before)
    done = client.post(f"{address}discard/", confirmed(again, reason="test data of 3 May"))
    entry = newest_entry()
    assert entry is not None
    assert done["Location"] == f"{address}outcome/{entry.number}/"
    letter.refresh_from_db()
    assert (letter.state, letter.discard_reason) == ("discarded", "test data of 3 May")
    assert bytes(letter.payload_bytes), "the bytes stay"
    assert (entry.number, entry.actor, entry.reason) == (before + 1, "platform_ops", "test data of 3 May")
    assert entry.facts["done"] == [str(letter.pk)]
    assert str(letter.pk) in entry.subject
    outcome = client.get(done["Location"])
    text = text_of(outcome)
    assert "discarded: test data of 3 May" in text
    assert change(entry) in outcome.content.decode()
    assert "platform_ops" in text


@pytest.mark.parametrize(("address", "make"), [(DEAD, mended), (QUARANTINE, freed)])
def test_a_retry_is_on_record_and_its_letters_are_on_their_way(signed_in: Any, address: str, make: Any) -> None:
    letter = make()
    client = signed_in(Role.DRI)
    preview = client.post(f"{address}retry/", picked(letter))
    before = newest_number()
    done = client.post(f"{address}retry/", confirmed(preview, reason=""))
    entry = newest_entry()
    assert entry is not None
    assert done["Location"] == f"{address}outcome/{entry.number}/"
    letter.refresh_from_db()
    assert letter.state == SetAsideState.RETRYING
    assert (entry.number, entry.actor, entry.facts["refused"]) == (before + 1, "dri", [])
    assert "on its way" in text_of(client.get(done["Location"]))


def test_what_changed_since_the_preview_is_shown_and_nothing_is_done(signed_in: Any) -> None:
    taken, left = mended("m-1"), mended("m-2", key="customer-2")
    client = signed_in(Role.DRI)
    preview = client.post(f"{DEAD}retry/", picked(taken, left))
    DeadLetter.objects.filter(pk=taken.pk).update(state=SetAsideState.DISCARDED)
    before = newest_number()
    answer = client.post(f"{DEAD}retry/", confirmed(preview))
    text = text_of(answer)
    assert "Nothing was done. 1 of these has changed" in text
    assert "Changed." in text
    left.refresh_from_db()
    assert (left.state, newest_number()) == ("open", before)
    done = client.post(f"{DEAD}retry/", confirmed(answer))
    assert done.status_code == 302, "the new preview holds what is left, and it can be confirmed"
    left.refresh_from_db()
    assert left.state == SetAsideState.RETRYING


def test_a_double_click_retries_once_and_says_so(signed_in: Any) -> None:
    letter = mended()
    client = signed_in(Role.DRI)
    form = confirmed(client.post(f"{DEAD}retry/", picked(letter)))
    before = newest_number()
    assert client.post(f"{DEAD}retry/", form).status_code == 302
    assert "being sent again already" in text_of(client.post(f"{DEAD}retry/", form))
    assert newest_number() == before + 1


def test_what_another_takes_in_the_very_moment_is_refused_by_name_on_the_outcome(
    signed_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken, left = mended("m-1"), mended("m-2", key="customer-2")
    client = signed_in(Role.DRI)
    preview = client.post(f"{DEAD}discard/", picked(taken, left))
    planned = decide.foreseen_changes

    def then_taken(*arguments: Any, **named: Any) -> Any:
        found = planned(*arguments, **named)
        DeadLetter.objects.filter(pk=taken.pk).update(state=SetAsideState.RETRYING)
        return found

    monkeypatch.setattr(decide, "foreseen_changes", then_taken)
    done = client.post(f"{DEAD}discard/", confirmed(preview, reason="test"))
    text = text_of(client.get(done["Location"]))
    assert "Refused: 1 stayed as they were" in text
    assert f"{taken.pk} it is being sent again already" in text
    assert "1 dead letter discarded" in text


def test_all_that_match_are_the_open_ones_of_the_lists_filter(signed_in: Any) -> None:
    provider_row("default")
    wanted = [mended(f"m-{n}", key=f"customer-{n}", received_at=ago(minutes=9 - n)) for n in range(3)]
    mended("m-7", state=SetAsideState.RETRIED)
    mended("m-8", provider="billing")
    poisoned()
    client = signed_in(Role.DRI)
    address = f"{DEAD}retry/?provider=default&error={FINGERPRINT}"
    preview = client.post(address, {"all": "1", "pick": [str(uuid4())]})
    assert [each.event_id for each in preview.context["plan"].letters] == sorted(row.pk for row in wanted)
    assert f"{DEAD}?provider=default&error={FINGERPRINT}" in preview.content.decode().replace("&amp;", "&")
    found = client.post(f"{DEAD}retry/?q=m-1", {"all": "1"})
    assert [each.event_id for each in found.context["plan"].letters] == [wanted[1].pk]
    nothing = client.post(f"{DEAD}retry/?provider=default&state=discarded", {"all": "1"}, follow=True)
    assert "No open letter matches the filter" in text_of(nothing)


def test_one_order_takes_the_oldest_up_to_its_bound_and_says_that_there_are_more(
    signed_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (set_aside, chosen, decide, decide_order):
        monkeypatch.setattr(module, "ACT_LIMIT_COUNT", 3)
    for module in (chosen, decide_order):
        monkeypatch.setattr(module, "ORDER_LIMIT_COUNT", 4)
    letters = [mended(f"m-{n}", key=f"customer-{n}", received_at=ago(minutes=9 - n)) for n in range(5)]
    client = signed_in(Role.DRI)
    preview = client.post(f"{DEAD}retry/", {"all": "1"})
    assert preview.context["count"] == "4"
    assert [each.event_id for each in preview.context["plan"].letters] == [row.pk for row in letters[:3]]
    assert "There may be more: one order takes 4 at most" in text_of(preview)
    too_many = client.post(f"{DEAD}retry/", picked(*letters), follow=True)
    assert "5 letters at once are too many" in text_of(too_many)
    forged = {"foreseen": [f"{row.pk}:stored" for row in letters]}
    assert "5 letters at once are too many" in text_of(client.post(f"{DEAD}retry/", forged, follow=True))


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({}, "Nothing was ticked"),
        ({"pick": ["x"]}, "no valid id"),
        ({"foreseen": ["x:stored"]}, "The preview cannot be read"),
        ({"foreseen": [":"]}, "The preview cannot be read"),
    ],
)
def test_a_choice_that_is_none_leads_back_to_the_list_and_says_why(
    signed_in: Any, form: dict[str, Any], told: str
) -> None:
    answer = signed_in(Role.DRI).post(f"{DEAD}retry/?state=open", form, follow=True)
    assert told in text_of(answer)
    assert answer.redirect_chain == [(f"{DEAD}?state=open", 302)]


@pytest.mark.parametrize("verb", ["retry", "discard"])
def test_nothing_is_done_by_get_nor_without_the_forms_token(person: Any, verb: str) -> None:
    letter = mended()
    client = Client(enforce_csrf_checks=True)
    client.force_login(person(Role.DRI), backend="django.contrib.auth.backends.ModelBackend")
    assert client.get(f"{DEAD}{verb}/", {"foreseen": f"{letter.pk}:stored", "reason": "x"}).status_code == 302
    assert f"Choose letters to {verb} here first" in text_of(client.get(f"{DEAD}{verb}/?state=open", follow=True))
    forged = {"foreseen": [f"{letter.pk}:stored", f"{letter.pk}:discarded"], "reason": "x"}
    assert client.post(f"{DEAD}{verb}/", forged).status_code == 403
    letter.refresh_from_db()
    assert letter.state == SetAsideState.OPEN


@pytest.mark.parametrize("address", [DEAD, QUARANTINE])
@pytest.mark.parametrize(("verb", "fate"), [("retry", "stored"), ("discard", "discarded")])
@pytest.mark.parametrize("role", [*Role, None])
def test_who_may_decide_and_a_refusal_is_on_record(
    signed_in: Any, role: Role | None, verb: str, fate: str, address: str
) -> None:
    letter = mended() if address == DEAD else freed()
    may = role in (Role.DRI, Role.PLATFORM_OPS)
    reads = role in (Role.DRI, Role.PLATFORM_OPS, Role.AUDITOR)
    client = signed_in(role)
    before = newest_number()
    preview = client.post(f"{address}{verb}/", picked(letter))
    act = client.post(f"{address}{verb}/", {"foreseen": [f"{letter.pk}:{fate}"], "reason": "test"})
    assert (preview.status_code, act.status_code) == ((200, 302) if may else (403, 403))
    letter.refresh_from_db()
    assert (letter.state != SetAsideState.OPEN) == may
    entries = list(AuditEntry.objects.filter(number__gt=before).order_by("number"))
    if may:
        assert [entry.act.partition(".")[0] for entry in entries] == [
            "dead_letter" if address == DEAD else "quarantine"
        ]
    elif reads:
        assert {entry.act for entry in entries} == {"permission.refused"}
        assert {entry.facts["permission"] for entry in entries} == {f"ingestion.{verb}_set_aside"}
        assert {entry.actor for entry in entries} == {role.name.lower() if role else "nobody"}
        assert {entry.subject.partition(" ")[0] for entry in entries} == {verb}
        assert "DRI" in preview.content.decode()
    else:
        assert {entry.act for entry in entries} == {"permission.refused"}
    assert len(entries) == (1 if may else 2), "each refusal once"


def test_the_two_permissions_are_for_the_dri_and_platform_ops_alone() -> None:
    for permission in (Permission.SET_ASIDE_RETRY, Permission.SET_ASIDE_DISCARD):
        holders = {role for role, held in PERMISSIONS_BY_ROLE.items() if permission in held}
        assert holders == {Role.DRI, Role.PLATFORM_OPS}


def test_an_outcome_is_of_its_own_kind_of_letters_or_not_found(signed_in: Any) -> None:
    client = signed_in(Role.DRI)
    preview = client.post(f"{DEAD}discard/", picked(mended()))
    done = client.post(f"{DEAD}discard/", confirmed(preview, reason="test"))["Location"]
    assert client.get(done).status_code == 200
    assert client.get(done.replace("deadletter", "quarantinedevent")).status_code == 404
    assert client.get(f"{DEAD}outcome/{newest_number() + 1}/").status_code == 404
    assert signed_in(Role.LEADERSHIP).get(done).status_code == 403


def test_no_text_of_a_sender_becomes_markup_where_letters_are_decided(signed_in: Any) -> None:
    letter = mended(HOSTILE, event_type=HOSTILE, error=HOSTILE, error_class=HOSTILE)
    client = signed_in(Role.DRI)
    preview = client.post(f"{DEAD}discard/", picked(letter))
    done = client.post(f"{DEAD}discard/", confirmed(preview, reason=HOSTILE))
    pages = [preview, client.get(done["Location"]), client.get(change(letter)), client.get(f"{DEAD}groups/?state=all")]
    for page in pages:
        raw = page.content.decode()
        assert "<script>alert(1)" not in raw
        assert "&lt;script&gt;" in raw
