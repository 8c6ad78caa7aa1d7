"""The pages of destinations and outgoing messages: who may do what, on record, and what is refused in words."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from console.access import Permission
from console.actions import destinations as acts
from console.actions.operator import Operator, RefusalRecorded
from console.alert_kinds import KINDS
from console.roles import PERMISSIONS_BY_ROLE, Role
from evidence.alerts import raise_alert
from evidence.audit import Actor
from evidence.models import Alert, AuditEntry, Destination, Outgoing, WithheldCount
from ingestion.secret_box import fingerprint_of, seal, unseal
from tests.console.rows import provider_row

pytestmark = pytest.mark.django_db
State = Outgoing.State
HOSTILE = '"><script>alert(1)</script>'


def text_of(answer: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def destination(name: str = "hooks", **fields: Any) -> Destination:
    given = {
        "address": "https://hooks.example.com/x",
        "secret_ciphertext": seal("whsec_" + "a" * 44),
        "secret_fingerprint": fingerprint_of("whsec_" + "a" * 44),
        "created_at": timezone.now() - timedelta(days=1),
    }
    return Destination.objects.create(name=name, **{**given, **fields})


def message(state: State, to: Destination, **fields: Any) -> Outgoing:
    now = timezone.now()
    given = {
        "message_id": str(uuid4()),
        "event_id": uuid4(),
        "provider": "default",
        "state": state,
        "attempt_count": 12 if state == State.DEAD else 1,
        "error": "it answered 500, not 2xx" if state == State.DEAD else "",
        "next_attempt_at": now,
        "created_at": now,
        "settled_at": None if state == State.WAITING else now,
    }
    return Outgoing.objects.create(destination=to, **{**given, **fields})


def add(client: Client, **changes: Any) -> Any:
    form = {"name": "on-call", "address": "https://hooks.example.com/y", "tells_alerts": "on", **changes}
    return client.post(reverse("admin:destination_add"), {name: value for name, value in form.items() if value != ""})


def change(client: Client, to: Destination, act: str, reason: str = "") -> str:
    form = {"act": act, "reason": reason}
    answer = client.post(reverse("admin:destination", args=[to.pk]), form, follow=True)
    assert answer.status_code == 200
    return " ".join(str(each) for each in answer.context["messages"])


def decide(client: Client, act: str, *rows: Outgoing, reason: str = "its owner says so", query: str = "") -> str:
    form = {"act": act, "reason": reason, "pick": [row.pk for row in rows]}
    answer = client.post(reverse("admin:outgoing") + query, form, follow=True)
    assert answer.status_code == 200
    return " ".join(str(each) for each in answer.context["messages"])


@pytest.mark.parametrize("role", [*Role, None])
def test_who_reads_destinations_and_messages_and_nobody_else(signed_in: Any, role: Role | None) -> None:
    to = destination()
    message(State.DEAD, to)
    client = signed_in(role)
    held = PERMISSIONS_BY_ROLE[role] if role else frozenset()
    reads, manages = Permission.DESTINATION_READ in held, Permission.DESTINATION_MANAGE in held
    assert client.get(reverse("admin:destinations")).status_code == (200 if reads else 403)
    assert client.get(reverse("admin:destination", args=[to.pk])).status_code == (200 if reads else 403)
    assert client.get(reverse("admin:outgoing")).status_code == (200 if Permission.OUTGOING_READ in held else 403)
    assert client.get(reverse("admin:destination_add")).status_code == (200 if manages else 403)


def test_without_any_the_pages_say_what_to_do(signed_in: Any) -> None:
    client = signed_in(Role.PLATFORM_OPS)
    told = text_of(client.get(reverse("admin:destinations")))
    assert "Nobody is told of anything yet" in told
    assert "The mode is OBSERVER: nothing is sent to the outside" in told
    assert "none is dead, none was withheld" in text_of(client.get(reverse("admin:outgoing")))


def test_an_added_destination_shows_its_secret_this_once_and_is_on_record_without_it(signed_in: Any) -> None:
    provider_row("mail")
    client = signed_in(Role.PLATFORM_OPS)
    answer = add(client, forwards="on", providers="mail\n", event_types="mail.bounced", alert_kinds=["lag"])
    row = Destination.objects.get(name="on-call")
    secret = unseal(row.secret_ciphertext)
    assert secret in answer.content.decode()
    assert "no-store" in answer["Cache-Control"]
    assert (row.alert_kinds, row.forwards, row.providers, row.event_types) == (
        ["lag"],
        True,
        ["mail"],
        ["mail.bounced"],
    )
    entry = AuditEntry.objects.filter(act="destination.added").latest("number")
    assert (entry.actor, entry.subject) == ("platform_ops", "destination on-call")
    assert secret.removeprefix("whsec_") not in json.dumps(entry.facts)
    for address in (reverse("admin:destinations"), reverse("admin:destination", args=[row.pk])):
        assert secret not in client.get(address).content.decode()


def test_a_mail_address_is_added_without_a_secret_where_there_is_a_mail_server(signed_in: Any, settings: Any) -> None:
    client = signed_in(Role.PLATFORM_OPS)
    assert "EMAIL_URL is not set" in text_of(add(client, address="mailto:ops@example.com"))
    assert not Destination.objects.exists()
    settings.AUTOCOM = replace(settings.AUTOCOM, email_url="smtp://127.0.0.1:25?from=autocom@example.com")
    assert "mail takes alerts alone" in text_of(add(client, address="mailto:ops@example.com", forwards="on"))
    answer = add(client, address="mailto:ops@example.com")
    assert answer["Location"] == reverse("admin:destinations")
    told = text_of(client.get(reverse("admin:destination", args=[Destination.objects.get().pk])))
    assert "none: mail is not signed" in told


def test_one_that_is_told_everything_and_forwarded_to_takes_every_kind_of_alert(signed_in: Any) -> None:
    add(signed_in(Role.PLATFORM_OPS), forwards="on")
    row = Destination.objects.get(name="on-call")
    assert (row.tells_alerts, row.alert_kinds, row.forwards) == (True, sorted(KINDS), True)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"name": "on call"}, "the name takes letters, digits"),
        ({"name": "hooks"}, "there is a destination hooks already"),
        ({"address": "https://anna:pw@hooks.example.com/x"}, "holds a user or password"),
        ({"address": "gopher://hooks.example.com"}, "this is no address to send to"),
        ({"tells_alerts": ""}, "Tick what it is told"),
        ({"providers": "nobody", "forwards": "on"}, "There is no provider nobody"),
        ({"event_types": "mail.bounced"}, "choose what is forwarded"),
        ({"alert_kinds": ["weather"]}, "Select a valid choice"),
        ({"name": HOSTILE}, "the name takes letters, digits"),
    ],
)
def test_what_is_no_destination_is_refused_in_words_and_adds_nothing(
    signed_in: Any, changes: dict[str, Any], told: str
) -> None:
    destination()
    answer = add(signed_in(Role.PLATFORM_OPS), **changes)
    assert answer.status_code == 200
    assert told in text_of(answer)
    assert "<script>alert(1)" not in answer.content.decode()
    assert list(Destination.objects.values_list("name", flat=True)) == ["hooks"]


@pytest.mark.parametrize("role", [Role.DRI, Role.LEADERSHIP, Role.AUDITOR])
def test_only_platform_ops_changes_destinations_and_a_refusal_is_on_record(signed_in: Any, role: Role) -> None:
    to = destination()
    client = signed_in(role)
    assert add(client).status_code == 403
    for act in ("disable", "remove"):
        answer = client.post(reverse("admin:destination", args=[to.pk]), {"act": act, "reason": "because"})
        assert answer.status_code == 403
    assert Destination.objects.get().enabled
    assert AuditEntry.objects.filter(act="permission.refused", actor=role.name.lower()).count() == 3
    if role is not Role.LEADERSHIP:
        told = text_of(client.get(reverse("admin:destination", args=[to.pk])))
        assert "Changing a destination takes the permission evidence.manage_destination: Platform Ops has it" in told


def test_the_act_itself_asks_for_the_permission_whoever_calls_it() -> None:
    nobody = Operator(actor=Actor.process("rows"), has=lambda _: False)
    with pytest.raises(RefusalRecorded):
        acts.add(nobody, name="on-call", address="https://hooks.example.com/x", alert_kinds=[])
    assert not Destination.objects.exists()
    refused = AuditEntry.objects.filter(act="permission.refused").latest("number")
    assert (refused.subject, refused.facts) == ("destination on-call", {"permission": "evidence.manage_destination"})


def test_a_destination_is_switched_and_removed_once_its_messages_are_settled(signed_in: Any) -> None:
    to = destination()
    dead = message(State.DEAD, to)
    client = signed_in(Role.PLATFORM_OPS)
    assert change(client, to, "disable") == "hooks is disabled."
    assert change(client, to, "disable") == "hooks was disabled already."
    assert "knows enable, disable and remove" in change(client, to, "explode")
    told = text_of(client.get(reverse("admin:destination", args=[to.pk])))
    assert "1 message to it is not settled" in told
    assert "1 messages to hooks are not settled" in change(client, to, "remove", reason="moved")
    assert "say why" in change(client, to, "remove", reason=" ")
    decide(client, "discard", dead)
    assert change(client, to, "enable") == "hooks is enabled."
    assert change(client, to, "remove", reason="moved") == "hooks is removed."
    assert not Destination.objects.exists()
    done = AuditEntry.objects.filter(act__startswith="destination.").order_by("number").values_list("act", "reason")
    assert list(done) == [("destination.changed", ""), ("destination.changed", ""), ("destination.removed", "moved")]
    assert client.get(reverse("admin:destination", args=[to.pk])).status_code == 404


def test_the_list_says_how_each_stands_and_what_was_withheld(signed_in: Any) -> None:
    hooks, idle = destination(), destination("idle", enabled=False)
    message(State.DEAD, hooks)
    message(State.SENT, hooks)
    message(State.WAITING, hooks)
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    WithheldCount.objects.create(destination=hooks, hour=hour, count=1_200)
    WithheldCount.objects.create(destination=hooks, hour=hour - timedelta(hours=1), count=34)
    WithheldCount.objects.create(destination=hooks, hour=hour - timedelta(hours=30), count=7)
    client = signed_in(Role.AUDITOR)
    answer = client.get(reverse("admin:destinations"))
    shown = {each.row.name: each for each in answer.context["destinations"]}
    assert (shown["hooks"].counts["dead"], shown["hooks"].counts["sent"], shown["hooks"].withheld) == (
        "1",
        "1",
        "1,234",
    )
    assert "it answered 500" in text_of(answer)
    assert shown["idle"].last_sent == "never"
    assert "disabled" in text_of(answer)
    detail = text_of(client.get(reverse("admin:destination", args=[hooks.pk])))
    assert f"{hour:%Y-%m-%d %H:%M} 1200" in detail
    assert f"{hour - timedelta(hours=30):%Y-%m-%d %H:%M} 7" in detail
    assert "held nothing back" in text_of(client.get(reverse("admin:destination", args=[idle.pk])))


def test_a_person_retries_releases_and_discards_with_a_reason_on_record(signed_in: Any) -> None:
    to = destination()
    dead, withheld, other = message(State.DEAD, to), message(State.WITHHELD, to), message(State.DEAD, to)
    raise_alert("outgoing", to.name, severity=Alert.Severity.TICKET, summary="given up")
    client = signed_in(Role.DRI)
    assert decide(client, "retry", dead) == "1 message due again."
    assert "the mode is asked again" in decide(client, "release", withheld)
    assert decide(client, "discard", other, reason="  old news ") == "1 message discarded."
    states = [Outgoing.objects.get(pk=row.pk).state for row in (dead, withheld, other)]
    assert states == [State.WAITING, State.WAITING, State.DISCARDED]
    entries = AuditEntry.objects.filter(act__startswith="outgoing.").order_by("number")
    assert [(each.act, each.actor, each.reason, each.facts["numbers"]) for each in entries] == [
        ("outgoing.retry_requested", "dri", "its owner says so", [dead.pk]),
        ("outgoing.released", "dri", "its owner says so", [withheld.pk]),
        ("outgoing.discarded", "dri", "old news", [other.pk]),
    ]
    assert Alert.objects.get(kind="outgoing").closed_at is not None


def test_what_cannot_be_decided_is_refused_in_words_and_nothing_is_done(signed_in: Any) -> None:
    to = destination()
    dead, withheld = message(State.DEAD, to), message(State.WITHHELD, to)
    client = signed_in(Role.PLATFORM_OPS)
    assert "is dead: nothing was done" in decide(client, "retry", dead, withheld)
    assert "say why" in decide(client, "discard", dead, reason="  ")
    assert "say why" in decide(client, "discard", dead, reason="x" * 5_000)
    assert "nothing was ticked" in decide(client, "discard")
    assert "this page knows retry, release, discard" in decide(client, "send", dead)
    forged = {"act": "retry", "reason": "go", "pick": ["1 OR 1=1"]}
    answer = client.post(reverse("admin:outgoing"), forged, follow=True)
    assert "is no number of a message" in text_of(answer)
    many = {"act": "retry", "reason": "go", "pick": [str(n) for n in range(51)]}
    assert "51 messages at once are too many" in text_of(client.post(reverse("admin:outgoing"), many, follow=True))
    assert {row.state for row in Outgoing.objects.all()} == {State.DEAD, State.WITHHELD}
    assert not AuditEntry.objects.filter(act__startswith="outgoing.").exists()


def test_an_auditor_decides_nothing_and_is_told_who_may(signed_in: Any) -> None:
    dead = message(State.DEAD, destination())
    client = signed_in(Role.AUDITOR)
    told = text_of(client.get(reverse("admin:outgoing")))
    assert "Deciding over messages takes the permission evidence.decide_outgoing: DRI and Platform Ops have it" in told
    form = {"act": "discard", "reason": "because", "pick": [dead.pk]}
    assert client.post(reverse("admin:outgoing"), form).status_code == 403
    assert Outgoing.objects.get().state == State.DEAD
    assert client.post(reverse("admin:outgoing"), {}).status_code == 403, "before anything else is looked at"
    refused = AuditEntry.objects.filter(act="permission.refused").values_list("actor", "subject")
    assert list(refused) == [("auditor", "outgoing messages")] * 2


def test_messages_are_filtered_and_paged_by_the_address(signed_in: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hooks, other = destination(), destination("other")
    dead, withheld = message(State.DEAD, hooks), message(State.WITHHELD, other)
    sent, waiting = message(State.SENT, hooks), message(State.WAITING, other)
    client = signed_in(Role.AUDITOR)

    def listed(**query: Any) -> list[int]:
        return [shown.row.pk for shown in client.get(reverse("admin:outgoing"), query).context["rows"]]

    assert listed() == [withheld.pk, dead.pk]
    assert listed(state="all") == [waiting.pk, sent.pk, withheld.pk, dead.pk]
    assert listed(state="sent") == [sent.pk]
    assert listed(destination="other") == [withheld.pk]
    assert listed(state="dead", destination="other") == []
    assert "Nothing matches" in text_of(client.get(reverse("admin:outgoing"), {"state": "discarded"}))
    assert "is no state" in text_of(client.get(reverse("admin:outgoing"), {"state": "lost"}))
    assert "is no key" in text_of(client.get(reverse("admin:outgoing"), {"before": "x"}))
    monkeypatch.setattr("console.pages.outgoing.PAGE_SIZE_COUNT", 2)
    assert listed(state="all") == [waiting.pk, sent.pk]
    assert listed(state="all", before=sent.pk) == [withheld.pk, dead.pk]
    assert listed(state="all", after=withheld.pk) == [waiting.pk, sent.pk]
    assert f"before={sent.pk}" in client.get(reverse("admin:outgoing"), {"state": "all"}).content.decode()


def test_after_an_act_the_filter_is_still_there(signed_in: Any) -> None:
    to = destination()
    row = message(State.DEAD, to)
    form = {"act": "discard", "reason": "old", "pick": [row.pk]}
    answer = signed_in(Role.DRI).post(reverse("admin:outgoing") + "?state=dead&destination=hooks", form)
    assert answer["Location"] == reverse("admin:outgoing") + "?state=dead&destination=hooks"


def test_no_text_from_outside_becomes_markup(signed_in: Any) -> None:
    to = destination(address=f"https://hooks.example.com/{HOSTILE}", event_types=[HOSTILE], forwards=True)
    alert = raise_alert("lag", HOSTILE, severity=Alert.Severity.PAGE, summary=HOSTILE)
    message(State.DEAD, to, error=HOSTILE, event_id=None, alert=alert)
    client = signed_in(Role.PLATFORM_OPS)
    for address in (
        reverse("admin:destinations"),
        reverse("admin:destination", args=[to.pk]),
        reverse("admin:outgoing"),
        reverse("admin:outgoing") + f"?destination={HOSTILE}",
    ):
        raw = client.get(address).content.decode()
        assert "<script>alert(1)" not in raw, address


def test_nothing_is_done_by_get_nor_without_the_forms_token(person: Any) -> None:
    to = destination()
    row = message(State.DEAD, to)
    client = Client(enforce_csrf_checks=True)
    client.force_login(person(Role.PLATFORM_OPS), backend="django.contrib.auth.backends.ModelBackend")
    client.get(reverse("admin:outgoing"), {"act": "discard", "reason": "x", "pick": str(row.pk)})
    client.get(reverse("admin:destination", args=[to.pk]), {"act": "disable"})
    form = {"act": "discard", "reason": "x", "pick": [row.pk]}
    assert client.post(reverse("admin:outgoing"), form).status_code == 403
    assert client.post(reverse("admin:destination", args=[to.pk]), {"act": "disable"}).status_code == 403
    assert (Outgoing.objects.get().state, Destination.objects.get().enabled) == (State.DEAD, True)


def test_the_lists_ask_the_database_as_often_for_many_rows_as_for_few(signed_in: Any) -> None:
    client = signed_in(Role.PLATFORM_OPS)
    message(State.DEAD, destination())
    for name in ("destinations", "outgoing"):
        client.get(reverse(f"admin:{name}"))
    counts: dict[str, list[int]] = {"destinations": [], "outgoing": []}
    for more in (0, 20):
        for n in range(more):
            to = destination(f"more-{n}")
            message(State.DEAD, to)
            WithheldCount.objects.create(destination=to, hour=timezone.now(), count=1)
        for name, found in counts.items():
            with CaptureQueriesContext(connection) as queries:
                client.get(reverse(f"admin:{name}"))
            found.append(len(queries))
    assert counts["destinations"][0] == counts["destinations"][1] <= 15
    assert counts["outgoing"][0] == counts["outgoing"][1] <= 15
