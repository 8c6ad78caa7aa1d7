"""Which providers will soon be left without a certificate."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from cryptography import x509
from django.db.models import QuerySet

from ingestion.models import Provider
from ingestion.providers import ses


def ending_certificates(*, now: datetime, within: timedelta) -> Iterator[tuple[str, datetime]]:
    """Name and last end of each enabled provider whose valid certificates all end within the time."""
    for provider in _with_certificates():
        ends = [at for at in _ends(provider) if at > now]
        if ends and max(ends) - now < within:
            yield provider.name, max(ends)


def _with_certificates() -> QuerySet[Provider]:
    return Provider.objects.filter(scheme=ses.SCHEME, enabled=True).prefetch_related("certificates")


def _ends(provider: Provider) -> Iterator[datetime]:
    yield from (row.not_after for row in provider.certificates.all())
    for pem in provider.options.get("certificates", ()):
        yield x509.load_pem_x509_certificate(pem.encode()).not_valid_after_utc
