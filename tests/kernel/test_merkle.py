"""The Merkle tree hash, against RFC 6962's own recursive definition and its published vectors."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocom.kernel.merkle import (
    EMPTY_ROOT,
    inclusion_path,
    inclusion_paths,
    leaf_hash,
    root_of_hashes,
    root_of_path,
)


def root_by_definition(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, word by word."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + root_by_definition(leaves[:split]) + root_by_definition(leaves[split:])).digest()


@given(st.lists(st.binary(max_size=20), max_size=70))
def test_the_root_is_that_of_the_definition(leaves: list[bytes]) -> None:
    assert root_of_hashes([leaf_hash(leaf) for leaf in leaves]) == root_by_definition(leaves)


@given(st.lists(st.binary(max_size=8), min_size=2, max_size=20, unique=True), st.data())
def test_another_order_an_omission_or_an_edit_gives_another_root(leaves: list[bytes], data: st.DataObject) -> None:
    root = root_of_hashes([leaf_hash(leaf) for leaf in leaves])
    position = data.draw(st.integers(0, len(leaves) - 1))
    edited = [*leaves[:position], leaves[position] + b"!", *leaves[position + 1 :]]
    for other in (leaves[::-1], leaves[:position] + leaves[position + 1 :], edited, [*leaves, leaves[-1]]):
        if other != leaves:
            assert root_of_hashes([leaf_hash(leaf) for leaf in other]) != root


VECTORS = [  # certificate-transparency's reference inputs, as hex
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
]
ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


@pytest.mark.parametrize(("count", "root"), ROOTS.items())
def test_the_published_vectors_hold(count: int, root: str) -> None:
    assert root_of_hashes([leaf_hash(bytes.fromhex(leaf)) for leaf in VECTORS[:count]]).hex() == root


def test_an_empty_tree_has_a_root() -> None:
    assert root_of_hashes([]) == EMPTY_ROOT


@given(st.lists(st.binary(max_size=8), min_size=1, max_size=70, unique=True), st.data())
def test_a_leaf_and_its_path_lead_to_the_root_and_nothing_else_does(leaves: list[bytes], data: st.DataObject) -> None:
    hashes = [leaf_hash(leaf) for leaf in leaves]
    root = root_of_hashes(hashes)
    position = data.draw(st.integers(0, len(hashes) - 1))
    path = inclusion_path(hashes, position=position)
    assert root_of_path(hashes[position], path, position=position, leaf_count=len(hashes)) == root
    assert root_of_path(leaf_hash(b"another leaf"), path, position=position, leaf_count=len(hashes)) != root
    for wrong in (path[:-1], [*path, root]):
        if wrong != path:
            with pytest.raises(ValueError, match="path"):
                root_of_path(hashes[position], wrong, position=position, leaf_count=len(hashes))


def test_a_position_outside_the_tree_has_no_path() -> None:
    with pytest.raises(IndexError, match="position 3 is outside"):
        inclusion_path([leaf_hash(b"")] * 3, position=3)


@given(st.integers(1, 70))
def test_many_paths_at_once_are_those_of_each_leaf_alone(size: int) -> None:
    hashes = [leaf_hash(b"%d" % number) for number in range(size)]
    alone = [inclusion_path(hashes, position=position) for position in range(size)]
    assert list(inclusion_paths(hashes, positions=range(size))) == alone
    with pytest.raises(IndexError):
        list(inclusion_paths(hashes, positions=[size]))
