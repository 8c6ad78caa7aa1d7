"""What the probe needs in the database, made in its own transaction, which is rolled back: users, tokens, rows."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from importlib import import_module

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import Group, User

from autocom.kernel.clock import SYSTEM_CLOCK
from autocom.kernel.errors import ConfigurationError
from console.models import ServiceToken
from console.rbac.personas import EXPIRED, PERSONAS, REVOKED, Persona
from console.rbac.routes import DIGEST
from console.roles import Role
from console.service_tokens.make import make_token, revoke_token
from evidence.models import Artifact
from ingestion.provider_book import environment_default
from ingestion.providers import generic

MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"
EVENT = json.dumps({"id": "rbac-probe", "type": "rbac.probe", "ordering_key": "rbac-probe"}).encode()
CONTENT_TYPE = "Content-Type"
FORM: Mapping[str, str] = {"sha256": DIGEST}  # posted by everybody: what pages look up before they ask


def make_rows(*, now: datetime) -> None:
    Artifact.objects.get_or_create(
        sha256=DIGEST, defaults={"size_bytes": 0, "media_type": "application/octet-stream", "stored_at": now}
    )


def credentials(*, now: datetime) -> dict[str, dict[str, str]]:
    """By persona: the headers of their requests. A provider signs each one (`delivery`)."""
    suffix = secrets.token_hex(4)
    return {persona.name: _headers(persona, suffix, now=now) for persona in PERSONAS}


def _headers(persona: Persona, suffix: str, *, now: datetime) -> dict[str, str]:
    if persona.is_user:
        return {"HTTP_COOKIE": f"{settings.SESSION_COOKIE_NAME}={_session(_user(persona, suffix))}"}
    if persona.scope is not None:
        return {"HTTP_AUTHORIZATION": f"Bearer {_token(persona, suffix, now=now)}"}
    return {}


def _user(persona: Persona, suffix: str) -> User:
    user = User(username=f"rbac {persona.name} {suffix}", is_staff=persona.is_staff, is_superuser=persona.is_superuser)
    user.is_active = persona.is_known
    user.set_unusable_password()
    user.save()
    if persona.role is not None:
        user.groups.add(_group(persona.role))
    return user


def _group(role: Role) -> Group:
    """As the database has it now: a role that lost a permission there is a finding, not something to mend here."""
    group = Group.objects.filter(name=role.value).first()
    if group is None:
        raise ConfigurationError(f"the role {role.value} is not in the database: run `manage.py sync_roles` first")
    return group


def _session(user: User) -> str:
    """As a sign-in leaves it; nobody signs in here, so the audit log is told of none."""
    store = import_module(settings.SESSION_ENGINE).SessionStore()
    store[SESSION_KEY] = str(user.pk)
    store[BACKEND_SESSION_KEY] = MODEL_BACKEND
    store[HASH_SESSION_KEY] = user.get_session_auth_hash()
    store.create()
    return str(store.session_key)


def _token(persona: Persona, suffix: str, *, now: datetime) -> str:
    assert persona.scope is not None  # noqa: S101  (asked by the caller)
    name = f"rbac-{persona.name.replace(' ', '-').replace(':', '-')}-{suffix}"
    made = make_token(name=name, scopes=[persona.scope], life=timedelta(days=1), created_by="rbac_matrix", now=now)
    if persona is REVOKED:
        revoke_token(name=name, now=now)
    if persona is EXPIRED:
        ServiceToken.objects.filter(pk=made.token.pk).update(expires_at=now - timedelta(seconds=1))
    return made.text


def delivery() -> dict[str, str]:
    """Bearer and signature of the provider `default`, over the body that the probe sends, as of now."""
    known = environment_default(enabled=True)
    assert isinstance(known.options, generic.Options)  # noqa: S101  (it is the generic provider)
    signed, _ = generic.sign(
        EVENT, secret=known.secrets[0].secret, options=known.options, url="", now_us=SYSTEM_CLOCK.now_us()
    )
    return {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in signed.items() if name != CONTENT_TYPE}
