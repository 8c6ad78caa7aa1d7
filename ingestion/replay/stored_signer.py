"""How to sign for a provider in the database: its secrets, opened here and handed to the generator alone."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.db import Error as AnyDatabaseError

from autocom.kernel.clock import SYSTEM_CLOCK
from autocom.kernel.errors import ConfigurationError
from ingestion.models import Provider
from ingestion.provider_book import KnownProvider, ProviderBook
from ingestion.providers.adapter import AckPolicy, BodyInvalid, InboundDelivery, Refused, Secret
from ingestion.receive import base_url
from ingestion.replay.bodies import Body
from ingestion.replay.errors import DatabaseUnreachableError, ReplayUsageError
from ingestion.replay.provider_signing import ProviderSigner
from ingestion.replay.signing import SignerSpec

BASIC = "basic:"  # before a user and a password that a provider shows beside its signature
PROBE = Body(content=b'{"id":"probe"}', message_id="", event_type="", ordering_key="")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSigner:
    """A signer whose deliveries the provider's own settings have believed just now, and what answers mean to it."""

    spec: SignerSpec
    ack: AckPolicy


def stored_signer(name: str, *, key_file: Path | None, makes_events: bool) -> StoredSigner:
    """Raises ReplayUsageError that says what is missing, and DatabaseUnreachableError."""
    known, raw = _known(name)
    now_us = SYSTEM_CLOCK.now_us()
    complaints: list[str] = []
    for secret in _candidates(known, key_file=key_file, now_us=now_us):
        signer = signer_of(known, secret=secret)
        try:
            _check_believed(signer, known=known, now_us=now_us)
        except (Refused, ConfigurationError, BodyInvalid) as error:
            complaints.append(str(error))
        else:
            return StoredSigner(spec=_spec(signer, raw_options=raw, makes_events=makes_events), ack=known.adapter.ACK)
    raise ReplayUsageError(_why(name, key_file=key_file, complaints=complaints))


def _known(name: str) -> tuple[KnownProvider, dict[str, object]]:
    """The provider and its options as they are stored: only texts reach the generator."""
    book = ProviderBook()
    try:
        book.refresh()
        raw = Provider.objects.filter(name=name).values_list("options", flat=True).first()
    except AnyDatabaseError as error:
        raise DatabaseUnreachableError(f"the provider {name} cannot be read: PostgreSQL does not answer") from error
    known = book.named(name)
    if known is None or raw is None:
        raise ReplayUsageError(
            f"--provider {name}: there is no such provider that can be used; `provider list` has all"
        )
    if not known.enabled:
        raise ReplayUsageError(
            f"--provider {name}: it is disabled, and every delivery would be refused; enable it first"
        )
    return known, raw


def _candidates(known: KnownProvider, *, key_file: Path | None, now_us: int) -> Iterator[Secret]:
    """The secrets that are valid now; or the key of the file, alone and below each certificate that is stored."""
    valid = known.secrets_at(now_us)
    if key_file is None:
        yield from valid
        return
    try:
        given = key_file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ReplayUsageError(
            f"--signing-key-file {key_file}: cannot be read as text: {type(error).__name__}"
        ) from None
    yield Secret(value=given, fingerprint="")
    certificates: tuple[str, ...] = getattr(known.options, "certificates", ())
    for certificate in (*(secret.value for secret in valid), *certificates):
        yield Secret(value=f"{certificate}\n{given}", fingerprint="")


def signer_of(known: KnownProvider, *, secret: Secret) -> ProviderSigner:
    """Signs with this secret, and shows the credentials that the provider asks for beside a signature."""
    beside = [timed.secret.value for timed in known.secrets if timed.secret.value.startswith(BASIC)]
    encoded = [base64.b64encode(value.removeprefix(BASIC).encode()).decode() for value in beside]
    return ProviderSigner(
        provider=known.name,
        adapter=known.adapter,
        secret=secret,
        options=known.options,
        url=f"{base_url()}/webhooks/{known.name}",
        beside={"Authorization": f"Basic {encoded[0]}"} if encoded else {},
    )


def _check_believed(signer: ProviderSigner, *, known: KnownProvider, now_us: int) -> None:
    """Raises what the adapter raises where the service would not believe a delivery that is signed so."""
    known.adapter.check_secret(signer.secret.value)
    signed = signer.sign(PROBE, now_us=now_us)
    delivery = InboundDelivery(
        provider=known.name, headers=signed.lowered, body=signed.content, url=signer.url, received_us=now_us
    )
    known.adapter.verify(delivery, secrets=known.secrets_at(now_us), options=known.options, now_us=now_us)


def _spec(signer: ProviderSigner, *, raw_options: dict[str, object], makes_events: bool) -> SignerSpec:
    return SignerSpec(
        factory="ingestion.replay.provider_signing:provider_signer",
        arguments={
            "provider": signer.provider,
            "scheme": signer.adapter.SCHEME,
            "secret": signer.secret.value,
            "options": json.dumps(raw_options),
            "url": signer.url,
            "beside": json.dumps(dict(signer.beside)),
            "makes_events": "yes" if makes_events else "",
        },
    )


def _why(name: str, *, key_file: Path | None, complaints: list[str]) -> str:
    if key_file:
        return (
            f"--signing-key-file {key_file}: what it signs is not believed by {name} ({'; '.join(complaints)}); "
            "give the private key whose public half is stored with the provider"
        )
    if not complaints:
        return f"--provider {name}: no secret of it is valid now; add one with `provider rotate {name}`"
    return (
        f"--provider {name}: nothing stored with it can sign ({'; '.join(complaints)}); "
        "for a scheme with public keys give the private one with --signing-key-file FILE"
    )
