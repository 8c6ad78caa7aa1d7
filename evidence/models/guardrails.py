"""How each guardrail stood when it was last looked at, and the drills that prove the way back."""

from django.db import models
from django.db.models import Q


class GuardrailState(models.Model):
    """The newest look at one rule. `reading` None: nothing is known, or nothing can be said of so few samples."""

    class Standing(models.TextChoices):
        OK = "OK"
        BREACHED = "BREACHED"
        UNKNOWN = "UNKNOWN"
        INSUFFICIENT_DATA = "INSUFFICIENT_DATA"

    rule = models.SlugField(max_length=64, unique=True)
    standing = models.CharField(max_length=20, choices=Standing.choices)
    reading = models.FloatField(null=True)
    sample_count = models.BigIntegerField(null=True)
    why = models.TextField(blank=True, help_text="Why nothing is known, or what the breach is")
    looked_at = models.DateTimeField()
    beyond_since = models.DateTimeField(null=True, help_text="Since when the reading is beyond the threshold")
    unknown_since = models.DateTimeField(null=True)
    breached_since = models.DateTimeField(null=True)

    class Meta:
        ordering = ["rule"]
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.rule}: {self.standing}"


class RollbackDrill(models.Model):
    """A breach planted on purpose. While one is open and not answered the drill rule is beyond its threshold."""

    planted_at = models.DateTimeField()
    planted_by = models.TextField()
    mode_before = models.CharField(max_length=16)
    answered_at = models.DateTimeField(null=True, help_text="When the guardrails had written the change of mode")
    change = models.ForeignKey("evidence.ModeChange", on_delete=models.PROTECT, null=True, related_name="+")
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(models.Value(1), condition=Q(ended_at=None), name="one_drill_at_a_time"),
        ]

    def __str__(self) -> str:
        return f"drill of {self.planted_at:%Y-%m-%d %H:%M:%S}"
