"""Verifies the signature of a delivery again, from what PostgreSQL holds of it, as of the moment it was received.

1. The delivery is stored, and its body is the one whose digest stands with it and with its events.
2. Its provider, and the secret that verified it then, are still known.
3. The scheme signs something: a credential alone cannot be checked again, as it is not kept.
4. The adapter verifies the stored headers and body with the secrets that were valid then.

What is missing makes the answer INCONCLUSIVE; it is never taken for a signature that holds, nor for one that does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from autocom.kernel.clock import datetime_of, us_of
from autocom.kernel.digest import sha256
from autocom.kernel.errors import AutocomError
from autocom.kernel.ids import last_event_id_of, request_id_of
from ingestion.aged import body_aged_at
from ingestion.models import (
    DeadLetter,
    Delivery,
    Event,
    Provider,
    ProviderSecret,
    QuarantinedEvent,
    SuppressedDuplicate,
)
from ingestion.proof import stored_delivery, stored_headers
from ingestion.provider_book import DEFAULT, TimedSecret, environment_default, imported_secret, timed_secret
from ingestion.providers.adapter import SIGNED_URL, VERIFIED_BY, Adapter, InboundDelivery, Reason, Refused, Secret
from ingestion.providers.registry import adapter_of
from ingestion.secret_box import SecretUnreadable

# a process reads the providers once a second, so it may believe a secret a little longer than the secret lasts; and a
# body may take a while to arrive, so the moment of verification is later than that of receipt
LAG = timedelta(seconds=5)
BODY_TIME = timedelta(seconds=30)


class Outcome(StrEnum):
    VERIFIED = "verified"
    NOT_VERIFIED = "not_verified"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredVerdict:
    """`why` is one sentence. `secret` is the fingerprint of the secret that matches."""

    request_id: UUID
    outcome: Outcome
    why: str
    provider: str = ""
    scheme: str = ""
    received_us: int | None = None
    body_bytes: int | None = None
    body_sha256: str = ""
    secret: str = ""
    not_checked: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """The provider as it is configured now, with every secret that is still stored."""

    adapter: Adapter[Any]
    options: Any
    secrets: Sequence[TimedSecret]
    unreadable: Sequence[str]  # fingerprints of secrets that do not open
    changed_us: int
    not_checked: str = ""

    def at(self, moment_us: int) -> list[Secret]:
        lag_us = LAG // timedelta(microseconds=1)
        return [each.secret for each in self.secrets if each.is_valid(moment_us) or each.is_valid(moment_us - lag_us)]


class _Ended(Exception):
    """The answer, found early."""

    def __init__(self, outcome: Outcome, why: str) -> None:
        super().__init__(why)
        self.outcome = outcome


def verify_stored(any_id: UUID) -> StoredVerdict:
    """For a request id, or the id of one of its events. Raises django.db.Error when PostgreSQL cannot be asked."""
    request_id = request_id_of(any_id)
    row = Delivery.objects.filter(pk=request_id).first()
    if row is None:
        return StoredVerdict(request_id=request_id, outcome=Outcome.INCONCLUSIVE, why=_why_absent(request_id))
    body = bytes(row.body)
    verdict = StoredVerdict(
        request_id=request_id,
        outcome=Outcome.INCONCLUSIVE,
        why="",
        provider=row.provider,
        received_us=us_of(row.received_at),
        body_bytes=len(body),
        body_sha256=sha256(body).hex(),
    )
    try:
        _check_digests(row)
        known = _provable(_known(row.provider))
        verdict = replace(verdict, scheme=known.adapter.SCHEME, not_checked=known.not_checked)
        secret = _matching(row, known)
    except _Ended as ended:
        return replace(verdict, outcome=ended.outcome, why=str(ended))
    by = f"secret …{secret.fingerprint}" if secret else "a public key of the provider's options"
    return replace(
        verdict,
        outcome=Outcome.VERIFIED,
        why=f"the signature holds over the {len(body):,} stored bytes, by {by}",
        secret=secret.fingerprint if secret else "",
    )


def _why_absent(request_id: UUID) -> str:
    here = {"pk__gte": request_id, "pk__lte": last_event_id_of(request_id)}
    if aged_at := body_aged_at(request_id):
        return f"the delivery's headers and body are no longer kept: they aged out on {aged_at:%Y-%m-%d}"
    if any(
        model._default_manager.filter(**here).exists()
        for model in (Event, DeadLetter, QuarantinedEvent, SuppressedDuplicate)
    ):
        return "the delivery's headers and body are not kept any more, only its events"
    return "no delivery of this id is stored: it may still wait on its lane, have been refused, or have aged out"


def _check_digests(row: Delivery) -> None:
    """Raises _Ended for a body that is not the one that was received."""
    found = sha256(bytes(row.body))
    if found != bytes(row.body_sha256):
        recorded = bytes(row.body_sha256).hex()
        raise _failed(
            f"the body was changed since: its SHA-256 is {found.hex()}, recorded with the delivery is {recorded}"
        )
    here = {"pk__gte": row.pk, "pk__lte": last_event_id_of(row.pk)}
    for model in (Event, DeadLetter, QuarantinedEvent):
        other = model._default_manager.filter(**here).exclude(body_sha256=found).first()
        if other is not None and bytes(other.body_sha256):
            raise _failed(
                f"the body was changed since: its SHA-256 is {found.hex()}, its event {other.pk} was committed with"
                f" {bytes(other.body_sha256).hex()}"
            )


def _known(name: str) -> _Known:
    """Raises _Ended for a provider that is gone or cannot be read."""
    row = Provider.objects.filter(name=name).first()
    if name == DEFAULT:
        default = environment_default(enabled=True)
        return _Known(
            adapter=default.adapter, options=default.options, secrets=default.secrets, unreadable=(), changed_us=0
        )
    if row is None:
        raise _unknown(f"the provider {name} is not configured any more, and its secrets went with it")
    secrets, unreadable = _stored_secrets(row.secrets.all())
    secrets += [imported_secret(certificate) for certificate in row.certificates.all()]
    try:
        adapter = adapter_of(row.scheme)
        options = adapter.read_options(row.options)
    except AutocomError as error:
        raise _unknown(f"the provider {name} cannot be used as it is configured now: {error}") from None
    return _Known(
        adapter=adapter, options=options, secrets=secrets, unreadable=unreadable, changed_us=us_of(row.updated_at)
    )


def _stored_secrets(rows: Iterable[ProviderSecret]) -> tuple[list[TimedSecret], list[str]]:
    secrets: list[TimedSecret] = []
    unreadable: list[str] = []
    for row in rows:
        try:
            secrets.append(timed_secret(row))
        except SecretUnreadable:
            unreadable.append(row.fingerprint)
    return secrets, unreadable


def _provable(known: _Known) -> _Known:
    """With what can be verified without credentials. Raises _Ended where that is nothing."""
    provable = getattr(known.adapter, "provable", None)
    if provable is None:
        return known
    by_value = {each.secret.value: each for each in known.secrets}
    part = provable([each.secret for each in known.secrets], known.options)
    if part is None:
        raise _unknown(
            "nothing in this delivery is signed: a credential proved its sender, and credentials are never stored"
        )
    secrets, options = part
    told = (
        "" if options == known.options and len(secrets) == len(known.secrets) else "the credential, which is not kept"
    )
    return replace(known, secrets=[by_value[secret.value] for secret in secrets], options=options, not_checked=told)


def _matching(row: Delivery, known: _Known) -> Secret | None:
    """The secret that verifies the delivery. Raises _Ended."""
    delivery = stored_delivery(row)
    used = stored_headers(row).get(VERIFIED_BY)
    if SIGNED_URL in known.adapter.signed_headers(known.options) and not delivery.url:
        raise _unknown("this scheme signs the URL, and the URL was not kept with this delivery")
    refused: Refused | None = None
    for moment_us in _moments(delivery):
        try:
            return known.adapter.verify(
                delivery, secrets=known.at(delivery.received_us), options=known.options, now_us=moment_us
            )
        except Refused as error:
            refused = error
        except Exception as error:  # noqa: BLE001  (what is stored may have been changed into anything)
            raise _failed(f"the adapter cannot read what is stored: {type(error).__name__}") from None
    assert refused is not None  # noqa: S101  (there is at least one moment)
    raise _explanation(refused, delivery=delivery, known=known, used=used)


def _moments(delivery: InboundDelivery) -> Iterator[int]:
    yield delivery.received_us
    yield delivery.received_us + BODY_TIME // timedelta(microseconds=1)


def _explanation(refused: Refused, *, delivery: InboundDelivery, known: _Known, used: str | None) -> _Ended:
    """A lost part where a part is lost, else what does not hold."""
    fingerprints = {each.secret.fingerprint for each in known.secrets}
    if used in known.unreadable:
        return _unknown(f"the secret …{used} that verified it then opens with no key that is configured")
    if used and used not in fingerprints:
        return _unknown(f"the secret …{used} that verified it then is not stored any more")
    if refused.reason is Reason.UNKNOWN_CERTIFICATE and not used:
        return _unknown("the certificate that the message names is not stored any more")
    if refused.reason is Reason.NO_SECRET or not fingerprints:
        return _unknown("no secret of that time is stored")
    if refused.reason is Reason.MISSING_HEADER and (used is None or known.changed_us > delivery.received_us):
        return _unknown(f"{refused.detail} was not kept, or the provider's options have changed since")
    if used is None:
        return _unknown(f"which secret verified it then was not kept, and none that is stored fits: {refused}")
    other = _matching_at_any_time(delivery, known)
    if other is not None:
        ended = "" if other.not_after_us is None else f" to {datetime_of(us=other.not_after_us):%Y-%m-%d %H:%M:%S}"
        return _failed(
            f"the signature is by secret …{other.secret.fingerprint}, which was not valid then but from"
            f" {datetime_of(us=other.not_before_us):%Y-%m-%d %H:%M:%S}{ended} UTC"
        )
    return _failed(f"{_WHAT_FAILED.get(refused.reason, 'the stored headers or body do not verify')} ({refused})")


def _matching_at_any_time(delivery: InboundDelivery, known: _Known) -> TimedSecret | None:
    for each in known.secrets:
        try:
            known.adapter.verify(delivery, secrets=[each.secret], options=known.options, now_us=delivery.received_us)
        except Exception:  # noqa: BLE001, S112  (refused or unreadable: this one it is not)
            continue
        return each
    return None


_WHAT_FAILED = {
    Reason.WRONG_SIGNATURE: "the body is the one received, but no secret of that time signed it with these headers:"
    " the stored signature, time or id was changed",
    Reason.UNKNOWN_CERTIFICATE: "the body is the one received, but what it says was not signed by its certificate",
    Reason.MISSING_HEADER: "a header that is signed is missing from the stored ones",
    Reason.MALFORMED: "a stored header or the body does not have the form of this scheme",
    Reason.TOO_OLD: "the signed time does not fit the time of receipt",
    Reason.IN_THE_FUTURE: "the signed time does not fit the time of receipt",
}


def _failed(why: str) -> _Ended:
    return _Ended(Outcome.NOT_VERIFIED, why)


def _unknown(why: str) -> _Ended:
    return _Ended(Outcome.INCONCLUSIVE, why)
