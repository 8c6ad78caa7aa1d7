"""Every change of the mode: the row, its MAC and its audit entry in one transaction."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from hashlib import sha256

from django.conf import settings
from django.db import transaction

from autocom.kernel.canonical_json import canonical_json
from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from evidence.audit import Act, Actor, record
from evidence.errors import EvidenceError
from evidence.models import Decision, ModeChange
from evidence.modes import Mode, current_mode


class ModeNotRaised(EvidenceError):
    """Only a decision GO raises the mode."""

    code = "mode_not_raised"


def change_mode(
    to: Mode,
    *,
    cause: ModeChange.Cause,
    actor: Actor,
    reason: str,
    decision: Decision | None = None,
    scope: Mapping[str, object] | None = None,
) -> ModeChange:
    """Down to OBSERVER always. Raises ModeNotRaised for any other mode."""
    if to is not Mode.OBSERVER:
        raise ModeNotRaised(f"{to} needs an approved decision GO: only OBSERVER may be entered without")
    with transaction.atomic():
        now, previous = datetime_of(us=SYSTEM_CLOCK.now_us()), current_mode()
        facts = {"from": previous.value, "to": to.value, "cause": cause.value, "at": now.isoformat()}
        entry = record(Act.MODE_CHANGED, actor=actor, subject=to.value, reason=reason, facts=facts)
        told = canonical_json({**facts, "reason": reason, "audit_number": entry.number})
        return ModeChange.objects.create(
            mode=to.value,
            previous=previous.value,
            cause=cause,
            actor_kind=actor.kind.value,
            actor=actor.name,
            reason=reason,
            changed_at=now,
            audit_number=entry.number,
            mac=hmac.digest(settings.SECRET_KEY.encode(), told, sha256),
        )
