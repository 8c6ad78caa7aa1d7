"""The providers as the request path sees them: in memory, complete, re-read in the background when they changed.

The request path never asks PostgreSQL. `ProviderBook.refresh` does, once a second in a thread of the process's own;
when it cannot, the last known providers
stay in force, and `default`, which lives in the environment, works from the first moment.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import connection

from autocom.kernel.clock import us_of
from autocom.kernel.errors import AutocomError
from ingestion.models import Provider, ProviderCertificate, ProviderSecret
from ingestion.providers import generic
from ingestion.providers.adapter import Adapter, Secret
from ingestion.providers.registry import adapter_of
from ingestion.secret_box import SecretUnreadable, fingerprint_of, unseal

DEFAULT = "default"
# Row by row, not the newest time: of two changes at once the older may become visible last. Without last_used_at, which
# moves every second and changes nothing here. One statement, as every process asks it every second.
VERSION_SQL = """
    SELECT 'provider', id, updated_at, NULL FROM ingestion_provider
    UNION ALL SELECT 'secret', id, not_before, not_after FROM ingestion_providersecret
    UNION ALL SELECT 'certificate', id, imported_at, NULL FROM ingestion_providercertificate
    ORDER BY 1, 2
"""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedSecret:
    secret: Secret
    not_before_us: int
    not_after_us: int | None

    def is_valid(self, now_us: int) -> bool:
        return self.not_before_us <= now_us and (self.not_after_us is None or now_us < self.not_after_us)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownProvider:
    """One provider with everything that verification needs."""

    name: str
    adapter: Adapter[Any]
    options: Any
    secrets: Sequence[TimedSecret]
    enabled: bool
    # made once, here, and not for every request
    kept_headers: tuple[str, ...] = field(init=False)  # kept beside the body, for verifying it again
    body_limit_bytes: int = field(init=False)

    def __post_init__(self) -> None:
        kept = ("content-type", *self.adapter.signed_headers(self.options))
        object.__setattr__(self, "kept_headers", kept)
        limit = max(self.adapter.BODY_LIMIT_BYTES or 0, settings.AUTOCOM.body_limit_bytes)
        object.__setattr__(self, "body_limit_bytes", limit)

    def secrets_at(self, now_us: int) -> list[Secret]:
        return [timed.secret for timed in self.secrets if timed.is_valid(now_us)]


class ProviderBook:
    """Providers by name. Replaced whole, so that a reader never sees half a change."""

    def __init__(self) -> None:
        self._providers: dict[str, KnownProvider] = {DEFAULT: environment_default(enabled=True)}
        self._version: object = None
        self.is_complete = False  # False until PostgreSQL was read once: an unknown name may then be a known provider

    def named(self, name: str) -> KnownProvider | None:
        return self._providers.get(name)

    def known(self) -> Sequence[KnownProvider]:
        return tuple(self._providers.values())

    def secret_values(self) -> Iterator[str]:
        """Every secret that this process knows of its providers, for taking them out of what leaves it."""
        for provider in self._providers.values():
            bearers: Sequence[Secret] = getattr(provider.options, "bearer_keys", ())
            yield from (secret.value for secret in (*bearers, *(timed.secret for timed in provider.secrets)))

    def refresh(self) -> bool:
        """Reads the providers if they changed; True when they did.

        Raises django.db.Error when PostgreSQL cannot be asked.
        """
        with connection.cursor() as cursor:
            cursor.execute(VERSION_SQL)
            version = cursor.fetchall()
        if version == self._version:
            return False
        found = {row.name: row for row in Provider.objects.prefetch_related("secrets", "certificates")}
        providers = {name: known for name, row in found.items() if (known := _known(row)) is not None}
        default = found.get(DEFAULT)
        providers[DEFAULT] = environment_default(enabled=default is None or default.enabled)
        self._providers, self._version, self.is_complete = providers, version, True
        return True


def environment_default(*, enabled: bool) -> KnownProvider:
    """The provider `default`: bearer WEBHOOK_BEARER_KEY and the generic signature with WEBHOOK_HMAC_SECRET."""
    bearer = _secret(settings.AUTOCOM.webhook_bearer_key)
    return KnownProvider(
        name=DEFAULT,
        adapter=generic,
        options=generic.Options(policy=generic.Policy.BOTH, bearer_keys=(bearer,)),
        secrets=[TimedSecret(secret=_secret(settings.AUTOCOM.webhook_hmac_secret), not_before_us=0, not_after_us=None)],
        enabled=enabled,
    )


def _secret(value: str) -> Secret:
    return Secret(value=value, fingerprint=fingerprint_of(value))


def _known(row: Provider) -> KnownProvider | None:
    """None, and a log line, for a provider that cannot be used: one bad row must not stop the others."""
    try:
        adapter = adapter_of(row.scheme)
        return KnownProvider(
            name=row.name,
            adapter=adapter,
            options=adapter.read_options(row.options),
            secrets=[timed for secret in row.secrets.all() if (timed := _usable(secret, provider=row.name))]
            + [imported_secret(certificate) for certificate in row.certificates.all()],
            enabled=row.enabled,
        )
    except AutocomError as error:
        log.error("provider_unusable", extra={"provider": row.name, "error": str(error)})
        return None


def imported_secret(certificate: ProviderCertificate) -> TimedSecret:
    """Verifies as a secret does, for as long as it says itself. Its name goes before the PEM, where PEM allows text."""
    return TimedSecret(
        secret=Secret(value=f"{certificate.file_name}\n{certificate.pem}", fingerprint=certificate.sha256[:8]),
        not_before_us=us_of(certificate.not_before),
        not_after_us=us_of(certificate.not_after),
    )


def timed_secret(row: ProviderSecret) -> TimedSecret:
    """Raises SecretUnreadable."""
    return TimedSecret(
        secret=Secret(value=unseal(row.ciphertext), fingerprint=row.fingerprint),
        not_before_us=us_of(row.not_before),
        not_after_us=us_of(row.not_after) if row.not_after else None,
    )


def _usable(row: ProviderSecret, *, provider: str) -> TimedSecret | None:
    """None, and a log line, for a secret that does not open: the others are still good."""
    try:
        return timed_secret(row)
    except SecretUnreadable as error:
        about = {"provider": provider, "fingerprint": row.fingerprint, "error": str(error)}
        log.error("provider_secret_unreadable", extra=about)
        return None


BOOK = ProviderBook()
