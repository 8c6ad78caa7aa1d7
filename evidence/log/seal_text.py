"""The seal file: which leaves were entered, their segment's digest, the seal before, the signed checkpoint. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from autocom.kernel.errors import AutocomError
from autocom.kernel.signed_note import Checkpoint, NoteInvalid, open_note

FORMAT = "autocom-seal/1"
FIELDS = (
    "origin",
    "seal",
    "first_index",
    "tree_size",
    "segment_sha256",
    "segment_bytes",
    "previous_seal_sha256",
    "sealed_at",
)


class SealInvalid(AutocomError):
    """The text is no seal; the message says why."""

    code = "seal_invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class SealText:
    origin: str
    number: int
    first_index: int
    tree_size: int
    segment_sha256: bytes
    segment_bytes: int
    previous_sha256: bytes
    sealed_at: str
    note: str

    @property
    def text(self) -> str:
        values = (
            self.origin,
            self.number,
            self.first_index,
            self.tree_size,
            self.segment_sha256.hex(),
            self.segment_bytes,
            self.previous_sha256.hex(),
            self.sealed_at,
        )
        lines = [FORMAT, *(f"{name} {value}" for name, value in zip(FIELDS, values, strict=True))]
        return "\n".join(lines) + "\n\n" + self.note

    @property
    def checkpoint(self) -> Checkpoint:
        """Raises NoteInvalid."""
        return Checkpoint.parse(open_note(self.note).text)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises SealInvalid."""
        head, _, note = text.partition("\n\n")
        first, *lines = head.split("\n")
        named = [line.partition(" ") for line in lines]
        if first != FORMAT or tuple(name for name, _, _ in named) != FIELDS:
            raise SealInvalid(f"no seal: it starts with {FORMAT} and has the lines {', '.join(FIELDS)}")
        values = {name: value for name, _, value in named}
        try:
            found = cls(
                origin=values["origin"],
                number=int(values["seal"]),
                first_index=int(values["first_index"]),
                tree_size=int(values["tree_size"]),
                segment_sha256=bytes.fromhex(values["segment_sha256"]),
                segment_bytes=int(values["segment_bytes"]),
                previous_sha256=bytes.fromhex(values["previous_seal_sha256"]),
                sealed_at=values["sealed_at"],
                note=note,
            )
            told = found.checkpoint
        except (ValueError, NoteInvalid) as error:
            raise SealInvalid(f"no seal: {error}") from error
        if (told.origin, told.size) != (found.origin, found.tree_size):
            raise SealInvalid("its checkpoint is another log's or another size's")
        return found


def moment_text(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
