"""Order within an ordering key, by both definitions. Pure.

By commit: the order of commits (batch, then sequence) is the order of acceptance (epoch, then sequence).
By real time: if the ack of A returned before B was first sent, A was accepted before B. What was under way at the same
time may come out either way.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple


class Witness(NamedTuple):
    """One stored event. The times are monotonic; None where no answer told of the event."""

    key: str
    name: str
    lane: int
    accepted: tuple[int, int]  # epoch and sequence
    committed: tuple[int, int]  # batch and sequence
    sent_ns: int | None
    ack_ns: int | None


type Break = tuple[str, str]  # who, and what shows it


def split_keys(witnesses: Iterable[Witness]) -> Iterator[Break]:
    """Every key seen on more than one lane: nothing orders two lanes."""
    for key, events in _by_key(witnesses).items():
        first = events[0]
        other = next((event for event in events if event.lane != first.lane), None)
        if other:
            yield key, f"{first.name} is on lane {first.lane}, {other.name} on lane {other.lane}"


def commit_order_breaks(witnesses: Iterable[Witness]) -> Iterator[Break]:
    """Every neighbouring pair that was committed in another order than accepted."""
    for events in _by_key(witnesses).values():
        events.sort(key=lambda event: event.committed)
        for earlier, later in pairwise(events):
            if earlier.accepted >= later.accepted:
                yield (
                    later.name,
                    f"committed (batch, sequence) {later.committed} after {earlier.name} {earlier.committed}, "
                    f"but accepted (epoch, sequence) {later.accepted} before {earlier.accepted}; key {later.key}",
                )


def real_time_breaks(witnesses: Iterable[Witness]) -> Iterator[Break]:
    """Every B that comes before some A whose ack had returned when B was first sent.

    One sweep in time with the highest acceptance acknowledged so far: n log n, where all pairs would be n squared.
    """
    for events in _by_key(witnesses).values():
        told = [event for event in events if event.sent_ns is not None and event.ack_ns is not None]
        by_ack = sorted(told, key=lambda event: event.ack_ns or 0)
        highest: Witness | None = None
        position = 0
        for event in sorted(told, key=lambda event: event.sent_ns or 0):
            while position < len(by_ack) and (by_ack[position].ack_ns or 0) < (event.sent_ns or 0):
                if highest is None or by_ack[position].accepted > highest.accepted:
                    highest = by_ack[position]
                position += 1
            if highest is not None and highest.accepted > event.accepted:
                yield (
                    event.name,
                    f"sent {(event.sent_ns or 0) - (highest.ack_ns or 0)} ns after the ack of {highest.name} returned, "
                    f"but accepted (epoch, sequence) {event.accepted} before {highest.accepted}; key {event.key}",
                )


def _by_key(witnesses: Iterable[Witness]) -> dict[str, list[Witness]]:
    by_key: dict[str, list[Witness]] = defaultdict(list)
    for witness in witnesses:
        by_key[witness.key].append(witness)
    return by_key
