"""Changes of providers and their secrets, each with its audit entry. Refused: nothing was changed, nothing recorded.

The entries name secrets by their fingerprints and options by their names; no value of either is ever a fact.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from django.db import transaction

from autocom.kernel.clock import datetime_of, us_of
from console.sign_in.factor_box import rekey_factors
from evidence.audit import Act, Actor, record
from evidence.outgoing.rekey import rekey_destinations
from ingestion.certificates import import_certificate
from ingestion.models import Provider, ProviderCertificate
from ingestion.provider_changes.add import AddedProvider, add_provider
from ingestion.provider_changes.rekey import RekeyReport, rekey_secrets
from ingestion.provider_changes.revoke import RevokedSecret, revoke_secret
from ingestion.provider_changes.rotate import OVERLAP, RotatedSecret, rotate_secret
from ingestion.provider_changes.secret_values import StoredSecret
from ingestion.provider_changes.switch import switch_provider


def add(
    *, actor: Actor, name: str, scheme: str, options: Mapping[str, object], secret: str | None, now: datetime
) -> AddedProvider:
    """As `add_provider`."""
    with transaction.atomic():
        added = add_provider(name=name, scheme=scheme, options=options, secret=secret, now=now)
        facts = {"scheme": scheme, "options": sorted(options), "secret": _secret(added.secret)}
        record(Act.PROVIDER_ADDED, actor=actor, subject=_subject(name), facts=facts)
    return added


def changed(*, actor: Actor, provider: Provider, fields: list[str]) -> None:
    """For the form that has changed a provider in this transaction; sent without a change it is no act."""
    if not fields:
        return
    facts = {
        "fields": sorted(fields),
        "scheme": provider.scheme,
        "enabled": provider.enabled,
        "options": sorted(provider.options),
    }
    record(Act.PROVIDER_CHANGED, actor=actor, subject=_subject(provider.name), facts=facts)


def switch(*, actor: Actor, name: str, enabled: bool) -> bool:
    """As `switch_provider`. What was so already is no act."""
    with transaction.atomic():
        if not switch_provider(name=name, enabled=enabled):
            return False
        act = Act.PROVIDER_ENABLED if enabled else Act.PROVIDER_DISABLED
        record(act, actor=actor, subject=_subject(name))
    return True


def rotate(
    *,
    actor: Actor,
    name: str,
    secret: str | None,
    now: datetime,
    not_before: datetime | None = None,
    not_after: datetime | None = None,
    overlap: timedelta = OVERLAP,
) -> RotatedSecret:
    """As `rotate_secret`."""
    with transaction.atomic():
        rotated = rotate_secret(
            name=name, secret=secret, now=now, not_before=not_before, not_after=not_after, overlap=overlap
        )
        ending = [{"fingerprint": old.fingerprint, "not_after": _moment(old.not_after)} for old in rotated.ending]
        facts = {"secret": _secret(rotated.secret), "ending": ending}
        record(Act.SECRET_ROTATED, actor=actor, subject=_subject(name), facts=facts)
    return rotated


def revoke(*, actor: Actor, name: str, fingerprint: str, force: bool, now: datetime) -> RevokedSecret:
    """As `revoke_secret`."""
    with transaction.atomic():
        revoked = revoke_secret(name=name, fingerprint=fingerprint, force=force, now=now)
        facts = {
            "fingerprint": revoked.fingerprint,
            "force": force,
            "last_used_at": None if revoked.last_used_at is None else _moment(revoked.last_used_at),
        }
        record(Act.SECRET_REVOKED, actor=actor, subject=_subject(name), facts=facts)
    return revoked


def rekey(*, actor: Actor) -> RekeyReport:
    """As `rekey_secrets`, with the destinations' secrets and people's second factors, but all or none.

    Where every secret was under the newest key already, nothing was done.
    """
    with transaction.atomic():
        parts = (rekey_secrets(), rekey_destinations(), rekey_factors())
        report = RekeyReport(
            rekeyed_count=sum(part.rekeyed_count for part in parts),
            current_count=sum(part.current_count for part in parts),
            unreadable=tuple(told for part in parts for told in part.unreadable),
        )
        if report.rekeyed_count:
            facts = {"rekeyed_count": report.rekeyed_count, "unreadable": list(report.unreadable)}
            record(Act.SECRETS_REKEYED, actor=actor, subject="providers", facts=facts)
    return report


def take_certificate(
    *, actor: Actor, provider: Provider, pem: str, file_name: str, now: datetime
) -> ProviderCertificate:
    """As `import_certificate`."""
    with transaction.atomic():
        row = import_certificate(provider=provider, pem=pem, file_name=file_name, now=now)
        facts = {"file_name": file_name, "sha256": row.sha256, "not_after": _moment(row.not_after)}
        record(Act.CERTIFICATE_IMPORTED, actor=actor, subject=_subject(provider.name), facts=facts)
    return row


def _subject(name: str) -> str:
    return f"provider {name}"


def _secret(stored: StoredSecret) -> dict[str, object]:
    return {
        "fingerprint": stored.fingerprint,
        "not_before": _moment(stored.not_before),
        "not_after": None if stored.not_after is None else _moment(stored.not_after),
        "generated": stored.generated is not None,
    }


def _moment(at: datetime) -> str:
    return datetime_of(us=us_of(at)).isoformat(timespec="microseconds").replace("+00:00", "Z")
