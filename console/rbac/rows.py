"""What the probe needs in the database, made in its own transaction, which is rolled back: users, tokens, rows."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib import import_module

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import Group, User
from guardian.shortcuts import assign_perm

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from autocom.kernel.errors import ConfigurationError
from console.access import Permission
from console.models import ServiceToken
from console.rbac.personas import (
    DRI_ELSEWHERE,
    DRI_HERE,
    EXPIRED,
    GUEST_ELSEWHERE,
    GUEST_HERE,
    PERSONAS,
    REVOKED,
    Persona,
)
from console.rbac.routes import DIGEST, SAMPLES
from console.roles import Role
from console.service_tokens.make import make_token, revoke_token
from evidence.models import Artifact, Bundle, Decision, DriTerm, Gate
from ingestion.models import Provider
from ingestion.provider_book import environment_default
from ingestion.providers import generic

PROBE = "rbac_matrix"
MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"
EVENT = json.dumps({"id": "rbac-probe", "type": "rbac.probe", "ordering_key": "rbac-probe"}).encode()
CONTENT_TYPE = "Content-Type"
FORM: Mapping[str, str] = {"sha256": DIGEST}  # posted by everybody: what pages look up before they ask


@dataclass(slots=True)
class Callers:
    """The personas as they are in the database, and the headers that each of them sends."""

    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)

    def gate_rights(self) -> None:
        """This gate has its DRI, another one has another, and a decision waits. Made for one call and gone with it:
        whoever decides in earnest meanwhile would wait for these rows.
        """
        dri, now = self.users[DRI_HERE.name], datetime_of(us=SYSTEM_CLOCK.now_us())
        gate, _ = Gate.objects.get_or_create(name=SAMPLES["gate"])
        other, _ = Gate.objects.get_or_create(name="rbac-probe")
        DriTerm.objects.filter(gate=gate, until=None).update(until=now, ended_by=PROBE, end_reason=PROBE)
        DriTerm.objects.create(gate=gate, user=dri, since=now, assigned_by=PROBE, reason=PROBE)
        assign_perm(Permission.GATE_DECIDE, dri, gate)
        assign_perm(Permission.GATE_DECIDE, self.users[DRI_ELSEWHERE.name], other)
        Decision.objects.create(
            gate=gate, kind=Decision.Kind.NO_GO, dri=dri, reason=PROBE, decided_at=now, audit_number=0
        )

    def provider_rights(self) -> None:
        """On the provider that deliveries are sent to: a row that operators make by switching it off."""
        default, _ = Provider.objects.get_or_create(name=SAMPLES["provider"], defaults={"scheme": generic.SCHEME})
        assign_perm(Permission.PROVIDER_READ, self.users[GUEST_HERE.name], default)


def callers(*, now: datetime) -> Callers:
    """Every persona. A provider signs each request (`delivery`)."""
    suffix, made = secrets.token_hex(4), Callers()
    for persona in PERSONAS:
        made.headers[persona.name] = _headers(persona, suffix, made, now=now)
    _make_rows(made, suffix, now=now)
    return made


def _make_rows(made: Callers, suffix: str, *, now: datetime) -> None:
    """Of what pages look up before they ask: the rows of SAMPLES, and of each kind another one."""
    for name, pk, sha256 in ((GUEST_HERE.name, int(SAMPLES["pk"]), DIGEST), (GUEST_ELSEWHERE.name, -1, "6" * 64)):
        artifact, _ = Artifact.objects.get_or_create(
            sha256=sha256, defaults={"size_bytes": 0, "media_type": "application/octet-stream", "stored_at": now}
        )
        bundle = Bundle.objects.filter(artifact=artifact).first() or Bundle.objects.create(
            pk=pk, artifact=artifact, run_id=PROBE, gate="a", gate_version=1, verdict="INCONCLUSIVE", made_at=now
        )
        provider = Provider.objects.create(pk=pk, name=f"rbac-probe-{suffix}{pk}", scheme=generic.SCHEME)
        user = made.users[name]
        assign_perm(Permission.PROVIDER_READ, user, provider)
        assign_perm(Permission.PROVIDER_CHANGE, user, provider)
        assign_perm(Permission.BUNDLE_READ, user, bundle)


def _headers(persona: Persona, suffix: str, made: Callers, *, now: datetime) -> dict[str, str]:
    if persona.is_user:
        user = made.users[persona.name] = _user(persona, suffix)
        return {"HTTP_COOKIE": f"{settings.SESSION_COOKIE_NAME}={_session(user)}"}
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
    made = make_token(name=name, scopes=[persona.scope], life=timedelta(days=1), created_by=PROBE, now=now)
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
