"""The configuration at a start: complete, without a secret, and never in the way of the start."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from django.conf import settings
from django.db import OperationalError

from autocom.environment import Environment
from autocom.kernel.canonical_json import canonical_json
from evidence import configuration as module
from evidence.configuration import configuration, record_start
from evidence.models import AuditEntry

SECRET = "Tr0ub4dor-and-3"


def test_every_setting_is_told_and_no_text_or_credential_but_those_that_are_known_to_be_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = module.SHOWN_TEXTS | module.SHOWN_ADDRESSES
    spoilt: dict[str, Any] = dict.fromkeys(shown, f"https://{SECRET}:{SECRET}@host:1/path?{SECRET}#{SECRET}")
    spoilt |= dict.fromkeys(module.SHOWN_TEXTS, "shown")
    spoilt |= {
        field.name: type(getattr(settings.AUTOCOM, field.name))((SECRET,))
        if isinstance(getattr(settings.AUTOCOM, field.name), tuple)
        else SECRET
        for field in fields(Environment)
        if isinstance(getattr(settings.AUTOCOM, field.name), str | tuple) and field.name not in shown
    }
    monkeypatch.setattr(settings, "AUTOCOM", replace(settings.AUTOCOM, **spoilt))
    told: Any = configuration()
    assert SECRET not in json.dumps(told)
    assert set(told["settings"]) == {field.name for field in fields(Environment)}
    assert told["settings"]["secret_key"] == "set"
    assert told["settings"]["db_url"] == "https://host:1/path"
    assert told["settings"]["lanes"] == settings.AUTOCOM.lanes
    assert len(told["lock_file_sha256"]) == 64
    canonical_json(told)


@pytest.mark.django_db(transaction=True)
def test_a_start_leaves_one_entry() -> None:
    before = AuditEntry.objects.count()
    assert record_start("console")
    (entry,) = AuditEntry.objects.order_by("number")[before:]
    assert (entry.act, entry.actor_kind, entry.actor) == ("configuration.read_at_start", "process", "console")
    assert entry.facts == configuration()


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_away_does_not_keep_the_console_from_starting(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise OperationalError("the database is away")

    monkeypatch.setattr(module, "record", away)
    assert record_start("console") is False
