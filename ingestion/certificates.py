"""Certificates that were imported, and the note of those that a provider signed with and nobody has imported.

The ingress only notes which one it misses (`WANTED.note`); housekeeping writes the notes down. Nothing here fetches.
"""

from __future__ import annotations

import threading
from collections import Counter
from datetime import datetime

from django.db import transaction
from django.db.models import F

from autocom.kernel.errors import ConfigurationError
from ingestion.models import Provider, ProviderCertificate, WantedCertificate
from ingestion.providers import ses
from ingestion.providers.sns_envelope import certificate_facts

URL_LIMIT_CHARS = 300
NOTES_LIMIT_COUNT = 32  # in memory of a process; the URLs are the senders' own words
ROWS_LIMIT_COUNT = 20  # of one provider


class WantedCertificates:
    """Noting costs a microsecond and never fails; `write` does the rest."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def note(self, *, provider: str, url: str) -> None:
        with self._lock:
            if len(self._counts) < NOTES_LIMIT_COUNT or (provider, url) in self._counts:
                self._counts[provider, url] += 1

    def write(self, *, now: datetime) -> None:
        """What was noted is in the database. Raises django.db.Error; then it is noted still."""
        with self._lock:
            counts = dict(self._counts)
        for (provider, url), count in counts.items():
            _write(provider=provider, url=url, count=count, now=now)
        with self._lock:
            self._counts.subtract(counts)
            self._counts = +self._counts


WANTED = WantedCertificates()


def _write(*, provider: str, url: str, count: int, now: datetime) -> None:
    rows = WantedCertificate.objects.filter(provider__name=provider)
    if rows.filter(url=url).update(count=F("count") + count, last_seen_at=now):
        return
    row = Provider.objects.filter(name=provider).first()
    if row is not None and len(url) <= URL_LIMIT_CHARS and rows.count() < ROWS_LIMIT_COUNT:
        WantedCertificate.objects.bulk_create(
            [WantedCertificate(provider=row, url=url, count=count, first_seen_at=now, last_seen_at=now)],
            ignore_conflicts=True,  # another process wrote it a moment ago: its next note counts again
        )


def import_certificate(*, provider: Provider, pem: str, file_name: str, now: datetime) -> ProviderCertificate:
    """The certificate verifies from the ingress's next look at its providers on. Raises ConfigurationError.

    Not checked: the chain. Whoever imports it vouches that it came from Amazon, over https.
    """
    if provider.scheme != ses.SCHEME:
        raise ConfigurationError(
            f"{provider.name} has the scheme {provider.scheme}: only {ses.SCHEME} has certificates"
        )
    facts = certificate_facts(pem)
    if facts.not_after <= now:
        raise ConfigurationError(f"the certificate is over since {facts.not_after:%Y-%m-%d}: import the one in use")
    with transaction.atomic():
        row, _ = ProviderCertificate.objects.update_or_create(
            provider=provider,
            sha256=facts.sha256,
            defaults={
                "file_name": file_name,
                "pem": facts.pem,
                "subject": facts.subject,
                "not_before": facts.not_before,
                "not_after": facts.not_after,
                "imported_at": now,
            },
        )
        WantedCertificate.objects.filter(provider=provider, url__endswith=f"/{file_name}").delete()
    return row
