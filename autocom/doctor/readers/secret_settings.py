"""Secrets by what may be told of them: lengths, marks, ends. Values stay here."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime

from django.conf import settings

from autocom.doctor.judgements.secret_settings import ENDS_SOON, SecretFacts, SecretSetting, StoredFacts
from autocom.doctor.readers.session import read_only
from autocom.environment import LOCAL_SECRETS, PLACEHOLDER_WORDS
from autocom.kernel.digest import hmac_sha256
from ingestion.certificate_ends import ending_certificates
from ingestion.models import ProviderSecret
from ingestion.provider_states import ProviderState, SecretPhase, provider_states
from ingestion.secret_box import is_sealed_by_newest


def read() -> SecretFacts:
    environment = settings.AUTOCOM
    key = secrets.token_bytes(32)  # marks of one run mean nothing in another
    named = {name: str(getattr(environment, name.lower())) for name in LOCAL_SECRETS}
    named |= {
        f"{name}[{n}]": value
        for name in ("SECRET_KEY_FALLBACKS", "PROVIDER_SECRETS_KEYS")
        for n, value in enumerate(getattr(environment, name.lower()))
    }
    generated = _generated()
    return SecretFacts(
        secrets=[
            SecretSetting(
                name=name,
                length=len(value),
                different_chars=len(set(value)),
                is_placeholder=value.lower().startswith(PLACEHOLDER_WORDS),
                is_generated_here=value in generated,
                mark=hmac_sha256(key, value.encode()),
            )
            for name, value in named.items()
        ],
        is_local=environment.is_local,
        is_debug=bool(settings.DEBUG),
        base_url=environment.app_base_url,
    )


def read_stored() -> StoredFacts:
    """Raises django.db.Error when PostgreSQL cannot be asked."""
    with read_only():
        return _stored(now=datetime.now(UTC))


def _stored(*, now: datetime) -> StoredFacts:
    states = provider_states(now=now)
    enabled = [state for state in states if state.enabled]
    return StoredFacts(
        unreadable=[
            f"{state.name} …{secret.fingerprint}"
            for state in states
            for secret in state.secrets
            if secret.phase is SecretPhase.UNREADABLE
        ],
        under_older_key_count=sum(
            not is_sealed_by_newest(sealed) for sealed in ProviderSecret.objects.values_list("ciphertext", flat=True)
        ),
        problems=[f"{state.name}: {state.problem}" for state in enabled if state.problem],
        ending=[told for state in enabled for told in _ending(state, now=now)],
        ending_certificates=[
            f"{name}'s certificates in {(at - now).days} days"
            for name, at in ending_certificates(now=now, within=ENDS_SOON)
        ],
        provider_count=len(enabled),
    )


def _ending(state: ProviderState, *, now: datetime) -> Iterator[str]:
    """Its name where every valid secret ends soon and no later one waits."""
    usable = [secret for secret in state.secrets if secret.phase in (SecretPhase.VALID, SecretPhase.NOT_YET)]
    ends = [secret.not_after for secret in usable]
    if ends and all(at is not None and at - now < ENDS_SOON for at in ends):
        latest = max(at for at in ends if at is not None)
        yield f"{state.name}'s last secret in {(latest - now).days} days"


def _generated() -> set[str]:
    directory = settings.AUTOCOM.data_dir / "secrets"
    return {path.read_text().strip() for name in LOCAL_SECRETS if (path := directory / name).is_file()}
