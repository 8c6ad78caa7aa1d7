"""The acts themselves, whoever calls them: the permission is theirs to check, and the record is theirs to keep."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from console.actions.operator import Operator, RefusalRecorded
from console.actions.set_aside import ACT_LIMIT_COUNT, TooMany
from console.roles import Role
from console.set_aside.verbs import RETRY, VERBS, Verb
from ingestion.redrive.place import SetAside
from tests.console.letters import mended, newest_entry, newest_number

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_an_act_refuses_whoever_lacks_its_permission_and_records_that(person: Any, verb: Verb) -> None:
    letter, operator = mended(), Operator.signed_in(person(Role.AUDITOR))
    before = newest_number()
    with pytest.raises(RefusalRecorded):
        verb.perform(operator, place=SetAside.DEAD_LETTER, event_ids=[letter.pk], reason="test")
    letter.refresh_from_db()
    entry = newest_entry()
    assert entry is not None
    assert (letter.state, entry.number, entry.act) == ("open", before + 1, "permission.refused")
    assert entry.subject == f"{verb.name} dead letter {letter.pk}"


def test_more_letters_than_one_act_takes_are_refused_whole() -> None:
    letter, before = mended(), newest_number()
    ids = [letter.pk, *(uuid4() for _ in range(ACT_LIMIT_COUNT))]
    with pytest.raises(TooMany):
        RETRY.perform(Operator.command_line("anna"), place=SetAside.DEAD_LETTER, event_ids=ids, reason="")
    letter.refresh_from_db()
    assert (letter.state, newest_number()) == ("open", before)
