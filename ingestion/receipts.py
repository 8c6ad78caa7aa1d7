"""The signed promise in every 2xx: one text line for each event.

`acr1 <event id> <lane> <epoch> <sequence> <body sha256> <accepted us> <key id> <mac>`; the MAC is HMAC-SHA256 over
everything before it. Anybody may
keep the line and ask later where the event is; nobody without the key can make one.
"""

import hmac
from dataclasses import dataclass
from typing import Self
from uuid import UUID

from autocom.kernel.digest import derived_key, hmac_sha256, key_id
from autocom.kernel.errors import AutocomError

VERSION = "acr1"
PURPOSE = "autocom.receipt.v1"


class ReceiptInvalid(AutocomError):
    """The text is no receipt of this installation; the message says what is wrong with it."""

    code = "receipt_invalid"


@dataclass(frozen=True, slots=True)
class ReceiptKey:
    secret: bytes
    id: str

    @classmethod
    def derived(cls, secret_key: str) -> Self:
        secret = derived_key(secret_key, purpose=PURPOSE)
        return cls(secret=secret, id=key_id(secret))


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    event_id: UUID
    lane: int
    epoch: int
    sequence: int
    body_sha256: bytes
    accepted_us: int
    key_id: str

    def line(self, key: ReceiptKey) -> str:
        """The text that the provider gets. It names the key that made it: a repeated event's may be a newer one."""
        fields = (
            f"{VERSION} {self.event_id} {self.lane} {self.epoch} {self.sequence} "
            f"{self.body_sha256.hex()} {self.accepted_us} {key.id}"
        )
        return f"{fields} {hmac_sha256(key.secret, fields.encode()).hex()}"


def read_receipt(line: str, *, keys: tuple[ReceiptKey, ...]) -> Receipt:
    """The receipt that one of our keys signed. Raises ReceiptInvalid."""
    parts = line.strip().split(" ")
    if len(parts) != 9 or parts[0] != VERSION:
        raise ReceiptInvalid(f"a receipt has 9 words and starts with {VERSION}; this has {len(parts)}")
    fields, _, mac = line.strip().rpartition(" ")
    key = next((key for key in keys if key.id == parts[7]), None)
    if key is None:
        raise ReceiptInvalid(f"the key {parts[7]} is not one of ours")
    if not hmac.compare_digest(hmac_sha256(key.secret, fields.encode()).hex().encode(), mac.encode()):
        raise ReceiptInvalid("the MAC does not fit: a word was changed")
    return Receipt(
        event_id=UUID(parts[1]),
        lane=int(parts[2]),
        epoch=int(parts[3]),
        sequence=int(parts[4]),
        body_sha256=bytes.fromhex(parts[5]),
        accepted_us=int(parts[6]),
        key_id=parts[7],
    )
