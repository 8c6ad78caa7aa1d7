"""The tables of the console itself."""

from django.db import models
from django.db.models import Q


class ServiceToken(models.Model):
    """A program's way in. Its secret is known to the program alone: here is only the digest.

    A rotation adds a row of the same name, and the one before it ends soon after.
    """

    token_id = models.CharField(max_length=16, primary_key=True, help_text="The part of the token that is no secret")
    name = models.CharField(max_length=64, help_text="Who acts, in the audit log; never given to another program")
    secret_sha256 = models.BinaryField()
    scopes = models.JSONField()
    created_by = models.TextField()
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, help_text="Noted once a day")
    revoked_at = models.DateTimeField(null=True)
    replaced_at = models.DateTimeField(null=True, help_text="A rotation put another secret in its place then")

    class Meta:
        default_permissions = ("view",)
        permissions = [("manage_servicetoken", "Can issue, rotate and revoke service tokens")]
        ordering = ["created_at"]
        constraints = [
            models.UniqueConstraint(fields=["name"], condition=Q(replaced_at=None), name="service_token_newest_once")
        ]

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


class RateWindow(models.Model):
    """How often an account of the API called in its newest minute (console/api/rates.py)."""

    account = models.CharField(max_length=128, primary_key=True)
    began_at = models.DateTimeField()
    count = models.PositiveIntegerField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.account}: {self.count}"


class IdempotentCall(models.Model):
    """A call with an Idempotency-Key, and its answer once it has one (console/api/v1/idempotency.py)."""

    account = models.CharField(max_length=128)
    key = models.CharField(max_length=200)
    request_sha256 = models.BinaryField()
    claimed_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)
    status = models.PositiveSmallIntegerField(null=True, help_text="None while it is under way")
    body = models.TextField(default="")
    location = models.TextField(default="")

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["account", "key"], name="idempotency_key_once")]

    def __str__(self) -> str:
        return f"{self.account}: {self.key}"
