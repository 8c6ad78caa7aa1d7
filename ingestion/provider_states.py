"""Providers and their secrets as people may see them: fingerprints, times and what is wrong; never a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from autocom.kernel.errors import AutocomError
from ingestion.models import Provider, ProviderSecret
from ingestion.provider_book import DEFAULT, environment_default
from ingestion.providers import ses
from ingestion.providers.registry import adapter_of
from ingestion.secret_box import SecretUnreadable, unseal


class SecretPhase(StrEnum):
    VALID = "valid"
    NOT_YET = "not yet"
    ENDED = "ended"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretState:
    fingerprint: str
    phase: SecretPhase
    not_before: datetime | None  # None: the environment's, valid while it is set
    not_after: datetime | None
    last_used_at: datetime | None
    source: str = "stored"  # or the variable that it comes from; for those no use is recorded


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderState:
    name: str
    scheme: str
    enabled: bool
    options: Mapping[str, object]
    secrets: tuple[SecretState, ...]  # the newest first
    problem: str  # why the ingress cannot use it; empty when it can


def provider_states(*, now: datetime) -> list[ProviderState]:
    """All of them by name; `default` too, which needs no row."""
    rows = {row.name: row for row in Provider.objects.prefetch_related("secrets")}
    named = {name: provider_state(row, now=now) for name, row in rows.items() if name != DEFAULT}
    default = rows.get(DEFAULT)
    named[DEFAULT] = _default_state(enabled=default is None or default.enabled)
    return [named[name] for name in sorted(named)]


def provider_state(row: Provider, *, now: datetime) -> ProviderState:
    if row.name == DEFAULT:
        return _default_state(enabled=row.enabled)
    secrets = tuple(secret_state(secret, now=now) for secret in row.secrets.all())
    return ProviderState(
        name=row.name,
        scheme=row.scheme,
        enabled=row.enabled,
        options=row.options,
        secrets=secrets,
        problem=_problem(row, secrets, now=now),
    )


def secret_state(row: ProviderSecret, *, now: datetime) -> SecretState:
    return SecretState(
        fingerprint=row.fingerprint,
        phase=_phase(row, now),
        not_before=row.not_before,
        not_after=row.not_after,
        last_used_at=row.last_used_at,
    )


def _phase(row: ProviderSecret, now: datetime) -> SecretPhase:
    if row.not_after is not None and row.not_after <= now:
        return SecretPhase.ENDED
    try:
        unseal(row.ciphertext)
    except SecretUnreadable:
        return SecretPhase.UNREADABLE
    return SecretPhase.VALID if row.not_before <= now else SecretPhase.NOT_YET


def _problem(row: Provider, secrets: tuple[SecretState, ...], *, now: datetime) -> str:
    try:
        adapter_of(row.scheme).read_options(row.options)
    except AutocomError as error:
        return str(error)
    if any(secret.phase is SecretPhase.VALID for secret in secrets):
        return ""
    if row.scheme != ses.SCHEME:
        return "no secret is valid now: everything that this provider sends is refused"
    if row.options.get("certificates") or row.certificates.filter(not_before__lte=now, not_after__gt=now).exists():
        return ""
    return "no certificate is valid now, so its messages wait: see `manage.py provider certificate list`"


def _default_state(*, enabled: bool) -> ProviderState:
    known = environment_default(enabled=enabled)
    named = [("WEBHOOK_HMAC_SECRET", timed.secret) for timed in known.secrets]
    named += [("WEBHOOK_BEARER_KEY", secret) for secret in known.options.bearer_keys]
    return ProviderState(
        name=DEFAULT,
        scheme=known.adapter.SCHEME,
        enabled=enabled,
        options={},
        secrets=tuple(
            SecretState(
                fingerprint=secret.fingerprint,
                phase=SecretPhase.VALID,
                not_before=None,
                not_after=None,
                last_used_at=None,
                source=variable,
            )
            for variable, secret in named
        ),
        problem="",
    )
