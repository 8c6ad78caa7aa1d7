"""The sealed trees as they can be asked for: tiles, entries, and proofs that fit the signed checkpoints."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from django.conf import settings

from autocom.kernel.canonical_json import NotCanonical
from autocom.kernel.errors import AutocomError
from autocom.kernel.merkle import is_consistent, leaf_hash
from evidence.log.names import LogName
from evidence.log.reads import current_incarnation, last_of, leaf_lines
from evidence.models import LogIncarnation, Seal, SealedBatch
from evidence.tiles.nodes import NodeFiles
from evidence.tiles.ranges import TILE_WIDTH, Range
from evidence.tiles.tree import LeavesMissing, TooManyLeaves, Tree, grow

LEAF_LIMIT_COUNT = 262_144  # hashed for one answer, which anybody may ask for: about a second
ROWS_DO_NOT_FIT = ".rows_do_not_fit"

log = logging.getLogger(__name__)


class NotSealedThatFar(AutocomError):
    """The log has no such size, tile or entry yet; the message says what it has."""

    code = "log_size_unknown"


class NotPrepared(AutocomError):
    """Too much would have to be hashed for one answer: the ops worker has not kept the nodes of the tree yet."""

    code = "log_unavailable"
    retryable = True

    def __init__(self) -> None:
        super().__init__("the tiles of this log are being prepared by the ops worker: ask again")


class NotConsistent(AutocomError):
    """The rows do not lead to the checkpoints that were signed over them: somebody changed one or the other."""

    code = "log_not_consistent"


def tree_of(seal: Seal, *, nodes: NodeFiles | None, leaf_limit_count: int | None = LEAF_LIMIT_COUNT) -> Tree:
    incarnation = seal.incarnation
    return Tree(
        size=seal.tree_size,
        leaf_hashes=lambda first, end: leaf_hashes_between(incarnation, first, end),
        nodes=nodes,
        leaf_limit_count=leaf_limit_count,
    )


def nodes_of(incarnation: LogIncarnation) -> NodeFiles:
    root: Path = settings.AUTOCOM.evidence_root
    return NodeFiles(root / "log" / incarnation.log / incarnation.token / "nodes")


def leaf_hashes_between(incarnation: LogIncarnation, first: int, end: int) -> Sequence[bytes]:
    """Of the leaves `first` to `end` - 1; those whose rows are gone are left out."""
    if incarnation.log == LogName.AUDIT:
        return _entry_hashes(incarnation, first, end)
    start = [leaf_hash(incarnation.start_line.encode())] if first == 0 < end else []
    sealed = SealedBatch.objects.filter(incarnation=incarnation, index__gte=first, index__lt=end).order_by("index")
    return [*start, *map(bytes, sealed.values_list("leaf_sha256", flat=True))]


def _entry_hashes(incarnation: LogIncarnation, first: int, end: int) -> Sequence[bytes]:
    try:
        return [leaf_hash(line) for line in leaf_lines(incarnation, first, end)]
    except NotCanonical:  # an entry was changed into something that nobody can have sealed
        return []


def consistency(seal: Seal, *, old_size: int) -> list[bytes]:
    """What proves that the seal's tree grew out of its first `old_size` leaves.

    Raises NotSealedThatFar, NotPrepared, and NotConsistent where the rows give no such proof.
    """
    if not 0 < old_size <= seal.tree_size:
        raise NotSealedThatFar(f"the log had no {old_size} leaves before it had {seal.tree_size}")
    path = _fitting_path(seal, old_size=old_size, nodes=nodes_of(seal.incarnation))
    if path is None:
        log.warning("log_nodes_do_not_fit", extra={"origin": seal.incarnation.origin, "size": seal.tree_size})
        path = _fitting_path(seal, old_size=old_size, nodes=None)
    if path is None:
        log.error("log_not_consistent", extra={"origin": seal.incarnation.origin, "size": seal.tree_size})
        raise NotConsistent(
            f"the rows of {seal.incarnation.origin} do not lead from {old_size} leaves to the signed root of "
            f"{seal.tree_size}: `manage.py audit verify` says where"
        )
    return path


def _fitting_path(seal: Seal, *, old_size: int, nodes: NodeFiles | None) -> list[bytes] | None:
    """None where it proves nothing: the kept nodes are wrong, or the rows are."""
    tree = tree_of(seal, nodes=nodes)
    try:
        path = tree.consistency_path(old_size=old_size)
        old_root = _signed_root(seal, old_size) or tree.root_of(Range(0, old_size))
    except LeavesMissing:
        return None
    except TooManyLeaves as error:
        raise NotPrepared from error
    fits = is_consistent(old_size=old_size, old_root=old_root, size=seal.tree_size, root=bytes(seal.root), path=path)
    return path if fits else None


def _signed_root(seal: Seal, size: int) -> bytes | None:
    found = Seal.objects.filter(incarnation=seal.incarnation_id, tree_size=size).first()
    return None if found is None else bytes(found.root)


def tile(seal: Seal, *, level: int, number: int, width: int) -> bytes:
    """The first `width` hashes of the tile. Raises NotSealedThatFar, NotPrepared, NotConsistent."""
    try:
        hashes = tree_of(seal, nodes=nodes_of(seal.incarnation)).tile(level, number)
    except LeavesMissing as error:
        raise NotConsistent(str(error)) from error
    except TooManyLeaves as error:
        raise NotPrepared from error
    if len(hashes) < width:
        raise NotSealedThatFar(f"this tile has {len(hashes)} of {width} hashes at size {seal.tree_size}")
    return b"".join(hashes[:width])


def entries(seal: Seal, *, number: int, width: int) -> list[bytes]:
    """The first `width` lines of the bundle. Raises NotSealedThatFar, NotConsistent."""
    first = number * TILE_WIDTH
    if first + width > seal.tree_size:
        raise NotSealedThatFar(f"the log has {seal.tree_size} leaves, and this needs {first + width}")
    lines = list(leaf_lines(seal.incarnation, first, first + width))
    if len(lines) != width:
        raise NotConsistent(f"{width - len(lines)} of the leaves {first} to {first + width - 1} are not there")
    return lines


def keep_nodes() -> int:
    """The nodes of both logs reach as far as their seals. How many were added. Raises OSError, LeavesMissing."""
    return sum(_keep_nodes_of(name) for name in LogName)


def _keep_nodes_of(name: LogName) -> int:
    incarnation = current_incarnation(name)
    seal = last_of(incarnation) if incarnation else None
    if seal is None:
        return 0
    nodes = nodes_of(seal.incarnation)
    added_count = grow(_whole_tree(seal, nodes), nodes)
    if _gives_root(seal, nodes) or (nodes.folder / ROWS_DO_NOT_FIT).exists():
        return added_count
    log.error("log_nodes_made_again", extra={"origin": seal.incarnation.origin})
    nodes.forget()
    added_count += grow(_whole_tree(seal, nodes), nodes)
    if not _gives_root(seal, nodes):  # the rows themselves: once is enough, `audit verify` says which
        log.error("log_not_consistent", extra={"origin": seal.incarnation.origin, "size": seal.tree_size})
        (nodes.folder / ROWS_DO_NOT_FIT).touch()
    return added_count


def _whole_tree(seal: Seal, nodes: NodeFiles) -> Tree:
    return tree_of(seal, nodes=nodes, leaf_limit_count=None)


def _gives_root(seal: Seal, nodes: NodeFiles) -> bool:
    return _whole_tree(seal, nodes).root_of(Range(0, seal.tree_size)) == bytes(seal.root)
