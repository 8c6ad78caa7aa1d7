"""A new provider, with its first secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from autocom.kernel.errors import ConfigurationError
from ingestion.models import Provider
from ingestion.provider_book import DEFAULT
from ingestion.provider_changes.errors import EnvironmentOnly, ProviderTaken, SettingRefused
from ingestion.provider_changes.find import adapter_named
from ingestion.provider_changes.secret_values import StoredSecret, store_secret
from ingestion.providers.adapter import Adapter

_NAME = re.compile(r"\A[a-zA-Z0-9_-]{1,64}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedProvider:
    provider: Provider
    secret: StoredSecret


def add_provider(
    *, name: str, scheme: str, options: Mapping[str, object], secret: str | None, now: datetime
) -> AddedProvider:
    """The provider takes webhooks afterwards, signed with the secret; None: a random one is made.

    Raises SettingRefused, ProviderTaken, EnvironmentOnly.
    """
    check_name(name)
    adapter = adapter_named(scheme)
    check_options(adapter, options)
    with transaction.atomic():
        provider = _row(name=name, scheme=scheme, options=options)
        return AddedProvider(
            provider=provider, secret=store_secret(provider, adapter=adapter, given=secret, not_before=now)
        )


def check_name(name: str) -> None:
    if name == DEFAULT:
        raise EnvironmentOnly
    if not _NAME.match(name):
        raise SettingRefused(
            f"{name!r} is no name for a provider: 1 to 64 letters, digits, - and _, as it is part of the URL"
        )


def check_options(adapter: Adapter[Any], options: Mapping[str, object]) -> None:
    try:
        adapter.read_options(options)
    except ConfigurationError as error:
        raise SettingRefused(str(error)) from None


def _row(*, name: str, scheme: str, options: Mapping[str, object]) -> Provider:
    try:
        with transaction.atomic():  # a savepoint: what fails here must not end the whole transaction
            return Provider.objects.create(name=name, scheme=scheme, options=dict(options))
    except IntegrityError:
        raise ProviderTaken(name) from None
