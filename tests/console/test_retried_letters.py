"""From the console's button to the stored event: real lanes, a real drain, a real commit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from console.roles import Role
from ingestion.buffer.store import LaneBuffer
from ingestion.drain import Drainer
from ingestion.models import DeadLetter, Event, SuppressedDuplicate
from tests.console.letters import DEAD, QUARANTINE, change, confirmed, freed, later_event, mended, picked, text_of
from tests.console.rows import event_row
from tests.support.lanes import LANES

pytestmark = pytest.mark.django_db(transaction=True)

type SignedIn = Callable[..., Client]


def drained(drainer: Drainer) -> None:
    for lane in range(LANES):
        drainer.drain(lane, job_id="test")


def retried(client: Client, address: str, *rows: Any) -> str:
    """Through preview and confirmation. The outcome's address."""
    preview = client.post(f"{address}retry/", picked(*rows))
    done = client.post(f"{address}retry/", confirmed(preview, reason="the fault is mended"))
    assert done.status_code == 302
    return str(done["Location"])


@pytest.mark.parametrize(("address", "make"), [(DEAD, mended), (QUARANTINE, freed)])
def test_a_retried_letter_is_stored_with_its_id_and_its_page_tells_the_whole_way(
    signed_in: SignedIn, buffer: LaneBuffer, drainer: Drainer, address: str, make: Any
) -> None:
    letter = make()
    client = signed_in(Role.DRI)
    outcome = retried(client, address, letter)
    assert "on its way: not committed yet" in text_of(client.get(outcome))
    drained(drainer)
    page = client.get(outcome)
    assert "retried and stored" in text_of(page)
    event = Event.objects.get(pk=letter.pk)
    assert change(event) in page.content.decode()
    assert bytes(event.identity) == bytes(letter.identity)
    assert event.redriven_from_sequence == letter.sequence
    text = text_of(client.get(change(letter)))
    assert "What became of it Retried and stored" in text
    assert "Retry…" not in text
    there = client.get(change(event))
    assert change(letter) in there.content.decode()
    assert f"it stood aside, accepted first as {letter.sequence:,}" in text_of(there)


def test_letters_of_one_key_go_back_in_the_order_in_which_they_were_accepted(
    signed_in: SignedIn, buffer: LaneBuffer, drainer: Drainer
) -> None:
    letters = [mended(f"m-{n}", sequence=n + 1) for n in range(5)]
    retried(signed_in(Role.DRI), DEAD, *reversed(letters))
    drained(drainer)
    stored = list(Event.objects.order_by("batch_id", "sequence").values_list("pk", flat=True))
    assert stored == [letter.pk for letter in letters]


def test_a_duplicate_is_closed_and_nothing_is_stored_twice(
    signed_in: SignedIn, buffer: LaneBuffer, drainer: Drainer
) -> None:
    letter = mended()
    holder = event_row(identity=bytes(letter.identity), content_sha256=bytes(letter.content_sha256))
    client = signed_in(Role.DRI)
    outcome = retried(client, DEAD, letter)
    drained(drainer)
    page = client.get(outcome)
    assert "nothing was stored twice" in text_of(page)
    assert change(holder) in page.content.decode()
    assert list(Event.objects.values_list("pk", flat=True)) == [holder.pk]
    assert not SuppressedDuplicate.objects.filter(event_id=letter.pk, original_event_id=letter.pk).exists()


def test_an_event_that_takes_the_identity_meanwhile_makes_the_retry_fail_honestly(
    signed_in: SignedIn, buffer: LaneBuffer, drainer: Drainer
) -> None:
    letter = mended()
    client = signed_in(Role.DRI)
    outcome = retried(client, DEAD, letter)
    event_row(identity=bytes(letter.identity))
    drained(drainer)
    assert "open again, it failed once more: its identity is held by" in text_of(client.get(outcome))
    assert DeadLetter.objects.get(pk=letter.pk).state == "open"
    attempts = text_of(client.get(change(letter))).partition("Asked for")[2]
    assert "a check refused it" in attempts, "the first attempt's error is kept"
    assert "its identity is held by" in attempts


def test_a_retry_behind_later_events_says_so_before_and_is_marked_after(
    signed_in: SignedIn, buffer: LaneBuffer, drainer: Drainer
) -> None:
    letter = mended()
    later = later_event(letter)
    client = signed_in(Role.DRI)
    preview = client.post(f"{DEAD}retry/", picked(letter))
    assert f"the last at sequence {later.sequence}" in text_of(preview)
    retried(client, DEAD, letter)
    drained(drainer)
    assert Event.objects.get(pk=letter.pk).redriven_at is not None
