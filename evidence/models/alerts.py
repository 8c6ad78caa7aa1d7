"""What somebody should know now."""

from django.db import models
from django.db.models import Q


class Alert(models.Model):
    """One trouble, from when it was first seen until it was over. Seen again while open, it is the same alert."""

    class Severity(models.TextChoices):
        PAGE = "page"
        TICKET = "ticket"

    kind = models.CharField(max_length=32, help_text="burn, dead_letters, guardrail, lag, promise, outgoing")
    subject = models.CharField(max_length=200, help_text="What it is about: with `kind` it tells open alerts apart")
    severity = models.CharField(max_length=8, choices=Severity.choices)
    summary = models.TextField(help_text="One sentence for whoever is woken by it")
    facts = models.JSONField(default=dict)
    opened_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    seen_count = models.PositiveIntegerField(default=1)
    closed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-opened_at"]
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["kind", "subject"], condition=Q(closed_at=None), name="alert_open_once")
        ]
        indexes = [models.Index(fields=["-opened_at"], name="alert_by_time")]

    def __str__(self) -> str:
        return f"{self.kind}: {self.subject}"
