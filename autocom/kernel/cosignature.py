"""Cosignatures of checkpoints as C2SP defines them (tlog-cosignature, cosignature/v1), with Ed25519.

A witness signs two lines, `cosignature/v1` and `time <seconds>`, and the checkpoint's text after them. Its signature
line holds the key's hash, the time (8 bytes, big-endian) and the signature.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from autocom.kernel.digest import sha256
from autocom.kernel.signed_note import HASH_BYTES, NoteInvalid, SignatureLine

COSIGNATURE = b"\x04"  # the algorithm's byte in key hashes and verifier keys
TIME_BYTES = 8
SIGNATURE_BYTES = 64


@dataclass(frozen=True, slots=True)
class WitnessKey:
    """A witness's public key, and the name it cosigns under."""

    name: str
    public: bytes

    @property
    def hash(self) -> bytes:
        return sha256(self.name.encode() + b"\n" + COSIGNATURE + self.public)[:HASH_BYTES]

    @property
    def vkey(self) -> str:
        return f"{self.name}+{self.hash.hex()}+{base64.b64encode(COSIGNATURE + self.public).decode()}"

    @classmethod
    def parse(cls, vkey: str) -> Self:
        """Raises NoteInvalid."""
        name, _, rest = vkey.strip().partition("+")
        told, _, packed = rest.partition("+")
        try:
            key = base64.b64decode(packed, validate=True)
        except binascii.Error:
            key = b""
        found = cls(name, key[1:])
        if not name or len(name.split()) != 1 or key[:1] != COSIGNATURE or len(key) != 33 or found.hash.hex() != told:
            raise NoteInvalid(f"{vkey[:80]!r} is no key of a witness: it is name+hash+base64, of the type 0x04")
        return found

    def is_named_by(self, line: SignatureLine) -> bool:
        return (line.name, line.key_hash) == (self.name, self.hash)

    def cosigned_at_seconds(self, line: SignatureLine, *, text: str) -> int:
        """When the witness signed the checkpoint's text. Raises NoteInvalid where it did not."""
        if len(line.signature) != TIME_BYTES + SIGNATURE_BYTES:
            raise NoteInvalid(f"the cosignature of {self.name} is not a time and a signature")
        at_seconds = int.from_bytes(line.signature[:TIME_BYTES], "big")
        try:
            key = Ed25519PublicKey.from_public_bytes(self.public)
            key.verify(line.signature[TIME_BYTES:], cosigned_message(text, at_seconds=at_seconds))
        except (InvalidSignature, ValueError) as error:
            raise NoteInvalid(f"the cosignature of {self.name} does not fit the checkpoint") from error
        return at_seconds


def cosigned_message(text: str, *, at_seconds: int) -> bytes:
    return f"cosignature/v1\ntime {at_seconds}\n{text}".encode()
