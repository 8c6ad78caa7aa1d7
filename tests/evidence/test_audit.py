"""The audit log: an entry stands or falls with its act, and concurrent acts leave one chain without a gap."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from autocom.kernel.canonical_json import NotCanonical
from evidence import audit
from evidence.audit import Act, Actor, ActorKind, record
from evidence.errors import AuditLogBusy, OutsideTransaction
from evidence.models import AuditEntry, AuditHead
from evidence.selectors import audit_verification

SOMEBODY = Actor.process("test")


def newest_number() -> int:
    return AuditHead.objects.get().number


@pytest.mark.django_db(transaction=True)
def test_an_entry_outside_of_a_transaction_is_refused() -> None:
    before = newest_number()
    with pytest.raises(OutsideTransaction):
        record(Act.PROVIDER_ADDED, actor=SOMEBODY, subject="acme")
    assert newest_number() == before


@pytest.mark.django_db(transaction=True)
def test_an_entry_falls_with_its_act_and_leaves_no_gap() -> None:
    before = newest_number()
    with transaction.atomic():
        record(Act.PROVIDER_ADDED, actor=SOMEBODY, subject="acme")
        transaction.set_rollback(True)
    with transaction.atomic():
        record(Act.PROVIDER_ADDED, actor=SOMEBODY, subject="acme")
        with pytest.raises(NotCanonical), transaction.atomic():
            record(Act.PROVIDER_CHANGED, actor=SOMEBODY, subject="acme", facts={"rate": 0.5})
        record(Act.PROVIDER_CHANGED, actor=SOMEBODY, subject="acme", reason="why", facts={"a": [1, None, "ü"]})
    assert list(AuditEntry.objects.filter(number__gt=before).values_list("number", "act").order_by("number")) == [
        (before + 1, "provider.added"),
        (before + 2, "provider.changed"),
    ]
    assert audit_verification().is_sound


@pytest.mark.django_db(transaction=True)
def test_twenty_who_act_at_once_leave_one_gapless_chain() -> None:
    before = newest_number()
    start = threading.Barrier(20)

    def act(who: int) -> None:
        start.wait()
        try:
            for turn in range(5):
                with transaction.atomic():
                    record(Act.PROVIDER_CHANGED, actor=Actor.process(f"thread {who}"), subject=str(turn))
                    transaction.set_rollback(turn == 2)  # its number goes to the next one
        finally:
            connection.close()

    with ThreadPoolExecutor(20) as threads:
        list(threads.map(act, range(20)))
    found = audit_verification()
    assert [each.what for each in found.findings] == []
    assert found.head.number == before + 80
    assert AuditEntry.objects.filter(number__gt=before).count() == 80


@pytest.mark.django_db(transaction=True)
def test_an_act_that_never_ends_does_not_hold_the_others_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "LOCK_WAIT_MS", 100)
    acted, done = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            record(Act.PROVIDER_ADDED, actor=SOMEBODY, subject="slow")
            acted.set()
            done.wait(20)
            transaction.set_rollback(True)
        connection.close()

    with ThreadPoolExecutor(1) as threads:
        held = threads.submit(hold)
        assert acted.wait(20)
        with pytest.raises(AuditLogBusy), transaction.atomic():
            record(Act.PROVIDER_ADDED, actor=SOMEBODY, subject="other")
        done.set()
        held.result()
    with transaction.atomic():
        record(Act.PROVIDER_ADDED, actor=SOMEBODY, subject="other")


@pytest.mark.django_db
def test_what_was_recorded_is_what_is_read_and_hashed() -> None:
    texts = {"text": "\u2028 \u0001 \U0001f600 \\u0000 \"'", "large": 2**53 - 1, "nested": {"ü": [[], {}, None, False]}}
    entry = record(Act.PROVIDER_ADDED, actor=SOMEBODY, subject="\t acme \n", reason="\x7f", facts=texts)
    stored = AuditEntry.objects.get(number=entry.number)
    assert (stored.facts, stored.subject, stored.at) == (texts, "\t acme \n", entry.at)
    assert audit_verification().is_sound


@pytest.mark.django_db
@pytest.mark.parametrize("spoilt", ["a\x00b", "\ud800"])
def test_a_text_that_postgresql_cannot_keep_is_refused_before_it_is_asked(spoilt: str) -> None:
    with pytest.raises(NotCanonical):
        record(Act.PROVIDER_ADDED, actor=SOMEBODY, subject="acme", reason=spoilt)
    record(Act.PROVIDER_ADDED, actor=SOMEBODY, subject="acme")


def test_a_person_at_a_shell_is_no_username_of_the_console() -> None:
    actor = Actor.command_line("root")
    assert (actor.kind, actor.name) == (ActorKind.PERSON, "os:root")
    assert Actor.command_line().name.removeprefix("os:")


def test_acts_are_named_alike_and_once() -> None:
    values = [act.value for act in Act]
    assert len(set(values)) == len(values)
    assert all(noun.isascii() and past for noun, _, past in (value.partition(".") for value in values))
