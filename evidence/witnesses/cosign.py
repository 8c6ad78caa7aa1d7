"""A witness's countersignature: believed, stored, recorded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import transaction

from autocom.kernel.cosignature import WitnessKey
from autocom.kernel.signed_note import Checkpoint, NoteInvalid, OpenedNote, SignatureLine, open_note
from evidence.audit import Act, Actor, record
from evidence.log.names import LogName
from evidence.log.reads import checkpoint_note
from evidence.models import AuditEntry, Cosignature, Seal
from evidence.witnesses.errors import CheckpointUnknown, CosignatureInvalid, CosignatureMalformed, WitnessUnknown

FUTURE_AT_MOST = timedelta(minutes=5)  # a witness's clock may be a little ahead
# an entry for each countersignature would make the log of acts grow, be sealed and be countersigned, without end
ENTRY_EVERY = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Taken:
    """`is_new` False: this witness had countersigned this checkpoint before, and the first time counts."""

    cosignature: Cosignature
    is_new: bool


def witness_keys() -> list[WitnessKey]:
    """Whose countersignatures are taken."""
    return [WitnessKey.parse(vkey) for vkey in settings.AUTOCOM.witness_keys]


def take_cosignatures(note: str, *, log: LogName, keys: Sequence[WitnessKey], now: datetime) -> list[Taken]:
    """Those of the known witnesses are stored afterwards; what others signed is left out. Safe to repeat.

    1 a note, 2 over a checkpoint that we signed, 3 by a witness that we know, 4 who signed it, 5 and not in the future.
    Raises CosignatureRefused.
    """
    opened, checkpoint = _opened(note)
    seal = _signed_seal(opened, checkpoint, log=log)
    signed = list(_verified(opened, keys=keys))
    if not signed:
        raise WitnessUnknown("no signature is by a witness that is known here: its key belongs into WITNESS_KEYS")
    for key, _, at in signed:
        if at > now + FUTURE_AT_MOST:
            raise CosignatureInvalid(f"{key.name} says that it signed at {at:%Y-%m-%d %H:%M:%S} UTC, which is to come")
    with transaction.atomic():
        return [_stored(key, line, at, seal=seal, checkpoint=checkpoint, now=now) for key, line, at in signed]


def _opened(note: str) -> tuple[OpenedNote, Checkpoint]:
    try:
        opened = open_note(note)
        return opened, Checkpoint.parse(opened.text)
    except (NoteInvalid, ValueError) as error:
        raise CosignatureMalformed(str(error)) from error


def _signed_seal(opened: OpenedNote, checkpoint: Checkpoint, *, log: LogName) -> Seal:
    """The whole text is compared: a witness signs extension lines too."""
    seals = Seal.objects.filter(
        incarnation__log=log.value, incarnation__origin=checkpoint.origin, tree_size=checkpoint.size
    )
    for seal in seals.select_related("incarnation"):
        if open_note(checkpoint_note(seal)).text == opened.text:
            return seal
    raise CheckpointUnknown(f"the log {log} signed no such checkpoint of size {checkpoint.size} for this origin")


def _verified(
    opened: OpenedNote, *, keys: Sequence[WitnessKey]
) -> Iterator[tuple[WitnessKey, SignatureLine, datetime]]:
    for key in keys:
        for line in opened.signatures:
            if key.is_named_by(line):
                try:
                    at_seconds = key.cosigned_at_seconds(line, text=opened.text)
                    yield key, line, datetime.fromtimestamp(at_seconds, tz=UTC)
                except (NoteInvalid, ValueError, OverflowError, OSError) as error:
                    raise CosignatureInvalid(str(error)) from error


def _stored(
    key: WitnessKey, line: SignatureLine, at: datetime, *, seal: Seal, checkpoint: Checkpoint, now: datetime
) -> Taken:
    row, is_new = Cosignature.objects.get_or_create(
        origin=checkpoint.origin,
        tree_size=checkpoint.size,
        vkey=key.vkey,
        defaults={"line": line.line, "cosigned_at": at, "received_at": now},
    )
    if is_new and _entry_is_due(key, checkpoint, now=now):
        _record(key, seal=seal, checkpoint=checkpoint, at=at)
    return Taken(row, is_new)


def _entry_is_due(key: WitnessKey, checkpoint: Checkpoint, *, now: datetime) -> bool:
    entries = AuditEntry.objects.filter(subject=_subject(checkpoint), act=Act.WITNESS_COSIGNED.value, actor=key.name)
    return not entries.filter(at__gt=now - ENTRY_EVERY).exists()


def _record(key: WitnessKey, *, seal: Seal, checkpoint: Checkpoint, at: datetime) -> None:
    facts = {
        "tree_size": checkpoint.size,
        "root": checkpoint.root.hex(),
        "vkey": key.vkey,
        "seal": seal.number,
        "cosigned_at": f"{at:%Y-%m-%dT%H:%M:%SZ}",
    }
    record(Act.WITNESS_COSIGNED, actor=Actor.process(key.name), subject=_subject(checkpoint), facts=facts)


def _subject(checkpoint: Checkpoint) -> str:
    return f"log {checkpoint.origin}"
