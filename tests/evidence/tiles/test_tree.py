"""A tree read in tiles gives the roots and proofs of the tree over all leaves, with kept nodes or without."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from autocom.kernel.merkle import consistency_path, leaf_hash, root_of_hashes
from evidence.tiles.nodes import NodeFiles
from evidence.tiles.ranges import Range
from evidence.tiles.tree import LeavesMissing, TooManyLeaves, Tree, grow

LEAVES = [leaf_hash(b"%d" % number) for number in range(70_000)]  # one full tile on level 1, and more


class Rows:
    """Leaves as a table gives them; counts how many were asked for."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.read_count = 0

    def __call__(self, first: int, end: int) -> Sequence[bytes]:
        self.read_count += end - first
        return LEAVES[first : min(end, self.size)]


def tree(size: int, *, nodes: NodeFiles | None = None, rows: Rows | None = None) -> Tree:
    return Tree(size=size, leaf_hashes=rows or Rows(size), nodes=nodes)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 64, 65, 100])
def test_every_consistency_proof_is_the_one_of_rfc_6962(size: int) -> None:
    for old_size in range(1, size + 1):
        expected = consistency_path(LEAVES[:size], old_size=old_size)
        assert tree(size).consistency_path(old_size=old_size) == expected


@pytest.mark.parametrize("kept", [0, 300, 65_536, 70_000])
def test_a_large_tree_gives_the_same_proofs_however_many_nodes_are_kept(tmp_path: Path, kept: int) -> None:
    nodes = NodeFiles(tmp_path / "nodes")
    if kept:
        grow(tree(kept, nodes=nodes), nodes)
    size = 70_000
    for old_size in (1, 255, 256, 257, 65_535, 65_536, 65_537, 69_999, random.Random(1).randrange(1, size)):
        expected = consistency_path(LEAVES, old_size=old_size)
        assert tree(size, nodes=nodes).consistency_path(old_size=old_size) == expected
    assert tree(size, nodes=nodes).root_of(Range(0, size)) == root_of_hashes(LEAVES)


def test_with_kept_nodes_a_proof_reads_a_few_tiles_of_leaves_and_not_the_log(tmp_path: Path) -> None:
    nodes, rows = NodeFiles(tmp_path / "nodes"), Rows(70_000)
    grow(tree(70_000, nodes=nodes), nodes)
    tree(70_000, nodes=nodes, rows=rows).consistency_path(old_size=33_333)
    assert 0 < rows.read_count <= 3 * 256


def test_no_answer_hashes_more_leaves_than_it_may(tmp_path: Path) -> None:
    nodes, size = NodeFiles(tmp_path / "nodes"), 70_000
    limited = Tree(size=size, leaf_hashes=Rows(size), nodes=nodes, leaf_limit_count=20_000)
    with pytest.raises(TooManyLeaves):
        limited.consistency_path(old_size=33_333)
    grow(tree(size, nodes=nodes), nodes)
    limited = Tree(size=size, leaf_hashes=Rows(size), nodes=nodes, leaf_limit_count=20_000)
    assert limited.consistency_path(old_size=33_333) == consistency_path(LEAVES, old_size=33_333)


def test_nodes_grow_by_what_is_new_and_cost_nothing_when_nothing_is(tmp_path: Path) -> None:
    nodes = NodeFiles(tmp_path / "nodes")
    assert grow(tree(66_000, nodes=nodes), nodes) == 257 + 1
    rows = Rows(70_000)
    assert grow(tree(70_000, nodes=nodes, rows=rows), nodes) == 273 - 257
    assert rows.read_count == (273 - 257) * 256
    assert grow(tree(70_000, nodes=nodes, rows=rows), nodes) == 0
    assert (nodes.folder / "1").stat().st_size == 273 * 32


def test_half_a_node_of_a_writer_that_died_is_written_again(tmp_path: Path) -> None:
    nodes = NodeFiles(tmp_path / "nodes")
    grow(tree(1_000, nodes=nodes), nodes)
    whole = (nodes.folder / "1").read_bytes()
    (nodes.folder / "1").write_bytes(whole[:-10])
    assert tree(1_000, nodes=nodes).consistency_path(old_size=999) == consistency_path(LEAVES[:1_000], old_size=999)
    grow(tree(1_000, nodes=nodes), nodes)
    assert (nodes.folder / "1").read_bytes() == whole


def test_a_tile_is_as_wide_as_the_tree_allows() -> None:
    large = tree(70_000)  # the example of the specification
    assert [len(large.tile(level, number)) for level, number in ((0, 272), (0, 273), (0, 274))] == [256, 112, 0]
    assert [len(large.tile(level, number)) for level, number in ((1, 0), (1, 1), (2, 0), (3, 0))] == [256, 17, 1, 0]
    assert large.tile(2, 0) == [root_of_hashes(LEAVES[:65_536])]


def test_missing_leaves_are_an_error_and_no_other_proof() -> None:
    with pytest.raises(LeavesMissing, match="1 of the leaves 256 to 299 are not there"):
        tree(300, rows=Rows(299)).consistency_path(old_size=5)


def test_an_old_size_that_never_was_is_refused() -> None:
    for old_size in (0, 301):
        with pytest.raises(IndexError):
            tree(300).consistency_path(old_size=old_size)
