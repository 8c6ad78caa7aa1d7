"""The tables of the console itself."""

import uuid
from typing import override

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.base_session import AbstractBaseSession
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
