"""A sealed tree, read in tiles of 256 hashes: the leaves from the rows, what is above them from the kept nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

from autocom.kernel.merkle import node_hash, root_of_hashes
from evidence.tiles.nodes import NodeFiles
from evidence.tiles.ranges import TILE_HEIGHT, TILE_WIDTH, Range, Subtree, consistency_ranges, full_subtrees

type LeafHashes = Callable[[int, int], Sequence[bytes]]


TILES_AT_ONCE_COUNT = 64  # of leaves in one query, where nodes are computed


class LeavesMissing(LookupError):
    """Rows that the tree was sealed over are not there."""


class TooManyLeaves(LookupError):
    """The nodes that would spare the hashing of so many leaves are not kept yet."""


class Tree:
    """`size` leaves of a log. Tiles that were read once stay with it: make one for each answer."""

    def __init__(
        self,
        *,
        size: int,
        leaf_hashes: LeafHashes,
        nodes: NodeFiles | None = None,
        leaf_limit_count: int | None = None,
    ) -> None:
        """`leaf_hashes(first, end)`; `nodes` None: everything is computed from the leaves, of at most so many."""
        self.size = size
        self._leaf_hashes = leaf_hashes
        self._nodes = nodes
        self._leaves_left_count = leaf_limit_count
        self._tiles: dict[tuple[int, int], list[bytes]] = {}

    def tile(self, level: int, number: int) -> list[bytes]:
        """As much of the tile as the tree has: none where it has none. Raises LeavesMissing, TooManyLeaves."""
        if (level, number) not in self._tiles:
            self._tiles[level, number] = self._read_tile(level, number)
        return self._tiles[level, number]

    def forget(self) -> None:
        """What was read so far."""
        self._tiles.clear()

    def consistency_path(self, *, old_size: int) -> list[bytes]:
        """Raises IndexError for an old size that the tree never had, LeavesMissing."""
        return [self.root_of(each) for each in consistency_ranges(old_size=old_size, size=self.size)]

    def root_of(self, range_: Range) -> bytes:
        """Raises LeavesMissing."""
        roots = [self._root_of_full(subtree) for subtree in full_subtrees(range_)]
        return reduce(lambda right, left: node_hash(left, right), reversed(roots))

    def _root_of_full(self, subtree: Subtree) -> bytes:
        level, rest = divmod(subtree.height, TILE_HEIGHT)
        first = subtree.number << rest
        number, at = divmod(first, TILE_WIDTH)
        return root_of_hashes(self.tile(level, number)[at : at + (1 << rest)])

    def _read_tile(self, level: int, number: int) -> list[bytes]:
        first = number * TILE_WIDTH
        end = min(first + TILE_WIDTH, self.size >> level * TILE_HEIGHT)
        if first >= end:
            return []
        if level == 0:
            return self._leaves(first, end)
        kept = self._nodes.hashes(level, first, end) if self._nodes else []
        return kept + self.computed(level, first + len(kept), end)

    def computed(self, level: int, first: int, end: int) -> list[bytes]:
        """The nodes `first` to `end` - 1 of a level from the level below. Raises LeavesMissing, TooManyLeaves."""
        if level > 1:
            return [root_of_hashes(self.tile(level - 1, number)) for number in range(first, end)]
        found: list[bytes] = []
        for at in range(first, end, TILES_AT_ONCE_COUNT):
            leaves = self._leaves(at * TILE_WIDTH, min(at + TILES_AT_ONCE_COUNT, end) * TILE_WIDTH)
            found += [root_of_hashes(leaves[each : each + TILE_WIDTH]) for each in range(0, len(leaves), TILE_WIDTH)]
        return found

    def _leaves(self, first: int, end: int) -> list[bytes]:
        if self._leaves_left_count is not None:
            self._leaves_left_count -= end - first
            if self._leaves_left_count < 0:
                raise TooManyLeaves(f"the leaves {first} to {end - 1} would have to be hashed again")
        found = list(self._leaf_hashes(first, end))
        if len(found) != end - first:
            raise LeavesMissing(f"{end - first - len(found)} of the leaves {first} to {end - 1} are not there")
        return found


def grow(tree: Tree, nodes: NodeFiles) -> int:
    """The nodes reach as far as the tree does, level by level. How many were added. Raises OSError, LeavesMissing.

    A tree whose nodes are there already costs nothing.
    """
    added, level = 0, 1
    with nodes.growing():
        while (wanted := tree.size >> level * TILE_HEIGHT) > 0:
            while (there := nodes.count(level)) < wanted:
                until = min(there + TILE_WIDTH - there % TILE_WIDTH, wanted)
                hashes = tree.computed(level, there, until)
                tree.forget()
                nodes.append(level, hashes, after=there)
                added += len(hashes)
            level += 1
    return added
