"""Made events that mean trouble: payloads nobody can store, and another body under a known identity. Pure."""

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ingestion.replay.bodies import Body
from ingestion.replay.schedule import Slot

# Each is accepted JSON, or nearly, that no jsonb column takes and no JSON reader gives back.
POISON: Final = (
    rb'"\u0000"',  # NUL
    rb'"\ud800"',  # a lone surrogate
    b"1e400",
    b"[" * 600 + b"]" * 600,
)
_END: Final = b"}"


def poisoned(bodies: Sequence[Body], *, share: float, seed: int) -> list[Body]:
    """The same bodies; about this share of them with one more field that cannot be stored."""
    rng = random.Random(f"poison:{seed}")  # noqa: S311 - the plan has to be the same again, not secret
    return [_with(body, rng.choice(POISON)) if rng.random() < share else body for body in bodies]


def _with(body: Body, value: bytes) -> Body:
    return replace(body, content=body.content.removesuffix(_END) + b',"poison":' + value + _END, is_poison=True)


def conflicting(slots: Sequence[Slot], *, share_of_repeats: float, seed: int) -> frozenset[int]:
    """The numbers of the repeats that bring another body."""
    rng = random.Random(f"conflict:{seed}")  # noqa: S311
    repeats = [slot.n for slot in slots if slot.duplicate_of is not None]
    return frozenset(n for n in repeats if rng.random() < share_of_repeats)


def changed(body: Body, *, n: int) -> Body:
    """The same identity with another content."""
    return replace(body, content=body.content.removesuffix(_END) + b',"changed_by_send":%d' % n + _END)
