"""Links and buttons are drawn for whoever may use what they lead to, and for nobody else who may read the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.contrib.auth.models import Permission as Stored
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from console.access import Permission
from console.actions.discard_set_aside import discard_set_aside
from console.actions.operator import Operator
from console.roles import Role
from evidence.decisions import dri
from evidence.decisions.decide import decide_go
from evidence.decisions.dri import gate_row
from evidence.mode_standing import ModeStanding
from evidence.models import Outgoing
from evidence.modes import Mode
from ingestion.redrive.place import SetAside
from tests.console.budget_rows import burn, lived_hour
from tests.console.rows import dead_letter_row
from tests.console.test_destination_pages import destination, message
from tests.support.gates import PLAN, TEST, frozen_gate, own_store
from tests.support.gates import bundle as gate_bundle
from tests.support.gates import person as gate_person

pytestmark = pytest.mark.django_db
MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"


@dataclass(frozen=True, slots=True)
class Drawn:
    """`shown` is on the page at `address` for whoever holds `takes` beside `reads`."""

    reads: Permission
    takes: Permission
    address: Callable[[], str]
    shown: str


def _gate() -> str:
    return reverse("admin:gate", args=[gate_row("a").name])


def _gate_with_go() -> str:
    """That nobody approved."""
    row, ann = frozen_gate(), gate_person("ann", Role.DRI)
    dri.assign(row, username="ann", actor=TEST, reason="owns the launch")
    decide_go(row, gate_bundle(), user=ann, reason="all met", plan=PLAN)
    return _gate()


def _outcome() -> str:
    shell = Operator.command_line("t")
    entry = discard_set_aside(shell, place=SetAside.DEAD_LETTER, event_ids=[dead_letter_row().pk], reason="test data")
    return reverse("admin:ingestion_deadletter_outcome", args=[entry.number])


def _destinations() -> str:
    destination()
    return reverse("admin:destinations")


def _destination() -> str:
    message(Outgoing.State.DEAD, to := destination())
    return reverse("admin:destination", args=[to.pk])


def _outgoing() -> str:
    message(Outgoing.State.DEAD, destination())
    return reverse("admin:outgoing")


def _entry() -> str:
    lived_hour()
    return reverse("admin:budget_entry", args=[burn().number])


def _at(name: str) -> Callable[[], str]:
    return lambda: reverse(f"admin:{name}")


P = Permission
CASES = {
    "an upload": Drawn(
        P.EVIDENCE_READ, P.EVIDENCE_UPLOAD, _at("evidence_artifact_changelist"), "/admin/evidence/artifact/upload/"
    ),
    "the entry of a ledger's row": Drawn(P.BUDGET_READ, P.AUDIT_READ, _entry, "/admin/evidence/auditentry/"),
    "publications": Drawn(P.AUDIT_READ, P.EVIDENCE_READ, lambda: "/admin/evidence/", "/admin/evidence/publication/"),
    "the entry of a discard": Drawn(P.DEAD_LETTER_READ, P.AUDIT_READ, _outcome, "/admin/evidence/auditentry/"),
    "messages": Drawn(P.DESTINATION_READ, P.OUTGOING_READ, _destinations, "Messages that wait for a person"),
    "messages of one": Drawn(P.DESTINATION_READ, P.OUTGOING_READ, _destination, "?state=dead&amp;destination=hooks"),
    "the event of a message": Drawn(P.OUTGOING_READ, P.EVENT_READ, _outgoing, "/change/"),
    "a freeze": Drawn(P.GATE_READ, P.GATE_FREEZE, _gate, 'value="freeze"'),
    "naming the DRI": Drawn(P.GATE_READ, P.DRI_ASSIGN, _gate, 'value="assign"'),
    "an approval": Drawn(P.GATE_READ, P.DECISION_APPROVE, _gate_with_go, 'value="approve"'),
    "a higher mode": Drawn(P.MODE_READ, P.MODE_RAISE, _at("mode"), 'id="mode-up"'),
    "a lower mode": Drawn(P.MODE_READ, P.MODE_LOWER, _at("mode"), 'id="mode-down"'),
    "a pause": Drawn(P.LANE_READ, P.LANE_OPERATE, _at("pipeline"), 'value="pause"'),
    "an issue of a token": Drawn(P.TOKEN_READ, P.TOKEN_MANAGE, _at("service_tokens"), 'value="issue"'),
}


@pytest.mark.parametrize("name", CASES)
def test_it_is_drawn_for_whoever_may_and_for_nobody_else(
    person: Callable[..., User], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.setattr("console.pages.mode.standing", lambda: ModeStanding(mode=Mode.LIMITED))
    case, user, client = CASES[name], person(), Client()
    client.force_login(user, backend=MODEL_BACKEND)
    with own_store(tmp_path):
        address = case.address()
        for held, is_drawn in (([case.reads], False), ([case.reads, case.takes], True)):
            user.user_permissions.set([_stored(each) for each in held])
            answer = client.get(address)
            assert answer.status_code == 200
            assert (case.shown in answer.content.decode()) == is_drawn


def _stored(permission: Permission) -> Stored:
    app, _, codename = permission.partition(".")
    return Stored.objects.get(content_type__app_label=app, codename=codename)
