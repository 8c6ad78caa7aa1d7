"""A correction of the ledger: one person proposes it, another decides. What was measured stays beside it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from evidence.audit import Act, Actor, ActorKind, record
from evidence.budget.arithmetic import Counts
from evidence.budget.entries import NewEntry, account_of, enter, lock_ledger
from evidence.budget.errors import CorrectionRefused, ProposalUnknown
from evidence.models import BudgetEntry, CorrectionProposal
from evidence.slo.shipped import objectives

Category = CorrectionProposal.Category
RUN = "run:"
REASON_LENGTH_AT_LEAST = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be counted otherwise. Deltas are added to what was measured: -40 valid, -40 bad takes 40 failures out.

    `account` is a month, as `account_of` names it.
    """

    slo: str
    account: str
    window_from: datetime
    window_to: datetime
    category: str
    valid_delta: int
    bad_delta: int
    reason: str
    unknown_seconds_delta: int = 0

    @property
    def counts(self) -> Counts:
        return Counts(valid=self.valid_delta, bad=self.bad_delta, unknown_seconds=self.unknown_seconds_delta)


def propose(wanted: Wanted, *, actor: Actor, now: datetime) -> CorrectionProposal:
    """Nothing counts until another person approves. Raises CorrectionRefused, SloUnknown, AuditLogBusy."""
    objectives().slo(wanted.slo)
    _refuse_what_is_no_person(actor)
    _refuse_nonsense(wanted, now=now)
    with transaction.atomic():
        _refuse_more_than_there_is(wanted.slo, wanted.account, wanted.counts)
        facts = {"slo": wanted.slo, "account": wanted.account, "category": wanted.category, **_deltas(wanted.counts)}
        subject = f"budget {wanted.slo} {wanted.account}"
        audited = record(
            Act.BUDGET_CORRECTION_PROPOSED, actor=actor, subject=subject, reason=wanted.reason, facts=facts
        )
        return CorrectionProposal.objects.create(
            slo=wanted.slo,
            account=wanted.account,
            window_from=wanted.window_from,
            window_to=wanted.window_to,
            category=wanted.category,
            reason=wanted.reason,
            proposed_by=actor.name,
            proposed_at=now,
            audit_number=audited.number,
            **_deltas(wanted.counts),
        )


def approve(number: int, *, actor: Actor, now: datetime, reason: str = "") -> BudgetEntry:
    """The CORRECTION is in the ledger afterwards. Raises CorrectionRefused, ProposalUnknown, AuditLogBusy."""
    with transaction.atomic():
        lock_ledger()
        proposal = _open_proposal(number, actor=actor)
        own = _counts(proposal)
        _refuse_more_than_there_is(proposal.slo, proposal.account, own)
        new = NewEntry(
            slo=objectives().slo(proposal.slo),
            account=proposal.account,
            kind=BudgetEntry.Kind.CORRECTION,
            window_from=proposal.window_from,
            window_to=proposal.window_to,
            counts=own,
            cause={"category": proposal.category, "proposal": proposal.pk, "audit_entry": proposal.audit_number},
            reason=proposal.reason,
            approver=actor.name,
        )
        proposer = Actor(kind=ActorKind.PERSON, name=proposal.proposed_by)
        (entry,) = enter([new], actor=proposer, at=now, reason=f"approved by {actor.name}: {reason or proposal.reason}")
        _settle(proposal, actor=actor, now=now, is_approved=True, reason=reason, entry=entry)
    return entry


def reject(number: int, *, actor: Actor, now: datetime, reason: str) -> CorrectionProposal:
    """Raises CorrectionRefused, ProposalUnknown, AuditLogBusy."""
    with transaction.atomic():
        lock_ledger()
        proposal = _open_proposal(number, actor=actor)
        record(
            Act.BUDGET_CORRECTION_REJECTED,
            actor=actor,
            subject=f"budget {proposal.slo} {proposal.account}",
            reason=reason,
            facts={"proposal": proposal.pk, "proposed_by": proposal.proposed_by},
        )
        _settle(proposal, actor=actor, now=now, is_approved=False, reason=reason, entry=None)
    return proposal


def _settle(
    proposal: CorrectionProposal,
    *,
    actor: Actor,
    now: datetime,
    is_approved: bool,
    reason: str,
    entry: BudgetEntry | None,
) -> None:
    proposal.decided_by, proposal.decided_at = actor.name, now
    proposal.is_approved, proposal.decision_reason, proposal.entry = is_approved, reason, entry
    proposal.save(update_fields=["decided_by", "decided_at", "is_approved", "decision_reason", "entry"])


def _open_proposal(number: int, *, actor: Actor) -> CorrectionProposal:
    _refuse_what_is_no_person(actor)
    proposal = CorrectionProposal.objects.select_for_update().filter(pk=number).first()
    if proposal is None:
        raise ProposalUnknown(f"no proposed correction has the number {number}: `manage.py budget show` lists them")
    if proposal.decided_at is not None:
        told = "approved" if proposal.is_approved else "rejected"
        raise CorrectionRefused(f"correction {number} was {told} by {proposal.decided_by} already: propose another")
    if proposal.proposed_by == actor.name:
        raise CorrectionRefused(f"correction {number} was proposed by {actor.name}: another person has to decide it")
    return proposal


def _refuse_what_is_no_person(actor: Actor) -> None:
    if actor.kind is not ActorKind.PERSON:
        raise CorrectionRefused("a correction takes two people: sign in as one of them")


def _refuse_nonsense(wanted: Wanted, *, now: datetime) -> None:
    if wanted.account.startswith(RUN):
        raise CorrectionRefused("the account of a gate run is never corrected: repeat the run")
    if not wanted.window_from < wanted.window_to <= now:
        raise CorrectionRefused("the window has to begin before it ends, and to have ended")
    if wanted.account != account_of(wanted.window_from):
        raise CorrectionRefused(f"the window begins in {account_of(wanted.window_from)}, not in {wanted.account}")
    if wanted.category not in Category.values:
        raise CorrectionRefused(f"{wanted.category!r} is no category: {', '.join(Category.values)}")
    if not (wanted.valid_delta or wanted.bad_delta or wanted.unknown_seconds_delta):
        raise CorrectionRefused("nothing would be counted otherwise: give a change of valid, bad or unknown seconds")
    if len(wanted.reason.strip()) < REASON_LENGTH_AT_LEAST:
        raise CorrectionRefused(f"say why in {REASON_LENGTH_AT_LEAST} characters or more: it stays in the ledger")


def _refuse_more_than_there_is(slo: str, account: str, own: Counts) -> None:
    """Nothing of the account may come below zero."""
    newest = BudgetEntry.objects.filter(slo=slo, account=account).order_by("-number").first()
    if newest is None:
        raise CorrectionRefused(f"the ledger has no account {account} of {slo} yet: there is nothing to correct")
    stands = Counts(
        valid=newest.corrected["valid"],
        bad=newest.corrected["bad"],
        unknown_seconds=newest.corrected["unknown_seconds"],
    )
    after = stands + own
    if min(after.valid, after.bad, after.good, after.unknown_seconds) < 0:
        raise CorrectionRefused(
            f"the account has {stands.valid} valid, {stands.bad} bad, {stands.unknown_seconds} unknown seconds: "
            "nothing of it may come below zero, and no more may be bad than valid"
        )


def _counts(proposal: CorrectionProposal) -> Counts:
    return Counts(valid=proposal.valid_delta, bad=proposal.bad_delta, unknown_seconds=proposal.unknown_seconds_delta)


def _deltas(counts: Counts) -> dict[str, int]:
    return {
        "valid_delta": counts.valid,
        "bad_delta": counts.bad,
        "unknown_seconds_delta": counts.unknown_seconds,
    }
