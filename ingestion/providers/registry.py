"""Every adapter by the name of its scheme. A new provider is one module and one line here."""

from typing import Any

from autocom.kernel.errors import ConfigurationError
from ingestion.providers import generic, standard
from ingestion.providers.adapter import Adapter

ADAPTERS: dict[str, Adapter[Any]] = {
    generic.SCHEME: generic,
    standard.SCHEME: standard,
}


def adapter_of(scheme: str) -> Adapter[Any]:
    """Raises ConfigurationError that lists the known schemes."""
    try:
        return ADAPTERS[scheme]
    except KeyError:
        raise ConfigurationError(f"no scheme is called {scheme!r}: known are {', '.join(sorted(ADAPTERS))}") from None
