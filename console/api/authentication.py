"""Who calls the API."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, override

from django.contrib.auth.models import AbstractBaseUser
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from console.actions.operator import Operator
from console.service_tokens.check import ServiceAccount, account_of
from console.service_tokens.errors import TokenRefused

REALM = 'Bearer realm="autocom"'


class ServiceTokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer acst_...`. Without that header it is somebody else's business; with it, never."""

    @override
    def authenticate(self, request: Request) -> tuple[ServiceAccount, None] | None:
        header = str(request.META.get("HTTP_AUTHORIZATION", ""))
        if not header:
            return None
        kind, _, text = header.partition(" ")
        try:
            if kind.lower() != "bearer":
                raise TokenRefused
            return account_of(text.strip(), now=datetime.now(UTC)), None
        except TokenRefused as refused:
            raise AuthenticationFailed(str(refused), code=refused.code) from None

    @override
    def authenticate_header(self, request: Request) -> str:
        return REALM


class StaffSession(SessionAuthentication):
    """Of those who may sign in to the console. What changes something needs the CSRF header, as DRF checks."""

    @override
    def authenticate(self, request: Request) -> tuple[AbstractBaseUser, Any] | None:
        user = getattr(request._request, "user", None)
        return super().authenticate(request) if user is not None and user.is_staff else None


def operator_of(request: Request) -> Operator:
    user: Any = request.user
    return Operator.service(user) if isinstance(user, ServiceAccount) else Operator.signed_in(user)


def account_name(request: Request) -> str:
    """Whose calls are counted together. A rotated token is the same account."""
    user: Any = request.user
    return f"token:{user.name}" if isinstance(user, ServiceAccount) else f"user:{user.pk}"
