"""The tables of the console itself."""

from django.db import models


class ServiceToken(models.Model):
    """A program's way in. Its secret is known to the program alone: here is only the digest."""

    token_id = models.CharField(max_length=16, primary_key=True, help_text="The part of the token that is no secret")
    name = models.CharField(max_length=64, unique=True, help_text="Who acts, in the audit log; never given again")
    secret_sha256 = models.BinaryField()
    scopes = models.JSONField()
    created_by = models.TextField()
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, help_text="Noted once a day")
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        ordering = ["created_at"]

    def __str__(self) -> str:
        return self.name


class RbacRun(models.Model):
    """One probe of the matrix of permissions. `lines`: what each route answered, methods that answered alike in one."""

    at = models.DateTimeField()
    commit = models.TextField()
    build = models.CharField(max_length=16)
    outcome = models.CharField(max_length=16)
    cell_count = models.IntegerField()
    match_count = models.IntegerField()
    mismatch_count = models.IntegerField()
    untested_count = models.IntegerField()
    seconds = models.FloatField()
    asked_by = models.TextField()
    matrix_sha256 = models.CharField(max_length=64)
    personas = models.JSONField()
    lines = models.JSONField()

    class Meta:
        default_permissions = ("view",)
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.outcome} of {self.at:%Y-%m-%d %H:%M}"
