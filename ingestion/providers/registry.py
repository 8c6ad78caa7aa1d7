"""Every adapter by the name of its scheme. A new provider is one module and one line here."""

from typing import Any

from autocom.kernel.errors import ConfigurationError
from ingestion.providers import (
    brevo,
    generic,
    github,
    mailgun,
    mandrill,
    postmark,
    sendgrid,
    ses,
    shopify,
    slack,
    standard,
    stripe,
    svix,
    twilio,
)
from ingestion.providers.adapter import Adapter, KeyNames

ADAPTERS: dict[str, Adapter[Any]] = {
    brevo.SCHEME: brevo,
    generic.SCHEME: generic,
    github.SCHEME: github,
    mailgun.SCHEME: mailgun,
    mandrill.SCHEME: mandrill,
    postmark.SCHEME: postmark,
    sendgrid.SCHEME: sendgrid,
    ses.SCHEME: ses,
    shopify.SCHEME: shopify,
    slack.SCHEME: slack,
    standard.SCHEME: standard,
    stripe.SCHEME: stripe,
    svix.SCHEME: svix,
    twilio.SCHEME: twilio,
}


def adapter_of(scheme: str) -> Adapter[Any]:
    """Raises ConfigurationError that lists the known schemes."""
    try:
        return ADAPTERS[scheme]
    except KeyError:
        raise ConfigurationError(f"no scheme is called {scheme!r}: known are {', '.join(sorted(ADAPTERS))}") from None


def personal_paths(recipe: str) -> tuple[str, ...] | None:
    """Where payloads of events under this recipe may hold personal data: dotted paths, also of what is not there.

    None for the recipe of an adapter that is gone: then any part of a payload may be personal.
    """
    adapter = ADAPTERS.get(recipe.partition("/")[0])
    return None if adapter is None else adapter.PERSONAL_PATHS


def key_names(recipe: str) -> KeyNames | None:
    """Whom ordering keys under this recipe name. None for the recipe of an adapter that is gone."""
    adapter = ADAPTERS.get(recipe.partition("/")[0])
    return None if adapter is None else adapter.KEY_NAMES
