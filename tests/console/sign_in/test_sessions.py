"""A session is known by whose, where from and since when; it ends at once when somebody says so, and by itself."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.conf import settings as configured
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.contrib.sessions.backends.base import UpdateError
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from console.demonstration import create_demonstration_users
from console.models import ConsoleSession
from console.roles import Role
from evidence.models import AuditEntry
from tests.console.sign_in.kit import HOME, LOGIN, acts, is_in, text_of, try_password
from tests.support.gates import PASSWORD, person

pytestmark = pytest.mark.django_db
MINE = "/admin/my-sessions/"
THEIRS = "/admin/sign-ins/"


def come_in(username: str, *, address: str = HOME, agent: str = "Browser/1") -> Client:
    client = Client(HTTP_USER_AGENT=agent)
    assert try_password(client, username, PASSWORD, address=address).status_code == 302
    return client


def key(client: Client) -> str:
    return str(client.cookies[configured.SESSION_COOKIE_NAME].value)


def row(client: Client) -> ConsoleSession:
    return ConsoleSession.objects.get(session_key=key(client))


def age(client: Client, **by: timedelta) -> None:
    stored = row(client)
    ConsoleSession.objects.filter(pk=stored.pk).update(
        **{name: getattr(stored, name) - how for name, how in by.items()}
    )


def test_the_page_lists_a_persons_own_sessions_with_this_one_marked_and_no_key() -> None:
    person("dri", Role.DRI)
    person("ops", Role.PLATFORM_OPS)
    here, there, other = come_in("dri"), come_in("dri", address="198.51.100.9", agent="<b>Phone</b>"), come_in("ops")
    answer = here.get(MINE)
    text = text_of(answer)
    shown = {each.row.address: each.is_this for each in answer.context["sessions"]}
    assert shown == {HOME: True, "198.51.100.9": False}
    assert "&lt;b&gt;Phone" in text
    assert not any(key(client) in text for client in (here, there, other))


def test_a_session_that_is_ended_is_refused_at_its_next_request() -> None:
    person("dri", Role.DRI)
    here, there = come_in("dri"), come_in("dri")
    assert is_in(there)
    here.post(MINE, {"act": "one", "id": str(row(there).public_id)})
    answer = there.get(MINE)
    assert (answer.status_code, answer["Location"].partition("?")[0]) == (302, LOGIN)
    poll = there.get("/admin/overview/figures/", HTTP_HX_REQUEST="true")
    assert poll.status_code == 401
    assert is_in(here)
    assert acts("session.revoked") == [("session.revoked", "dri", "user dri")]


def test_all_others_end_together_and_this_one_stays() -> None:
    person("dri", Role.DRI)
    here, others = come_in("dri"), [come_in("dri") for _ in range(3)]
    assert "3 sessions ended" in text_of(here.post(MINE, {"act": "others"}, follow=True))
    assert [is_in(each) for each in others] == [False] * 3
    assert is_in(here)
    (entry,) = AuditEntry.objects.filter(act="session.revoked")
    assert len(entry.facts["sessions"]) == 3


def test_nobody_ends_somebody_elses_session_without_the_permission() -> None:
    person("dri", Role.DRI)
    person("aud", Role.AUDITOR)
    victim, auditor = come_in("dri"), come_in("aud")
    wanted = str(row(victim).public_id)
    assert "no such session" in text_of(auditor.post(MINE, {"act": "one", "id": wanted}, follow=True))
    for form in ({"act": "end", "id": wanted}, {"act": "end-all", "username": "dri"}):
        assert auditor.post(THEIRS, form).status_code == 403
    assert auditor.get(THEIRS).status_code == 403
    assert is_in(victim)


def test_platform_ops_ends_one_session_or_all_of_a_person() -> None:
    person("dri", Role.DRI)
    person("ops", Role.PLATFORM_OPS)
    ops, victims = come_in("ops"), [come_in("dri") for _ in range(3)]
    assert "1 session ended" in text_of(
        ops.post(THEIRS, {"act": "end", "id": str(row(victims[0]).public_id)}, follow=True)
    )
    assert [is_in(each) for each in victims] == [False, True, True]
    assert "2 sessions ended" in text_of(ops.post(THEIRS, {"act": "end-all", "username": "dri"}, follow=True))
    assert [is_in(each) for each in victims] == [False] * 3
    assert is_in(ops)
    assert acts("session.revoked") == [("session.revoked", "ops", "user dri")] * 2
    assert "choose a session" in text_of(ops.post(THEIRS, {"act": "end", "id": "everything"}, follow=True))
    assert "choose a person" in text_of(ops.post(THEIRS, {"act": "end-all", "username": ""}, follow=True))


def test_ending_the_own_session_leads_to_the_login() -> None:
    person("dri", Role.DRI)
    client = come_in("dri")
    answer = client.post(MINE, {"act": "one", "id": str(row(client).public_id)})
    assert answer["Location"] == LOGIN
    assert not is_in(client)


def test_an_ended_session_is_not_brought_back_by_a_request_that_was_under_way() -> None:
    person("dri", Role.DRI)
    client = come_in("dri")
    session = client.session
    session["anything"] = 1
    ConsoleSession.objects.all().delete()
    with pytest.raises(UpdateError):
        session.save()
    assert not ConsoleSession.objects.exists()


def test_the_key_is_another_one_after_the_sign_in_so_that_a_planted_one_is_worth_nothing() -> None:
    person("dri", Role.DRI)
    client, thief = Client(), Client()
    session = client.session  # a session from before, as an attacker would plant it
    session["planted"] = True
    session.save()
    planted = str(session.session_key)
    client.cookies[configured.SESSION_COOKIE_NAME] = planted
    try_password(client, "dri", PASSWORD)
    assert key(client) != planted
    assert is_in(client)
    thief.cookies[configured.SESSION_COOKIE_NAME] = planted
    assert not is_in(thief)
    assert not ConsoleSession.objects.filter(session_key=planted).exists()


def test_a_key_that_a_browser_makes_up_is_not_taken() -> None:
    person("dri", Role.DRI)
    client = Client()
    client.cookies[configured.SESSION_COOKIE_NAME] = "a" * 32
    try_password(client, "dri", PASSWORD)
    assert key(client) != "a" * 32


def test_a_new_password_ends_all_other_sessions() -> None:
    person("dri", Role.DRI)
    here, there = come_in("dri"), come_in("dri")
    new = "another quite long one 77"
    form = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    assert here.post(reverse("admin:password_change"), form).status_code == 302
    assert is_in(here)
    assert not is_in(there)
    assert len(here.get(MINE).context["sessions"]) >= 1


def test_a_session_ends_unused_after_the_idle_time_and_lives_while_it_is_used() -> None:
    person("dri", Role.DRI)
    client = come_in("dri")
    age(client, last_seen_at=timedelta(minutes=59))
    assert is_in(client)  # and was noted
    age(client, last_seen_at=timedelta(minutes=59))
    assert is_in(client)
    age(client, last_seen_at=timedelta(minutes=61))
    assert not is_in(client)
    assert not ConsoleSession.objects.filter(user__isnull=False).exists()


def test_a_page_that_was_left_open_does_not_keep_its_session_alive() -> None:
    person("dri", Role.DRI)
    client = come_in("dri")
    age(client, last_seen_at=timedelta(minutes=59))
    before = row(client).last_seen_at
    assert client.get("/admin/overview/figures/", HTTP_HX_REQUEST="true").status_code == 200
    assert row(client).last_seen_at == before
    assert is_in(client)
    assert row(client).last_seen_at > before


def test_a_session_ends_after_its_hours_however_much_it_is_used() -> None:
    person("dri", Role.DRI)
    client = come_in("dri")
    age(client, since=timedelta(hours=11, minutes=59))
    assert is_in(client)
    age(client, since=timedelta(minutes=2))
    assert not is_in(client)


def test_somebody_who_is_made_inactive_is_out_at_once() -> None:
    user = person("dri", Role.DRI)
    client = come_in("dri")
    user.is_active = False
    user.save()
    assert not is_in(client)


def test_the_cookies_are_for_this_site_and_no_script() -> None:
    person("dri", Role.DRI)
    client = Client()
    client.get(LOGIN)
    try_password(client, "dri", PASSWORD)
    for name in (configured.SESSION_COOKIE_NAME, configured.CSRF_COOKIE_NAME):
        cookie = client.cookies[name]
        assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", "/"), name
    assert int(client.cookies[configured.SESSION_COOKIE_NAME]["max-age"]) == 12 * 3_600


def test_overdue_rows_go_with_the_next_sign_in() -> None:
    person("dri", Role.DRI)
    stale = come_in("dri")
    ConsoleSession.objects.filter(pk=key(stale)).update(expire_date=timezone.now() - timedelta(seconds=1))
    come_in("dri")
    assert not ConsoleSession.objects.filter(pk=key(stale)).exists()


def test_the_command_lists_and_ends_sessions_without_their_keys(capsys: pytest.CaptureFixture[str]) -> None:
    person("dri", Role.DRI)
    client = come_in("dri")
    for words, told in ((("sessions",), "dri  "), (("sessions", "dri", "--json"), '"user": "dri"')):
        with pytest.raises(SystemExit):
            call_command("sign_in", *words)
        out = capsys.readouterr().out
        assert told in out
        assert key(client) not in out
    with pytest.raises(SystemExit) as ended:
        call_command("sign_in", "end-sessions", "dri", by="olga")
    assert (ended.value.code, capsys.readouterr().out) == (0, "1 ended\n")
    assert not is_in(client)
    assert acts("session.revoked") == [("session.revoked", "os:olga", "user dri")]


@pytest.mark.parametrize("password", ["short1!", "elevenchars", "password1234", "123456789012345", "dri-the-person-1"])
def test_a_weak_password_is_refused(password: str) -> None:
    with pytest.raises(ValidationError):
        validate_password(password, User(username="dri-the-person"))


def test_first_run_passwords_pass_the_policy_and_let_their_people_in() -> None:
    for made in create_demonstration_users():
        validate_password(made.password, User.objects.get(username=made.username))
        client = Client()
        try_password(client, made.username, made.password)
        assert is_in(client)


def test_the_way_in_offers_nothing_but_itself(client: Client) -> None:
    text = client.get(LOGIN).content.decode()
    links = set(re.findall(r'href="(/[^"]*)"', text))
    assert {link for link in links if not link.startswith("/static/")} <= {LOGIN}
    for path in (
        "accounts/signup/",
        "accounts/login/",
        "accounts/password/reset/",
        "accounts/email/",
        "accounts/",
        "2fa/",
    ):
        assert client.get(f"/{path}").status_code == 404
