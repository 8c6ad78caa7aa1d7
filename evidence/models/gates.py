"""Gates, who answers for them, and what was decided. Each row's act is an audit entry of the same transaction."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q


class Gate(models.Model):
    """A gate by its name. Rows exist for every specification that the code ships; rights are held on the row."""

    name = models.SlugField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        default_permissions = ("view",)
        permissions = [
            ("freeze_gate", "Can freeze a gate's specification"),
            ("decide_gate", "Can decide on the gate: its DRI, as an object permission"),
            ("approve_decision", "Can approve a decision GO as the second person"),
            ("assign_dri", "Can name the DRI of a gate"),
        ]

    def __str__(self) -> str:
        return f"gate {self.name}"


class FrozenSpec(models.Model):
    """A specification as it stood when it was frozen. What a run is judged by was frozen before the run."""

    gate = models.ForeignKey(Gate, on_delete=models.PROTECT, related_name="specs")
    version = models.PositiveIntegerField()
    sha256 = models.CharField(max_length=64, help_text="Of the text, hexadecimal")
    text = models.TextField(help_text="The specification's file, verbatim")
    frozen_at = models.DateTimeField()
    actor_kind = models.CharField(max_length=16)
    actor = models.TextField()
    reason = models.TextField()
    audit_number = models.BigIntegerField(unique=True)

    class Meta:
        ordering = ["-frozen_at"]
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["gate", "version"], name="frozen_spec_version_once")]

    def __str__(self) -> str:
        return f"{self.gate_id} version {self.version}"


class DriTerm(models.Model):
    """One person's time as the DRI of a gate. At most one is open for each gate."""

    gate = models.ForeignKey(Gate, on_delete=models.PROTECT, related_name="terms")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="dri_terms")
    since = models.DateTimeField()
    until = models.DateTimeField(null=True)
    assigned_by = models.TextField()
    reason = models.TextField()
    ended_by = models.TextField(blank=True)
    end_reason = models.TextField(blank=True)

    class Meta:
        ordering = ["-since"]
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["gate"], condition=Q(until=None), name="one_dri_for_each_gate"),
            models.CheckConstraint(condition=Q(until=None) | Q(until__gte=F("since")), name="dri_term_ends_later"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} for {self.gate_id} since {self.since:%Y-%m-%d}"


class Decision(models.Model):
    """What the DRI said about a run. NO-GO is final as it stands; GO holds once another person approved it in time."""

    class Kind(models.TextChoices):
        GO = "GO", "GO"
        NO_GO = "NO-GO", "NO-GO"

    gate = models.ForeignKey(Gate, on_delete=models.PROTECT, related_name="decisions")
    spec = models.ForeignKey(FrozenSpec, on_delete=models.PROTECT, null=True, related_name="decisions")
    kind = models.CharField(max_length=8, choices=Kind.choices)
    bundle = models.ForeignKey("evidence.Bundle", on_delete=models.PROTECT, null=True, related_name="decisions")
    run_id = models.CharField(max_length=64, blank=True)
    verdict = models.CharField(max_length=16, blank=True)
    binding = models.JSONField(default=dict, help_text="Digests of what was decided on: any other value voids it")
    binding_sha256 = models.CharField(max_length=64, blank=True)
    dri = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="decisions")
    reason = models.TextField()
    rollback_plan = models.JSONField(default=dict, help_text="trigger, steps, owner, limit_seconds")
    decided_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, help_text="Until then a GO may be approved and a mode enabled by it")
    audit_number = models.BigIntegerField(unique=True)

    class Meta:
        ordering = ["-decided_at"]
        default_permissions = ("view",)
        constraints = [
            models.CheckConstraint(
                condition=~Q(kind="GO") | Q(verdict="PASS", bundle__isnull=False, spec__isnull=False),
                name="go_needs_a_pass",
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="decision_has_a_reason"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} on {self.run_id}"


class Approval(models.Model):
    """The second person's word for a GO."""

    decision = models.OneToOneField(Decision, on_delete=models.PROTECT, related_name="approval")
    dri = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    approver = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="approvals")
    reason = models.TextField(blank=True)
    approved_at = models.DateTimeField()
    audit_number = models.BigIntegerField(unique=True)

    class Meta:
        default_permissions = ()
        constraints = [models.CheckConstraint(condition=~Q(approver=F("dri")), name="approver_is_another_person")]

    def __str__(self) -> str:
        return f"approval of {self.decision_id}"
