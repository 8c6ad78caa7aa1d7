"""Guessing passwords is slow from each address, tells nothing, and locks nobody else out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.core.management import call_command
from django.http import HttpRequest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from console.roles import Role
from console.sign_in.locks import NOWHERE, address_of, network_of
from evidence.models import AuditEntry
from tests.console.sign_in.kit import ELSEWHERE, HOME, acts, fail, is_in, text_of, try_password
from tests.support.gates import PASSWORD, person

pytestmark = pytest.mark.django_db


def test_after_five_failures_the_right_password_is_refused_from_there() -> None:
    person("dri", Role.DRI)
    assert fail("dri", 4).status_code == 200
    assert fail("dri", 1).status_code == 429
    client = Client()
    answer = try_password(client, "dri", PASSWORD)
    assert answer.status_code == 429
    assert "Too many failed sign-ins with this name from your address" in text_of(answer)
    assert not is_in(client)


def test_a_lock_holds_for_one_name_from_one_address() -> None:
    person("dri", Role.DRI)
    person("ops", Role.PLATFORM_OPS)
    fail("dri")
    for username, address in (("dri", ELSEWHERE), ("ops", HOME)):
        client = Client()
        try_password(client, username, PASSWORD, address=address)
        assert is_in(client), (username, address)


def test_another_browser_a_header_or_a_query_is_no_way_around_the_lock() -> None:
    person("dri", Role.DRI)
    for number in range(5):
        fail("dri", 1, HTTP_USER_AGENT=f"browser {number}", HTTP_X_FORWARDED_FOR=f"192.0.2.{number}")
    answer = Client().post(
        f"{reverse('admin:login')}?next=/admin/&x=1",
        {"username": "dri", "password": PASSWORD},
        REMOTE_ADDR=HOME,
        HTTP_X_FORWARDED_FOR="192.0.2.99",
        HTTP_X_REAL_IP="192.0.2.99",
        HTTP_FORWARDED="for=192.0.2.99",
    )
    assert answer.status_code == 429


def test_a_lock_ends_after_an_hour_and_is_not_made_longer_by_further_tries() -> None:
    person("dri", Role.DRI)
    fail("dri")
    fail("dri", 3)
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=59))
    assert fail("dri", 1).status_code == 429
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=61))
    client = Client()
    try_password(client, "dri", PASSWORD)
    assert is_in(client)


def test_a_sign_in_forgets_the_failures_before_it() -> None:
    person("dri", Role.DRI)
    for _ in range(2):
        assert fail("dri", 4).status_code == 200
        assert try_password(Client(), "dri", PASSWORD).status_code == 302


def test_a_name_that_nobody_has_is_told_and_locked_like_one_that_somebody_has() -> None:
    person("dri", Role.DRI)

    def told(username: str) -> list[tuple[int, str]]:
        answers = [try_password(Client(), username) for _ in range(7)]
        return [(answer.status_code, str(answer.context["form"].non_field_errors())) for answer in answers]

    assert told("dri") == told("no-such-person")


def test_the_right_password_of_somebody_who_may_not_come_in_is_told_and_counted_like_a_wrong_one() -> None:
    User.objects.create_user("visitor", password=PASSWORD)
    right = [try_password(Client(), "visitor", PASSWORD, address=HOME) for _ in range(6)]
    wrong = [try_password(Client(), "visitor", "a guess", address=ELSEWHERE) for _ in range(6)]
    assert [answer.status_code for answer in right] == [answer.status_code for answer in wrong] == [200] * 4 + [429] * 2
    errors = [[str(answer.context["form"].non_field_errors()) for answer in answers] for answers in (right, wrong)]
    assert errors[0] == errors[1]


def test_one_password_tried_on_many_names_locks_none_of_them_and_each_try_is_on_record() -> None:
    names = [f"person{number}" for number in range(8)]
    for name in names:
        person(name, Role.AUDITOR)
        fail(name, 1)
    for name in names:
        client = Client()
        try_password(client, name, PASSWORD)
        assert is_in(client)
    entries = AuditEntry.objects.filter(act="session.sign_in_failed")
    assert entries.count() == 8
    assert {entry.facts["address"] for entry in entries} == {HOME}


@pytest.mark.parametrize(
    ("proxies", "header", "seen"),
    [
        (0, "192.0.2.1", HOME),
        (1, "", HOME),
        (1, "192.0.2.1", "192.0.2.1"),
        (1, "10.9.9.9, 192.0.2.1", "192.0.2.1"),
        (2, "10.9.9.9, 192.0.2.1, 10.0.0.1", "192.0.2.1"),
        (2, "192.0.2.1", HOME),
        (1, "no address", NOWHERE),
        (1, "2001:db8::1", "2001:db8::1"),
    ],
)
def test_a_forwarded_address_counts_as_far_as_our_own_proxies_wrote_it(
    settings: Any, proxies: int, header: str, seen: str
) -> None:
    settings.CONSOLE_PROXIES = proxies
    request = HttpRequest()
    request.META |= {"REMOTE_ADDR": HOME, "HTTP_X_FORWARDED_FOR": header}
    assert address_of(request) == seen


def test_behind_a_proxy_the_addresses_that_a_client_writes_itself_change_nothing(settings: Any) -> None:
    settings.CONSOLE_PROXIES = 1
    person("dri", Role.DRI)
    for number in range(5):
        fail("dri", 1, address="10.0.0.1", HTTP_X_FORWARDED_FOR=f"192.0.2.{number}, {HOME}")
    guess = {"address": "10.0.0.1", "HTTP_X_FORWARDED_FOR": f"192.0.2.200, {HOME}"}
    assert try_password(Client(), "dri", PASSWORD, **guess).status_code == 429
    other = {"address": "10.0.0.1", "HTTP_X_FORWARDED_FOR": ELSEWHERE}
    assert try_password(Client(), "dri", PASSWORD, **other).status_code == 302


def test_the_many_addresses_of_one_ipv6_network_are_one_and_a_mapped_address_is_the_ipv4_one() -> None:
    def network(address: str) -> str:
        request = HttpRequest()
        request.META["REMOTE_ADDR"] = address
        return network_of(request)

    assert network("2001:db8:1:2::1") == network("2001:db8:1:2:ffff::9") == "2001:db8:1:2::"
    assert network("2001:db8:1:3::1") != network("2001:db8:1:2::1")
    assert network("::ffff:203.0.113.7") == HOME
    assert network("fe80::1%eth0") == "fe80::"
    assert network("") == NOWHERE


@pytest.mark.parametrize("username", ["x" * 10_000, "ünïcödé ☃", "a'; DROP TABLE users; --", " "])
def test_no_name_breaks_the_login_page(username: str) -> None:
    answer = try_password(Client(), username)
    assert answer.status_code == 200


def test_no_name_and_no_password_is_kept_by_the_counters() -> None:
    fail("my-secret-passphrase-in-the-wrong-field", 2)
    row = AccessAttempt.objects.get()
    assert "passphrase" not in f"{row.username} {row.get_data} {row.post_data} {row.path_info}"
    assert "a guess" not in row.post_data


def test_failures_and_the_lock_are_in_the_audit_log_with_where_from_and_unknown_names_are_not() -> None:
    person("dri", Role.DRI)
    fail("dri", 6)
    fail("typed-a-password-here", 5)
    rows = AuditEntry.objects.filter(act__startswith="session.sign_in").order_by("number")
    told = [(row.act, row.subject, row.facts.get("locked"), row.facts["address"]) for row in rows]
    failed, locked = "session.sign_in_failed", "session.sign_in_locked"
    assert told[:7] == [
        *[(failed, "user dri", False, HOME)] * 4,
        (failed, "user dri", True, HOME),
        (locked, "user dri", None, HOME),
        (failed, "user dri", True, HOME),
    ]
    assert told[-1] == (locked, "a user that does not exist", None, HOME)
    assert not any("typed" in f"{row.subject} {row.facts}" for row in rows)


def test_an_operator_with_the_permission_lifts_a_lock_on_the_page_and_it_is_on_record(signed_in: Any) -> None:
    person("dri", Role.DRI)
    fail("dri")
    fail("no-such-person")
    ops = signed_in(Role.PLATFORM_OPS)
    page = ops.get(reverse("admin:sign_ins"))
    shown = {each.lock.username: each.lock for each in page.context["locks"]}
    assert set(shown) == {"dri", ""}
    assert "no-such-person" not in page.content.decode()
    form = {"act": "lift", "digest": shown["dri"].digest, "address": HOME}
    assert signed_in(Role.AUDITOR).post(reverse("admin:sign_ins"), form).status_code == 403
    assert try_password(Client(), "dri", PASSWORD).status_code == 429
    told = ops.post(reverse("admin:sign_ins"), form, follow=True)
    assert "dri can sign in from 203.0.113.7 again" in text_of(told)
    assert try_password(Client(), "dri", PASSWORD).status_code == 302
    assert acts("session.lock_lifted") == [("session.lock_lifted", "platform_ops", "user dri")]
    assert "over already" in text_of(ops.post(reverse("admin:sign_ins"), form, follow=True))


def test_the_command_lists_and_lifts_locks(capsys: pytest.CaptureFixture[str]) -> None:
    person("dri", Role.DRI)
    fail("dri")
    fail("dri", address=ELSEWHERE)

    def sign_in(*words: str) -> tuple[object, str]:
        with pytest.raises(SystemExit) as ended:
            call_command("sign_in", *words)
        captured = capsys.readouterr()
        return ended.value.code, captured.out + captured.err

    assert sign_in("locks")[1].count("dri  from ") == 2
    assert sign_in("lift", "dri", "--address", HOME, "--by", "olga") == (0, "dri can sign in again\n")
    assert try_password(Client(), "dri", PASSWORD).status_code == 302
    assert try_password(Client(), "dri", PASSWORD, address=ELSEWHERE).status_code == 429
    assert sign_in("lift", "dri")[0] == 0
    assert try_password(Client(), "dri", PASSWORD, address=ELSEWHERE).status_code == 302
    assert sign_in("lift", "dri") == (0, "dri was not locked out\n")
    assert sign_in("lift", "nobody-at-all")[0] == 2
    assert ("session.lock_lifted", "os:olga", "user dri") in acts("session.lock_lifted")


def test_what_asks_without_a_request_is_no_browser_and_is_not_locked() -> None:
    user = person("dri", Role.DRI)
    fail("dri")
    assert authenticate(username="dri", password=PASSWORD) == user


def test_wrong_bearer_tokens_and_webhooks_are_no_failed_sign_ins(client: Client) -> None:
    for _ in range(12):
        wrong = {"HTTP_AUTHORIZATION": "Bearer acst_000000000000_" + "0" * 64, "REMOTE_ADDR": HOME}
        assert client.get("/api/v1/mode", **wrong).status_code == 401  # type: ignore[arg-type]
        assert client.post("/webhooks", b"{}", content_type="application/json", **wrong).status_code == 401  # type: ignore[arg-type]
    assert not AccessAttempt.objects.exists()
    assert acts("session.sign_in_failed") == []
