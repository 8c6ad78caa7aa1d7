"""The tables of evidence. PostgreSQL itself refuses to change what is in them."""

from django.db import models


class AuditEntry(models.Model):
    """One act: who, what, on what, why. Numbered 1 to n without a gap; each holds the digest of the one before."""

    number = models.BigIntegerField(primary_key=True)
    at = models.DateTimeField()
    act = models.CharField(max_length=64)
    actor_kind = models.CharField(max_length=16)
    actor = models.TextField()
    subject = models.TextField()
    reason = models.TextField(blank=True)
    facts = models.JSONField(default=dict)
    previous_sha256 = models.BinaryField()
    entry_sha256 = models.BinaryField(help_text="Over the canonical bytes of all the other columns")

    class Meta:
        managed = False  # migration 0001 made it; `flush` and later migrations leave it alone, as its triggers do
        default_permissions = ("view",)
        verbose_name_plural = "audit entries"
        indexes = [
            models.Index(fields=["act", "number"], name="audit_by_act"),
            models.Index(fields=["actor", "number"], name="audit_by_actor"),
            models.Index(fields=["subject", "number"], name="audit_by_subject"),
        ]

    def __str__(self) -> str:
        return f"{self.number} {self.act}"


class AuditHead(models.Model):
    """The one row that names the newest entry. Its lock puts concurrent acts in a row; only a new entry moves it."""

    id = models.SmallIntegerField(primary_key=True)
    number = models.BigIntegerField()
    entry_sha256 = models.BinaryField()

    class Meta:
        managed = False
        default_permissions = ()
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="audit_head_is_one_row")]

    def __str__(self) -> str:
        return f"entry {self.number}"
