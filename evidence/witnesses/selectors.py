"""Who watches a log, and how far each came."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from autocom.kernel.cosignature import WitnessKey
from evidence.models import Cosignature
from evidence.witnesses.cosign import witness_keys


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessStanding:
    """`tree_size` None: known here, and has countersigned nothing of this log yet. `is_known` False: no longer so."""

    name: str
    key_hash: str
    is_known: bool
    tree_size: int | None
    cosigned_at: datetime | None


def witness_standings(origin: str) -> list[WitnessStanding]:
    """Of all who are known here or ever countersigned the log: the largest tree of each."""
    newest = Cosignature.objects.filter(origin=origin).order_by("vkey", "-tree_size").distinct("vkey")
    found = {row.vkey: row for row in newest}
    known = {key.vkey for key in witness_keys()}
    return [_standing(vkey, found.get(vkey), is_known=vkey in known) for vkey in sorted(known | set(found))]


def _standing(vkey: str, row: Cosignature | None, *, is_known: bool) -> WitnessStanding:
    key = WitnessKey.parse(vkey)
    return WitnessStanding(
        name=key.name,
        key_hash=key.hash.hex(),
        is_known=is_known,
        tree_size=row.tree_size if row else None,
        cosigned_at=row.cosigned_at if row else None,
    )
