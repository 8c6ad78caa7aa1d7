"""The tables of the console itself."""

from django.db import models
from guardian.models import UserObjectPermissionBase

from evidence.models import Bundle, Gate
from ingestion.models import Provider


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
        permissions = [("run_rbac", "Can run the matrix of permissions")]
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.outcome} of {self.at:%Y-%m-%d %H:%M}"


class RbacOrder(models.Model):
    """Somebody asked for a probe. A process of its own makes it, and says here how far it is."""

    class State(models.TextChoices):
        WAITING = "waiting"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    state = models.CharField(max_length=16, choices=State.choices, default=State.WAITING)
    why = models.TextField(blank=True, help_text="It failed")
    asked_by = models.TextField()
    asked_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    seen_at = models.DateTimeField(null=True, help_text="Its process was alive")
    settled_at = models.DateTimeField(null=True)
    done_count = models.IntegerField(default=0)
    cell_count = models.IntegerField(default=0)
    run = models.ForeignKey(RbacRun, on_delete=models.SET_NULL, null=True)

    class Meta:
        ordering = ["-pk"]
        default_permissions = ()

    def __str__(self) -> str:
        return f"probe {self.pk}: {self.state}"


class GateGrant(UserObjectPermissionBase):
    """A right held on one gate. With its own foreign key, so that none outlives its gate."""

    content_object = models.ForeignKey(Gate, on_delete=models.CASCADE)

    class Meta(UserObjectPermissionBase.Meta):
        default_permissions = ()


class ProviderGrant(UserObjectPermissionBase):
    content_object = models.ForeignKey(Provider, on_delete=models.CASCADE)

    class Meta(UserObjectPermissionBase.Meta):
        default_permissions = ()


class BundleGrant(UserObjectPermissionBase):
    content_object = models.ForeignKey(Bundle, on_delete=models.CASCADE)

    class Meta(UserObjectPermissionBase.Meta):
        default_permissions = ()
