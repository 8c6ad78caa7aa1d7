"""Who did what, why: one entry for each act, in the transaction of the act itself.

The head's row is locked from `record` to the end of the transaction: entries get their numbers in the order in which
acts commit, and a rollback leaves no gap. So concurrent acts wait for each other: record last, and keep what comes
after it short. Nothing on the way of a webhook records.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import OperationalError, connection

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from autocom.kernel.digest import sha256
from evidence.audit_chain import canonical_entry
from evidence.errors import AuditLogBusy, OutsideTransaction
from evidence.models import AuditEntry, AuditHead
from evidence.selectors import chained

LOCK_WAIT_MS = 10_000  # a session that died inside an act must not hold everybody who acts after it
LOCK_NOT_AVAILABLE = "55P03"


class Act(StrEnum):
    """What was done, as "noun.past_tense". A value is never given another meaning: old entries keep it."""

    SIGNED_IN = "session.signed_in"
    SIGN_IN_FAILED = "session.sign_in_failed"
    SIGNED_OUT = "session.signed_out"
    SIGN_IN_LOCKED = "session.sign_in_locked"
    SIGN_IN_LOCK_LIFTED = "session.lock_lifted"
    SESSION_REVOKED = "session.revoked"
    IDENTITY_LINKED = "identity.linked"
    IDENTITY_UNLINKED = "identity.unlinked"
    IDENTITY_PROVEN = "identity.proven"
    SECOND_FACTOR_ENROLLED = "second_factor.enrolled"
    SECOND_FACTOR_REMOVED = "second_factor.removed"
    RECOVERY_CODES_MADE = "second_factor.codes_made"
    RECOVERY_CODE_USED = "second_factor.code_used"
    PASSKEY_USED = "second_factor.passkey_used"
    PASSKEY_COUNTER_WENT_BACK = "second_factor.counter_went_back"
    USER_ADDED = "user.added"
    USER_CHANGED = "user.changed"
    USER_DELETED = "user.deleted"
    ROLE_CHANGED = "role.changed"
    ROLE_DELETED = "role.deleted"
    PERMISSION_REFUSED = "permission.refused"
    PROVIDER_ADDED = "provider.added"
    PROVIDER_CHANGED = "provider.changed"
    PROVIDER_ENABLED = "provider.enabled"
    PROVIDER_DISABLED = "provider.disabled"
    SECRET_ROTATED = "secret.rotated"  # noqa: S105  (the act's name)
    SECRET_REVOKED = "secret.revoked"  # noqa: S105  (the act's name)
    SECRETS_REKEYED = "secrets.rekeyed"
    CERTIFICATE_IMPORTED = "certificate.imported"
    DEAD_LETTER_RETRIED = "dead_letter.retry_requested"
    DEAD_LETTER_DISCARDED = "dead_letter.discarded"
    QUARANTINE_RETRIED = "quarantine.retry_requested"
    QUARANTINE_DISCARDED = "quarantine.discarded"
    SET_ASIDE_ORDERED = "set_aside.ordered"
    SET_ASIDE_ORDER_CANCELLED = "set_aside.order_cancelled"
    SET_ASIDE_ORDER_ENDED = "set_aside.order_ended"
    PERSONAL_REVEALED = "personal.revealed"
    LANE_PAUSED = "lane.paused"
    LANE_RESUMED = "lane.resumed"
    LANE_WOKEN = "lane.woken"
    CONFIGURATION_AT_START = "configuration.read_at_start"
    REPLAY_ASKED = "replay.asked"
    REPLAY_STARTED = "replay.started"
    REPLAY_CANCELLED = "replay.cancelled"
    REPLAY_BROKEN_OFF = "replay.broken_off"
    REPLAY_RUN = "replay.run"
    LOG_STARTED = "log.started"
    LOG_KEY_ROTATED = "log.key_rotated"
    LOG_SEALING_REFUSED = "log.sealing_refused"
    LOG_VERIFIED = "log.verified"
    VERIFICATION_ASKED = "verification.asked"
    VERIFICATION_CANCELLED = "verification.cancelled"
    VERIFICATION_ENDED = "verification.ended"
    PROMISE_BROKEN = "promise.broken"
    PROMISE_KEPT_LATE = "promise.kept_late"
    WITNESS_COSIGNED = "witness.cosigned"
    ARTIFACT_UPLOADED = "artifact.uploaded"
    ARTIFACT_DOWNLOADED = "artifact.downloaded"
    BUNDLE_EXPORTED = "bundle.exported"
    BUNDLE_CANCELLED = "bundle.cancelled"
    BUNDLE_VERIFIED = "bundle.verified"
    BUNDLE_PUBLISHED = "bundle.published"
    PUBLICATION_ASKED = "publication.asked"
    PUBLICATION_FAILED = "publication.failed"
    EXTERNAL_SEND_REFUSED = "external_send.refused"
    GATE_SPEC_FROZEN = "gate.spec_frozen"
    GATE_JUDGED = "gate.judged"
    DRI_ASSIGNED = "dri.assigned"
    DRI_HANDED_OVER = "dri.handed_over"
    DRI_ENDED = "dri.ended"
    DECISION_MADE = "decision.made"
    DECISION_APPROVED = "decision.approved"
    DECISION_REFUSED = "decision.refused"
    MODE_CHANGED = "mode.changed"
    MODE_REFUSED = "mode.refused"
    GUARDRAIL_BREACHED = "guardrail.breached"
    ROLLBACK_DRILLED = "rollback.drilled"
    BUDGET_ENTERED = "budget.entered"
    BUDGET_CORRECTION_PROPOSED = "budget.correction_proposed"
    BUDGET_CORRECTION_REJECTED = "budget.correction_rejected"
    DESTINATION_ADDED = "destination.added"
    DESTINATION_CHANGED = "destination.changed"
    DESTINATION_REMOVED = "destination.removed"
    OUTGOING_RETRIED = "outgoing.retry_requested"
    OUTGOING_DISCARDED = "outgoing.discarded"
    OUTGOING_RELEASED = "outgoing.released"
    RBAC_TESTED = "rbac.tested"
    ACCESS_GRANTED = "access.granted"
    ACCESS_WITHDRAWN = "access.withdrawn"
    SERVICE_TOKEN_CREATED = "service_token.created"  # noqa: S105  (the act's name)
    SERVICE_TOKEN_ROTATED = "service_token.rotated"  # noqa: S105  (the act's name)
    SERVICE_TOKEN_REVOKED = "service_token.revoked"  # noqa: S105  (the act's name)


class ActorKind(StrEnum):
    PERSON = "person"
    TOKEN = "token"  # noqa: S105
    PROCESS = "process"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts. Names of kind PERSON are usernames of the console, or `os:<name>` for a person at a shell."""

    kind: ActorKind
    name: str

    @classmethod
    def person(cls, user: AbstractBaseUser | AnonymousUser) -> Self:
        return cls(ActorKind.PERSON, user.get_username())

    @classmethod
    def command_line(cls, os_user: str | None = None) -> Self:
        """Whoever runs this process, unless named. No username of the console has a colon."""
        return cls(ActorKind.PERSON, f"os:{os_user or _os_user()}")

    @classmethod
    def process(cls, name: str) -> Self:
        return cls(ActorKind.PROCESS, name)


def record(
    act: Act, *, actor: Actor, subject: str, reason: str = "", facts: Mapping[str, object] | None = None
) -> AuditEntry:
    """The entry stands or falls with the caller's transaction. `facts` are JSON without floats, and hold no secret.

    Raises OutsideTransaction, AuditLogBusy, and NotCanonical for a text or fact that cannot be written.
    """
    if not connection.in_atomic_block:
        raise OutsideTransaction
    head = _locked_head()
    entry = AuditEntry(
        number=head.number + 1,
        at=datetime_of(us=SYSTEM_CLOCK.now_us()),
        act=act.value,
        actor_kind=actor.kind.value,
        actor=actor.name,
        subject=subject,
        reason=reason,
        facts=dict(facts or {}),
        previous_sha256=bytes(head.entry_sha256),
    )
    entry.entry_sha256 = sha256(canonical_entry(chained(entry)))
    entry.save(force_insert=True)  # the database moves the head, or refuses the entry
    return entry


def _locked_head() -> AuditHead:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{LOCK_WAIT_MS}ms"])  # until the act ends
    try:
        return AuditHead.objects.select_for_update().get()
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", "") == LOCK_NOT_AVAILABLE:
            raise AuditLogBusy from error
        raise


def _os_user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's made-up user
        return str(os.getuid())
