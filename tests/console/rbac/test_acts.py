"""Acts that no cell of the matrix reaches refuse whoever holds nothing, and leave the refusal on record."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from console.actions import budget, destinations, letter_orders, outgoing, replays, sign_in, verifications
from console.actions.discard_set_aside import discard_set_aside
from console.actions.evidence_store import download
from console.actions.lanes import pause_lane
from console.actions.operator import Operator, RefusalRecorded
from console.actions.retry_set_aside import retry_set_aside
from console.actions.reveal_personal import reveal_personal
from console.actions.verify_bundle import verify_artifact, verify_file
from console.set_aside.verbs import RETRY
from evidence.audit import Act, Actor
from evidence.models import Artifact, AuditEntry
from evidence.runs.asked import Asked
from evidence.selectors import newest_number
from ingestion.models import Event
from ingestion.redrive.place import SetAside
from tests.console.rbac.mutations import ACTS_HERE

NOW = datetime(2026, 1, 2, tzinfo=UTC)
IDS = [UUID(int=1)]
FILE = Artifact(sha256="5" * 64, size_bytes=1, media_type="text/plain", stored_at=NOW)
WANTED: Any = type("Wanted", (), {"slo": "s", "account": "a"})
ACTS: dict[str, Callable[[Operator], object]] = {
    "budget.py annotate": lambda by: budget.annotate(by, "s", window_from=NOW, window_to=NOW, reason="r"),
    "budget.py propose_correction": lambda by: budget.propose_correction(by, WANTED),
    "budget.py approve_correction": lambda by: budget.approve_correction(by, 1),
    "budget.py reject_correction": lambda by: budget.reject_correction(by, 1, reason="r"),
    "destinations.py add": lambda by: destinations.add(
        by, name="d", address="https://hooks.example.com/x", alert_kinds=[]
    ),
    "destinations.py switch": lambda by: destinations.switch(by, "d", enabled=True),
    "destinations.py remove": lambda by: destinations.remove(by, "d", reason="r"),
    "lanes.py _checked": lambda by: pause_lane(by, 0, reason="r"),
    "letter_orders.py order_letters": lambda by: letter_orders.order_letters(
        by, place=SetAside.DEAD_LETTER, verb=RETRY, event_ids=IDS, reason="r", chosen=""
    ),
    "letter_orders.py cancel_letters": lambda by: letter_orders.cancel_letters(
        by, 1, place=SetAside.DEAD_LETTER, verb=RETRY
    ),
    "letter_orders.py order_rest": lambda by: letter_orders.order_rest(by, 1, place=SetAside.DEAD_LETTER, verb=RETRY),
    "outgoing.py _decide": lambda by: outgoing.release(by, [1], reason="r"),
    "replays.py start_replay": lambda by: replays.start_replay(by, Asked(), reason="r"),
    "replays.py cancel_replay": lambda by: replays.cancel_replay(by, "r20260102T030405-0a0b0c", reason="r"),
    "reveal_personal.py reveal_personal": lambda by: reveal_personal(by, Event(pk=IDS[0]), reason="r"),
    "sign_in.py end_sessions": lambda by: sign_in.end_sessions(by, now=NOW),
    "sign_in.py lift_lock": lambda by: sign_in.lift_lock(by, digest="d", username="somebody", address=None),
    "discard_set_aside.py discard_set_aside": lambda by: discard_set_aside(
        by, place=SetAside.DEAD_LETTER, event_ids=IDS, reason="r"
    ),
    "retry_set_aside.py retry_set_aside": lambda by: retry_set_aside(by, place=SetAside.DEAD_LETTER, event_ids=IDS),
    "evidence_store.py download": lambda by: download(by, FILE),
    "verifications.py _check": lambda by: verifications.order_verification(by, None),
    "verify_bundle.py verify_file": lambda by: verify_file(by, Path("x")),
    "verify_bundle.py verify_artifact": lambda by: verify_artifact(by, FILE),
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("act", ACTS)
def test_whoever_holds_nothing_is_refused_before_anything_is_looked_at(act: str) -> None:
    nobody, before = Operator(actor=Actor.process(f"nobody {act}"), has=lambda *_: False), newest_number()
    with pytest.raises(RefusalRecorded):
        ACTS[act](nobody)
    done = AuditEntry.objects.filter(number__gt=before).values_list("act", "actor")
    assert list(done) == [(Act.PERMISSION_REFUSED.value, f"nobody {act}")], "every act enters itself: there was none"


def test_every_act_that_is_said_to_be_tested_here_is() -> None:
    assert {name.removeprefix("actions/").partition(":")[0] for name in ACTS_HERE} == set(ACTS)
