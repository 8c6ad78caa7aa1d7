"""The two acts, as one page and one command carry them out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from console.access import Permission
from console.actions import discard_set_aside, retry_set_aside
from console.actions.operator import Operator
from console.actions.set_aside import Part
from console.set_aside.plan import Plan, discard_plan, retry_plan
from evidence.models import AuditEntry
from ingestion.redrive.place import SetAside


class Perform(Protocol):
    def __call__(
        self,
        operator: Operator,
        *,
        place: SetAside,
        event_ids: Sequence[UUID],
        reason: str,
        part: Part | None = None,
    ) -> AuditEntry: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """`done` is the word for letters that it was done to, `doing` the one for whoever is at it."""

    name: str
    doing: str
    done: str
    permission: Permission
    needs_reason: bool
    plan: Callable[[SetAside, Sequence[UUID]], Plan]
    perform: Perform


RETRY = Verb(
    name="retry",
    doing="retrying",
    done="sent back to their lanes",
    permission=retry_set_aside.PERMISSION,
    needs_reason=False,
    plan=retry_plan,
    perform=retry_set_aside.retry_set_aside,
)
DISCARD = Verb(
    name="discard",
    doing="discarding",
    done="discarded",
    permission=discard_set_aside.PERMISSION,
    needs_reason=True,
    plan=discard_plan,
    perform=discard_set_aside.discard_set_aside,
)
VERBS = (RETRY, DISCARD)
VERB_BY_NAME = {verb.name: verb for verb in VERBS}
