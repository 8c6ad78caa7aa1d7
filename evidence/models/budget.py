"""The ledger of error budgets, and corrections that somebody asked for."""

from typing import Any

from django.db import models
from django.db.models import F, Q


def _exact(help_text: str = "", *, null: bool = False) -> "models.DecimalField[Any, Any]":
    return models.DecimalField(max_digits=24, decimal_places=6, null=null, help_text=help_text)


class BudgetEntry(models.Model):
    """One movement of an account. `valid`, `good`, `bad`, `unknown_seconds` are its own, the rest as after it.

    An account is a calendar month of an objective. The rows hold what they were computed from, so anybody can compute
    them again. An hour that got measurements after it was entered gets another BURN, of the difference: `part`.
    """

    class Kind(models.TextChoices):
        OPEN = "OPEN"
        BURN = "BURN"
        INCIDENT = "INCIDENT"
        CORRECTION = "CORRECTION"
        POLICY = "POLICY"
        FREEZE_ON = "FREEZE_ON"
        FREEZE_OFF = "FREEZE_OFF"
        CLOSE = "CLOSE"

    number = models.BigIntegerField(primary_key=True, help_text="1 to n without a gap")
    at = models.DateTimeField()
    slo = models.CharField(max_length=64)
    slo_version = models.PositiveIntegerField()
    account = models.CharField(max_length=64, help_text="month:2027-01")
    kind = models.CharField(max_length=16, choices=Kind.choices)
    part = models.PositiveIntegerField(default=0)
    window_from = models.DateTimeField()
    window_to = models.DateTimeField()
    valid = models.BigIntegerField(default=0)
    good = models.BigIntegerField(default=0)
    bad = models.BigIntegerField(default=0)
    unknown_seconds = models.BigIntegerField(default=0, help_text="Time of the window that nobody measured")
    target = models.DecimalField(max_digits=7, decimal_places=6)
    budget_total = _exact("Of the account: (1 - target) times what was valid")
    consumed = models.BigIntegerField(help_text="Of the account: what was bad")
    balance_after = _exact()
    remaining_pct = _exact("Null where nothing was valid", null=True)
    burn_1h = _exact(null=True)
    burn_6h = _exact(null=True)
    burn_1d = _exact(null=True)
    burn_3d = _exact(null=True)
    projected_exhaustion = models.DateTimeField(null=True)
    raw = models.JSONField(help_text="The account as it was measured")
    corrected = models.JSONField(help_text="The account with all corrections")
    cause = models.JSONField(default=dict, help_text="Minutes, codes, providers, runs")
    reason = models.TextField(blank=True)
    actor_kind = models.CharField(max_length=16)
    actor = models.TextField()
    approver = models.TextField(blank=True)
    evidence_sha256 = models.CharField(max_length=64, help_text="Of what the entry was computed from")
    audit_number = models.BigIntegerField(help_text="Of the audit entry that names the digest; it is sealed")

    class Meta:
        ordering = ["-number"]
        default_permissions = ("view",)
        permissions = [
            ("propose_correction", "Can propose a correction of an error budget"),
            ("approve_correction", "Can approve a correction that another person proposed"),
            ("annotate_budget", "Can enter an incident in an error budget's ledger"),
        ]
        verbose_name_plural = "budget entries"
        constraints = [
            models.UniqueConstraint(
                fields=["slo", "account", "kind", "window_from", "window_to", "part"],
                condition=Q(kind__in=["OPEN", "BURN", "CLOSE"]),
                name="budget_entry_once",
            ),
            models.CheckConstraint(condition=Q(valid=F("good") + F("bad")), name="budget_entry_adds_up"),
            models.CheckConstraint(condition=Q(window_to__gte=F("window_from")), name="budget_window_ends_later"),
            models.CheckConstraint(
                condition=~Q(kind="CORRECTION") | (~Q(approver="") & ~Q(approver=F("actor")) & ~Q(reason="")),
                name="correction_by_two_people",
            ),
            models.CheckConstraint(
                condition=~Q(kind="CORRECTION") | ~Q(account__startswith="run:"), name="no_correction_of_a_run"
            ),
        ]
        indexes = [models.Index(fields=["slo", "account", "-number"], name="budget_entry_account")]

    def __str__(self) -> str:
        return f"{self.number} {self.slo} {self.kind}"


class CorrectionProposal(models.Model):
    """What one person wants to be counted otherwise, and what another said to it. Decided once."""

    class Category(models.TextChoices):
        MEASUREMENT_ERROR = "measurement_error"
        TEST_TRAFFIC = "test_traffic"
        MAINTENANCE = "maintenance"
        SENDER_FAULT = "sender_fault"

    slo = models.CharField(max_length=64)
    account = models.CharField(max_length=64)
    window_from = models.DateTimeField()
    window_to = models.DateTimeField()
    category = models.CharField(max_length=24, choices=Category.choices)
    valid_delta = models.BigIntegerField()
    bad_delta = models.BigIntegerField()
    unknown_seconds_delta = models.BigIntegerField(default=0)
    reason = models.TextField()
    proposed_by = models.TextField()
    proposed_at = models.DateTimeField()
    audit_number = models.BigIntegerField(unique=True)
    decided_by = models.TextField(blank=True)
    decided_at = models.DateTimeField(null=True)
    is_approved = models.BooleanField(null=True)
    decision_reason = models.TextField(blank=True)
    entry = models.OneToOneField(BudgetEntry, on_delete=models.PROTECT, null=True, related_name="proposal")

    class Meta:
        ordering = ["-pk"]
        default_permissions = ()
        constraints = [
            models.CheckConstraint(condition=~Q(decided_by=F("proposed_by")), name="correction_by_another_person"),
            models.CheckConstraint(condition=~Q(account__startswith="run:"), name="no_proposal_for_a_run"),
            models.CheckConstraint(condition=~Q(reason=""), name="correction_has_a_reason"),
            models.CheckConstraint(
                condition=Q(decided_at=None, decided_by="", is_approved=None, entry=None)
                | Q(decided_at__isnull=False, is_approved=True, entry__isnull=False) & ~Q(decided_by="")
                | Q(decided_at__isnull=False, is_approved=False, entry=None) & ~Q(decided_by=""),
                name="correction_decided_whole",
            ),
        ]

    def __str__(self) -> str:
        return f"correction {self.pk} of {self.slo}"
