"""`manage.py destination`: an address is added with its audit entry; its secret is shown once and stored sealed."""

from __future__ import annotations

import json

import pytest
from django.core.management import call_command

from evidence.models import AuditEntry, Destination
from ingestion.secret_box import unseal

pytestmark = pytest.mark.django_db(transaction=True)


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        call_command("destination", *arguments)
    return int(ended.value.code or 0)


def test_an_added_destination_is_on_record_without_its_secret(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("add", "on-call", "https://hooks.example.com/x", "--alerts", "lag", "--json") == 0
    secret = json.loads(capsys.readouterr().out)["secret"]
    row = Destination.objects.get(name="on-call")
    assert unseal(row.secret_ciphertext) == secret
    entry = AuditEntry.objects.filter(act="destination.added").latest("number")
    assert secret.removeprefix("whsec_") not in json.dumps(entry.facts)
    assert run("add", "on-call", "https://hooks.example.com/y") == 1


def test_an_address_with_a_password_is_wrong_usage_and_adds_nothing() -> None:
    assert run("add", "on-call", "https://anna:pw@hooks.example.com/x") == 2
    assert not Destination.objects.exists()
