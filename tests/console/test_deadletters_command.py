"""`manage.py deadletters`: what each verb prints, does, records and refuses, with its exit code."""

from __future__ import annotations

import json
import os
import pwd
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from ingestion.models import DeadLetter, SetAsideState
from tests.console.letters import (
    FINGERPRINT,
    freed,
    later_event,
    mended,
    newest_entry,
    newest_number,
    poisoned,
)
from tests.console.rows import ago, dead_letter_row, delivery_row, event_row, provider_row, quarantined_row

pytestmark = pytest.mark.django_db

type Ran = tuple[int, str, str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs the command; exit code, output and errors."""

    def run(*words: Any) -> Ran:
        with pytest.raises(SystemExit) as ended:
            call_command("deadletters", *map(str, words))
        told = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, told.out, told.err

    return run


def state_of(letter: Any) -> str:
    letter.refresh_from_db()
    return str(letter.state)


def test_list_filters_and_says_when_there_are_more(run: Any) -> None:
    provider_row("default")
    provider_row("billing")
    fresh, old = mended("m-1"), poisoned()
    DeadLetter.objects.filter(pk=old.pk).update(state=SetAsideState.DISCARDED)
    billed = dead_letter_row(provider="billing", received_at=ago(days=3))

    def found(*words: str) -> set[str]:
        status, out, _ = run("list", "--json", *words)
        assert status == 0
        return {each["event_id"] for each in json.loads(out)["letters"]}

    assert found() == {str(row.pk) for row in (fresh, old, billed)}
    assert found("--state", "open") == {str(fresh.pk), str(billed.pk)}
    assert found("--provider", "billing") == {str(billed.pk)}
    assert found("--error", FINGERPRINT) == {str(fresh.pk)}
    assert found("--since", "24h") == {str(fresh.pk), str(old.pk)}
    assert found("--since", "2020-01-31T08:00:00Z", "--state", "discarded") == {str(old.pk)}
    status, out, _ = run("list", "--limit", "1")
    assert (status, out.count("\n")) == (0, 2)
    assert "raise --limit" in out


def test_quarantined_events_are_listed_at_their_place(run: Any) -> None:
    row = quarantined_row(event_row())
    status, out, _ = run("list", "--place", "quarantine")
    assert status == 0
    assert str(row.pk) in out
    assert "1 quarantined event" in out


def test_groups_count_the_open_letters_that_failed_alike(run: Any) -> None:
    mended("m-1")
    newest = mended("m-2", dead_at=ago(seconds=0))
    mended("m-3", state=SetAsideState.DISCARDED)
    (group,) = json.loads(run("groups", "--json")[1])["groups"]
    assert (group["fingerprint"], group["count"], group["example"]) == (FINGERPRINT, 2, str(newest.pk))
    assert json.loads(run("groups", "--state", "all", "--json")[1])["groups"][0]["count"] == 3
    status, out, _ = run("groups")
    assert status == 0
    assert FINGERPRINT in out


def test_show_tells_why_what_was_tried_and_what_a_retry_would_do(run: Any) -> None:
    event = event_row()
    delivery_row(event, authorization="Bearer secret", **{"x-webhook-id": "w-1"})
    letter = mended(event_id=event.pk, payload_bytes=b'{"text": "\x1b[31mred"}')
    status, out, _ = run("show", letter.pk)
    assert status == 0
    for part in ("a check refused it", "still_fails: it would fail again", "x-webhook-id: w-1", FINGERPRINT):
        assert part in out, part
    assert "Bearer secret" not in out
    assert "\x1b" not in out, "a sender's text does not steer the terminal"
    shown = json.loads(run("show", letter.pk, "--json")[1])
    assert shown["payload_hex"] == bytes(letter.payload_bytes).hex()
    assert shown["retry_now"]["fate"] == "still_fails"
    assert run("show", freed().pk)[0] == 0
    status, out, _ = run("show", uuid4())
    assert status == 1
    assert "manage.py lineage" in out


def test_retry_is_a_dry_run_unless_told_otherwise(run: Any) -> None:
    clean, late = mended("m-1"), mended("m-2", key="customer-2")
    later_event(late)
    before = newest_number()
    status, out, _ = run("retry", clean.pk, late.pk)
    assert status == 0
    assert f"{clean.pk}  stored" in out
    assert f"{late.pk}  out_of_order" in out
    assert "dry run: nothing was done. --yes does it for 2 dead letters" in out
    assert (state_of(clean), newest_number()) == ("open", before)
    status, out, _ = run("retry", clean.pk, late.pk, "--yes")
    assert status == 0
    assert f"2 dead letters sent back to their lanes, 0 refused; audit entry {before + 1}" in out
    assert {state_of(clean), state_of(late)} == {"retrying"}


def test_an_act_is_on_record_as_the_person_at_the_command_line(run: Any) -> None:
    who = pwd.getpwuid(os.getuid()).pw_name
    for words, actor in (((), f"os:{who}"), (("--actor", "anna"), "os:anna")):
        letter = mended()
        run("discard", letter.pk, "--reason", " test data ", "--yes", *words)
        entry = newest_entry()
        assert entry is not None
        assert (entry.actor_kind, entry.actor, entry.reason) == ("person", actor, "test data")
        assert entry.facts["done"] == [str(letter.pk)]
        letter.refresh_from_db()
        assert (letter.state, letter.discard_reason) == ("discarded", "test data")


def test_what_is_refused_is_named_and_the_exit_code_is_1(run: Any) -> None:
    clean, stuck, unknown = mended("m-1"), poisoned(), uuid4()
    status, out, _ = run("retry", clean.pk, stuck.pk, unknown)
    assert status == 1
    assert f"! {stuck.pk}  still_fails" in out
    assert f"! {unknown}  unknown_id" in out
    status, out, _ = run("retry", clean.pk, stuck.pk, unknown, "--yes", "--json")
    done = json.loads(out)
    assert status == 1
    assert done["done"] == [str(clean.pk)]
    assert {each["event_id"]: each["fate"] for each in done["refused"]} == {
        str(stuck.pk): "still_fails",
        str(unknown): "unknown_id",
    }
    entry = newest_entry()
    assert entry is not None
    assert entry.facts["refused_count"] == 2
    assert (state_of(clean), state_of(stuck)) == ("retrying", "open")


def test_a_filter_means_the_oldest_open_letters_up_to_the_limit(run: Any) -> None:
    letters = [mended(f"m-{n}", key=f"customer-{n}", received_at=ago(minutes=9 - n)) for n in range(3)]
    mended("m-9", state=SetAsideState.DISCARDED)
    poisoned()
    status, out, _ = run("discard", "--error", FINGERPRINT, "--limit", "2", "--reason", "test", "--yes")
    assert status == 0
    assert "2 dead letters discarded" in out
    assert "more letters match" in out
    assert [state_of(letter) for letter in letters] == ["discarded", "discarded", "open"]
    status, out, _ = run("retry", "--error", "f" * 16)
    assert (status, out) == (0, "no open dead letter matches: nothing to retry\n")


def test_a_quarantined_event_whose_identity_is_held_is_not_retried_and_can_be_discarded(run: Any) -> None:
    row = quarantined_row(event_row(), is_whole=True)
    status, out, _ = run("retry", "--place", "quarantine", row.pk, "--yes")
    assert status == 1
    assert "conflict" in out
    assert state_of(row) == "open"
    assert run("discard", "--place", "quarantine", row.pk, "--reason", "the first one counts", "--yes")[0] == 0
    assert state_of(row) == "discarded"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("retry",), "Name ids, or a filter"),
        (("retry", str(uuid4()), "--since", "24h"), "exclude each other"),
        (("retry", "--provider", "nobody"), "there is no provider 'nobody': there are default"),
        (("list", "--place", "quarantine", "--error", FINGERPRINT), "quarantined events have no error"),
    ],
)
def test_arguments_that_do_not_go_together_are_refused_with_what_would(run: Any, words: Any, told: str) -> None:
    provider_row("default")
    status, out, err = run(*words)
    assert (status, out) == (2, "")
    assert told in err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("retry", "abc"), "'abc' is no event id"),
        (("list", "--error", "abc"), "16 hexadecimal digits"),
        (("list", "--since", "yesterday"), "write 24h, 7d, or 2027-01-31T08:00:00Z"),
        (("list", "--limit", "0"), "write a number from 1 to"),
        (("list", "--state", "dead"), "open"),
        (("list", "--place", "cellar"), "quarantine"),
        (("discard", str(uuid4())), "--reason"),
        (("discard", str(uuid4()), "--reason", "  "), "say why in 1 to"),
        (("discard", str(uuid4()), "--reason", "x" * 501), "say why in 1 to"),
        (("retry", str(uuid4()), "--actor", ""), "write who asks"),
        (("bury",), "retry"),
        ((), "VERB"),
    ],
)
def test_a_wrong_value_is_refused_with_a_right_one(words: tuple[str, ...], told: str) -> None:
    with pytest.raises(CommandError) as refused:
        call_command("deadletters", *words)
    assert told in str(refused.value)


def test_more_ids_than_one_act_takes_are_refused(run: Any) -> None:
    status, _, err = run("retry", "--limit", "2", *(uuid4() for _ in range(3)))
    assert status == 2
    assert "3 ids are too many at once: 2 at most" in err
