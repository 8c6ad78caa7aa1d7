"""The audit log: an entry stands or falls with its act, and nobody changes it afterwards."""

from __future__ import annotations

import pytest
from django.db import transaction

from evidence.audit import Act, Actor, record
from evidence.errors import OutsideTransaction
from evidence.models import AuditEntry, AuditHead

SOMEBODY = Actor.process("test")


@pytest.mark.django_db(transaction=True)
def test_an_entry_outside_of_a_transaction_is_refused() -> None:
    before = AuditHead.objects.get().number
    with pytest.raises(OutsideTransaction):
        record(Act.PROVIDER_ADDED, actor=SOMEBODY, subject="acme")
    assert AuditHead.objects.get().number == before


@pytest.mark.django_db(transaction=True)
def test_an_entry_falls_with_its_act_and_leaves_no_gap() -> None:
    before = AuditHead.objects.get().number
    with transaction.atomic():
        record(Act.PROVIDER_ADDED, actor=SOMEBODY, subject="acme")
        transaction.set_rollback(True)
    with transaction.atomic():
        entry = record(Act.PROVIDER_ADDED, actor=SOMEBODY, subject="acme", reason="why", facts={"a": [1, None, "ü"]})
    assert entry.number == before + 1
    assert AuditEntry.objects.filter(number__gt=before).count() == 1
    assert AuditHead.objects.get().number == before + 1
