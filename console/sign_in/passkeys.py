"""Passkeys (WebAuthn): a key pair of somebody's phone, computer or security key, made for this console's host alone.

fido2 checks what is signed; the rows are allauth's. Which challenge is answered, by whom and how often, is decided in
`challenges` and `factor`. Not checked: of which make the authenticator is (no attestation is asked for).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from allauth.mfa.models import Authenticator
from cryptography.exceptions import UnsupportedAlgorithm
from django.utils import timezone
from fido2.cose import CoseKey
from fido2.server import Fido2Server
from fido2.utils import websafe_encode
from fido2.webauthn import (
    AttestationConveyancePreference,
    AttestedCredentialData,
    AuthenticationResponse,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialUserEntity,
    RegistrationResponse,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from autocom.kernel.errors import AutocomError
from console.sign_in.challenges import LIFETIME, Asked, Place

ANSWER_LIMIT_CHARS = 16_384
NAME_LIMIT_CHARS = 60
PASSKEY_LIMIT_COUNT = 10  # of one person
VERIFICATION = UserVerificationRequirement.PREFERRED
# what parsing and checking bytes of somebody else's choice raises
MALFORMED = (
    *(ValueError, TypeError, LookupError, AttributeError, AssertionError, OverflowError, RecursionError),
    *(NotImplementedError, struct.error, UnsupportedAlgorithm),
)


class PasskeyRefused(AutocomError):
    """The answer is none to what was asked, or not of a passkey that is asked for."""

    code = "passkey_wrong"


class CounterWentBack(PasskeyRefused):
    """The key signed more often than this authenticator counted: there may be a copy of it somewhere."""

    code = "passkey_copied"

    def __init__(self, name: str, *, kept: int, told: int) -> None:
        super().__init__(
            f"the passkey {name} counts {told} uses where it counted {kept} before: somebody may have a copy of it. "
            "Remove it, and tell whoever runs this installation"
        )
        self.facts = {"passkey": name, "kept": kept, "told": told}


@dataclass(frozen=True, slots=True)
class Passkey:
    """One of somebody's, as the page lists it."""

    pk: int
    name: str
    since: datetime
    last_used_at: datetime | None


def listed(rows: Sequence[Authenticator]) -> tuple[Passkey, ...]:
    return tuple(Passkey(row.pk, row.data["name"], row.created_at, row.last_used_at) for row in rows)


def creation_options(user: Any, rows: Sequence[Authenticator], asked: Asked) -> Mapping[str, Any]:
    """What the browser needs to make a new one, as JSON has it."""
    name = user.get_username()
    options, _ = _server(asked.place).register_begin(
        PublicKeyCredentialUserEntity(id=str(user.pk).encode(), name=name, display_name=name),
        credentials=[_credential(row) for row in rows],
        resident_key_requirement=ResidentKeyRequirement.DISCOURAGED,  # nobody signs in without their name
        user_verification=VERIFICATION,
        challenge=asked.challenge,
    )
    return dict(options)


def request_options(rows: Sequence[Authenticator], asked: Asked) -> Mapping[str, Any]:
    """What the browser needs to ask for one of these, as JSON has it."""
    options, _ = _server(asked.place).authenticate_begin(
        [_credential(row) for row in rows], user_verification=VERIFICATION, challenge=asked.challenge
    )
    return dict(options)


def made(user: Any, *, answer: str, asked: Asked) -> Authenticator:
    """The row of a new passkey, named by the question's note and not stored yet. Raises PasskeyRefused."""
    try:
        given = RegistrationResponse.from_dict(_parsed(answer))
        _refuse_embedded(given)
        found = _server(asked.place).register_complete(_state(asked), given)
        key = found.credential_data
        if key is None or key.public_key.get(3) not in CoseKey.supported_algorithms():
            raise PasskeyRefused("the passkey signs in a way that is not understood here")
    except MALFORMED as error:
        raise PasskeyRefused(f"this is no new passkey of {asked.place.origin}") from error
    credential = {
        "id": websafe_encode(key.credential_id),
        "rawId": websafe_encode(key.credential_id),
        "type": "public-key",
        "response": {
            "clientDataJSON": websafe_encode(given.response.client_data),
            "attestationObject": websafe_encode(given.response.attestation_object),
        },
    }
    data = {"name": asked.note, "credential": credential, "sign_count": found.counter, "answered": []}
    return Authenticator(user=user, type=Authenticator.Type.WEBAUTHN, data=data)


def answered_by(rows: Sequence[Authenticator], *, answer: str, asked: Asked) -> Authenticator:
    """Whose signature it is; its row has the new counter and the challenge's digest, not stored yet.

    The caller holds the rows locked: an answer that two requests bring at once is taken from one.
    Raises PasskeyRefused, CounterWentBack.
    """
    try:
        given = AuthenticationResponse.from_dict(_parsed(answer))
        _refuse_embedded(given)
        credentials = [_credential(row) for row in rows]
        found = _server(asked.place).authenticate_complete(_state(asked), credentials, given)
    except MALFORMED as error:
        raise PasskeyRefused(f"no passkey of yours at {asked.place.origin} gave this answer") from error
    row = rows[credentials.index(found)]
    _refuse_replay(row, asked)
    _refuse_copy(row, told=given.response.authenticator_data.counter)
    return row


def _refuse_embedded(given: RegistrationResponse | AuthenticationResponse) -> None:
    if given.response.client_data.cross_origin:
        raise PasskeyRefused("the answer was given inside a page of another site")


def _refuse_replay(row: Authenticator, asked: Asked) -> None:
    """The session forgets a challenge when its request ends; the row, which is locked, at once."""
    now, digest = timezone.now(), sha256(asked.challenge).hexdigest()
    recent = [each for each in row.data["answered"] if now - datetime.fromisoformat(each["at"]) <= LIFETIME]
    if any(each["sha256"] == digest for each in recent):
        raise PasskeyRefused("this answer was used before")
    row.data["answered"] = [*recent, {"sha256": digest, "at": now.isoformat()}]


def _refuse_copy(row: Authenticator, *, told: int) -> None:
    """WebAuthn 6.1.1. Passkeys that are synchronised do not count: they say zero each time."""
    kept = row.data["sign_count"]
    if (told or kept) and told <= kept:
        raise CounterWentBack(row.data["name"], kept=kept, told=told)
    row.data["sign_count"] = told


def _server(place: Place) -> Fido2Server:
    """fido2 by itself would take answers from every host below the console's."""
    server = Fido2Server(
        PublicKeyCredentialRpEntity(id=place.rp_id, name="autocom"),
        attestation=AttestationConveyancePreference.NONE,
        verify_origin=lambda origin: origin == place.origin,
    )
    server.timeout = int(LIFETIME.total_seconds() * 1_000)  # type: ignore[assignment]  # fido2 says None alone
    return server


def _state(asked: Asked) -> dict[str, Any]:
    """As fido2 would have kept it."""
    return {"challenge": websafe_encode(asked.challenge), "user_verification": VERIFICATION}


def _parsed(answer: str) -> Any:
    if len(answer) > ANSWER_LIMIT_CHARS:
        raise PasskeyRefused("the answer is longer than a passkey gives")
    return json.loads(answer)


def _credential(row: Authenticator) -> AttestedCredentialData:
    data: AttestedCredentialData = row.wrap().authenticator_data.credential_data
    return data
