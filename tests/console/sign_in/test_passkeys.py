"""A passkey stands in for a code where its own question was answered, once, here, by its owner; else it is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Thread
from time import sleep
from typing import Any

import pytest
from allauth.mfa.models import Authenticator as Row
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone
from fido2.utils import websafe_decode, websafe_encode

from console.actions.providers import rekey
from console.roles import Role
from console.sign_in import factor
from console.sign_in.challenges import Purpose, place_of, waiting
from console.sign_in.factor import PasskeyTaken
from evidence.audit import Actor
from evidence.models import AuditEntry, CorrectionProposal, Decision
from tests.console.budget_rows import correction, lived_hour, signed_in_as
from tests.console.budget_rows import decide as decide_correction
from tests.console.sign_in.authenticator import FLAG, Authenticator
from tests.console.sign_in.kit import (
    CODE,
    acts,
    by_password,
    code_of,
    enrolled,
    give_code,
    is_in,
    text_of,
)
from tests.support.gates import PASSWORD, bundle, frozen_gate, own_store, person
from tests.support.workers import other_connection

pytestmark = pytest.mark.django_db
PAGE = "/admin/second-factor/"
QUESTION = {"in": "/admin/second-factor/passkey/", "before": "/admin/login/passkey/"}
PENDING, PROVE, ENROL = "console.sign_in.pending", "console.passkey.prove", "console.passkey.enrol"


@pytest.fixture(autouse=True)
def on(settings: Any) -> None:
    settings.SECOND_FACTOR = "optional"


def post(client: Client, **form: str) -> str:
    return text_of(client.post(PAGE, form, follow=True))


def options(client: Client) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(client.get(PAGE).context["to_make"]["options"])
    return told


def asked(client: Client, *, when: str = "in") -> dict[str, Any]:
    answer = client.post(QUESTION[when])
    assert answer.status_code == 200, answer.content
    told: dict[str, Any] = answer.json()
    return told


def add(client: Client, key: Authenticator, *, name: str = "laptop", **proof: str) -> Any:
    """By the page: name and password, then what the browser made."""
    post(client, act="begin-passkey", name=name, password=PASSWORD, **proof)
    return client.post(PAGE, {"act": "add-passkey", "passkey": key.creates(options(client))})


def with_passkey(username: str, role: Role = Role.DRI, **kind: Any) -> tuple[Any, Authenticator, list[str]]:
    """Somebody with a passkey alone; the recovery codes that came with it."""
    user, key = person(username, role), Authenticator(**kind)
    return user, key, add(by_password(username), key).context["codes"]


def give(client: Client, passkey: str) -> Any:
    return client.post(CODE, {"passkey": passkey})


def try_passkey(username: str, key: Authenticator, **client_data: object) -> Client:
    client = by_password(username)
    give(client, key.signs(asked(client, when="before"), **client_data))
    return client


# Enrolling and signing in


def test_a_passkey_is_added_with_the_password_brings_recovery_codes_and_signs_in() -> None:
    person("dri", Role.DRI)
    client, key = by_password("dri"), Authenticator()
    assert "the password is wrong" in post(client, act="begin-passkey", name="laptop", password="a guess")
    assert client.get(PAGE).context["to_make"] is None
    answer = add(client, key)
    assert len(answer.context["codes"]) == 10
    assert "no-store" in answer["Cache-Control"]
    page = client.get(PAGE)
    assert [each.name for each, *_ in page.context["passkeys"]] == ["laptop"]
    assert "never" in text_of(page)

    again = by_password("dri")
    assert not is_in(again)
    for text in (text_of(again.get(CODE)), text_of(client.get(PAGE))):  # what its script takes away
        assert "A passkey needs JavaScript, which is off: type a code instead." in text
    assert "Recovery code" in text_of(again.get(CODE))
    told = asked(again, when="before")
    assert told["publicKey"]["userVerification"] == "preferred"
    assert give(again, key.signs(told))["Location"] == "/admin/"
    assert is_in(again)
    assert AuditEntry.objects.filter(act="session.signed_in").latest("number").facts["by"] == "password and passkey"
    enrolment = AuditEntry.objects.filter(act="second_factor.enrolled").latest("number")
    assert (enrolment.actor, enrolment.facts) == ("dri", {"kind": "passkey", "passkey": "laptop"})
    assert acts("second_factor.passkey_used") == [("second_factor.passkey_used", "dri", "user dri")]
    assert "never" not in text_of(again.get(PAGE))


def test_whoever_has_passkeys_alone_comes_in_by_a_recovery_code_too() -> None:
    _, _, codes = with_passkey("dri")
    client = by_password("dri")
    give_code(client, "123456")
    assert not is_in(client)
    give_code(client, codes[0])
    assert is_in(client)


def test_app_and_passkey_stand_beside_each_other_under_the_same_recovery_codes() -> None:
    user = person("dri", Role.DRI)
    secret, codes = enrolled(user)
    client, key = by_password("dri"), Authenticator()
    give_code(client, code_of(secret))
    assert "the code is wrong" in post(client, act="begin-passkey", name="laptop", password=PASSWORD)
    assert add(client, key, code=codes[0]).status_code == 302  # and no codes are told
    assert factor.standing(user).codes_left_count == 9
    assert is_in(try_passkey("dri", key))
    by_code = by_password("dri")
    give_code(by_code, codes[1])
    assert is_in(by_code)
    post(client, act="remove", what="app", password=PASSWORD, passkey=key.signs(asked(client)))
    assert factor.kinds(user) == {factor.PASSKEY}
    post(client, act="begin", password=PASSWORD, code=codes[2])
    scanned = client.get(PAGE).context["secret"].replace(" ", "")
    post(client, act="enrol", code=code_of(scanned))
    assert factor.kinds(user) == {factor.PASSKEY, factor.APP}
    assert factor.standing(user).codes_left_count == 7


def test_each_passkey_is_removed_by_itself_with_password_and_proof_and_the_codes_go_with_the_last() -> None:
    user, key, codes = with_passkey("dri")
    client = try_passkey("dri", key)
    other = Authenticator()
    add(client, other, name="phone", passkey=key.signs(asked(client)))
    laptop, phone = (each.pk for each in factor.standing(user).passkeys)
    assert "choose what to remove" in post(client, act="remove", password=PASSWORD, code=codes[0])
    post(client, act="remove", what=str(laptop), password="a guess", passkey=key.signs(asked(client)))
    post(client, act="remove", what=str(laptop), password=PASSWORD)
    assert len(factor.standing(user).passkeys) == 2
    assert "Removed: laptop" in post(
        client, act="remove", what=str(laptop), password=PASSWORD, passkey=other.signs(asked(client))
    )
    assert not is_in(try_passkey("dri", key))
    assert "its recovery codes are removed" in post(client, act="remove", password=PASSWORD, code=codes[0])
    assert not Row.objects.exists()
    assert is_in(by_password("dri"))
    removed = AuditEntry.objects.filter(act="second_factor.removed").order_by("number")
    assert [each.facts["passkey"] for each in removed] == ["laptop", "phone"]
    assert phone != laptop


def test_nobody_removes_somebody_elses_passkey() -> None:
    _, ann, _ = with_passkey("ann")
    bob, _, _ = with_passkey("bob", Role.LEADERSHIP)
    client = try_passkey("ann", ann)
    (theirs,) = factor.standing(bob).passkeys
    form = {"act": "remove", "what": str(theirs.pk), "password": PASSWORD, "passkey": ann.signs(asked(client))}
    assert "choose what to remove" in post(client, **form)
    assert factor.remove_one(person("eve"), pk=theirs.pk) is None
    assert factor.is_on(bob)


def test_the_command_for_whoever_lost_everything_removes_passkeys_too(capsys: pytest.CaptureFixture[str]) -> None:
    with_passkey("dri")
    with pytest.raises(SystemExit):
        call_command("sign_in", "remove-factor", "dri", "--by", "olga")
    assert capsys.readouterr().out == "dri has no second factor now\n"
    assert is_in(by_password("dri"))
    entry = AuditEntry.objects.filter(act="second_factor.removed").latest("number")
    assert (entry.actor, entry.facts) == ("os:olga", {"kinds": ["webauthn"]})


def test_a_passkey_is_enrolled_once_by_one_person_under_a_name() -> None:
    _, key, codes = with_passkey("ann")
    person("bob", Role.LEADERSHIP)
    bob = by_password("bob")
    add(bob, key)
    assert "this passkey is enrolled already" in text_of(bob.get(PAGE))
    ann = try_passkey("ann", key)
    for name, told in (("laptop", "a passkey laptop already"), ("", "name the passkey"), ("x" * 61, "60 characters")):
        assert told in post(ann, act="begin-passkey", name=name, password=PASSWORD, code=codes[0])
    assert Row.objects.filter(type="webauthn").count() == 1


def test_nobody_adds_a_passkey_where_factors_are_off_and_who_has_one_is_still_asked(settings: Any) -> None:
    _, key, _ = with_passkey("dri")
    person("ops", Role.PLATFORM_OPS)
    settings.SECOND_FACTOR = "off"
    assert "factors are off" in post(by_password("ops"), act="begin-passkey", name="laptop", password=PASSWORD)
    assert not is_in(by_password("dri"))
    assert is_in(try_passkey("dri", key))


def test_new_keys_for_what_is_sealed_leave_passkeys_alone(settings: Any) -> None:
    _, key, _ = with_passkey("dri")
    settings.PROVIDER_SECRETS_KEYS = ["k" * 40]
    assert rekey(actor=Actor.process("test")).rekeyed_count == 1  # the recovery codes
    assert is_in(try_passkey("dri", key))


# What is refused


LIES: list[dict[str, Any]] = [
    {"origin": "https://evil.example"},
    {"origin": "http://sub.localhost"},
    {"origin": "http://localhost:8001"},
    {"origin": "https://localhost"},
    {"rp_id": "evil.example"},
    {"flags": FLAG(0)},
    {"key": Authenticator().key},
    {"credential_id": b"another"},
]


def test_an_answer_of_another_place_key_or_nobody_is_refused_and_counted() -> None:
    _, key, _ = with_passkey("dri")
    for number, lie in enumerate(LIES):
        client = by_password("dri", address=f"192.0.2.{number}")
        passkey = replace(key, **lie).signs(asked(client, when="before"))
        answer = client.post(CODE, {"passkey": passkey}, REMOTE_ADDR=f"192.0.2.{number}")
        assert "No passkey of yours" in text_of(answer), lie
        assert not is_in(client), lie
        failed = AuditEntry.objects.filter(act="session.sign_in_failed").latest("number")
        assert (failed.subject, failed.facts["step"]) == ("user dri", "passkey")
    assert is_in(try_passkey("dri", key))  # the same without a lie


def test_a_passkey_that_was_made_elsewhere_is_not_enrolled() -> None:
    user = person("dri", Role.DRI)
    client = by_password("dri")
    for lie in LIES[:6]:
        add(client, Authenticator(**lie))
        assert "no new passkey of http://localhost" in text_of(client.get(PAGE)), lie
    assert not factor.is_on(user)


def test_an_answer_given_inside_another_sites_page_is_refused() -> None:
    _, key, _ = with_passkey("dri")
    assert not is_in(try_passkey("dri", key, crossOrigin=True))
    assert is_in(try_passkey("dri", key, crossOrigin=False))


def test_an_answer_to_another_question_is_refused() -> None:
    _, key, _ = with_passkey("dri")
    mine, other = by_password("dri"), by_password("dri")
    elsewhere = asked(other, when="before")
    asked(mine, when="before")
    give(mine, key.signs(elsewhere))
    assert not is_in(mine)
    made_up = {"publicKey": {"challenge": "A" * 43}}
    asked(mine, when="before")
    give(mine, key.signs(made_up))
    assert not is_in(mine)


def test_without_a_question_no_answer_counts_also_not_that_to_the_one_for_a_new_passkey() -> None:
    _, key, codes = with_passkey("dri")
    client = by_password("dri")
    give(client, key.signs({"publicKey": {"challenge": "A" * 43}}))
    assert not is_in(client)
    inside = try_passkey("dri", key)
    post(inside, act="begin-passkey", name="phone", password=PASSWORD, code=codes[0])
    told = post(inside, act="codes", password=PASSWORD, passkey=key.signs(options(inside)))
    assert "too late, or to an older question" in told


def test_another_persons_passkey_does_not_sign_in() -> None:
    with_passkey("ann")
    _, bobs, _ = with_passkey("bob", Role.LEADERSHIP)
    assert not is_in(try_passkey("ann", bobs))
    assert is_in(try_passkey("bob", bobs))


def test_a_question_is_for_whom_it_was_asked_though_the_browser_is_the_same() -> None:
    with_passkey("ann")
    _, bobs, _ = with_passkey("bob", Role.LEADERSHIP)
    client = by_password("ann")
    anns_question = asked(client, when="before")
    client.post("/admin/login/", {"username": "bob", "password": PASSWORD})
    give(client, bobs.signs(anns_question))
    assert not is_in(client)


def test_an_answer_is_taken_once_also_by_a_session_that_still_has_the_question() -> None:
    _, key, _ = with_passkey("dri", counter=None)  # of one that counts the counter would say it already
    client = by_password("dri")
    answer = key.signs(asked(client, when="before"))
    before = {name: client.session[name] for name in (PENDING, PROVE)}
    give(client, answer)
    assert is_in(client)
    second = by_password("dri")
    session = second.session
    session.update(before)  # as a request that was under way at the same time read it
    session.save()
    assert "used before" in text_of(give(second, answer))
    assert not is_in(second)


@pytest.mark.django_db(transaction=True)
def test_of_two_requests_with_one_answer_at_once_the_second_waits_and_is_refused() -> None:
    user, key, _ = with_passkey("dri", counter=None)
    client = by_password("dri")
    answer = key.signs(asked(client, when="before"))
    request = RequestFactory().get("/")
    request.session = client.session
    question = waiting(request, Purpose.PROVE, user=user)
    told: list[PasskeyTaken] = []

    def second() -> None:
        with transaction.atomic():
            told.append(factor.take_passkey(user, answer, asked=question))
        connection.close()

    other = Thread(target=second)
    with transaction.atomic():
        first = factor.take_passkey(user, answer, asked=question)
        other.start()
        for _ in range(3_000):
            if not other.is_alive() or somebody_waits():
                break
            sleep(0.01)
        assert other.is_alive()
    other.join(30)
    assert (first.refusal, "used before" in told[0].refusal) == ("", True)


def somebody_waits() -> bool:
    """For a lock of this database. From outside: a transaction sees the list as it was when it first looked."""
    with other_connection() as other:
        row = other.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ).fetchone()
    return row is not None and row[0] > 0


def test_the_question_is_gone_after_a_wrong_answer_and_after_a_right_one() -> None:
    _, key, _ = with_passkey("dri")
    client = by_password("dri")
    told = asked(client, when="before")
    give(client, "{}")
    assert PROVE not in client.session
    give(client, key.signs(told))
    assert not is_in(client)
    inside = try_passkey("dri", key)
    assert PROVE not in inside.session


@pytest.mark.parametrize("age_us", [300_000_001, -1_000_000])
def test_a_question_is_answered_within_five_minutes(age_us: int) -> None:
    _, key, _ = with_passkey("dri")
    client = by_password("dri")
    told = asked(client, when="before")
    session = client.session
    session[PROVE] |= {"at_us": session[PROVE]["at_us"] - age_us}
    session.save()
    assert "too late" in text_of(give(client, key.signs(told)))
    assert not is_in(client)


def test_a_new_passkey_is_made_within_five_minutes_of_the_password() -> None:
    user = person("dri", Role.DRI)
    client, key = by_password("dri"), Authenticator()
    post(client, act="begin-passkey", name="laptop", password=PASSWORD)
    made = key.creates(options(client))
    session = client.session
    session[ENROL] |= {"at_us": session[ENROL]["at_us"] - 300_000_001}
    session.save()
    assert "begin again" in post(client, act="add-passkey", passkey=made)
    assert not factor.is_on(user)


def test_a_counter_that_goes_back_is_refused_and_on_record_as_a_copy() -> None:
    user, key, _ = with_passkey("dri")
    copy = replace(key)
    assert is_in(try_passkey("dri", key))
    assert is_in(try_passkey("dri", key))
    client = by_password("dri")
    answer = give(client, copy.signs(asked(client, when="before")))
    assert "somebody may have a copy of it" in text_of(answer)
    assert not is_in(client)
    entry = AuditEntry.objects.filter(act="second_factor.counter_went_back").latest("number")
    assert (entry.subject, entry.facts) == ("user dri", {"passkey": "laptop", "kept": 2, "told": 1})
    copy.counter = None
    assert not is_in(try_passkey("dri", copy))  # nor does one that stopped counting
    assert is_in(try_passkey("dri", key))
    assert Row.objects.get(user=user, type="webauthn").data["sign_count"] == 3


def test_a_passkey_that_never_counts_is_used_again_and_again() -> None:
    _, key, _ = with_passkey("dri", counter=None)
    assert [is_in(try_passkey("dri", key)) for _ in range(3)] == [True] * 3


def test_ten_wrong_answers_of_either_kind_refuse_the_right_ones_of_both_until_somebody_lifts_it() -> None:
    user = person("dri", Role.DRI)
    _, codes = enrolled(user)
    client, key = by_password("dri"), Authenticator()
    give_code(client, codes[0])
    add(client, key, code=codes[1])
    for number in range(10):
        address = f"192.0.2.{number + 1}"
        guesser = by_password("dri", address=address)
        wrong = {"code": "999999"} if number % 2 else {"passkey": "{}"}
        assert guesser.post(CODE, wrong, REMOTE_ADDR=address).status_code == 200
    last = by_password("dri", address="192.0.2.77")
    right = key.signs(asked(last, when="before"))
    answer = last.post(CODE, {"passkey": right}, REMOTE_ADDR="192.0.2.77")
    assert (answer.status_code, "somebody has the password" in text_of(answer)) == (429, True)
    assert last.post(CODE, {"code": codes[2]}, REMOTE_ADDR="192.0.2.77").status_code == 429
    with pytest.raises(SystemExit):
        call_command("sign_in", "lift", "dri")
    assert is_in(try_passkey("dri", key))


def test_wrong_passkeys_are_counted_for_whoever_has_passkeys_alone_and_forgotten_after_an_hour() -> None:
    user, key, _ = with_passkey("dri")
    row = Row.objects.get(user=user, type="webauthn")
    row.data["failures"] = [timezone.now().isoformat()] * 9
    row.save()
    by_password("dri").post(CODE, {"passkey": "{}"}, REMOTE_ADDR="192.0.2.1")
    assert not is_in(try_passkey("dri", key))
    row.refresh_from_db()
    row.data["failures"] = [(timezone.now() - timedelta(minutes=61)).isoformat()] * 10
    row.save()
    assert is_in(try_passkey("dri", key))


NONSENSE = (
    *("", "{}", "[]", "null", "1", '"x"', "[" * 5_000, "{" * 5_000, '{"id": 1}', "\x00", "x" * 20_000),
    '{"id":"AA","rawId":"AA","response":{"clientDataJSON":"AA","authenticatorData":"AA","signature":"AA"}}',
    '{"id":"AA","rawId":"AA","response":{"clientDataJSON":"e30","attestationObject":"oA"}}',
    '{"id":"AA","rawId":"AA","response":{"clientDataJSON":"e30","attestationObject":"' + "gYGB" * 3_000 + '"}}',
    '{"id":"é","rawId":"é","type":"x","response":[]}',
)


def test_nonsense_is_refused_and_is_no_error_of_ours() -> None:
    user, _, codes = with_passkey("dri")
    client = by_password("dri")
    for number, answer in enumerate(NONSENSE):
        asked(client, when="before")
        told = client.post(CODE, {"passkey": answer}, REMOTE_ADDR=f"192.0.2.{number}")
        assert (told.status_code, is_in(client)) == (200, False), answer[:20]
        factor.forget_failures("dri")
    give_code(client, codes[0])
    for number, answer in enumerate(NONSENSE):
        post(client, act="begin-passkey", name="phone", password=PASSWORD, code=_code(user))
        told = client.post(PAGE, {"act": "add-passkey", "passkey": answer}, REMOTE_ADDR=f"192.0.2.{number}")
        assert told.status_code == 302, answer[:20]
    assert Row.objects.filter(type="webauthn").count() == 1


def _code(user: Any) -> str:
    """A recovery code that is good now."""
    return factor.new_codes(user)[0]


def test_a_bit_that_is_turned_anywhere_in_an_answer_refuses_it_and_is_no_error_of_ours() -> None:
    _, key, _ = with_passkey("dri", counter=None)
    client = by_password("dri")
    for name, size in (("clientDataJSON", 110), ("authenticatorData", 37), ("signature", 70)):
        for at in range(0, size, 9):
            told = json.loads(key.signs(asked(client, when="before")))
            turned = bytearray(websafe_decode(told["response"][name]))
            turned[at] ^= 1
            told["response"][name] = websafe_encode(bytes(turned))
            answer = client.post(CODE, {"passkey": json.dumps(told)}, REMOTE_ADDR=f"192.0.2.{at}")
            assert (answer.status_code, is_in(client)) == (200, False), (name, at)
            factor.forget_failures("dri")


# Where the console is


@pytest.mark.parametrize(
    ("base", "host", "place"),
    [
        ("https://autocom.example.com", "autocom.example.com", ("autocom.example.com", "https://autocom.example.com")),
        ("https://autocom.example.com:8443/", "x", ("autocom.example.com", "https://autocom.example.com:8443")),
        ("https://autocom.example.com:443", "evil.example", ("autocom.example.com", "https://autocom.example.com")),
        ("http://127.0.0.1:8000", "127.0.0.1:8000", ("localhost", "http://localhost:8000")),
        ("", "evil.example:8000", ("localhost", "http://localhost:8000")),
        ("", "localhost", ("localhost", "http://localhost")),
    ],
)
def test_passkeys_belong_to_the_consoles_own_host_whatever_host_a_request_names(
    settings: Any, base: str, host: str, place: tuple[str, str]
) -> None:
    settings.AUTOCOM = replace(settings.AUTOCOM, app_base_url=base)
    found = place_of(RequestFactory().get("/", headers={"host": host}))
    assert (found.rp_id, found.origin) == place


def test_a_passkey_of_a_host_below_the_consoles_is_refused(settings: Any) -> None:
    settings.AUTOCOM = replace(settings.AUTOCOM, app_base_url="https://autocom.example.com")
    _, key, _ = with_passkey("dri", rp_id="autocom.example.com", origin="https://autocom.example.com")
    assert is_in(try_passkey("dri", key))
    assert not is_in(try_passkey("dri", replace(key, origin="https://preview.autocom.example.com", counter=9)))


def test_questions_are_for_whoever_gave_a_password_by_post_with_a_token_of_the_form() -> None:
    _, key, _ = with_passkey("dri")
    person("ops", Role.PLATFORM_OPS)
    assert Client().post(QUESTION["before"]).status_code == 409
    assert Client().post(QUESTION["in"])["Location"].startswith("/admin/login/")
    assert by_password("dri").post(QUESTION["in"])["Location"].startswith("/admin/login/")
    assert by_password("ops").post(QUESTION["in"]).status_code == 409  # has none
    client = try_passkey("dri", key)
    assert client.get(QUESTION["in"]).status_code == 405
    assert "no-store" in client.post(QUESTION["in"])["Cache-Control"]
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = client.cookies
    assert strict.post(QUESTION["in"]).status_code == 403
    first, second = (asked(client)["publicKey"]["challenge"] for _ in range(2))
    assert first != second
    assert len(first) == 43


# Deciding


@pytest.fixture
def ann(tmp_path: Path) -> Any:
    """The DRI with a passkey alone, and a bundle to decide on; her client and her authenticator."""
    with own_store(tmp_path / "evidence"):
        _, key, _ = with_passkey("ann")
        person("bob", Role.LEADERSHIP)
        frozen_gate()
        form = {"act": "assign", "username": "ann", "reason": "owns the launch"}
        by_password("bob").post(reverse("admin:gate", args=["a"]), form)
        bundle()
        yield try_passkey("ann", key), key


def decide(client: Client, act: str, **form: str) -> str:
    plan = {"trigger": "any guardrail", "steps": "manage.py mode set OBSERVER", "owner": "ann"}
    sent = {"act": act, "reason": "all met", "password": PASSWORD, **plan, **form}
    answer = client.post(reverse("admin:gate", args=["a"]), sent, follow=True)
    return " ".join(str(each) for each in answer.context["messages"])


def test_a_decision_takes_a_passkey_in_place_of_a_code_and_each_answer_once(ann: Any, settings: Any) -> None:
    client, key = ann
    settings.SECOND_FACTOR = "deciders"
    text = client.get(reverse("admin:gate", args=["a"])).content.decode()
    assert "Use a passkey" in text
    assert "Enrol one" not in text
    assert "second factor" in decide(client, "go")
    _, bobs, _ = with_passkey("eve", Role.LEADERSHIP)
    assert "no passkey of yours" in decide(client, "go", passkey=bobs.signs(asked(client)))
    answer = key.signs(asked(client))
    assert not Decision.objects.exists()
    refused = AuditEntry.objects.filter(act="decision.refused").latest("number")
    assert refused.facts["code"] == "second_factor_refused"
    assert "the password is wrong" in decide(client, "go", password="a guess", passkey=answer)
    assert "GO: audit entry" in decide(client, "go", passkey=answer)
    assert "second factor" in decide(client, "no-go", passkey=answer)
    assert "NO-GO: audit entry" in decide(client, "no-go", passkey=key.signs(asked(client)))
    assert Decision.objects.count() == 2


def test_the_mode_is_raised_and_a_go_approved_with_a_passkey(ann: Any, settings: Any) -> None:
    client, key = ann
    settings.SECOND_FACTOR = "optional"
    decide(client, "go", passkey=key.signs(asked(client)))
    number = str(Decision.objects.get().audit_number)
    bob, bobs = by_password("bob"), Authenticator()
    add(bob, bobs)
    settings.SECOND_FACTOR = "deciders"
    assert "second factor" in decide(bob, "approve", decision=number)
    assert "approved" in decide(bob, "approve", decision=number, passkey=bobs.signs(asked(bob)))

    def up(**form: str) -> str:
        sent = {"mode": "LIMITED", "reason": "go", "decision": number, "password": PASSWORD, "share": "0.05", **form}
        answer = client.post(reverse("admin:mode"), sent, follow=True)
        return " ".join(str(each) for each in answer.context["messages"])

    assert "second factor" in up()
    assert "OBSERVER to LIMITED" in up(passkey=key.signs(asked(client)))


def test_a_correction_of_a_budget_is_decided_with_a_passkey(settings: Any) -> None:
    settings.SECOND_FACTOR = "deciders"
    ann = signed_in_as(person("ann", Role.DRI).get_username())
    ann.post(reverse("admin:budget_propose"), correction(lived_hour()))
    asked_for = CorrectionProposal.objects.get()
    _, key, _ = with_passkey("bob", Role.LEADERSHIP)
    bob = try_passkey("bob", key)
    assert "Use a passkey" in text_of(bob.get(reverse("admin:budget_correction", args=[asked_for.pk])))
    assert "second factor" in decide_correction(bob, asked_for.pk)
    assert "Ledger entry" in decide_correction(bob, asked_for.pk, passkey=key.signs(asked(bob)))
