"""With a second factor a password alone lets nobody in and decides nothing; each code is taken once."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from console.actions.providers import rekey
from console.models import ConsoleSession
from console.roles import Role
from console.sign_in import factor
from evidence.audit import Actor
from evidence.models import Approval, AuditEntry, Decision
from tests.console.sign_in.kit import (
    CODE,
    ELSEWHERE,
    LOGIN,
    acts,
    by_password,
    code_of,
    enrolled,
    fail,
    give_code,
    is_in,
    text_of,
    try_password,
)
from tests.support.gates import PASSWORD, bundle, frozen_gate, own_store, person

pytestmark = pytest.mark.django_db
PAGE = "/admin/second-factor/"
PLAN = {"trigger": "any guardrail", "steps": "mode set OBSERVER", "owner": "ann"}


@pytest.fixture(autouse=True)
def on(settings: Any) -> None:
    settings.SECOND_FACTOR = "optional"


def post(client: Client, **form: str) -> str:
    return text_of(client.post(PAGE, form, follow=True))


def test_enrolment_on_the_page_then_sign_in_with_a_code() -> None:
    person("dri", Role.DRI)
    client = by_password("dri")
    assert "the password is wrong" in post(client, act="begin", password="a guess")
    post(client, act="begin", password=PASSWORD)
    secret = client.get(PAGE).context["secret"].replace(" ", "")
    assert "not the code that the app shows" in post(client, act="enrol", code="000000x")
    answer = client.post(PAGE, {"act": "enrol", "code": code_of(secret, ahead=-1)})
    assert "no-store" in answer["Cache-Control"]
    assert len(answer.context["codes"]) == 10
    assert "10 left" in text_of(client.get(PAGE))

    again = by_password("dri")
    assert not is_in(again)
    assert "Second factor of dri" in text_of(again.get(CODE))
    assert give_code(again, code_of(secret))["Location"] == "/admin/"
    assert is_in(again)
    entry = AuditEntry.objects.filter(act="session.signed_in").latest("number")
    assert entry.facts["by"] == "password and code"
    assert acts("second_factor.enrolled") == [("second_factor.enrolled", "dri", "user dri")]


def test_after_the_password_alone_every_page_still_leads_to_the_login() -> None:
    enrolled(person("dri", Role.DRI))
    client = by_password("dri")
    for path in ("/admin/", PAGE, "/admin/my-sessions/", "/admin/gates/", "/admin/password_change/"):
        assert client.get(path)["Location"].startswith(LOGIN), path
    assert client.get("/api/v1/mode").status_code == 401
    assert acts("session.signed_in") == []


def test_a_code_is_taken_once_also_by_another_browser() -> None:
    secret, _ = enrolled(person("dri", Role.DRI))
    code = code_of(secret)
    first, second = by_password("dri"), by_password("dri", address=ELSEWHERE)
    assert give_code(first, code).status_code == 302
    answer = give_code(second, code, address=ELSEWHERE)
    assert "was used before" in text_of(answer)
    assert not is_in(second)
    assert ("session.sign_in_failed", "console", "user dri") in acts("session.sign_in_failed")


def test_the_code_that_enrolled_does_not_sign_in_and_an_older_one_than_the_last_never_does() -> None:
    user = person("dri", Role.DRI)
    secret = factor.new_secret()
    now = code_of(secret)
    factor.enrol(user, secret=secret, code=now)
    client = by_password("dri")
    give_code(client, now)
    give_code(client, code_of(secret, ahead=-1))
    assert not is_in(client)
    assert give_code(client, code_of(secret, ahead=1)).status_code == 302


def test_a_recovery_code_lets_in_once_and_is_on_record() -> None:
    _, codes = enrolled(person("dri", Role.DRI))
    client, again = by_password("dri"), by_password("dri")
    assert give_code(client, codes[3]).status_code == 302
    assert is_in(client)
    give_code(again, codes[3])
    assert not is_in(again)
    assert give_code(again, codes[4].replace(" ", "")).status_code == 302
    assert "8 left" in text_of(client.get(PAGE))
    assert acts("second_factor.code_used") == [("second_factor.code_used", "dri", "user dri")] * 2


def test_new_recovery_codes_make_the_old_ones_worthless() -> None:
    user = person("dri", Role.DRI)
    secret, old = enrolled(user)
    client = by_password("dri")
    give_code(client, code_of(secret))
    assert "second factor" not in post(client, act="codes", password=PASSWORD, code=old[0])  # no error
    new = [f"{code[:5]} {code[5:]}" for code in _unused(user)]
    assert not set(new) & set(old)
    other = by_password("dri")
    give_code(other, old[1])
    assert not is_in(other)
    give_code(other, new[0])
    assert is_in(other)


def _unused(user: Any) -> list[str]:
    row = Authenticator.objects.get(user=user, type=Authenticator.Type.RECOVERY_CODES)
    return list(row.wrap().get_unused_codes())


def test_guessing_codes_is_locked_by_address_and_over_all_addresses() -> None:
    secret, _ = enrolled(person("dri", Role.DRI))
    client = by_password("dri")
    answers = [give_code(client, f"{number:06}") for number in range(5)]
    assert [answer.status_code for answer in answers] == [200] * 4 + [429]
    assert give_code(client, code_of(secret)).status_code == 429
    assert not is_in(client)
    for number in range(5):  # whoever has the password and many addresses
        address = f"192.0.2.{number + 1}"
        give_code(by_password("dri", address=address), "999999", address=address)
    last = by_password("dri", address="192.0.2.77")
    answer = give_code(last, code_of(secret), address="192.0.2.77")
    assert answer.status_code == 429
    assert "somebody has the password" in text_of(answer)
    assert not is_in(last)


def test_an_operator_lifts_the_lock_of_codes_too() -> None:
    user = person("dri", Role.DRI)
    secret, _ = enrolled(user)
    for number in range(10):
        address = f"192.0.2.{number + 1}"
        give_code(by_password("dri", address=address), "999999", address=address)
    with pytest.raises(SystemExit):
        call_command("sign_in", "lift", "dri")
    client = by_password("dri")
    assert give_code(client, code_of(secret)).status_code == 302


def test_wrong_codes_are_forgotten_after_an_hour() -> None:
    user = person("dri", Role.DRI)
    secret, _ = enrolled(user)
    row = Authenticator.objects.get(user=user, type="totp")
    row.data["failures"] = [(timezone.now() - timedelta(minutes=61)).isoformat()] * 10
    row.save()
    client = by_password("dri")
    assert give_code(client, code_of(secret)).status_code == 302


def test_the_second_step_waits_five_minutes_for_the_same_password() -> None:
    user = person("dri", Role.DRI)
    secret, _ = enrolled(user)
    late, changed, plain = by_password("dri"), by_password("dri"), Client()
    session = late.session
    session["console.sign_in.pending"] |= {"at_us": session["console.sign_in.pending"]["at_us"] - 300_000_001}
    session.save()
    assert give_code(late, code_of(secret))["Location"] == LOGIN
    assert give_code(plain, code_of(secret))["Location"] == LOGIN
    user.set_password("another quite long one 77")
    user.save()
    assert give_code(changed, code_of(secret))["Location"] == LOGIN
    assert not any(is_in(client) for client in (late, changed, plain))


def test_the_key_changes_at_the_second_step_too() -> None:
    secret, _ = enrolled(person("dri", Role.DRI))
    client = by_password("dri")
    before = client.session.session_key
    give_code(client, code_of(secret))
    assert client.session.session_key != before
    assert not ConsoleSession.objects.filter(session_key=before).exists()


def test_the_second_step_leads_where_the_first_wanted_and_to_no_other_site() -> None:
    _, codes = enrolled(person("dri", Role.DRI))
    for wanted, led in (("/admin/gates/", "/admin/gates/"), ("https://evil.example/", "/admin/")):
        client = Client()
        form = {"username": "dri", "password": PASSWORD, "next": wanted}
        step = client.post(LOGIN, form)["Location"]
        assert step.startswith(CODE)
        assert client.post(step, {"code": codes.pop()})["Location"] == led
    direct = by_password("dri")
    for wanted in ("https://evil.example/", "//evil.example/", "javascript:alert(1)"):
        answer = direct.post(f"{CODE}?next={wanted}", {"code": codes.pop(), "next": wanted})
        assert answer["Location"] == "/admin/"
        direct = by_password("dri")


def test_removal_takes_password_and_code_and_ends_the_asking() -> None:
    user = person("dri", Role.DRI)
    secret, codes = enrolled(user)
    client = by_password("dri")
    give_code(client, code_of(secret))
    post(client, act="remove", password="a guess", code=codes[0])
    post(client, act="remove", password=PASSWORD, code="123456")
    post(client, act="remove", password=PASSWORD)
    assert factor.is_on(user)
    assert "are removed" in post(client, act="remove", password=PASSWORD, code=codes[0])
    assert not Authenticator.objects.exists()
    assert is_in(by_password("dri"))
    assert acts("second_factor.removed") == [("second_factor.removed", "dri", "user dri")]


def test_whoever_lost_everything_is_helped_by_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    enrolled(person("dri", Role.DRI))
    with pytest.raises(SystemExit):
        call_command("sign_in", "remove-factor", "dri", "--by", "olga")
    assert capsys.readouterr().out == "dri has no second factor now\n"
    assert is_in(by_password("dri"))
    assert acts("second_factor.removed") == [("second_factor.removed", "os:olga", "user dri")]


def test_nobody_enrols_where_factors_are_off_and_who_has_one_is_still_asked(settings: Any) -> None:
    secret, _ = enrolled(person("dri", Role.DRI))
    person("ops", Role.PLATFORM_OPS)
    settings.SECOND_FACTOR = "off"
    ops = by_password("ops")
    assert "Off in this installation" in text_of(ops.get(PAGE))
    assert "factors are off" in post(ops, act="begin", password=PASSWORD)
    dri = by_password("dri")
    assert not is_in(dri)
    assert give_code(dri, code_of(secret)).status_code == 302


def test_a_second_enrolment_does_not_replace_the_first() -> None:
    user = person("dri", Role.DRI)
    secret, codes = enrolled(user)
    client = by_password("dri")
    give_code(client, code_of(secret))
    post(client, act="begin", password=PASSWORD, code=codes[0])
    other = factor.new_secret()
    with pytest.raises(factor.EnrolmentRefused, match="there is a second factor already"):
        factor.enrol(user, secret=other, code=code_of(other))
    assert factor.standing(user).codes_left_count == 9


def test_no_secret_and_no_code_is_readable_in_the_database_and_a_new_key_takes_them_along(settings: Any) -> None:
    user = person("dri", Role.DRI)
    client = by_password("dri")
    post(client, act="begin", password=PASSWORD)
    secret = client.get(PAGE).context["secret"].replace(" ", "")
    stored = str([row.get_decoded() for row in ConsoleSession.objects.all()])
    assert secret not in stored
    codes = client.post(PAGE, {"act": "enrol", "code": code_of(secret, ahead=-1)}).context["codes"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT data::text FROM mfa_authenticator")
        kept = " ".join(row[0] for row in cursor.fetchall())
    told = json.dumps([entry.facts for entry in AuditEntry.objects.all()])
    for each in (secret, codes[0], codes[0].replace(" ", "")):
        assert each not in kept
        assert each not in told
    settings.PROVIDER_SECRETS_KEYS = ["k" * 40]
    report = rekey(actor=Actor.process("test"))
    assert report.rekeyed_count == 2
    settings.SECRET_KEY = "another key of 40 characters, for a test"
    assert factor.take(user, code_of(secret)) is factor.Means.CODE


# Deciding


@pytest.fixture
def people(tmp_path: Path) -> Any:
    """ann, who is the DRI with a bundle to decide on, and bob of Leadership; each with their client."""
    with own_store(tmp_path / "evidence"):
        ann, bob = person("ann", Role.DRI), person("bob", Role.LEADERSHIP)
        frozen_gate()
        clients = by_password("ann"), by_password("bob")
        form = {"act": "assign", "username": "ann", "reason": "owns the launch"}
        clients[1].post(reverse("admin:gate", args=["a"]), form)
        bundle()
        yield ann, bob, *clients


def decide(client: Client, act: str, **form: str) -> str:
    sent = {"act": act, "reason": "all met", "password": PASSWORD, **PLAN, **form}
    answer = client.post(reverse("admin:gate", args=["a"]), sent, follow=True)
    return " ".join(str(each) for each in answer.context["messages"])


@pytest.mark.parametrize("act", ["go", "no-go"])
def test_whoever_has_no_factor_does_not_decide_where_deciders_need_one(people: Any, settings: Any, act: str) -> None:
    _, _, client, _ = people
    settings.SECOND_FACTOR = "deciders"
    told = decide(client, act)
    assert "deciding takes a second factor here" in told
    assert "enrol one" in told
    assert not Decision.objects.exists()
    refused = AuditEntry.objects.filter(act="decision.refused").latest("number")
    assert (refused.facts["code"], "second factor" in refused.reason) == ("second_factor_refused", True)
    assert "Enrol one" in text_of(client.get(reverse("admin:gate", args=["a"])))


def test_deciding_asks_for_the_code_of_whoever_enrolled_and_takes_it_once(people: Any, settings: Any) -> None:
    ann, bob, ann_client, bob_client = people
    (ann_secret, _), (bob_secret, _) = enrolled(ann), enrolled(bob)
    settings.SECOND_FACTOR = "deciders"
    assert 'name="code"' in ann_client.get(reverse("admin:gate", args=["a"])).content.decode()
    assert "second factor: the code is wrong" in decide(ann_client, "go")
    assert "second factor: the code is wrong" in decide(ann_client, "go", code=code_of(bob_secret))
    assert not Decision.objects.exists()
    code = code_of(ann_secret)
    assert "GO: audit entry" in decide(ann_client, "go", code=code)
    assert "used before" in decide(ann_client, "no-go", code=code)
    number = str(Decision.objects.get().audit_number)
    assert "second factor" in decide(bob_client, "approve", decision=number)
    assert "approved" in decide(bob_client, "approve", decision=number, code=code_of(bob_secret))
    assert Approval.objects.count() == 1


def test_the_mode_is_raised_with_a_code_only(people: Any, settings: Any) -> None:
    ann, _, ann_client, bob_client = people
    decide(ann_client, "go")
    number = str(Decision.objects.get().audit_number)
    decide(bob_client, "approve", decision=number)
    secret, _ = enrolled(ann)

    def up(**form: str) -> str:
        sent = {"mode": "LIMITED", "reason": "go", "decision": number, "password": PASSWORD, "share": "0.05", **form}
        answer = ann_client.post(reverse("admin:mode"), sent, follow=True)
        return " ".join(str(each) for each in answer.context["messages"])

    settings.SECOND_FACTOR = "deciders"
    assert "second factor: the code is wrong" in up()
    assert "OBSERVER to LIMITED" in up(code=code_of(secret))


def test_guessing_the_password_of_a_decision_is_locked_like_a_sign_in(people: Any) -> None:
    _, _, client, _ = people
    for _ in range(5):
        told = decide(client, "go", password="a guess")
    assert "too many failures" in told
    assert "too many failures" in decide(client, "go")
    assert not Decision.objects.exists()
    assert fail("ann", 1).status_code == 200  # from another address than the test client's own
    assert try_password(Client(), "ann", PASSWORD, address="127.0.0.1").status_code == 429


def test_the_command_line_asks_for_the_same_proof(
    people: Any, settings: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ann = people[0]
    file = tmp_path / "password"
    file.write_text(PASSWORD)

    def no_go(*words: str) -> str:
        with pytest.raises(SystemExit):
            call_command(
                "gate", "decide", "a", "NO-GO", "--reason", "no", "--as", "ann", f"--password-file={file}", *words
            )
        captured = capsys.readouterr()
        return captured.out + captured.err

    settings.SECOND_FACTOR = "deciders"
    assert "deciding takes a second factor here" in no_go()
    secret, _ = enrolled(ann)
    assert "second factor: the code is wrong" in no_go()
    assert not Decision.objects.exists()
    assert "NO-GO on gate a" in no_go("--code", code_of(secret))
