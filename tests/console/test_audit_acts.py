"""Every act that changes something leaves exactly one entry that says who; one that was refused leaves none."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import transaction
from django.test import Client
from django.urls import reverse

from console.demonstration import create_demonstration_users
from console.roles import Role, sync_roles
from evidence.audit import Actor, ActorKind
from evidence.models import AuditEntry
from evidence.selectors import audit_verification
from ingestion.models import Provider, ProviderSecret
from tests.console.conftest import MODEL_BACKEND

pytestmark = pytest.mark.django_db

PROJECT = Path(__file__).resolve().parents[2]
GIVEN_SECRET = "given-secret-0123456789abcdef0123"
PASSWORD = "correct-horse-battery-staple"

type Entries = Callable[[], list[AuditEntry]]


@pytest.fixture
def new_entries() -> Entries:
    """The entries since it was asked before; sound at each look."""
    seen = [AuditEntry.objects.count()]

    def take() -> list[AuditEntry]:
        rows = list(AuditEntry.objects.order_by("number")[seen[0] :])
        seen[0] += len(rows)
        assert audit_verification().is_sound
        return rows

    return take


def acts(rows: list[AuditEntry]) -> list[tuple[str, str]]:
    return [(row.act, row.subject) for row in rows]


def run_provider(*words: str, stdin: str = "") -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", StringIO(stdin))
        with pytest.raises(SystemExit) as ended:
            call_command("provider", *words, stderr=StringIO())
    return int(ended.value.code or 0)


# ---- providers and their secrets, by the command


def test_every_changing_verb_of_the_command_leaves_one_entry_by_the_person_at_the_shell(new_entries: Entries) -> None:
    assert run_provider("add", "acme", "--scheme", "generic", "--secret-file", "-", stdin=GIVEN_SECRET) == 0
    (fingerprint,) = ProviderSecret.objects.values_list("fingerprint", flat=True)
    expected = {
        ("rotate", "acme"): "secret.rotated",
        ("revoke", "acme", fingerprint, "--force"): "secret.revoked",
        ("disable", "acme"): "provider.disabled",
        ("enable", "acme"): "provider.enabled",
    }
    (added,) = new_entries()
    assert (added.act, added.subject, added.actor) == ("provider.added", "provider acme", Actor.command_line().name)
    assert added.facts["secret"] == {
        "fingerprint": fingerprint,
        "generated": False,
        "not_after": None,
        "not_before": added.facts["secret"]["not_before"],
    }
    for words, act in expected.items():
        assert run_provider(*words) == 0
        assert acts(new_entries()) == [(act, "provider acme")], words


@pytest.mark.parametrize(
    "words",
    [
        ("list",),
        ("show", "acme"),
        ("test", "acme"),
        ("diagnose", "acme"),
        ("verify-stored", "nothing"),
        ("certificate", "list", "acme"),
        ("enable", "acme"),  # it is so already
        ("rekey",),  # every secret is under the newest key already
        ("add", "acme", "--scheme", "generic"),
        ("rotate", "nobody"),
        ("revoke", "acme", "00000000"),
        ("disable", "nobody"),
        ("certificate", "import", "acme", "--file", "/nowhere"),
    ],
)
def test_what_changes_nothing_or_is_refused_leaves_no_entry(new_entries: Entries, words: tuple[str, ...]) -> None:
    run_provider("add", "acme", "--scheme", "generic")
    new_entries()
    run_provider(*words)
    assert acts(new_entries()) == []


def test_a_rekeying_is_one_act(new_entries: Entries, settings: Any) -> None:
    run_provider("add", "one", "--scheme", "generic")
    run_provider("add", "two", "--scheme", "generic")
    new_entries()
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "n" * 40
    assert run_provider("rekey") == 0
    (entry,) = new_entries()
    assert (entry.act, entry.facts) == ("secrets.rekeyed", {"rekeyed_count": 2, "unreadable": []})


def test_a_change_whose_entry_fails_does_not_happen(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("no entry")

    monkeypatch.setattr("console.actions.providers.record", fail)
    with transaction.atomic(), pytest.raises(RuntimeError):
        call_command("provider", "add", "acme", "--scheme", "generic")
    assert not Provider.objects.exists()


def changing_verbs() -> set[str]:
    """Every public function of ingestion's changes that opens a transaction: those that write."""
    folder = PROJECT / "ingestion"
    files = [*(folder / "provider_changes").glob("*.py"), folder / "certificates.py"]
    found = {node.name for file in files for node in _functions(file) if "transaction.atomic" in ast.unparse(node)}
    assert {"add_provider", "rotate_secret", "revoke_secret", "switch_provider", "rekey_secrets"} < found
    return {name for name in found if not name.startswith("_")}


def _functions(file: Path) -> Iterator[ast.FunctionDef]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return (node for node in tree.body if isinstance(node, ast.FunctionDef))


def test_only_the_recorded_actions_call_a_verb_that_changes_a_provider() -> None:
    verbs = changing_verbs()
    allowed = PROJECT / "console" / "actions" / "providers.py"
    by_itself = PROJECT / "evidence" / "certificate_fetch.py"  # nobody asked for it; its entry names the process
    for app in ("autocom", "console", "evidence", "ingestion", "bench"):
        for file in (PROJECT / app).rglob("*.py"):
            names = {
                name
                for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
                if isinstance(node, ast.ImportFrom)
                for name in (alias.name for alias in node.names)
            }
            if file == by_itself:
                assert names & verbs == {"import_certificate"}
                assert {"record", "transaction"} <= names
            elif file != allowed:
                assert not names & verbs, f"{file}: {names & verbs} leave no audit entry; take console.actions"
            else:
                assert verbs <= names


# ---- by the console's pages


def test_changes_of_a_provider_in_the_console_name_the_person(signed_in: Any, new_entries: Entries) -> None:
    client = signed_in(Role.PLATFORM_OPS)
    new_entries()

    def post(page: str, *arguments: Any, **given: Any) -> list[AuditEntry]:
        answer = client.post(reverse(f"admin:ingestion_provider_{page}", args=arguments), given)
        assert answer.status_code in (200, 302)
        entries = new_entries()
        assert {(entry.actor_kind, entry.actor) for entry in entries} <= {(ActorKind.PERSON, "platform_ops")}
        return entries

    given = {"name": "acme", "scheme": "generic", "options": "{}", "secret": GIVEN_SECRET}
    assert acts(post("add", **given)) == [("provider.added", "provider acme")]
    acme = Provider.objects.get()
    newest = ProviderSecret.objects.get().fingerprint
    assert acts(post("add", **given)) == []  # refused: there is one of that name
    rotated = post("rotate", acme.pk, secret="", overlap_hours="1", newest=newest)
    assert acts(rotated) == [("secret.rotated", "provider acme")]
    assert acts(post("revoke", acme.pk, newest)) == [("secret.revoked", "provider acme")]
    form = {"scheme": "generic", "enabled": "on", "options": json.dumps({"ordering_key_path": "a"})}
    (changed,) = post("change", acme.pk, **form)
    assert (changed.act, changed.facts["fields"]) == ("provider.changed", ["options"])
    unchanged = {**form, "initial-options": form["options"]}  # as the page's own form sends it
    assert acts(post("change", acme.pk, **unchanged)) == []
    action = {"action": "disable", "_selected_action": [str(acme.pk)]}
    assert acts(post("changelist", **action)) == [("provider.disabled", "provider acme")]
    assert acts(post("changelist", **action)) == []


def test_sign_in_failed_sign_in_and_sign_out_are_entered(client: Client, new_entries: Entries) -> None:
    User.objects.create_user("dri", password=PASSWORD, is_staff=True)
    login = reverse("admin:login")
    new_entries()
    client.post(login, {"username": "dri", "password": "wrong"})
    client.post(login, {"username": PASSWORD, "password": "in the wrong field"})
    client.post(login, {"username": "dri", "password": PASSWORD})
    client.post(reverse("admin:logout"))
    client.post(reverse("admin:logout"))
    assert [(row.act, row.actor, row.subject) for row in new_entries()] == [
        ("session.sign_in_failed", "console", "user dri"),
        ("session.sign_in_failed", "console", "a user that does not exist"),
        ("session.signed_in", "dri", "user dri"),
        ("session.signed_out", "dri", "user dri"),
    ]


def test_nobody_comes_in_unrecorded(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("no entry")

    User.objects.create_user("dri", password=PASSWORD, is_staff=True)
    monkeypatch.setattr("console.sessions.record", fail)
    client.raise_request_exception = False
    answer = client.post(reverse("admin:login"), {"username": "dri", "password": PASSWORD})
    assert answer.status_code == 500
    assert client.get(reverse("admin:password_change")).status_code == 302  # to the login


def superuser() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root", password=PASSWORD), backend=MODEL_BACKEND)
    return client


def test_changes_of_users_are_entered_with_the_rights_they_lead_to(new_entries: Entries) -> None:
    sync_roles()
    client = superuser()
    new_entries()
    users = "admin:auth_user"
    given = {"username": "new", "usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}
    assert client.post(reverse(f"{users}_add"), given).status_code == 302
    new = User.objects.get(username="new")
    change = {"username": "new", "is_active": "on", "is_staff": "on", "groups": [Group.objects.get(name="DRI").pk]}
    change |= {"date_joined_0": "2026-11-23", "date_joined_1": "10:00:00"}
    assert client.post(reverse(f"{users}_change", args=[new.pk]), change).status_code == 302
    again = {"password1": f"{PASSWORD}2", "password2": f"{PASSWORD}2", "usable_password": "true", "set-password": "1"}
    assert client.post(reverse("admin:auth_user_password_change", args=[new.pk]), again).status_code == 302
    delete = {"action": "delete_selected", "_selected_action": [str(new.pk)], "post": "yes"}
    assert client.post(reverse(f"{users}_changelist"), delete).status_code == 302
    rows = new_entries()
    assert acts(rows) == [(act, "user new") for act in ("user.added", "user.changed", "user.changed", "user.deleted")]
    assert {row.actor for row in rows} == {"root"}
    assert (rows[1].facts["roles"], rows[1].facts["is_staff"]) == (["DRI"], True)
    assert rows[2].facts["fields"] == ["password"]
    assert not User.objects.filter(username="new").exists()


def test_ones_own_password_is_entered_and_a_refused_change_is_not(new_entries: Entries) -> None:
    client = superuser()
    new_entries()
    address = reverse("admin:password_change")
    wrong = {"old_password": "wrong", "new_password1": f"{PASSWORD}2", "new_password2": f"{PASSWORD}2"}
    assert client.post(address, wrong).status_code == 200
    assert client.post(address, {**wrong, "old_password": PASSWORD}).status_code == 302
    (entry,) = new_entries()
    assert (entry.act, entry.subject, entry.facts["fields"]) == ("user.changed", "user root", ["password"])


def test_users_made_and_changed_at_the_shell_are_entered(new_entries: Entries, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)
    call_command("createsuperuser", "--noinput", "--username", "first", "--email", "", stdout=StringIO())
    monkeypatch.setattr("getpass.getpass", lambda **_: f"{PASSWORD}2")
    call_command("changepassword", "first", stdout=StringIO())
    with pytest.raises(CommandError):
        call_command("changepassword", "nobody", stdout=StringIO())
    added, changed = new_entries()
    assert acts([added, changed]) == [("user.added", "user first"), ("user.changed", "user first")]
    assert added.facts["is_superuser"] is True
    assert {added.actor, changed.actor} == {Actor.command_line().name}
    assert User.objects.get(username="first").check_password(f"{PASSWORD}2")


def test_changes_of_roles_are_entered_with_their_permissions(new_entries: Entries) -> None:
    client = superuser()
    new_entries()
    sync_roles(actor=Actor.process("up"))
    assert acts(new_entries()) == [("role.changed", f"role {role.value}") for role in Role]
    sync_roles()
    assert acts(new_entries()) == []
    auditor = Group.objects.get(name="Auditor")
    client.post(reverse("admin:auth_group_change", args=[auditor.pk]), {"name": "Auditor"})
    client.post(reverse("admin:auth_group_delete", args=[auditor.pk]), {"post": "yes"})
    changed, deleted = new_entries()
    assert (changed.act, changed.facts) == ("role.changed", {"permissions": []})
    assert (deleted.act, deleted.subject) == ("role.deleted", "role Auditor")


def test_a_refused_page_is_entered_and_a_refused_poll_is_not(signed_in: Any, new_entries: Entries) -> None:
    client = signed_in(Role.LEADERSHIP)
    new_entries()
    client.get(reverse("admin:ingestion_event_changelist"))
    client.get(reverse("admin:ingestion_event_changelist"), headers={"HX-Request": "true"})
    (entry,) = new_entries()
    assert (entry.act, entry.actor) == ("permission.refused", "leadership")
    assert entry.subject == "page /admin/ingestion/event/"
    assert entry.facts == {"method": "GET", "permission": "ingestion.view_event"}


def test_no_secret_and_no_password_is_in_any_entry(new_entries: Entries, client: Client) -> None:
    passwords = [user.password for user in create_demonstration_users()]
    run_provider("add", "acme", "--scheme", "generic", "--secret-file", "-", stdin=GIVEN_SECRET)
    run_provider("rotate", "acme", "--secret-file", "-", stdin=f"{GIVEN_SECRET}2")
    for user in ("dri", passwords[0]):
        client.post(reverse("admin:login"), {"username": user, "password": passwords[1]})
    text = repr([list(vars(row).values()) for row in new_entries()])
    assert len(passwords) == 5
    for secret in (GIVEN_SECRET, *passwords, *(user.password for user in User.objects.all())):
        assert secret not in text
