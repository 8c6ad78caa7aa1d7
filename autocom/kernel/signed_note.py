"""Signed notes and checkpoints as C2SP defines them (signed-note, tlog-checkpoint), with Ed25519.

A note is a text of lines, an empty line, and signature lines: an em dash, the key's name, and the base64 of the key's
hash (4 bytes) and the signature (64 bytes). A checkpoint is a note whose text is the log's origin, the tree's size and
the base64 of its root, a line each.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from autocom.kernel.digest import sha256
from autocom.kernel.errors import AutocomError

ED25519 = b"\x01"  # the algorithm's byte in key hashes and verifier keys
DASH = "\N{EM DASH} "
HASH_BYTES = 4


class NoteInvalid(AutocomError):
    """The text is no signed note, or none of the keys that count signed it; the message says which."""

    code = "note_invalid"


class SigningKeyInvalid(AutocomError):
    code = "signing_key_invalid"


@dataclass(frozen=True, slots=True)
class NoteKey:
    """A public key and the name it signs under."""

    name: str
    public: bytes

    @property
    def hash(self) -> bytes:
        return sha256(self.name.encode() + b"\n" + ED25519 + self.public)[:HASH_BYTES]

    @property
    def vkey(self) -> str:
        """The verifier key: name, hash and key in one word, to be given to whoever verifies."""
        return f"{self.name}+{self.hash.hex()}+{base64.b64encode(ED25519 + self.public).decode()}"

    @property
    def pem(self) -> bytes:
        """As openssl reads it."""
        key = Ed25519PublicKey.from_public_bytes(self.public)
        return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

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
        if not name or key[:1] != ED25519 or len(key) != 33 or found.hash.hex() != told:
            raise NoteInvalid(f"{vkey[:80]!r} is no Ed25519 verifier key: it is name+hash+base64")
        return found

    def has_signed(self, message: bytes, signature: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class NoteSigner:
    key: NoteKey
    private: Ed25519PrivateKey

    @classmethod
    def from_pem(cls, name: str, pem: bytes) -> Self:
        """Raises SigningKeyInvalid."""
        try:
            private = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError) as error:
            raise SigningKeyInvalid(f"no private key in PEM: {error}") from error
        if not isinstance(private, Ed25519PrivateKey):
            raise SigningKeyInvalid("not an Ed25519 key: make one with `openssl genpkey -algorithm ed25519`")
        return cls(NoteKey(name, private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)), private)

    def sign(self, message: bytes) -> bytes:
        return self.private.sign(message)

    def line(self, text: str) -> str:
        return signature_line(self.key.name, self.key.hash + self.sign(text.encode()))


@dataclass(frozen=True, slots=True)
class SignatureLine:
    """`line` as it stood, without its line end."""

    name: str
    key_hash: bytes
    signature: bytes
    line: str


@dataclass(frozen=True, slots=True)
class OpenedNote:
    text: str
    signatures: tuple[SignatureLine, ...]

    def signed_by(self, keys: Iterable[NoteKey]) -> tuple[NoteKey, ...]:
        """Those of the keys that signed the text. A line that names a key and does not verify raises NoteInvalid."""
        return tuple(key for key in keys if any(self._is_by(key, line) for line in self.signatures))

    def _is_by(self, key: NoteKey, line: SignatureLine) -> bool:
        if (line.name, line.key_hash) != (key.name, key.hash):
            return False
        if not key.has_signed(self.text.encode(), line.signature):
            raise NoteInvalid(f"the signature of {key.name} ({key.hash.hex()}) does not fit: the note was changed")
        return True


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree's head: what a log says it holds."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Of the note's text. Lines after the third are extensions, and allowed. Raises NoteInvalid."""
        origin, size, root, *_ = [*text.split("\n"), "", "", ""]
        try:
            packed = base64.b64decode(root, validate=True)
        except binascii.Error:
            packed = b""
        if not origin or not (size.isascii() and size.isdigit()) or str(int(size)) != size or len(packed) != 32:
            raise NoteInvalid("no checkpoint: it has a line each of origin, size, and the root in base64")
        return cls(origin, int(size), packed)


def signature_line(name: str, packed: bytes) -> str:
    return f"{DASH}{name} {base64.b64encode(packed).decode()}"


def signed_note(text: str, signers: Sequence[NoteSigner]) -> str:
    """`text` ends with a line end."""
    return f"{text}\n" + "".join(f"{signer.line(text)}\n" for signer in signers)


def open_note(note: str) -> OpenedNote:
    """Its parts; nothing is verified yet. Raises NoteInvalid."""
    text, separator, lines = note.rpartition("\n\n")
    if not separator or not lines.endswith("\n"):
        raise NoteInvalid("no signed note: an empty line and signature lines are missing")
    return OpenedNote(f"{text}\n", tuple(_signature(line) for line in lines[:-1].split("\n")))


def _signature(line: str) -> SignatureLine:
    name, _, encoded = line.removeprefix(DASH).partition(" ")
    try:
        packed = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        packed = b""
    if not line.startswith(DASH) or not name or len(packed) <= HASH_BYTES:
        raise NoteInvalid(f"{line[:60]!r} is no signature line")
    return SignatureLine(name, packed[:HASH_BYTES], packed[HASH_BYTES:], line)
