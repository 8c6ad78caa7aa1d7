"""`manage.py outgoing` and `destination`: what a person decides on is done, on record, and closes the alert."""

from __future__ import annotations

import json

import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import override_settings
from django.utils import timezone

from console.actions import outgoing
from console.actions.operator import Operator, RefusalRecorded
from evidence.alerts import raise_alert
from evidence.audit import Actor
from evidence.models import Alert, AuditEntry, Destination, Outgoing
from ingestion.secret_box import is_sealed_by_newest, unseal
from tests.evidence.test_notifications import destination

pytestmark = pytest.mark.django_db(transaction=True)
State = Outgoing.State


def run(command: str, *arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        call_command(command, *arguments)
    return int(ended.value.code or 0)


def message(state: State, to: Destination, name: str = "m") -> Outgoing:
    now = timezone.now()
    return Outgoing.objects.create(
        destination=to, message_id=f"{name}-{state}", state=state, attempt_count=12, next_attempt_at=now, created_at=now
    )


def test_the_alert_is_closed_only_when_nothing_is_dead_any_more() -> None:
    to = destination("https://hooks.example.com/x")
    first, second = message(State.DEAD, to, "1"), message(State.DEAD, to, "2")
    raise_alert("outgoing", "hooks", severity=Alert.Severity.TICKET, summary="given up")
    assert run("outgoing", "retry", str(first.pk), "--reason", "it is up again", "--by", "anna") == 0
    first.refresh_from_db()
    assert (first.state, first.attempt_count) == (State.WAITING, 0)
    assert Alert.objects.get(kind="outgoing").closed_at is None
    assert run("outgoing", "discard", str(second.pk), "--reason", "old news") == 0
    assert Alert.objects.get(kind="outgoing").closed_at is not None
    entry = AuditEntry.objects.filter(act="outgoing.retry_requested").latest("number")
    assert (entry.actor, entry.reason, entry.facts) == ("os:anna", "it is up again", {"numbers": [first.pk]})


def test_what_is_in_another_state_is_refused_and_nothing_is_done() -> None:
    to = destination("https://hooks.example.com/x")
    withheld, sent = message(State.WITHHELD, to), message(State.SENT, to)
    assert run("outgoing", "release", str(withheld.pk), str(sent.pk), "--reason", "go") == 1
    assert Outgoing.objects.get(pk=withheld.pk).state == State.WITHHELD
    assert run("outgoing", "release", str(withheld.pk), "--reason", "go") == 0
    assert Outgoing.objects.get(pk=withheld.pk).state == State.WAITING


def test_who_lacks_the_permission_is_refused_on_record() -> None:
    dead = message(State.DEAD, destination("https://hooks.example.com/x"))
    nobody = Operator(actor=Actor.process("outgoing-test"), has=lambda _: False)
    with pytest.raises(RefusalRecorded):
        outgoing.retry(nobody, [dead.pk], reason="let me")
    assert Outgoing.objects.get().state == State.DEAD
    assert AuditEntry.objects.filter(act="permission.refused", actor="outgoing-test").exists()


def test_a_destination_is_removed_only_when_its_messages_are_settled(capsys: pytest.CaptureFixture[str]) -> None:
    to = destination("https://hooks.example.com/x")
    dead = message(State.DEAD, to)
    assert run("destination", "disable", "hooks") == 0
    assert run("destination", "remove", "hooks", "--reason", "moved") == 1
    capsys.readouterr()
    assert run("destination", "list", "--json") == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["enabled"], told["messages"]) == (False, {"dead": 1})
    run("outgoing", "discard", str(dead.pk), "--reason", "moved")
    assert run("destination", "remove", "hooks", "--reason", "moved") == 0
    assert not Destination.objects.exists()
    assert run("destination", "enable", "hooks") == 1


def test_rekeying_providers_takes_the_secrets_of_destinations_along() -> None:
    to = destination("https://hooks.example.com/x")
    secret = unseal(to.secret_ciphertext)
    with override_settings(PROVIDER_SECRETS_KEYS=("k" * 50, *settings.PROVIDER_SECRETS_KEYS)):
        assert run("provider", "rekey") == 0
        to.refresh_from_db()
        assert is_sealed_by_newest(to.secret_ciphertext)
        assert unseal(to.secret_ciphertext) == secret
    assert not is_sealed_by_newest(to.secret_ciphertext)
