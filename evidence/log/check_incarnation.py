"""One incarnation from its first leaf on: each seal grows the tree by its leaves, and signs what comes out."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass

from autocom.kernel.digest import sha256
from autocom.kernel.merkle import Frontier, leaf_hash
from autocom.kernel.signed_note import Checkpoint, NoteKey
from evidence.log.check_seal import check_seal
from evidence.log.findings import LogCheck, LogFault
from evidence.log.leaf_rows import RowLeaf, row_leaves
from evidence.log.names import LogName
from evidence.log.sealer import frontier_of
from evidence.models import LogIncarnation, Seal

UNKNOWN_HASH = bytes(32)


@dataclass(frozen=True, slots=True)
class Head:
    """A checkpoint that one of our keys signed, and whose word it is."""

    checkpoint: Checkpoint
    told_by: str


class IncarnationCheck:
    def __init__(self, incarnation: LogIncarnation, *, heads: Sequence[Head], files: Set[int], found: LogCheck) -> None:
        """`files`: the numbers of the seals that had files before the rows were read."""
        self._incarnation = incarnation
        self._files = files
        self._where = incarnation.origin
        self._found = found
        self._leaves: Iterator[RowLeaf] = row_leaves(incarnation)
        self._tree = Frontier()
        self._heads: dict[int, list[Head]] = defaultdict(list)
        for head in heads:
            self._heads[head.checkpoint.size].append(head)

    def run(self, keys: Sequence[NoteKey]) -> None:
        previous: Seal | None = None
        seals = Seal.objects.filter(incarnation=self._incarnation).select_related("incarnation").order_by("number")
        for seal in seals.iterator():
            self._check_place(seal, previous)
            segment_sha256 = self._enter(seal)
            check_seal(seal, frontier=self._tree, segment_sha256=segment_sha256, keys=keys, found=self._found)
            if self._tree.root != bytes(seal.root) and len(bytes(seal.frontier)) == 32 * seal.tree_size.bit_count():
                self._tree = frontier_of(seal)  # said once: the seals after it are judged by what they add
            self._found.seal_count += 1
            previous = seal
        self._check_end(previous)

    def _check_place(self, seal: Seal, previous: Seal | None) -> None:
        number, size = (previous.number, previous.tree_size) if previous else (0, 0)
        where = f"{self._where} seal {seal.number}"
        if seal.number != number + 1:
            told = (
                f"seal {number + 1} is" if seal.number == number + 2 else f"seals {number + 1} to {seal.number - 1} are"
            )
            self._found.add(LogFault.GAP, where, f"{told} missing before it")
        elif seal.first_index != size:
            self._found.add(LogFault.GAP, where, f"it begins at {seal.first_index}, the seal before it ends at {size}")
        elif bytes(seal.previous_sha256) != (sha256(previous.text.encode()) if previous else bytes(32)):
            self._found.add(LogFault.CHANGED, where, "the seal before it is not the one that it names")

    def _enter(self, seal: Seal) -> bytes | None:
        """Grows the tree to the seal's size. The segment's digest, None unless every line is as it was sealed."""
        segment, is_whole = hashlib.sha256(), self._tree.size == seal.first_index
        while self._tree.size < seal.tree_size:
            leaf = next(self._leaves, None) or RowLeaf(f"the leaf at index {self._tree.size}", None, None)
            if not leaf.is_as_sealed:
                is_whole = False
                self._tell(leaf)
            segment.update((leaf.line or b"") + b"\n")
            self._tree.append(leaf.sealed or (leaf_hash(leaf.line) if leaf.line is not None else UNKNOWN_HASH))
            self._found.leaf_count += 1
            for head in self._heads.pop(self._tree.size, ()):
                self._compare(head)
        return segment.digest() if is_whole else None

    def _tell(self, leaf: RowLeaf) -> None:
        if leaf.line is None:
            self._found.add(LogFault.MISSING, self._where, f"{leaf.name} is sealed, and its row is gone")
        else:
            self._found.add(LogFault.CHANGED, self._where, f"{leaf.name} is not as it was sealed")

    def _compare(self, head: Head) -> None:
        if head.checkpoint.root != self._tree.root:
            size = head.checkpoint.size
            what = f"{head.told_by} has another root at {size} leaves: the history up to there was rewritten"
            self._found.add(LogFault.REWRITTEN, self._where, what)

    def _check_end(self, last: Seal | None) -> None:
        size = last.tree_size if last else 0
        for head in (each for heads in self._heads.values() for each in heads):
            if head.checkpoint.size:
                what = f"{head.told_by} has {head.checkpoint.size} leaves, the database {size}: sealed history is gone"
                self._found.add(LogFault.MISSING, self._where, what)
        if self._incarnation.log == LogName.EVENTS and (beyond_count := sum(1 for _ in self._leaves)):
            what = f"{beyond_count} batches are marked as sealed, and no seal has them"
            self._found.add(LogFault.MISSING, self._where, what)
        self._check_files()
        if last is not None:
            self._found.heads.append(f"{self._where} {size} {bytes(last.root).hex()}")

    def _check_files(self) -> None:
        numbers = set(Seal.objects.filter(incarnation=self._incarnation).values_list("number", flat=True))
        for number in sorted(self._files - numbers):
            what = f"the file of seal {number} is there, and the database lacks the seal"
            self._found.add(LogFault.MISSING, self._where, what)
