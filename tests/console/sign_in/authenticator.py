"""An authenticator in software: it makes real keys, attestations and assertions, and lies where a test wants it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from secrets import token_bytes
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from fido2.cose import ES256
from fido2.utils import websafe_encode
from fido2.webauthn import Aaguid, AttestationObject, AttestedCredentialData, AuthenticatorData

HERE = "http://localhost"  # as the console takes it where the test client asks
FLAG = AuthenticatorData.FLAG


def _client_data(kind: str, challenge: str, origin: str, **more: object) -> bytes:
    return json.dumps({"type": kind, "challenge": challenge, "origin": origin, **more}).encode()


@dataclass
class Authenticator:
    """Holds one passkey. `counter` None: it does not count, as synchronised ones do not."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    credential_id: bytes = field(default_factory=lambda: token_bytes(32))
    counter: int | None = 0
    origin: str = HERE
    rp_id: str = "localhost"
    flags: FLAG = FLAG.UP | FLAG.UV

    def creates(self, options: Mapping[str, Any], **client_data: object) -> str:
        """What the page's script puts into the form for a new passkey."""
        data = _client_data("webauthn.create", options["publicKey"]["challenge"], self.origin, **client_data)
        public = ES256.from_cryptography_key(self.key.public_key())  # type: ignore[no-untyped-call]
        made = AttestedCredentialData.create(Aaguid.NONE, self.credential_id, public)
        signed = AuthenticatorData.create(self._rp_hash(), self.flags | FLAG.AT, self.counter or 0, made)
        attestation = AttestationObject.create("none", signed, {})
        return self._told(clientDataJSON=data, attestationObject=attestation)

    def signs(self, options: Mapping[str, Any], **client_data: object) -> str:
        """The same for one that is used."""
        if self.counter is not None:
            self.counter += 1
        data = _client_data("webauthn.get", options["publicKey"]["challenge"], self.origin, **client_data)
        signed = AuthenticatorData.create(self._rp_hash(), self.flags, self.counter or 0)
        signature = self.key.sign(signed + sha256(data).digest(), ec.ECDSA(SHA256()))
        return self._told(clientDataJSON=data, authenticatorData=signed, signature=signature)

    def _rp_hash(self) -> bytes:
        return sha256(self.rp_id.encode()).digest()

    def _told(self, **response: bytes) -> str:
        told = websafe_encode(self.credential_id)
        packed = {name: websafe_encode(value) for name, value in response.items()}
        return json.dumps({"id": told, "rawId": told, "type": "public-key", "response": packed})
