"""Whether an accepted event may leave, as the mode is: all in PRODUCTION, the canary in LIMITED, none in OBSERVER."""

from __future__ import annotations

import contextlib

from evidence.audit import Actor
from evidence.mode_standing import ModeStanding, is_in_scope
from evidence.models import Destination
from evidence.modes import Mode
from evidence.sends import ExternalSendForbidden, guard_external_send

FORWARDER = Actor.process("forwarder")


def may_leave(mode: ModeStanding, *, provider: str, ordering_key: str) -> bool:
    """As passes_canary, for one reading of the mode."""
    if mode.mode is Mode.LIMITED:
        return is_in_scope(mode.scope, provider=provider, ordering_key=ordering_key)
    return mode.mode is Mode.PRODUCTION


def note_refusal(destination: Destination, mode: ModeStanding) -> None:
    """In OBSERVER the guard has it on record, once an hour, that nothing is forwarded there."""
    if mode.mode is Mode.OBSERVER:
        with contextlib.suppress(ExternalSendForbidden):
            guard_external_send(destination.address, purpose="forwarding", actor=FORWARDER)
