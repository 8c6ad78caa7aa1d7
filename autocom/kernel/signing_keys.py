"""The private keys that sign checkpoints, as PEM text: the first is the one in use, the others are on their way out."""

from __future__ import annotations

import re

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from autocom.kernel.signed_note import NoteSigner, SigningKeyInvalid

_BLOCK = re.compile(r"-----BEGIN PRIVATE KEY-----.*?-----END PRIVATE KEY-----", re.DOTALL)


def signers_of(pem: str, *, name: str) -> tuple[NoteSigner, ...]:
    """A signer for each PEM block, in their order. Raises SigningKeyInvalid."""
    blocks = _BLOCK.findall(pem)
    if not blocks:
        raise SigningKeyInvalid("no private key in PEM: make one with `openssl genpkey -algorithm ed25519`")
    return tuple(NoteSigner.from_pem(name, block.encode() + b"\n") for block in blocks)


def new_signing_key() -> str:
    """PEM (PKCS #8), not encrypted."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
