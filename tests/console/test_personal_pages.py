"""Personal data on pages and in commands: masked for everybody, revealed one event at a time, and on record."""

from __future__ import annotations

import html
import json
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import pytest
from django.core.management import call_command
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from console.access import Permission
from console.roles import PERMISSIONS_BY_ROLE, Role
from evidence.models import AuditEntry
from ingestion.models import Event
from ingestion.personal import marked_by
from ingestion.providers.adapter import IdentifiedEvent, InboundDelivery
from ingestion.providers.event_keys import recipient_key
from ingestion.providers.registry import ADAPTERS
from tests.console.letters import newest_entry
from tests.console.rows import dead_letter_row, delivery_row, duplicate_row, event_row, quarantined_row
from tests.providers.requests import fixtures
from tests.support.schemes import SCHEMES, TOPIC

pytestmark = pytest.mark.django_db

ADDRESS = "ada.lovelace@example.com"
KEY = f"message-1:{recipient_key(ADDRESS)}"
MARKED: dict[str, Any] = {"recipe": "sendgrid/1", "provider": "mail", "ordering_key": KEY}
PAYLOAD = {"event": "delivered", "email": ADDRESS, "reason": "mailbox of Lovelace is full"}
TYPES_SHOWN_COUNT = 4  # of each scheme; the test beside it looks at all of them, without pages
EVERYBODY = (*Role, None)  # None: a superuser
LISTS = ("event", "deadletter", "quarantinedevent", "suppressedduplicate")


def identified(scheme: str) -> Iterator[IdentifiedEvent]:
    """Every event of the scheme's recorded deliveries."""
    adapter = ADAPTERS[scheme]
    options = adapter.read_options({"topic_arns": [TOPIC]} if scheme == "ses" else {})
    for body, headers in fixtures(scheme):
        signed = SCHEMES[scheme].request(body)
        yield from adapter.identify(
            InboundDelivery(
                provider=scheme,
                headers={name.lower(): value for name, value in {**signed.headers, **headers}.items()},
                body=signed.body,
                url="https://hooks.example/",
                received_us=time.time_ns() // 1_000,
            ),
            options=options,
        )


def at(value: object, path: Sequence[str]) -> Iterator[str]:
    """The texts at a dotted path, found without the code under test."""
    if isinstance(value, list):
        for each in value:
            yield from at(each, path)
    elif not path and isinstance(value, dict):
        for each in value.values():
            yield from at(each, ())
    elif not path and isinstance(value, str):
        yield value
    elif path and isinstance(value, dict) and path[0] in value:
        yield from at(value[path[0]], path[1:])


def marked_texts(scheme: str, payload: object) -> set[str]:
    """Long enough not to be a word of the page itself."""
    paths = ADAPTERS[scheme].PERSONAL_PATHS
    found = {text for path in paths for text in at(payload, path.split("."))}
    return {text for text in found if len(text) >= 9 and text not in paths}


def text_of(client: Client, address: str, *, status: int = 200, **query: str) -> str:
    response = client.get(address, query)
    assert response.status_code == status, address
    return html.unescape(response.content.decode())


def page(row: Model) -> str:
    return reverse(f"admin:ingestion_{row._meta.model_name}_change", args=[row.pk])


def client_of(signed_in: Any, who: Role | None) -> Client:
    client: Client = signed_in(superuser=True) if who is None else signed_in(who)
    return client


def rows_of(scheme: str, event: IdentifiedEvent) -> list[Model]:
    """The same event stored, set aside, in quarantine beside the stored one, and come again."""
    payload = json.loads(event.payload)
    common: dict[str, Any] = {
        "recipe": event.recipe,
        "provider": scheme,
        "ordering_key": event.ordering_key,
        "message_id": event.message_id,
        "event_type": event.event_type,
    }
    stored = event_row(payload=payload, **common)
    delivery_row(stored, **{"x-to": next(iter(marked_texts(scheme, payload)), "")})
    quoted = json.dumps(payload)
    letter = dead_letter_row(
        payload_bytes=event.payload,
        error=f'invalid input: "{quoted}"\nDETAIL: {quoted}',
        fingerprint="ab" * 8,
        **common,
    )
    changed = json.dumps({**payload, "added": 1}).encode() if isinstance(payload, dict) else event.payload
    return [
        stored,
        letter,
        quarantined_row(stored, payload_bytes=changed, recipe=event.recipe, ordering_key=event.ordering_key),
        duplicate_row(stored),
    ]


@pytest.mark.parametrize("scheme", sorted(ADAPTERS))
def test_no_marked_text_of_the_recorded_events_is_on_a_page_of_anybody(signed_in: Any, scheme: str) -> None:
    clients = {who: client_of(signed_in, who) for who in EVERYBODY}
    seen_count, all_texts = 0, set[str]()
    one_of_each_type = {event.event_type: event for event in identified(scheme)}
    for number, event in enumerate(islice(one_of_each_type.values(), TYPES_SHOWN_COUNT)):
        texts = marked_texts(scheme, json.loads(event.payload))
        rows = rows_of(scheme, event)
        all_texts |= texts
        for who, client in clients.items():
            if number and who is not Role.DRI:
                continue  # what the page shows depends on the row; who may open it, on the person
            status = 403 if who is Role.LEADERSHIP else 200
            for row in rows:
                shown = text_of(client, page(row), status=status)
                assert [text for text in texts if text in shown] == [], (who, row)
                seen_count += 1
    for who, client in clients.items():
        status = 403 if who is Role.LEADERSHIP else 200
        addresses = [f"/admin/ingestion/{name}/" for name in LISTS]
        for address in [*addresses, "/admin/ingestion/deadletter/groups/"]:
            shown = text_of(client, address, status=status)
            assert [text for text in all_texts if text in shown] == [], (who, address)
    assert seen_count > 0
    assert all_texts or scheme in ("generic", "standard", "github", "slack", "stripe", "shopify"), (
        "nothing was looked for"
    )


@pytest.mark.parametrize("scheme", sorted(ADAPTERS))
def test_no_marked_text_of_any_recorded_event_is_left_by_the_mask(scheme: str) -> None:
    for event in identified(scheme):
        payload = json.loads(event.payload)
        shown = json.dumps(marked_by(event.recipe).payload(payload), ensure_ascii=False)
        shown += marked_by(event.recipe).ordering_key(event.ordering_key)
        assert [text for text in marked_texts(scheme, payload) if text in shown] == []


def test_neither_a_page_nor_its_length_depends_on_what_is_masked(signed_in: Any) -> None:
    client = signed_in(Role.DRI)
    short = event_row(payload={"email": "a@b.io"}, **MARKED)
    long = event_row(payload={"email": f"{'x' * 300}@example.com"}, **MARKED)
    shown = [text_of(client, page(row)) for row in (short, long)]
    sizes = [text.split("Show payload (")[1].split(" ")[0] for text in shown]
    assert sizes[0] == sizes[1]


def test_bytes_that_cannot_be_read_are_masked_whole(signed_in: Any) -> None:
    letter = dead_letter_row(payload_bytes=b'{"email": "' + ADDRESS.encode() + b'", "x": NaN}', **MARKED)
    shown = text_of(signed_in(Role.DRI), page(letter))
    assert ADDRESS not in shown
    assert "Show bytes" not in shown
    assert "masked whole" in shown


def test_the_preview_and_the_outcome_of_a_retry_quote_no_recipient(signed_in: Any) -> None:
    letter = dead_letter_row(payload_bytes=json.dumps(PAYLOAD).encode(), error=f'bad "{ADDRESS}"', **MARKED)
    client = signed_in(Role.PLATFORM_OPS)
    shown = client.post("/admin/ingestion/deadletter/retry/", {"pick": str(letter.pk)}).content.decode()
    assert ADDRESS not in shown
    assert str(letter.pk) in shown


# --- reveal ---


@pytest.mark.parametrize("row_of", [event_row, dead_letter_row], ids=["event", "dead letter"])
def test_a_reveal_shows_it_once_and_leaves_an_entry_without_the_data(signed_in: Any, row_of: Any) -> None:
    content = {"payload": PAYLOAD} if row_of is event_row else {"payload_bytes": json.dumps(PAYLOAD).encode()}
    row = row_of(**content, **MARKED)
    client = signed_in(Role.DRI)
    assert "Show once" in text_of(client, page(row))
    answer = client.post(page(row).replace("/change/", "/reveal/"), {"reason": "complaint 4711"})
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    shown = html.unescape(answer.content.decode())
    assert ADDRESS in shown
    assert KEY in shown
    entry = newest_entry()
    assert entry is not None
    assert (entry.act, entry.reason, entry.actor) == ("personal.revealed", "complaint 4711", "dri")
    assert str(row.pk) in entry.subject
    assert ADDRESS not in json.dumps(entry.facts) + entry.subject
    assert ADDRESS not in text_of(client, page(row))  # masked again


@pytest.mark.parametrize("reason", ["", "   ", "x" * 501])
def test_without_a_reason_nothing_is_shown(signed_in: Any, reason: str) -> None:
    row = event_row(payload=PAYLOAD, **MARKED)
    client = signed_in(Role.DRI)
    answer = client.post(page(row).replace("/change/", "/reveal/"), {"reason": reason}, follow=True)
    assert ADDRESS not in answer.content.decode()
    assert "Nothing was shown" in answer.content.decode()
    assert not AuditEntry.objects.filter(act="personal.revealed").exists()


@pytest.mark.parametrize("who", [Role.AUDITOR, Role.LEADERSHIP])
def test_who_may_not_reveal_is_refused_and_told_who_may(signed_in: Any, who: Role) -> None:
    row = event_row(payload=PAYLOAD, **MARKED)
    client = signed_in(who)
    answer = client.post(page(row).replace("/change/", "/reveal/"), {"reason": "curious"})
    assert answer.status_code == 403
    assert ADDRESS not in answer.content.decode()
    assert not AuditEntry.objects.filter(act="personal.revealed").exists()
    assert AuditEntry.objects.filter(act="permission.refused").exists()
    if who is Role.AUDITOR:
        shown = text_of(client, page(row))
        assert "Show once" not in shown
        assert "DRI and Platform Ops have it" in shown


def test_a_reveal_cannot_be_asked_for_by_a_link(signed_in: Any) -> None:
    row = event_row(payload=PAYLOAD, **MARKED)
    answer = signed_in(Role.DRI).get(page(row).replace("/change/", "/reveal/"), {"reason": "a link in a mail"})
    assert answer.status_code == 405


def test_where_nothing_is_marked_there_is_nothing_to_reveal(signed_in: Any) -> None:
    shown = text_of(signed_in(Role.DRI), page(event_row(payload=PAYLOAD)))
    assert ADDRESS in shown
    assert "Show once" not in shown


def test_only_those_who_work_on_events_hold_the_permission() -> None:
    holders = {role for role, held in PERMISSIONS_BY_ROLE.items() if Permission.PERSONAL_REVEAL in held}
    assert holders == {Role.DRI, Role.PLATFORM_OPS}


# --- search is no oracle ---


def listed(client: Client, term: str) -> list[Any]:
    response = client.get("/admin/ingestion/event/", {"q": term})
    assert response.status_code == 200
    return [row.pk for row in response.context["cl"].result_list]


@pytest.mark.parametrize("term", [KEY, f"key:{KEY}"])
def test_a_recipients_key_is_found_by_those_alone_who_may_reveal(signed_in: Any, term: str) -> None:
    row = event_row(payload=PAYLOAD, **MARKED)
    event_row(payload=PAYLOAD)
    assert listed(signed_in(Role.DRI), term) == [row.pk]
    assert listed(signed_in(Role.AUDITOR), term) == []


@pytest.mark.parametrize("term", [ADDRESS, f"email:{ADDRESS}", f"key:{ADDRESS}", f'"{ADDRESS}"', f"message:{ADDRESS}"])
def test_no_search_looks_into_payloads(signed_in: Any, term: str) -> None:
    event_row(payload=PAYLOAD, **MARKED)
    dead_letter_row(payload_bytes=json.dumps(PAYLOAD).encode(), **MARKED)
    for who in (Role.DRI, Role.AUDITOR):
        assert listed(client_of(signed_in, who), term) == []


def test_an_address_that_an_operator_chose_as_key_is_no_way_in_either(signed_in: Any) -> None:
    row = event_row(payload={"data": {"to": [ADDRESS]}}, recipe="svix/1", ordering_key=ADDRESS)
    by_id = event_row(payload={"data": {}}, recipe="svix/1", ordering_key="msg_2f7Q")
    auditor = signed_in(Role.AUDITOR)
    assert listed(auditor, f"key:{ADDRESS}") == []
    assert listed(auditor, "key:msg_2f7Q") == [by_id.pk]
    assert listed(signed_in(Role.DRI), f"key:{ADDRESS}") == [row.pk]
    assert ADDRESS not in text_of(auditor, "/admin/ingestion/event/")


def test_a_key_that_names_nobody_is_found_by_everybody(signed_in: Any) -> None:
    row = event_row(ordering_key="customer-77")
    assert listed(signed_in(Role.AUDITOR), "key:customer-77") == [row.pk]


def test_the_parameters_of_a_list_reach_no_other_column(signed_in: Any) -> None:
    event_row(payload=PAYLOAD, **MARKED)
    client = signed_in(Role.AUDITOR)
    for parameter in ("payload__email", "payload__icontains", "ordering_key", "ordering_key__endswith"):
        answer = client.get("/admin/ingestion/event/", {parameter: "x"})
        assert answer.status_code in (302, 400), parameter


# --- commands ---


def printed(capsys: Any, *words: str) -> str:
    with pytest.raises(SystemExit):
        call_command(*words)
    return str(capsys.readouterr().out)


@pytest.mark.parametrize("json_flag", [(), ("--json",)])
def test_commands_print_no_recipient_unless_asked(capsys: Any, buffer: Any, json_flag: tuple[str, ...]) -> None:
    row = event_row(payload=PAYLOAD, **MARKED)
    letter = dead_letter_row(
        payload_bytes=json.dumps(PAYLOAD).encode(), error=f'bad "{ADDRESS}"\nDETAIL: {ADDRESS}', **MARKED
    )
    delivery_row(row, **{"x-rcpt": ADDRESS})
    words = [
        ("lineage", str(row.pk)),
        ("lineage", str(letter.pk)),
        ("deadletters", "show", str(letter.pk)),
        ("deadletters", "list"),
        ("deadletters", "groups"),
    ]
    for each in words:
        told = printed(capsys, *each, *json_flag)
        assert ADDRESS not in told, each
        assert recipient_key(ADDRESS) not in told, each
        assert told.strip()


def test_the_command_reveals_on_record(capsys: Any) -> None:
    letter = dead_letter_row(payload_bytes=json.dumps(PAYLOAD).encode(), error=f'bad "{ADDRESS}"', **MARKED)
    told = json.loads(
        printed(capsys, "reveal", str(letter.pk), "--reason", "complaint 4711", "--actor", "anna", "--json")
    )
    assert (json.loads(told["payload"]), told["ordering_key"]) == (PAYLOAD, KEY)
    entry = newest_entry()
    assert entry is not None
    assert (entry.act, entry.actor, entry.reason) == ("personal.revealed", "os:anna", "complaint 4711")
    assert entry.number == told["audit_entry"]


def test_a_reveal_of_what_is_not_there_is_told_and_not_recorded(capsys: Any) -> None:
    told = printed(capsys, "reveal", str(Event(id="0190f2a4-0000-7000-8000-000000000000").pk), "--reason", "x")
    assert "no event" in told
    assert not AuditEntry.objects.filter(act="personal.revealed").exists()
