"""How far autocom may go in the outside world, and since when."""

from django.db import models
from django.db.models import Q


class ModeChange(models.Model):
    """One change of the mode. The newest row says which it is, if MAC and decision hold; else it is OBSERVER."""

    class Cause(models.TextChoices):
        DECISION = "decision"
        PERSON = "person"
        GUARDRAIL = "guardrail"
        DRILL = "drill"

    mode = models.CharField(max_length=16)
    previous = models.CharField(max_length=16)
    scope = models.JSONField(
        default=dict, help_text='LIMITED only: {"share": "0.05"} or {"keys": […], "providers": […]}'
    )
    cause = models.CharField(max_length=16, choices=Cause.choices)
    decision = models.ForeignKey("evidence.Decision", on_delete=models.PROTECT, null=True, related_name="mode_changes")
    binding_sha256 = models.CharField(max_length=64, blank=True, help_text="Of the decision: what may run in this mode")
    actor_kind = models.CharField(max_length=16)
    actor = models.TextField()
    reason = models.TextField()
    changed_at = models.DateTimeField()
    audit_number = models.BigIntegerField(unique=True)
    mac = models.BinaryField(
        help_text="Over all of it, under a key derived from SECRET_KEY: a forged row enables nothing"
    )

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        permissions = [
            ("lower_mode", "Can take the service back to OBSERVER or LIMITED"),
            ("raise_mode", "Can raise it"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(mode="OBSERVER") | Q(decision__isnull=False), name="mode_is_raised_by_a_decision"
            )
        ]

    def __str__(self) -> str:
        return f"{self.previous} to {self.mode}"
