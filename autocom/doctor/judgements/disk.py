"""Room on disks, and how many files a process may have open."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from autocom.doctor.finding import Check, Finding, Level
from autocom.doctor.judgements.sizes import told_bytes

FREE_FAIL_BYTES = 1 << 30
FREE_WARNING_BYTES = 10 << 30  # and less than a tenth of the disk
FREE_WARNING_SHARE = 0.10
INODES_FAIL_SHARE = 0.01
INODES_WARNING_SHARE = 0.05
DESCRIPTORS_FAIL_COUNT = 1_024

DATA_DIR = Check(
    "disk.data_dir",
    "Local servers, generated secrets and logs live there: when it is full, the local servers stop.",
    "free space there, or set AUTOCOM_DATA_DIR to a larger disk",
)
EVIDENCE = Check(
    "disk.evidence",
    "Evidence that cannot be written is missing when it is asked for.",
    "make the directory, give it to the services' user (chown), or set EVIDENCE_ROOT to another one",
)
DESCRIPTORS = Check(
    "disk.descriptors",
    "Each connection of a provider is an open file: at the limit the ingress takes no more, not even to say 503.",
    "ulimit -n 65536 (systemd: LimitNOFILE=65536; compose: ulimits: nofile: 65536) for the services",
)
CHECKS = (DATA_DIR, EVIDENCE, DESCRIPTORS)
QUOTA = Check(
    "disk.evidence_quota",
    "Evidence does not age out: at the quota every upload is refused.",
    "raise EVIDENCE_QUOTA_BYTES while the store has room for it",
)
STORE = Check(
    "disk.evidence_store",
    "Artifacts that cannot be read or added are evidence that nobody has.",
    "check EVIDENCE_STORE_URL, its bucket and the AWS variables, or the owner and mode of EVIDENCE_ROOT",
)
STORE_CHECKS = (QUOTA, STORE)
QUOTA_WARNING_SHARE = 0.90


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """A filesystem's room for a normal user. No inodes at all: it makes them as it goes."""

    free_bytes: int
    total_bytes: int
    free_inode_count: int
    total_inode_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A directory that services write to."""

    path: str
    is_writable: bool  # it, or where it does not exist yet, the nearest directory above
    exists: bool
    space: Space


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskFacts:
    data_dir: Place
    evidence: Place
    descriptor_limit_count: int
    ingress_connection_limit_count: int  # at which one ingress process refuses more


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFacts:
    """`trouble`: why the place of the artifacts does not answer; empty where it does."""

    stored_bytes: int
    artifact_count: int
    quota_bytes: int  # 0: none
    trouble: str


def judge_store(facts: StoreFacts) -> Iterator[Finding]:
    found = f"{facts.artifact_count} artifacts, {told_bytes(facts.stored_bytes)}"
    if not facts.quota_bytes:
        yield QUOTA.fine(f"{found}; no quota")
    elif facts.stored_bytes >= facts.quota_bytes:
        yield QUOTA.fail(f"{found}, of {told_bytes(facts.quota_bytes)}")
    else:
        has_room = facts.stored_bytes < QUOTA_WARNING_SHARE * facts.quota_bytes
        yield QUOTA.wished(holds=has_room, found=f"{found}, of {told_bytes(facts.quota_bytes)}")
    yield STORE.required(
        holds=not facts.trouble, found=facts.trouble or "the newest artifact, where there is one, is at its place"
    )


def judge(facts: DiskFacts) -> Iterator[Finding]:
    yield place_finding(DATA_DIR, facts.data_dir)
    yield place_finding(EVIDENCE, facts.evidence)
    limit, wanted = facts.descriptor_limit_count, facts.ingress_connection_limit_count
    found = f"{limit} open files a process here; an ingress process takes up to {wanted} connections"
    if limit < DESCRIPTORS_FAIL_COUNT:
        yield DESCRIPTORS.fail(found)
    else:
        yield DESCRIPTORS.wished(holds=limit > wanted, found=found)


def place_finding(check: Check, place: Place) -> Finding:
    if not place.is_writable:
        return check.fail(
            f"{place.path} {'cannot be written' if place.exists else 'does not exist and cannot be made'}"
        )
    return space_finding(check, where=place.path, space=place.space)


def space_finding(check: Check, *, where: str, space: Space) -> Finding:
    found = f"{where}: {told_bytes(space.free_bytes)} of {told_bytes(space.total_bytes)} free"
    if space.total_inode_count:
        found += f", {space.free_inode_count / space.total_inode_count:.0%} of the inodes"
    match _level(space):
        case Level.FAIL:
            return check.fail(found)
        case Level.WARNING:
            return check.warning(found)
    return check.fine(found)


def _level(space: Space) -> Level:
    inode_share = space.free_inode_count / space.total_inode_count if space.total_inode_count else 1.0
    if space.free_bytes < FREE_FAIL_BYTES or inode_share < INODES_FAIL_SHARE:
        return Level.FAIL
    is_little = space.free_bytes < min(FREE_WARNING_BYTES, FREE_WARNING_SHARE * space.total_bytes)
    return Level.WARNING if is_little or inode_share < INODES_WARNING_SHARE else Level.FINE
