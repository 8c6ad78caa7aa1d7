"""`manage.py access`: a right on one row is given and taken away, by name and with a reason, on record."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command

from console.access import Permission
from evidence.audit import Act
from evidence.models import AuditEntry
from tests.console.rows import bundle_row, provider_row

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        call_command("access", *arguments)
    return int(ended.value.code or 0)


def has(user: User, permission: Permission, row: object) -> bool:
    return User.objects.get(pk=user.pk).has_perm(permission, row)  # type: ignore[arg-type]


def test_a_right_is_given_once_and_taken_back_once_each_on_record(
    person: Callable[..., User], capsys: pytest.CaptureFixture[str]
) -> None:
    user, acme = person(), provider_row("acme")
    before = AuditEntry.objects.count()
    right = ("nobody", "--provider", "acme", "--may", "change", "--reason", "their own webhook", "--by", "ops")
    assert [run("grant", *right), run("grant", *right)] == [0, 0]
    assert has(user, Permission.PROVIDER_CHANGE, acme)
    assert has(user, Permission.PROVIDER_READ, acme), "nobody changes what they cannot see"
    capsys.readouterr()
    assert run("list", "--json") == 0
    listed = [(row["user"], row["permission"], row["row"]) for row in json.loads(capsys.readouterr().out)]
    both = (Permission.PROVIDER_CHANGE, Permission.PROVIDER_READ)
    assert listed == [("nobody", permission.value, "provider acme") for permission in both]
    seen = ("view" if part == "change" else part for part in right)
    assert [run("withdraw", *seen), run("withdraw", *right)] == [0, 0]
    assert not has(user, Permission.PROVIDER_READ, acme)
    assert not has(user, Permission.PROVIDER_CHANGE, acme)
    entries = AuditEntry.objects.order_by("number")[before:]
    assert [(entry.act, entry.actor, entry.subject, entry.reason) for entry in entries] == [
        (act.value, "os:ops", "user nobody", "their own webhook") for act in (Act.ACCESS_GRANTED, Act.ACCESS_WITHDRAWN)
    ]
    assert {entry.facts["row"] for entry in entries} == {"provider acme"}


def test_a_bundle_is_seen_and_never_changed(person: Callable[..., User]) -> None:
    user, bundle = person(), bundle_row()
    assert run("grant", "nobody", "--bundle", bundle.artifact_id, "--reason", "the other side's auditor") == 0
    assert has(user, Permission.BUNDLE_READ, bundle)
    assert run("grant", "nobody", "--bundle", bundle.artifact_id, "--may", "change", "--reason", "x") == 2


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("grant", "stranger", "--provider", "acme", "--reason", "x"), 1),
        (("grant", "nobody", "--provider", "acme", "--reason", "  "), 1),
        (("grant", "nobody", "--provider", "globex", "--reason", "x"), 2),
        (("grant", "nobody", "--bundle", "0" * 64, "--reason", "x"), 2),
        (("withdraw", "stranger", "--provider", "acme", "--reason", "x"), 1),
    ],
)
def test_what_does_not_fit_gives_nobody_anything(
    person: Callable[..., User], arguments: tuple[str, ...], code: int
) -> None:
    user, acme = person(), provider_row("acme")
    assert run(*arguments) == code
    assert not has(user, Permission.PROVIDER_READ, acme)


def test_a_user_who_may_not_sign_in_to_the_console_is_given_nothing(person: Callable[..., User]) -> None:
    person(staff=False)
    provider_row("acme")
    assert run("grant", "nobody", "--provider", "acme", "--reason", "x") == 1
