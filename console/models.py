"""The tables of the console itself."""

import uuid
from typing import override

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models
from django.db.models import Q
from guardian.models import UserObjectPermissionBase

from evidence.models import Bundle, Gate
from ingestion.models import Provider


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
        permissions = [("run_rbac", "Can run the matrix of permissions")]
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.outcome} of {self.at:%Y-%m-%d %H:%M}"


class ConsoleSession(AbstractBaseSession):
    """A browser's session, and whose. `session_key` is the secret in the cookie: pages say `public_id` instead."""

    public_id = models.UUIDField(default=uuid.uuid4, db_index=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="+")
    since = models.DateTimeField(null=True, help_text="When they signed in")
    last_seen_at = models.DateTimeField()
    address = models.GenericIPAddressField(null=True)
    agent = models.CharField(max_length=200)
    factor = models.CharField(max_length=32)

    class Meta(AbstractBaseSession.Meta):
        abstract = False
        default_permissions = ()
        permissions = [("manage_sign_in", "Can see and revoke everybody's sessions, and lift locks")]

    def __str__(self) -> str:
        return f"session {self.public_id}"

    @classmethod
    @override
    def get_session_store_class(cls) -> type[SessionBase]:
        from console.sign_in.store import SessionStore  # which needs this module

        return SessionStore


class IdentityLink(models.Model):
    """Who at the identity provider is whom here: by issuer and subject, never by name or mail."""

    issuer = models.CharField(max_length=200)
    subject = models.CharField(max_length=255)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    linked_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        ordering = ["user__username", "issuer", "subject"]
        constraints = [models.UniqueConstraint(fields=["issuer", "subject"], name="identity_link_one_person")]

    def __str__(self) -> str:
        return f"{self.subject} at {self.issuer}"


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
