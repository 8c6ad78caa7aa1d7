"""One secret on its way into the table: made or checked, compared with those that are there, sealed."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from autocom.kernel.errors import ConfigurationError
from ingestion.models import Provider, ProviderSecret
from ingestion.provider_changes.errors import SecretKnown, SettingRefused
from ingestion.providers.adapter import Adapter
from ingestion.secret_box import SecretUnreadable, fingerprint_of, seal, unseal

# the forms that symmetric schemes ask for, the strongest that fits is taken; a public key fits none of them
_FORMS: tuple[Callable[[], str], ...] = (
    lambda: secrets.token_hex(32),
    lambda: "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode(),
    lambda: secrets.token_hex(16),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSecret:
    """What was stored. `generated` is the value where it was made here: to be shown once, to one person."""

    fingerprint: str
    not_before: datetime
    not_after: datetime | None
    generated: str | None = field(repr=False)


def store_secret(
    provider: Provider,
    *,
    adapter: Adapter[Any],
    given: str | None,
    not_before: datetime,
    not_after: datetime | None = None,
) -> StoredSecret:
    """The given secret, or a new random one, is the provider's afterwards. Raises SettingRefused, SecretKnown."""
    if not_after is not None and not_after <= not_before:
        raise SettingRefused("the secret would end before it begins: give a not-after that is later than not-before")
    value = check_new_secret(given, adapter=adapter)
    _refuse_known(provider, value)
    row = ProviderSecret.objects.create(
        provider=provider,
        ciphertext=seal(value),
        fingerprint=fingerprint_of(value),
        not_before=not_before,
        not_after=not_after,
    )
    return StoredSecret(
        fingerprint=row.fingerprint,
        not_before=not_before,
        not_after=not_after,
        generated=value if given is None else None,
    )


def check_new_secret(given: str | None, *, adapter: Adapter[Any]) -> str:
    """The secret as it will be stored; None: a random one. Raises SettingRefused."""
    return generated_secret(adapter) if given is None else _checked(given, adapter=adapter)


def generated_secret(adapter: Adapter[Any]) -> str:
    """A random secret of a form that the scheme takes. Raises SettingRefused for schemes with public keys."""
    for form in _FORMS:
        value = form()
        try:
            adapter.check_secret(value)
        except ConfigurationError:
            continue
        return value
    raise SettingRefused(
        f"the scheme {adapter.SCHEME} verifies with a public key, which its provider gives: {adapter.SECRET_FORM}"
    )


def _checked(given: str, *, adapter: Adapter[Any]) -> str:
    value = given.strip()  # of the line end that files and pasted texts have
    if not value:
        raise SettingRefused(f"the secret is empty: a right one is {adapter.SECRET_FORM}")
    try:
        adapter.check_secret(value)
    except ConfigurationError as error:
        raise SettingRefused(str(error)) from None
    return value


def _refuse_known(provider: Provider, value: str) -> None:
    # by value: a fingerprint is keyed, so the same secret has another one after a change of SECRET_KEY
    for row in provider.secrets.all():
        try:
            if secrets.compare_digest(unseal(row.ciphertext).encode(), value.encode()):
                raise SecretKnown(row.fingerprint)
        except SecretUnreadable:
            continue
