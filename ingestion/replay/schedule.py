"""The plan: which body leaves at which moment. Pure, and made whole before the first send."""

import random
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Final, NamedTuple

NS_PER_SECOND: Final = 1_000_000_000
# Where a deliberate duplicate follows its original. At once means at the same moment, so that both are under way
# together; the late ones come well after the first has been answered.
AT_ONCE_SHARE: Final = 0.4
SOON_SHARE: Final = 0.3
SOON_SECONDS: Final = (0.02, 0.5)
LATE_SECONDS: Final = (1.0, 2.5)
AT_ONCE: Final = -1  # before every other repeat that waits
# Without a rate there are no seconds, so distances are counted in sends, as if at this rate.
NOMINAL_RATE: Final = 1_000.0


@dataclass(frozen=True, slots=True)
class Slot:
    """One planned send. `intended_ns` counts from the start of the run; `duplicate_of` is the slot sent first."""

    n: int
    body_index: int
    intended_ns: int
    duplicate_of: int | None


class _Repeat(NamedTuple):
    due_n: int
    body_index: int


def duplicates_count(*, count: int, share: float) -> int:
    """How many of `count` sends are deliberate duplicates; at least one send is always an original."""
    return min(round(count * share), count - 1) if count else 0


def plan(*, count: int, rate: float, duplicates_share: float, seed: int) -> list[Slot]:
    """`count` sends at a constant rate, in order of their moments; `rate` 0 puts them all at 0 (as fast as possible).

    The n-th send is due at n / rate; a duplicate sent at once is due with its original instead. Originals are numbered
    0, 1, 2... in the order in which they are first sent; one may be repeated more than once. Duplicates still waiting
    when the originals are used up follow without their distance.
    """
    rng = random.Random(seed)  # noqa: S311 - the plan has to be the same again, not secret
    repeats_count = duplicates_count(count=count, share=duplicates_share)
    repeats_of = [0] * (count - repeats_count)
    for _ in range(repeats_count):
        repeats_of[rng.randrange(len(repeats_of))] += 1
    spacing_ns = NS_PER_SECOND / rate if rate else 0.0
    slots: list[Slot] = []
    originals: list[Slot] = []
    waiting: list[_Repeat] = []
    for n in range(count):
        if waiting and (waiting[0].due_n <= n or len(originals) == len(repeats_of)):
            repeat = heappop(waiting)
            original = originals[repeat.body_index]
            moment_ns = original.intended_ns if repeat.due_n == AT_ONCE else round(n * spacing_ns)
            slots.append(Slot(n, repeat.body_index, moment_ns, original.n))
            continue
        slot = Slot(n, len(originals), round(n * spacing_ns), None)
        for _ in range(repeats_of[slot.body_index]):
            heappush(waiting, _Repeat(_due_n(n, rate=rate or NOMINAL_RATE, rng=rng), slot.body_index))
        originals.append(slot)
        slots.append(slot)
    return slots


def _due_n(n: int, *, rate: float, rng: random.Random) -> int:
    """The place in the plan where a repeat of the n-th send belongs."""
    choice = rng.random()
    if choice < AT_ONCE_SHARE:
        return AT_ONCE
    distance_seconds = rng.uniform(*(SOON_SECONDS if choice < AT_ONCE_SHARE + SOON_SHARE else LATE_SECONDS))
    return n + max(1, round(distance_seconds * rate))
