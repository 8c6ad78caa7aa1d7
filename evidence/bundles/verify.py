#!/usr/bin/env python3
"""Verify what autocom hands to an auditor, with nothing of autocom: Python 3.9 or newer and its standard library.

    python3 -I verify.py FOLDER|ARCHIVE.tar.gz [--key KEY] [--kept CHECKPOINT-FILE] [--json]    an evidence bundle
    python3 -I verify.py log FOLDER            [--key KEY] [--kept CHECKPOINT-FILE] [--json]    a log with its segments
    python3 -I verify.py proof FILE            [--key KEY] [--receipt LINE] [--json]            the proof of one event

KEY is a verifier key (name+hash+base64) or a PEM file of the public key. Take it from anywhere but the bundle: what a
bundle says about its own key, whoever made the bundle could say. Exit 0: everything fits. 1: findings. 2: wrong usage.
3: nothing is wrong, and something that was asked for could not be checked (UNKNOWN).

It is longer than a module should be because it must be one file: it is copied into each bundle, and shares no line with
the service that it checks. Read it from top to bottom: signatures, hash trees, files, log, audit log, the run's figures
recomputed from its raw journal and from the leaves of its events, the verdict. What it does not check: the text and the
pictures of the reports, the environment, and that the service showed every row of the run (leaves of others are bare
hashes; an event that was promised to somebody and left out is found, an event that nobody was told of is not).
"""

from __future__ import annotations

import argparse
import base64
import csv
import hashlib
import io
import json
import math
import os
import re
import stat
import struct
import sys
import tempfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple
from uuid import UUID

CLEAN, FINDINGS, WRONG_USAGE, UNKNOWN = 0, 1, 2, 3
FORMAT_ERRORS = (struct.error, zlib.error, csv.Error)
MALFORMED = (ValueError, LookupError, TypeError, AttributeError, RecursionError, ArithmeticError, *FORMAT_ERRORS)
SHOWN_COUNT = 50  # findings printed one by one; all of them are in --json


# --- 1. Findings ------------------------------------------------------------------------------------------------------


class Finding(NamedTuple):
    """`fault` is one of missing, unlisted, changed, unsigned, wrong_key, gap, invalid, proof, recomputed, rewritten."""

    fault: str
    where: str
    what: str


class ToldMissing(Exception):
    """A file that is not there, and the bundle says so and why: its verdict has to answer for it."""


@dataclass
class Report:
    """What was found. `unknown`: what was asked for and could not be checked. `told`: facts worth reading."""

    findings: list[Finding] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    told: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def found(self, fault: str, where: str, what: str) -> None:
        self.findings.append(Finding(fault, where, what))

    def differs(self, where: str, what: str, *, said: object, recomputed: object) -> None:
        self.found("recomputed", where, f"{what} is {_short(said)} here, and {_short(recomputed)} when recomputed")

    @contextmanager
    def reading(self, where: str) -> Iterator[None]:
        """What cannot be read is a finding, and the rest is checked all the same."""
        try:
            yield
        except ToldMissing:
            pass
        except FileNotFoundError:
            self.found("missing", where, "the file is not there")
        except MALFORMED as error:
            self.found("invalid", where, f"cannot be read: {type(error).__name__}: {_short(error)}")
        except OSError as error:
            self.found("invalid", where, f"cannot be read: {error.strerror}")

    @property
    def exit_status(self) -> int:
        return FINDINGS if self.findings else UNKNOWN if self.unknown else CLEAN


def _short(value: object) -> str:
    text = value if isinstance(value, str) else str(value) if isinstance(value, Exception) else json.dumps(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def whole(text: str) -> int:
    """A number as we write it: decimal digits, no sign, no leading zero."""
    if not (text.isascii() and text.isdigit()) or (text[0] == "0" and text != "0"):
        raise ValueError(f"{text[:40]!r} is no whole number")
    return int(text)


def digest_of(text: str) -> bytes:
    if not re.fullmatch("[0-9a-f]{64}", text):
        raise ValueError(f"{text[:70]!r} is no SHA-256 in lower-case hexadecimal")
    return bytes.fromhex(text)


# --- 2. Ed25519 (RFC 8032, section 5.1): is this signature by this key? -----------------------------------------------
# The curve is -x^2 + y^2 = 1 + d x^2 y^2 over the integers modulo P. A point is kept as (X, Y, Z, T) with x = X/Z,
# y = Y/Z and x y = T/Z, so that adding two points takes no division.

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_1 = pow(2, (P - 1) // 4, P)
Point = tuple[int, int, int, int]
NEUTRAL: Point = (0, 1, 1, 0)


def _add(one: Point, other: Point) -> Point:
    a = (one[1] - one[0]) * (other[1] - other[0]) % P
    b = (one[1] + one[0]) * (other[1] + other[0]) % P
    c = 2 * one[3] * other[3] * D % P
    d = 2 * one[2] * other[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def _times(scalar: int, point: Point) -> Point:
    total = NEUTRAL
    while scalar:
        if scalar & 1:
            total = _add(total, point)
        point, scalar = _add(point, point), scalar >> 1
    return total


def _point_of(packed: bytes) -> Point | None:
    """The point whose y (255 bits, little-endian) and sign of x (the last bit) these bytes are, if there is one."""
    number = int.from_bytes(packed, "little")
    y, sign = number & (2**255 - 1), number >> 255
    if len(packed) != 32 or y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * ROOT_OF_MINUS_1 % P
    if x * x % P != square or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


def _packed(point: Point) -> bytes:
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


BASE = _point_of(bytes([0x58]) + bytes([0x66]) * 31)  # y = 4/5, x even


def ed25519_verifies(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether S B = R + k A, looked at as R = S B - k A so that the bytes of R are compared, not a point they name."""
    key = _point_of(public)
    if key is None or BASE is None or len(signature) != 64:
        return False
    s = int.from_bytes(signature[32:], "little")
    if s >= ORDER:  # the same signature in another spelling
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % ORDER
    return _packed(_add(_times(s, BASE), _times(ORDER - k, key))) == signature[:32]


# --- 3. Keys, signed notes, checkpoints (C2SP signed-note and tlog-checkpoint) ----------------------------------------

PEM = re.compile(r"-----BEGIN PUBLIC KEY-----\s+([A-Za-z0-9+/=\s]+?)\s+-----END PUBLIC KEY-----")
SPKI_ED25519 = bytes.fromhex("302a300506032b6570032100")
DASH = "\u2014 "


class Key(NamedTuple):
    """A public key; from a PEM file it has no name, and any name may stand before its signatures."""

    name: str
    public: bytes

    def hash(self, name: str = "") -> bytes:
        return sha256((self.name or name).encode() + b"\n\x01" + self.public)[:4]

    @property
    def vkey(self) -> str:
        packed = base64.b64encode(b"\x01" + self.public).decode()
        return f"{self.name}+{self.hash().hex()}+{packed}" if self.name else f"Ed25519 {packed}"


def key_of(text: str) -> Key:
    """Of a verifier key or a PEM. Raises ValueError."""
    pem = PEM.search(text)
    if pem:
        packed = base64.b64decode("".join(pem.group(1).split()), validate=True)
        if len(packed) != 44 or not packed.startswith(SPKI_ED25519):
            raise ValueError("the PEM holds no Ed25519 public key")
        return Key("", packed[12:])
    name, _, rest = text.strip().partition("+")
    told, _, encoded = rest.partition("+")
    packed = base64.b64decode(encoded, validate=True)
    key = Key(name, packed[1:])
    if not name or len(packed) != 33 or packed[:1] != b"\x01" or key.hash().hex() != told:
        raise ValueError("no Ed25519 verifier key: it is name+hash+base64, or a PEM file")
    return key


class Note(NamedTuple):
    text: str
    signatures: list[tuple[str, bytes, bytes]]  # name, hash of the key, signature


def note_of(whole_text: str) -> Note:
    """Raises ValueError. Nothing is verified yet."""
    text, separator, lines = whole_text.rpartition("\n\n")
    if not separator or not lines.endswith("\n"):
        raise ValueError("no signed note: an empty line and lines of signatures are missing")
    signatures = []
    for line in lines[:-1].split("\n"):
        name, _, encoded = line[len(DASH) :].partition(" ")
        packed = base64.b64decode(encoded, validate=True)
        if not line.startswith(DASH) or not name or len(packed) <= 4 or base64.b64encode(packed).decode() != encoded:
            raise ValueError(f"{line[:60]!r} is no line of a signature")
        signatures.append((name, packed[:4], packed[4:]))
    return Note(f"{text}\n", signatures)


class Checkpoint(NamedTuple):
    """The head of a log: so many leaves, this root."""

    origin: str
    size: int
    root: bytes


def checkpoint_of(text: str) -> Checkpoint:
    """Of a note's text. Raises ValueError."""
    lines = text.split("\n")
    root = base64.b64decode(lines[2], validate=True)
    if not lines[0] or len(root) != 32 or base64.b64encode(root).decode() != lines[2]:
        raise ValueError("no checkpoint: it has a line each of origin, size, and root in base64")
    return Checkpoint(lines[0], whole(lines[1]), root)


def signed_checkpoint(note_text: str, *, where: str, keys: Sequence[Key], report: Report) -> Checkpoint:
    """The checkpoint of a note; that a trusted key did not sign it is a finding. Raises ValueError."""
    note = note_of(note_text)
    checkpoint = checkpoint_of(note.text)
    by_us = [
        (key, signature)
        for name, told, signature in note.signatures
        for key in keys
        if key.name in ("", name) and key.hash(name) == told and checkpoint.origin.startswith(f"{name}/")
    ]
    if not by_us:
        names = ", ".join(f"{name} ({told.hex()})" for name, told, _ in note.signatures)
        report.found("wrong_key", where, f"the checkpoint is signed by {names}, and by no key that counts here")
    elif not all(ed25519_verifies(key.public, note.text.encode(), signature) for key, signature in by_us):
        report.found("unsigned", where, "the signature does not fit the checkpoint: one of the two was changed")
    return checkpoint


# --- 4. Hash trees (RFC 6962, section 2.1) ----------------------------------------------------------------------------


def leaf_hash(leaf: bytes) -> bytes:
    return sha256(b"\x00" + leaf)


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right)


def root_of(hashes: Iterable[bytes]) -> bytes:
    """A row of subtrees is kept whose sizes are falling powers of two; equal neighbours become one."""
    subtrees: list[tuple[int, bytes]] = []
    for leaf in hashes:
        node = (1, leaf)
        while subtrees and subtrees[-1][0] == node[0]:
            size, left = subtrees.pop()
            node = (2 * size, node_hash(left, node[1]))
        subtrees.append(node)
    if not subtrees:
        return sha256(b"")
    root = subtrees.pop()[1]
    while subtrees:
        root = node_hash(subtrees.pop()[1], root)
    return root


def root_by_path(leaf: bytes, path: Sequence[bytes], *, position: int, size: int) -> bytes:
    """Where a leaf's hash and what stands beside its way lead to (RFC 9162, section 2.1.3.2). Raises ValueError."""
    if not 0 <= position < size:
        raise ValueError(f"position {position} is outside a tree of {size} leaves")
    at, last, root = position, size - 1, leaf
    for beside in path:
        if last == 0:
            raise ValueError("the path is too long")
        if at & 1 or at == last:
            root = node_hash(beside, root)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            root = node_hash(root, beside)
        at, last = at >> 1, last >> 1
    if last:
        raise ValueError("the path is too short")
    return root


# --- 5. The archive: plain files below one folder, nothing else -------------------------------------------------------

ARCHIVE_LIMIT_BYTES = 8 << 30  # unpacked
MEMBER_LIMIT_COUNT = 100_000
CHUNK_BYTES = 1 << 20


class Unzipped:
    """The bytes inside one gzip stream as we write it, a part at a time and never more than the limit."""

    def __init__(self, file: BinaryIO) -> None:
        head = file.read(10)
        if head[:8] != b"\x1f\x8b\x08\x00\x00\x00\x00\x00":
            raise ValueError("no gzip file as we write it: without a name, with the time 0")
        self.file, self.inflate, self.waiting, self.total = file, zlib.decompressobj(16 + zlib.MAX_WBITS), b"", 0
        self.inflate.decompress(head)

    def read(self, count: int) -> bytes:
        """Exactly so many bytes, or what is left at the end."""
        parts, missing = [], count
        while missing and not self.inflate.eof:
            packed = self.waiting or self.file.read(65_536)
            if not packed:
                raise ValueError("the archive ends in the middle")
            try:
                part = self.inflate.decompress(packed, missing)
            except zlib.error as error:
                raise ValueError(f"the archive is damaged: {error}") from error
            self.waiting = self.inflate.unconsumed_tail
            parts.append(part)
            missing -= len(part)
        self.total += count - missing
        if self.total > ARCHIVE_LIMIT_BYTES:
            raise ValueError(f"the archive unpacks to more than {ARCHIVE_LIMIT_BYTES:,} bytes")
        return b"".join(parts)

    def end(self) -> None:
        """Nothing but zeros may follow the last member, and nothing at all the gzip stream."""
        while not self.inflate.eof:
            if self.read(CHUNK_BYTES).strip(b"\x00"):
                raise ValueError("something follows the archive's end")
        if self.inflate.unused_data or self.file.read(1):
            raise ValueError("something follows the gzip stream")


def _padded(raw: bytes) -> str:
    text, _, padding = raw.partition(b"\x00")
    if padding.strip(b"\x00"):
        raise ValueError("something is hidden behind the end of a text in the archive")
    return text.decode()


def _octal(raw: bytes) -> int:
    if not re.fullmatch(rb"[0-7]+\x00", raw):
        raise ValueError("a number in the archive is not written as we do")
    return int(raw[:-1], 8)


def member_of(block: bytes) -> tuple[PurePosixPath, int]:
    """Path and size of a member, from its header of 512 bytes. Raises ValueError for whatever is no plain file."""
    told = block[148:156]
    summed = sum(block) - sum(told) + 8 * 0x20
    if told != b"%06o\x00 " % summed:
        raise ValueError("the checksum of an archive member is wrong")
    if block[156:157] != b"0" or _padded(block[157:257]):
        raise ValueError(f"a member of type {block[156:157]!r}: only plain files are allowed, no links, no devices")
    if block[257:265] != b"ustar\x0000" or block[500:].strip(b"\x00"):
        raise ValueError("the archive is no ustar archive")
    owner = (_octal(block[100:108]), _octal(block[108:116]), _octal(block[116:124]))
    if owner != (0o644, 0, 0) or _padded(block[265:297]) or _padded(block[297:329]):
        raise ValueError("a member has another mode or owner than 0644 of 0:0")
    if any(part.strip(b"\x00") not in (b"", b"0000000") for part in (block[329:337], block[337:345])):
        raise ValueError("a member has the numbers of a device")
    _octal(block[136:148])
    name, prefix = _padded(block[:100]), _padded(block[345:500])
    return safe_path(f"{prefix}/{name}" if prefix else name), _octal(block[124:136])


def safe_path(text: str) -> PurePosixPath:
    """Raises ValueError for a path that could lead anywhere else, or that has two spellings."""
    path = PurePosixPath(text)
    if (
        not text
        or str(path) != text
        or path.is_absolute()
        or ".." in path.parts
        or "\\" in text
        or not text.isprintable()
    ):
        raise ValueError(f"{text[:100]!r} is no plain relative path")
    return path


def unpack(archive: Path, into: Path) -> Path:
    """The folder of the bundle. Nothing is written outside `into`. Raises ValueError, OSError."""
    seen: set[PurePosixPath] = set()
    with archive.open("rb") as file:
        data = Unzipped(file)
        while (block := data.read(512)).strip(b"\x00"):
            if len(block) < 512:
                raise ValueError("the archive ends in the middle")
            path, size_bytes = member_of(block)
            if path in seen or len(path.parts) < 2 or (seen and path.parts[0] != next(iter(seen)).parts[0]):
                raise ValueError(f"{path}: members must be different files below one folder")
            seen.add(path)
            if len(seen) > MEMBER_LIMIT_COUNT:
                raise ValueError(f"more than {MEMBER_LIMIT_COUNT:,} members")
            target = into / path
            target.parent.mkdir(parents=True, exist_ok=True)
            _unpack_one(data, target, size_bytes=size_bytes)
        data.end()
    if not seen:
        raise ValueError("the archive is empty")
    return into / next(iter(seen)).parts[0]


def _unpack_one(data: Unzipped, target: Path, *, size_bytes: int) -> None:
    missing = size_bytes
    with target.open("xb") as file:
        while missing:
            part = data.read(min(missing, CHUNK_BYTES))
            if not part:
                raise ValueError("the archive ends in the middle")
            file.write(part)
            missing -= len(part)
    if data.read(-size_bytes % 512).strip(b"\x00"):
        raise ValueError("something is hidden behind the end of a file in the archive")


# --- 6. The bag: SHA256SUMS and its signature, the BagIt manifests, the statements ------------------------------------

OUTSIDE_SUMS = {"SHA256SUMS", "SHA256SUMS.sig"}
OUTSIDE_TAGS = {"tagmanifest-sha256.txt", "SHA256SUMS", "SHA256SUMS.sig", "SHA256SUMS.pub.pem"}
BAGIT = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
BUNDLE_FORMAT = "autocom-bundle/1"


Tell = Callable[[str, int, int], None]  # what is done now, bytes of files read, and of how many


def silent(step: str, done_bytes: int, total_bytes: int) -> None:
    """For whoever does not watch."""


@dataclass
class Bag:
    """A bundle's folder. `digests`: of every file in it, as it is."""

    folder: Path
    report: Report
    digests: dict[str, str] = field(default_factory=dict)
    keys: list[Key] = field(default_factory=list)  # the one that signed, and those before it
    absent: set[str] = field(default_factory=set)  # what data/missing.json tells of
    tell: Tell = silent

    def has(self, path: str) -> bool:
        return path in self.digests

    def raw(self, path: str) -> bytes:
        """Raises FileNotFoundError, ToldMissing."""
        if path not in self.digests:
            raise ToldMissing if path in self.absent else FileNotFoundError(path)
        return (self.folder / path).read_bytes()

    def text(self, path: str) -> str:
        return self.raw(path).decode()

    def lines(self, path: str) -> list[bytes]:
        """Raises ValueError where the last line has no end."""
        return lines_of(self.raw(path))

    def json(self, path: str) -> Any:
        return json_of(self.raw(path))

    def below(self, folder: str) -> list[str]:
        return sorted(path for path in self.digests if path.startswith(folder))


def lines_of(data: bytes) -> list[bytes]:
    if not data:
        return []
    if not data.endswith(b"\n"):
        raise ValueError("the last line has no end")
    return data[:-1].split(b"\n")


def json_of(data: bytes) -> Any:
    """Raises ValueError, for a name given twice in one object too: two readers would take different ones."""
    return json.loads(data, object_pairs_hook=_once, parse_constant=_no_constant)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def take_stock(bag: Bag) -> None:
    """The digest of every file. Links and the like are findings, and are not followed."""
    found = [Path(folder) / name for folder, names, files in os.walk(bag.folder) for name in sorted(names + files)]
    total_bytes, done_bytes = sum(full.lstat().st_size for full in found if stat.S_ISREG(full.lstat().st_mode)), 0
    for full in found:
        path, mode = full.relative_to(bag.folder).as_posix(), full.lstat().st_mode
        if stat.S_ISREG(mode):
            bag.digests[path] = _digest_of_file(full)
            done_bytes += full.lstat().st_size
            bag.tell("reading each file", done_bytes, total_bytes)
        elif not stat.S_ISDIR(mode):
            bag.report.found("invalid", path, "is neither a file nor a folder")


def _digest_of_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(CHUNK_BYTES):
            digest.update(part)
    return digest.hexdigest()


def check_list(bag: Bag, manifest: str, *, expected: set[str]) -> None:
    """Both ways: whatever it names is there unchanged, and whatever should be in it is."""
    with bag.report.reading(manifest):
        listed: dict[str, str] = {}
        for line in bag.text(manifest).splitlines(keepends=True):
            match = re.fullmatch(r"([0-9a-f]{64})  (.+)\n", line)
            if not match or match.group(2) in listed:
                raise ValueError(f"{line[:100]!r} is not `digest  path`, or comes twice")
            listed[str(safe_path(match.group(2)))] = match.group(1)
        for path in sorted(listed.keys() - expected):
            fault, what = ("invalid", "does not belong into") if bag.has(path) else ("missing", "is not there, says")
            bag.report.found(fault, path, f"the file {what} {manifest}")
        for path in sorted(expected - listed.keys()):
            bag.report.found("unlisted", path, f"the file is not in {manifest}")
        for path in sorted(expected & listed.keys()):
            if bag.digests[path] != listed[path]:
                what = f"has the digest {bag.digests[path]}, and {listed[path]} in {manifest}"
                bag.report.found("changed", path, what)


def check_lists(bag: Bag) -> None:
    everything = set(bag.digests)
    payload = {path for path in everything if path.startswith("data/")}
    check_list(bag, "SHA256SUMS", expected=everything - OUTSIDE_SUMS)
    check_list(bag, "manifest-sha256.txt", expected=payload)
    check_list(bag, "tagmanifest-sha256.txt", expected=everything - payload - OUTSIDE_TAGS)


def check_signature(bag: Bag, trusted: Sequence[Key]) -> None:
    """Who signed SHA256SUMS. Afterwards `bag.keys` are the keys whose checkpoints and statements count in this bag."""
    report = bag.report
    with report.reading("keys/log.vkey"):
        own = key_of(bag.text("keys/log.vkey"))
        report.told["key"] = own.vkey
        bag.keys = [own]
        for path in ("keys/log.pub.pem", "SHA256SUMS.pub.pem"):
            if bag.has(path) and key_of(bag.text(path)).public != own.public:
                report.found("wrong_key", path, "is another key than keys/log.vkey")
        if bag.has("keys/earlier.vkeys"):
            bag.keys += [key_of(line) for line in bag.text("keys/earlier.vkeys").splitlines()]
    with report.reading("SHA256SUMS.sig"):
        sums, signature = bag.raw("SHA256SUMS"), bag.raw("SHA256SUMS.sig")
        signer = next((key for key in [*bag.keys[:1], *trusted] if ed25519_verifies(key.public, sums, signature)), None)
        if signer is None:
            report.found("unsigned", "SHA256SUMS.sig", "no signature of SHA256SUMS by the bundle's key")
        elif trusted and signer.public not in {key.public for key in trusted}:
            wanted = " or ".join(key.vkey for key in trusted)
            report.found("wrong_key", "SHA256SUMS.sig", f"signed by {signer.vkey}, and not by {wanted}")
    if not trusted:
        report.warnings.append(
            "no --key was given: the signatures were checked with the key inside the bundle, which proves nothing "
            "about who made it. Compare the key above with one that you got elsewhere, or give that one with --key."
        )


def check_bag_info(bag: Bag) -> dict[str, str]:
    info: dict[str, str] = {}
    with bag.report.reading("bagit.txt"):
        if bag.text("bagit.txt") != BAGIT:
            raise ValueError("it is not that of BagIt 1.0 in UTF-8")
    with bag.report.reading("bag-info.txt"):
        for line in bag.text("bag-info.txt").splitlines():
            name, _, value = line.partition(": ")
            info[name] = value
        sizes = [(bag.folder / path).stat().st_size for path in bag.below("data/")]
        if info["Payload-Oxum"] != f"{sum(sizes)}.{len(sizes)}":
            said, is_so = info["Payload-Oxum"], f"{sum(sizes)}.{len(sizes)}"
            bag.report.differs("bag-info.txt", "Payload-Oxum", said=said, recomputed=is_so)
        if info["Bundle-Format"] != BUNDLE_FORMAT:
            raise ValueError(f"Bundle-Format is {info['Bundle-Format']}, this file reads {BUNDLE_FORMAT}")
    return info


STATEMENT_TYPE, PAYLOAD_TYPE = "https://in-toto.io/Statement/v1", "application/vnd.in-toto+json"
PREDICATES = {
    "verdict": "https://autocom.dev/attestation/gate-verdict/v1",
    "replay": "https://in-toto.io/attestation/test-result/v0.1",
    "faults": "https://in-toto.io/attestation/test-result/v0.1",
}
SUBJECTS = {
    "verdict": {"data/gate/verdict.json"},
    "replay": {"data/replay/journal.jsonl", "data/replay/summary.json"},
    "faults": {"data/faults/faults.json"},
}


def statement_of(bag: Bag, path: str) -> dict[str, Any]:
    """The signed statement in a DSSE envelope; a bad signature or subject is a finding. Raises ValueError, KeyError."""
    envelope = bag.json(path)
    payload = base64.b64decode(envelope["payload"], validate=True)
    kind = envelope["payloadType"].encode()
    signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)  # pre-authentication encoding
    signer = bag.keys[0]
    signatures = [base64.b64decode(each["sig"], validate=True) for each in envelope["signatures"]]
    if not any(ed25519_verifies(signer.public, signed, signature) for signature in signatures):
        bag.report.found("unsigned", path, "no signature of the statement by the bundle's key")
    statement = json_of(payload)
    if (statement["_type"], envelope["payloadType"]) != (STATEMENT_TYPE, PAYLOAD_TYPE):
        raise ValueError("it is no in-toto statement of version 1")
    for subject in statement["subject"]:
        name, digest = subject["name"], subject["digest"]["sha256"]
        if bag.digests.get(name) != digest:
            what = f"its subject {name} has the digest {bag.digests.get(name)}, and {digest} in the statement"
            bag.report.found("changed" if bag.has(name) else "missing", path, what)
    return dict(statement)


def check_statements(bag: Bag, *, verdict: dict[str, Any], summary: dict[str, Any]) -> None:
    wanted = {"statements/replay.dsse.json", "statements/verdict.dsse.json"}
    wanted |= {"statements/faults.dsse.json"} if bag.has("data/faults/faults.json") else set()
    for path in sorted(wanted | set(bag.below("statements/"))):
        with bag.report.reading(path):
            name = path[len("statements/") :].partition(".")[0]
            statement = statement_of(bag, path)
            about = {subject["name"] for subject in statement["subject"]}
            if statement["predicateType"] != PREDICATES[name] or not SUBJECTS[name] <= about:
                raise ValueError(
                    f"the statement is not about {', '.join(sorted(SUBJECTS[name]))} as {PREDICATES[name]}"
                )
            predicate = statement["predicate"]
            if name == "verdict":
                _check_verdict_statement(bag, path, predicate, verdict)
            elif name == "replay" and predicate["result"] != TEST_RESULTS[summary["verdict"]]:
                said, is_so = predicate["result"], TEST_RESULTS[summary["verdict"]]
                bag.report.differs(path, "result", said=said, recomputed=is_so)


TEST_RESULTS = {"PASS": "PASSED", "FAIL": "FAILED", "INCONCLUSIVE": "WARNED"}


def _check_verdict_statement(bag: Bag, path: str, predicate: dict[str, Any], verdict: dict[str, Any]) -> None:
    told = {name: predicate["policy"][name] for name in ("name", "version", "sha256")}
    spec = {"name": verdict["gate"], "version": verdict["version"], "sha256": bag.digests.get("data/gate/spec.json")}
    if told != spec:
        bag.report.differs(path, "the policy", said=told, recomputed=spec)
    for name, said, is_so in (
        ("result", predicate["result"], verdict["verdict"]),
        ("criteria", predicate["criteria"], verdict["criteria"]),
    ):
        if said != is_so:
            bag.report.differs(path, name, said=said, recomputed=is_so)


# --- 7. The log: lines, seals, segments -------------------------------------------------------------------------------

SEAL_FIELDS = (
    "origin",
    "seal",
    "first_index",
    "tree_size",
    "segment_sha256",
    "segment_bytes",
    "previous_seal_sha256",
    "sealed_at",
)


class StartLine(NamedTuple):
    """The first leaf of a log: `acs1 origin, origin before, size before, root before, first number`."""

    origin: str
    first_number: int


def start_line_of(line: bytes) -> StartLine:
    kind, origin, before, size, root, first = line.decode().split("\t")
    if kind != "acs1" or (before == "-") != (root == "-") or not re.fullmatch("-|[0-9a-f]{64}", root):
        raise ValueError("no start line of a log")
    whole(size)
    return StartLine(origin, whole(first))


class BatchLine(NamedTuple):
    """A leaf of the log of events: one transaction of the service, and the root over the leaves of its events."""

    number: int
    lane: int
    epoch: int
    first_sequence: int
    last_sequence: int
    event_count: int
    dead_count: int
    quarantined_count: int
    duplicate_count: int
    root: bytes
    committed_us: int

    @property
    def leaf_count(self) -> int:
        return self.event_count + self.dead_count + self.quarantined_count


def batch_line_of(line: bytes) -> BatchLine:
    kind, *fields = line.decode().split("\t")
    if kind != "acb1" or len(fields) != 11:
        raise ValueError(f"{line[:60]!r} is no line of a batch")
    numbers = [whole(word) for word in fields[:9]]
    return BatchLine._make([*numbers, digest_of(fields[9]), whole(fields[10])])


class Seal(NamedTuple):
    """One growth of a log: leaves `first_index` to `checkpoint.size - 1` are the lines of one segment."""

    number: int
    first_index: int
    segment_sha256: bytes
    segment_bytes: int
    previous_sha256: bytes
    checkpoint: Checkpoint
    sha256: bytes
    note: str


def seal_of(data: bytes, *, where: str, keys: Sequence[Key], report: Report) -> Seal:
    """Raises ValueError; an unsigned checkpoint is a finding."""
    head, separator, note = data.decode().partition("\n\n")
    kind, *lines = head.split("\n")
    fields = dict(line.split(" ", 1) for line in lines)
    if kind != "autocom-seal/1" or not separator or tuple(fields) != SEAL_FIELDS or len(lines) != len(fields):
        raise ValueError("no seal of version 1")
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", fields["sealed_at"]):
        raise ValueError("sealed_at is no time")
    checkpoint = signed_checkpoint(note, where=where, keys=keys, report=report)
    if (checkpoint.origin, checkpoint.size) != (fields["origin"], whole(fields["tree_size"])):
        report.found("proof", where, "the checkpoint is of another log or size than the seal")
    return Seal(
        number=whole(fields["seal"]),
        first_index=whole(fields["first_index"]),
        segment_sha256=digest_of(fields["segment_sha256"]),
        segment_bytes=whole(fields["segment_bytes"]),
        previous_sha256=digest_of(fields["previous_seal_sha256"]),
        checkpoint=checkpoint,
        sha256=sha256(data),
        note=note,
    )


@dataclass
class Log:
    """What the seals and segments at hand say. `lines`: every leaf that is there, by its index."""

    seals: list[Seal] = field(default_factory=list)
    lines: dict[int, bytes] = field(default_factory=dict)

    def root_at(self, size: int) -> bytes | None:
        """The root of the first `size` leaves; None where they are not all at hand and no seal ends there."""
        if all(index in self.lines for index in range(size)):
            return root_of(leaf_hash(self.lines[index]) for index in range(size))
        return next((seal.checkpoint.root for seal in self.seals if seal.checkpoint.size == size), None)


def read_log(folder: Path, *, where: str, keys: Sequence[Key], report: Report, is_whole: bool) -> Log:
    """Every seal with its segment. `is_whole`: from seal 1 on none may be missing, else those at hand are checked."""
    log = Log()
    names = {kind: _numbered(folder / kind, where=f"{where}{kind}", report=report) for kind in ("seals", "segments")}
    for name in sorted(names["segments"] - names["seals"]):
        report.found("unlisted", f"{where}segments/{name}", "no seal names this segment")
    for name in sorted(names["seals"]):
        path = f"{where}seals/{name}"
        with report.reading(path):
            seal = seal_of((folder / "seals" / name).read_bytes(), where=path, keys=keys, report=report)
            if f"{seal.number:08d}.txt" != name:
                report.found("invalid", path, f"is seal {seal.number} by its own word")
            _check_follows(log, seal, where=path, report=report, is_whole=is_whole)
            log.seals.append(seal)
            with report.reading(f"{where}segments/{name}"):
                data = (folder / "segments" / name).read_bytes()
                _take_segment(log, seal, data, where=f"{where}segments/{name}", report=report)
    _check_roots(log, where=where, report=report)
    return log


def _numbered(folder: Path, *, where: str, report: Report) -> set[str]:
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    strangers = [name for name in names if not re.fullmatch(r"\d{8,}\.txt|\d{8,}\.tmp", name)]  # .tmp: being sealed
    for name in sorted(strangers):
        report.found("unlisted", f"{where}/{name}", "does not belong here: names are numbers, such as 00000001.txt")
    return {name for name in names if re.fullmatch(r"\d{8,}\.txt", name)}


def _check_follows(log: Log, seal: Seal, *, where: str, report: Report, is_whole: bool) -> None:
    if not log.seals or log.seals[-1].number + 1 != seal.number:
        before = log.seals[-1].number if log.seals else 0
        if is_whole and seal.number > before + 1:
            report.found("gap", where, f"seals {before + 1} to {seal.number - 1} are not there")
        if seal.number == 1 and (seal.previous_sha256 != bytes(32) or seal.first_index):
            report.found("proof", where, "the first seal does not begin the log")
        if log.seals and log.seals[-1].checkpoint.origin != seal.checkpoint.origin:
            report.found("proof", where, "is a seal of another log than those before")
        if log.seals and log.seals[-1].checkpoint.size > seal.first_index:
            report.found("proof", where, "begins before the end of an earlier one")
        return
    last = log.seals[-1]
    if seal.previous_sha256 != last.sha256:
        report.found("proof", where, f"names another seal {last.number} than the one that is there")
    if (seal.checkpoint.origin, seal.first_index) != (last.checkpoint.origin, last.checkpoint.size):
        report.found("proof", where, f"does not begin where seal {last.number} ends")


def _take_segment(log: Log, seal: Seal, data: bytes, *, where: str, report: Report) -> None:
    if (len(data), sha256(data)) != (seal.segment_bytes, seal.segment_sha256):
        report.found("changed", where, f"has {len(data)} bytes and another digest than its seal {seal.number} says")
    lines = lines_of(data)
    if len(lines) != seal.checkpoint.size - seal.first_index:
        what = f"has {len(lines)} lines, its seal is over {seal.checkpoint.size - seal.first_index}"
        report.found("gap", where, what)
    log.lines.update(enumerate(lines, start=seal.first_index))


def _check_roots(log: Log, *, where: str, report: Report) -> None:
    """As far as the lines are there from the first on, every seal's root is recomputed from them, in one pass."""
    ends = {seal.checkpoint.size: seal for seal in log.seals}
    subtrees: list[tuple[int, bytes]] = []
    for index in range(max(ends, default=0)):
        if index not in log.lines:
            return
        node = (1, leaf_hash(log.lines[index]))
        while subtrees and subtrees[-1][0] == node[0]:
            size, left = subtrees.pop()
            node = (2 * size, node_hash(left, node[1]))
        subtrees.append(node)
        if index + 1 in ends:
            root = subtrees[-1][1]
            for _, left in reversed(subtrees[:-1]):
                root = node_hash(left, root)
            seal = ends[index + 1]
            if root != seal.checkpoint.root:
                what = f"the lines have the root {root.hex()}, its checkpoint {seal.checkpoint.root.hex()}"
                report.found("proof", f"{where}seals/{seal.number:08d}.txt", what)


def check_lines(log: Log, *, where: str, report: Report) -> None:
    """The start line, and what the lines after it must be in a log of their kind."""
    origin = log.seals[0].checkpoint.origin
    if 0 in log.lines:
        with report.reading(f"{where} line 0"):
            start = start_line_of(log.lines[0])
            if start.origin != origin:
                report.found("proof", where, f"the start line is of {start.origin}, the seals are of {origin}")
            if origin.split("/")[-2] == "audit":
                entries = [log.lines[index] for index in sorted(log.lines) if index]
                check_entries(entries, first_number=start.first_number, where=where, report=report)
    if origin.split("/")[-2] == "events":
        batches = []
        for index in sorted(index for index in log.lines if index):
            with report.reading(f"{where} line {index}"):
                batches.append(batch_line_of(log.lines[index]))
        _check_sequences(batches, where=where, report=report)


def _check_sequences(batches: Sequence[BatchLine], *, where: str, report: Report) -> None:
    """No number twice; within a lane's epoch every sequence is in some batch. A batch may begin again further back."""
    for number, count in Counter(batch.number for batch in batches).items():
        if count > 1:
            report.found("invalid", where, f"batch {number} has {count} lines")
    ends: dict[tuple[int, int], int] = {}
    for batch in sorted(batches, key=lambda batch: (batch.lane, batch.epoch, batch.first_sequence)):
        lane = (batch.lane, batch.epoch)
        end = ends.get(lane, batch.first_sequence - 1)
        if batch.first_sequence > end + 1:
            what = (
                f"sequences {end + 1} to {batch.first_sequence - 1} of lane {lane[0]}, epoch {lane[1]}, are in no batch"
            )
            report.found("gap", where, what)
        if batch.last_sequence - batch.first_sequence + 1 < batch.leaf_count:
            report.found("invalid", where, f"batch {batch.number} counts more events than it has sequences")
        ends[lane] = max(end, batch.last_sequence)


def check_kept(kept: Sequence[str], *, heads: Sequence[Checkpoint], log: Log, report: Report) -> None:
    """Checkpoints that somebody kept elsewhere: the log at hand must have gone through them."""
    by_size = {(head.origin, head.size): head.root for head in heads}
    for text in kept:
        with report.reading("--kept"):
            one = checkpoint_of(note_of(text).text)
            if one.origin not in {head.origin for head in heads}:
                continue
            root = by_size.get((one.origin, one.size))
            if root is None and log.seals and log.seals[0].checkpoint.origin == one.origin:
                root = log.root_at(one.size) if one.size <= log.seals[-1].checkpoint.size else None
            if root is None:
                why = f"{one.origin} at {one.size}: the leaves that it covers are not all here, ask the log for a proof"
                report.unknown.append(f"the kept checkpoint of {why}")
            elif root != one.root:
                what = f"at {one.size} leaves its root is {root.hex()}, and was {one.root.hex()} when it was kept"
                report.found("rewritten", one.origin, what)
            else:
                report.told.setdefault("kept", []).append(f"{one.origin} {one.size}")


def check_kept_origins(kept: Sequence[str], *, origins: set[str], report: Report) -> None:
    for text in kept:
        with report.reading("--kept"):
            one = checkpoint_of(note_of(text).text)
            if one.origin not in origins:
                report.unknown.append(f"the kept checkpoint is of {one.origin}, and nothing here is of that log")


# --- 8. The audit log: a chain of entries -----------------------------------------------------------------------------


def canonical(value: object) -> bytes:
    """RFC 8785 without floats: one spelling for each value. Raises ValueError."""
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return b"{" + b",".join(canonical(name) + b":" + canonical(value[name]) for name in names) + b"}"
    if isinstance(value, list):
        return b"[" + b",".join(map(canonical, value)) + b"]"
    if isinstance(value, float) or (isinstance(value, int) and abs(value) >= 2**53):
        raise ValueError("a number that not every reader of JSON keeps")
    return json.dumps(value, ensure_ascii=False).encode()


ENTRY_NAMES = {
    "act",
    "actor",
    "actor_kind",
    "at",
    "facts",
    "format",
    "number",
    "previous_sha256",
    "reason",
    "subject",
}


def check_entries(
    lines: Sequence[bytes], *, first_number: int, where: str, report: Report, previous: bytes | None = None
) -> bytes | None:
    """Canonical entries, numbered without a gap, each with the digest of the one before. The last one's digest."""
    if first_number == 1:
        previous = bytes(32)
    for number, line in enumerate(lines, start=first_number):
        with report.reading(f"{where} entry {number}"):
            entry = json_of(line)
            if canonical(entry) != line or set(entry) != ENTRY_NAMES or entry["format"] != "autocom-audit/1":
                raise ValueError("no canonical entry of version 1")
            if entry["number"] != number:
                report.found("gap", where, f"entry {entry['number']} stands where {number} should")
            if previous is not None and digest_of(entry["previous_sha256"]) != previous:
                report.found("proof", where, f"entry {number} does not follow the one before it")
        previous = sha256(line)
    return previous


EXPORTED = re.compile(rb'\{"entry":(.*),"entry_sha256":"([0-9a-f]{64})"\}', re.DOTALL)
EXPORTED_HEAD = re.compile(rb'\{"head":\{"entry_sha256":"([0-9a-f]{64})","number":(\d+)\}\}')


def check_audit(bag: Bag, *, kept: Sequence[str]) -> None:
    """The export, its chain and its head, and that the tree over it is the one of its checkpoint."""
    report, where = bag.report, "data/audit/entries.jsonl"
    with report.reading(where):
        head, *lines = bag.lines(where)
        told = EXPORTED_HEAD.fullmatch(head)
        if not told:
            raise ValueError("the first line names no head")
        entries = []
        for number, line in enumerate(lines, start=1):
            match = EXPORTED.fullmatch(line)
            if not match:
                raise ValueError(f"line {number + 1} is no entry as it is exported")
            entries.append(match.group(1))
            if sha256(match.group(1)) != digest_of(match.group(2).decode()):
                report.found("changed", where, f"entry {number} has another digest than stands beside it")
        last = check_entries(entries, first_number=1, where=where, report=report)
        if (whole(told.group(2).decode()), told.group(1).decode()) != (len(entries), (last or bytes(32)).hex()):
            report.found("gap", where, f"the head names entry {told.group(2).decode()}, there are {len(entries)}")
        _check_audit_tree(bag, entries, kept=kept)
        _check_run_entry(bag, entries)


def _check_audit_tree(bag: Bag, entries: Sequence[bytes], *, kept: Sequence[str]) -> None:
    with bag.report.reading("data/audit/checkpoint"):
        path = "data/audit/checkpoint"
        checkpoint = signed_checkpoint(bag.text(path), where=path, keys=bag.keys, report=bag.report)
        (line,) = bag.lines("data/audit/start-line.txt")
        start = start_line_of(line)
        leaves = [line, *entries[start.first_number - 1 :]]
        if start.origin != checkpoint.origin or checkpoint.origin.split("/")[-2] != "audit":
            bag.report.found("proof", path, "the start line is of another log")
        if checkpoint.size != len(leaves):
            bag.report.found("gap", path, f"it is over {checkpoint.size} leaves, and {len(leaves)} are here")
        log = Log([], dict(enumerate(leaves)))
        root = log.root_at(len(leaves))
        if root != checkpoint.root:
            bag.report.found("proof", path, "its root is not that of the entries")
        heads = [checkpoint, *(Checkpoint(checkpoint.origin, size, log.root_at(size) or b"") for size in _sizes(kept))]
        sizes = [head for head in heads if head.size <= len(leaves)]
        check_kept(kept, heads=sizes, log=Log(), report=bag.report)
        bag.report.told["audit_entries"] = len(entries)
        bag.report.told.setdefault("origins", []).append(checkpoint.origin)


def _sizes(kept: Sequence[str]) -> Iterator[int]:
    for text in kept:
        try:
            yield checkpoint_of(note_of(text).text).size
        except MALFORMED:
            continue


def _check_run_entry(bag: Bag, entries: Sequence[bytes]) -> None:
    """The run stands in the audit log, with the digests of its files."""
    with bag.report.reading("data/replay/summary.json"):
        run_id = bag.json("data/replay/summary.json")["run_id"]
        told = [entry for line in entries if (entry := json_of(line))["act"] == "replay.run"]
        mine = [entry for entry in told if run_id in (entry["subject"], entry["facts"].get("run_id"))]
        if not mine:
            bag.report.found("missing", "data/audit/entries.jsonl", f"no entry tells of the run {run_id}")
        for entry in mine[:1]:
            for name, digest in (entry["facts"].get("files") or {}).items():
                homes = (f"data/{part}/{name}" for part in ("replay", "environment", "latency"))
                path = next(filter(bag.has, homes), "")
                if path and bag.digests[path] != digest:
                    what = f"entry {entry['number']} of the audit log has the digest {digest}, the file another"
                    bag.report.found("changed", path, what)


# --- 9. The run, from its raw journal ---------------------------------------------------------------------------------

NS_PER_SECOND, NS_PER_MS = 1_000_000_000, 1_000_000
ANSWER_LIMIT_NS = 5 * NS_PER_SECOND  # from the moment at which the sender meant to send
OWN_DELAY_LIMIT_MS, KEPT_RATE_SHARE = 20.0, 0.99
SENDS_AT_LEAST_COUNT = 200
REFUSALS_COUNT = 8
QUARANTINED_CODE = "identity_conflict"


class Receipt(NamedTuple):
    """What an answer promised: this event, at this place of its lane, with this body."""

    event_id: UUID
    lane: int
    epoch: int
    sequence: int
    body_sha256: str


def receipts_of(text: str) -> list[Receipt]:
    """None where any line is no receipt."""
    receipts = []
    try:
        for line in text.splitlines():
            words = line.split(" ")
            if len(words) != 9 or words[0] != "acr1":
                return []
            receipts.append(Receipt(UUID(words[1]), int(words[2]), int(words[3]), int(words[4]), words[5]))
    except ValueError:
        return []
    return receipts


class Answer(NamedTuple):
    """What the body of an answer said; empty where it did not."""

    request_id: str
    status: str
    code: str
    receipt: str
    receipts: list[Receipt]
    event_count: int
    duplicate_count: int


def answer_of(text: str) -> Answer:
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        told = None
    told = told if isinstance(told, dict) else {}
    words = [str(told.get(name, "")) for name in ("request_id", "status", "code", "receipt")]
    counts = [count if isinstance(count := told.get(name), int) else 0 for name in ("events", "duplicates")]
    return Answer(words[0], words[1], words[2], words[3], receipts_of(words[3]), counts[0], counts[1])


class Attempt(NamedTuple):
    """One request. Status 0: no answer came."""

    number: int
    sent_ns: int
    ack_ns: int
    status: int
    answer: str
    error: str
    body_sha256: str
    is_yes: bool


class Send(NamedTuple):
    """One planned send, with what was tried. `events`: what the delivery holds, None where the plan does not know."""

    n: int
    message_id: str
    event_type: str
    ordering_key: str
    body_sha256: str
    duplicate_of: int | None
    events: list[tuple[str, str, str]] | None
    is_poison: bool
    intended_ns: int
    attempts: list[Attempt]
    yes: Attempt | None  # the first that was answered 2xx
    answer: Answer  # of that one, else of the last

    @property
    def name(self) -> str:
        return f"{self.message_id} {self.event_type}" if self.message_id else f"send {self.n} ({self.body_sha256[:12]})"

    @property
    def is_accepted(self) -> bool:
        """2xx at the first attempt, within five seconds of the moment at which the sender meant to send."""
        first = self.attempts[0] if self.attempts else None
        return bool(first and first.is_yes and first.ack_ns - self.intended_ns <= ANSWER_LIMIT_NS)


class Run(NamedTuple):
    header: dict[str, Any]
    sends: list[Send]
    wall_minus_monotonic_ns: int
    end: dict[str, Any] | None  # what the generator says of itself; None where it died

    @property
    def is_generated(self) -> bool:
        return bool(self.header["is_generated"])


def read_run(data: bytes) -> Run:
    """Raises ValueError, KeyError, TypeError. A last line that a crash cut off is left out, as the service does."""
    header: dict[str, Any] = {}
    start: dict[str, Any] = {}
    end: dict[str, Any] | None = None
    plans: list[dict[str, Any]] = []
    attempts: dict[int, list[Attempt]] = defaultdict(list)
    for line in data.split(b"\n")[:-1]:
        told = json_of(line)
        kind = told.pop("kind")
        if kind == "attempt":
            attempts[told["n"]].append(_attempt_of(told, success_status=header.get("success_status", 0)))
        elif kind == "plan":
            plans.append(told)
        elif kind == "header":
            header = told
        elif kind == "start":
            start = told
        elif kind == "end":
            end = told
        else:
            raise ValueError(f"a line of the unknown kind {kind!r}")
    if header.get("version") != 1:
        raise ValueError("no journal of version 1")
    sends = [_send_of(plan, attempts[plan["n"]], header=header, start=start) for plan in plans]
    return Run(header, sends, int(start.get("wall_minus_monotonic_ns", 0)), end)


def _attempt_of(told: dict[str, Any], *, success_status: int) -> Attempt:
    status = told["status"]
    is_yes = status == success_status if success_status else 200 <= status < 300
    times = (told["attempt"], told["sent_ns"], told["ack_ns"])
    return Attempt(*times, status, told["answer"], told["error"], told.get("body_sha256", ""), is_yes)


def _send_of(plan: dict[str, Any], attempts: list[Attempt], *, header: dict[str, Any], start: dict[str, Any]) -> Send:
    tried = sorted(attempts, key=lambda attempt: attempt.number)
    yes = next((attempt for attempt in tried if attempt.is_yes), None)
    intended_ns = int(start.get("monotonic_ns", 0)) + plan["intended_ns"]
    if not header["rate"] and tried:  # without a rate a send is meant when it is made
        intended_ns = tried[0].sent_ns
    told = yes or (tried[-1] if tried else None)
    events = plan.get("events")
    return Send(
        n=plan["n"],
        message_id=plan["message_id"],
        event_type=plan["event_type"],
        ordering_key=plan["ordering_key"],
        body_sha256=plan["body_sha256"],
        duplicate_of=plan["duplicate_of"],
        events=None if events is None else [(one[0], one[1], one[2]) for one in events],
        is_poison=bool(plan.get("is_poison", False)),
        intended_ns=intended_ns,
        attempts=tried,
        yes=yes,
        answer=answer_of(told.answer if told else ""),
    )


def ack_latencies_us(run: Run) -> list[int]:
    """From the intended moment, of every first attempt answered 2xx."""
    firsts = [(send, send.attempts[0]) for send in run.sends if send.attempts and send.attempts[0].is_yes]
    return [(first.ack_ns - send.intended_ns) // 1_000 for send, first in firsts]


def quantiles(samples_us: Iterable[int]) -> dict[str, Any]:
    """Nearest rank, in ms: the smallest sample with at least so many at or below it; None with fewer than 10 beyond."""
    ordered = sorted(samples_us)
    told: dict[str, Any] = {"count": len(ordered)}
    for name, share in (("p50", 50), ("p95", 95), ("p99", 99), ("p999", Fraction(999, 10))):
        of_100 = Fraction(share) / 100
        is_enough = len(ordered) * (1 - of_100) >= 10
        told[name] = ordered[math.ceil(of_100 * len(ordered)) - 1] / 1_000 if is_enough else None
    return {**told, "max": ordered[-1] / 1_000 if ordered else None}


def figures_of(run: Run) -> dict[str, Any]:
    """Every figure of summary.json that the journal alone gives, under its name there."""
    sends = run.sends
    tried = [send for send in sends if send.attempts]
    promised = [send for send in tried if send.yes]
    accepted = [send for send in tried if send.is_accepted]
    rejected = [send for send in tried if not send.is_accepted]
    rate, _ = _rate_of(run, tried)
    on_time = _was_on_time(run)
    known = [send.events for send in promised if send.events is not None]
    services = [send.attempts[0] for send in tried if send.attempts[0].is_yes]
    return {
        "run_id": run.header["run_id"],
        "planned": len(sends),
        "sent": len(tried),
        "unsent": len(sends) - len(tried),
        "accepted": len(accepted),
        "rejected": len(rejected),
        "accepted_ratio": len(accepted) / len(sends) if sends else None,
        "accepted_after_retry": sum(send.yes is not None and send.yes.number > 1 for send in rejected),
        "acknowledged": len(promised),
        "answered_duplicate": sum(send.answer.status == "duplicate" for send in promised),
        "duplicates_sent": sum(send.duplicate_of is not None for send in tried),
        "outcome_unknown": sum(send.yes is None and send.attempts[-1].status == 0 for send in tried),
        "retries": sum(len(send.attempts) - 1 for send in tried),
        "ack_ms": quantiles(ack_latencies_us(run)),
        "service_ms": quantiles((first.ack_ns - first.sent_ns) // 1_000 for first in services),
        "recovered": sum(send.yes is not send.attempts[0] for send in promised),
        "events_expected": sum(map(len, known)) if known else None,
        "events_named_by": _named_by(run),
        "refusals": dict(Counter(map(_refusal, rejected)).most_common(REFUSALS_COUNT)),
        "seed": run.header["seed"],
        "rate_offered": float(run.header["rate"]),
        "rate_achieved": rate,
        "kept_pace": on_time and _has_rate(run, tried, rate=rate),
        "was_on_time": on_time,
        "generator": run.end,
        "target": run.header["target"],
        "provider": run.header["provider"],
    }


def _rate_of(run: Run, tried: Sequence[Send]) -> tuple[float, float]:
    """Sends a second, and the seconds: those that the plan means them to take, and how late the last one went out."""
    if not tried:
        return 0.0, 0.0
    rate, moments = float(run.header["rate"]), [send.attempts[0].sent_ns for send in tried]
    if rate:
        meant_ns = round(len(tried) * NS_PER_SECOND / rate)
        took_ns = meant_ns + max(0, max(moments) - tried[-1].intended_ns)
    else:
        took_ns = max(1, max(moments) - min(moments))
    return len(tried) * NS_PER_SECOND / took_ns, took_ns / NS_PER_SECOND


def _was_on_time(run: Run) -> bool:
    end = run.end
    return end is not None and not end["was_interrupted"] and end["own_delay_p99_ms"] < OWN_DELAY_LIMIT_MS


def _has_rate(run: Run, tried: Sequence[Send], *, rate: float) -> bool:
    offered = float(run.header["rate"])
    if not tried or not offered:
        return bool(tried)
    late_ms = (tried[-1].attempts[0].sent_ns - tried[-1].intended_ns) / NS_PER_MS
    return rate >= KEPT_RATE_SHARE * offered or late_ms < OWN_DELAY_LIMIT_MS


def _named_by(run: Run) -> str:
    if run.is_generated:
        return "the plan"
    return "the adapter's own identify" if any(send.events is not None for send in run.sends) else "the receipts"


def _refusal(send: Send) -> str:
    first = send.attempts[0]
    if first.is_yes:
        return "2xx after more than 5 s"
    if not first.status:
        return re.sub(r"[^\w :.-]", "", first.error)
    return f"{first.status} {answer_of(first.answer).code}".strip()


# --- 10. The lineage: leaves of the run's events, up to the signed checkpoint -----------------------------------------


class Leaf(NamedTuple):
    """`acc1 kind provider message_id event_type ordering_key lane epoch sequence accepted_us body content event_id`."""

    kind: str  # P stored, D dead letter, R stored by a retry, Q quarantined
    message_id: str
    event_type: str
    ordering_key: str
    lane: int
    epoch: int
    sequence: int
    accepted_us: int
    body_sha256: str
    event_id: UUID
    batch: int


def leaf_of(line: bytes, *, batch: int) -> Leaf:
    """Raises ValueError."""
    version, kind, *words = line.decode("utf-8", "surrogatepass").split("\t")
    if version != "acc1" or len(kind) != 1 or kind not in "PDRQ" or len(words) != 11:
        raise ValueError(f"{line[:60]!r} is no leaf of an event")
    names = [word.replace("%0A", "\n").replace("%09", "\t").replace("%25", "%") for word in words[1:4]]
    digest_of(words[9])
    place = [whole(word) for word in words[4:8]]
    return Leaf._make([kind, *names, *place, digest_of(words[8]).hex(), UUID(words[10]), batch])


class Row(NamedTuple):
    """Where an event of the run ended up: `event`, `dead_letter` or `quarantine`."""

    place: str
    leaf: Leaf
    redriven_from: int | None  # the sequence that its receipt names, where a retry stored it elsewhere

    @property
    def name(self) -> tuple[str, str]:
        return self.leaf.message_id, self.leaf.event_type

    @property
    def id(self) -> UUID:
        return self.leaf.event_id


@dataclass
class Lineage:
    rows: list[Row] = field(default_factory=list)
    aliases: dict[UUID, UUID] = field(default_factory=dict)
    batches: dict[int, BatchLine] = field(default_factory=dict)


KINDS_OF_PLACE = {"event": "PR", "dead_letter": "D", "quarantine": "Q"}
PLACES = tuple(KINDS_OF_PLACE)


def check_lineage(bag: Bag, *, kept: Sequence[str]) -> Lineage:
    """Event -> leaf -> root of its batch -> line of the batch -> root of the log -> signed checkpoint."""
    report, lineage = bag.report, Lineage()
    leaves: list[Leaf] = []
    with report.reading("data/lineage/batches.tsv"):
        indexes = _check_batches(bag, lineage, kept=kept)
        report.told["batches"] = len(indexes)
    with report.reading("data/lineage/leaves.tsv"):
        leaves = _check_leaves(bag, lineage)
        report.told["leaves"] = len(leaves)
    with report.reading("data/lineage/aliases.tsv"):
        for line in bag.lines("data/lineage/aliases.tsv"):
            again, first = map(UUID, line.decode().split("\t"))
            lineage.aliases[again] = first
    with report.reading("data/lineage/extra.tsv"):
        lineage.rows = _rows_of(bag, leaves)
    return lineage


def _check_batches(bag: Bag, lineage: Lineage, *, kept: Sequence[str]) -> dict[int, bytes]:
    report, where = bag.report, "data/log/checkpoint"
    note = bag.text(where)
    checkpoint = signed_checkpoint(note, where=where, keys=bag.keys, report=report)
    if checkpoint.origin.split("/")[-2] != "events":
        report.found("invalid", where, "is no checkpoint of the log of events")
    report.told["log"] = f"{checkpoint.origin} {checkpoint.size} {checkpoint.root.hex()}"
    report.told.setdefault("origins", []).append(checkpoint.origin)
    indexes: dict[int, bytes] = {}
    for row in bag.lines("data/lineage/batches.tsv"):
        index, _, line = row.partition(b"\t")
        batch = batch_line_of(line)
        if batch.number in lineage.batches or whole(index.decode()) in indexes:
            report.found("invalid", "data/lineage/batches.tsv", f"batch {batch.number} or its index stands there twice")
        lineage.batches[batch.number] = batch
        indexes[whole(index.decode())] = line
    _check_log_paths(bag, indexes, checkpoint)
    _check_log_files(bag, indexes, checkpoint, note=note, kept=kept)
    return indexes


def _check_log_paths(bag: Bag, indexes: dict[int, bytes], checkpoint: Checkpoint) -> None:
    where = "data/lineage/proofs.tsv"
    paths: dict[int, list[bytes]] = {}
    for row in bag.lines(where):
        number, _, words = row.decode().partition("\t")
        paths[whole(number)] = [digest_of(word) for word in words.split(",") if word]
    for index in sorted(paths.keys() - indexes.keys()):
        bag.report.found("invalid", where, f"a path for index {index}, which no batch of the run has")
    for index, line in indexes.items():
        if index not in paths:
            bag.report.found("missing", where, f"no path for index {index}")
            continue
        with bag.report.reading(f"{where} index {index}"):
            root = root_by_path(leaf_hash(line), paths[index], position=index, size=checkpoint.size)
            if root != checkpoint.root:
                what = f"the batch at index {index} leads to the root {root.hex()}, not to that of the checkpoint"
                bag.report.found("proof", where, what)


def _check_log_files(
    bag: Bag, indexes: dict[int, bytes], checkpoint: Checkpoint, *, note: str, kept: Sequence[str]
) -> None:
    log = read_log(bag.folder / "data/log", where="data/log/", keys=bag.keys, report=bag.report, is_whole=False)
    if not log.seals:
        bag.report.found("missing", "data/log/seals", "there is no seal")
        return
    if log.seals[-1].note != note:
        bag.report.found("gap", "data/log/seals", "the last seal is not the one of data/log/checkpoint")
    for index, line in sorted(indexes.items()):
        if log.lines.get(index) != line:
            fault = "proof" if index in log.lines else "gap"
            bag.report.found(fault, "data/log/segments", f"index {index} is not the line of its batch in batches.tsv")
    check_lines_of_batches(log, report=bag.report)
    check_kept(kept, heads=[checkpoint, *(seal.checkpoint for seal in log.seals)], log=log, report=bag.report)


def check_lines_of_batches(log: Log, *, report: Report) -> None:
    """In a bundle the log is a part: its lines must be lines of batches, and their sequences may have gaps."""
    for index, line in sorted(log.lines.items()):
        with report.reading(f"data/log index {index}"):
            if index:
                batch_line_of(line)
            elif start_line_of(line).origin != log.seals[0].checkpoint.origin:
                report.found("proof", "data/log/segments", "the start line is of another log")


def _check_leaves(bag: Bag, lineage: Lineage) -> list[Leaf]:
    """Every batch's root from its leaves. The leaves of the run's events, read."""
    report, where = bag.report, "data/lineage/leaves.tsv"
    hashes: dict[int, list[bytes]] = defaultdict(list)
    leaves: list[Leaf] = []
    for row in bag.lines(where):
        number, position, told, line = row.split(b"\t", 3)
        batch, stated = whole(number.decode()), digest_of(told.decode())
        if whole(position.decode()) != len(hashes[batch]):
            report.found(
                "gap", where, f"batch {batch}: position {position.decode()} where {len(hashes[batch])} should be"
            )
        hashes[batch].append(stated)
        if line == b"-":
            continue
        if leaf_hash(line) != stated:
            report.found("proof", where, f"batch {batch}, position {position.decode()}: the line has another hash")
        leaves.append(leaf_of(line, batch=batch))
    for batch in sorted(lineage.batches.keys() | hashes.keys()):
        line_of_batch = lineage.batches.get(batch)
        if line_of_batch is None:
            report.found("missing", "data/lineage/batches.tsv", f"batch {batch} has leaves and no line")
        elif len(hashes[batch]) != line_of_batch.leaf_count:
            what = f"batch {batch} has {len(hashes[batch])} leaves here, and {line_of_batch.leaf_count} by its line"
            report.found("gap", where, what)
        elif root_of(hashes[batch]) != line_of_batch.root:
            report.found("proof", where, f"the leaves of batch {batch} do not give the root in its line")
    _check_places(leaves, lineage, report=report)
    return leaves


def _check_places(leaves: Sequence[Leaf], lineage: Lineage, *, report: Report) -> None:
    """A leaf lies in its batch's lane and range; no place and no event is there twice."""
    where = "data/lineage/leaves.tsv"
    places: set[tuple[int, int, int, int]] = set()
    seen: set[tuple[UUID, bool]] = set()
    for leaf in leaves:
        batch = lineage.batches.get(leaf.batch)
        if batch is None:
            continue
        in_range = batch.first_sequence <= leaf.sequence <= batch.last_sequence
        if (leaf.lane, leaf.epoch) != (batch.lane, batch.epoch) or not in_range:
            report.found("proof", where, f"event {leaf.event_id} does not lie in its batch {leaf.batch}")
        place, once = (leaf.batch, leaf.lane, leaf.epoch, leaf.sequence), (leaf.event_id, leaf.kind == "R")
        if place in places or once in seen:
            report.found("invalid", where, f"event {leaf.event_id} or its place in batch {leaf.batch} is there twice")
        places.add(place)
        seen.add(once)


def _rows_of(bag: Bag, leaves: Sequence[Leaf]) -> list[Row]:
    """The rows that the run left, each with the leaf that proves it; either one alone is a finding."""
    report, where = bag.report, "data/lineage/extra.tsv"
    by_kind = {(leaf.event_id, leaf.kind): leaf for leaf in leaves}
    rows: dict[tuple[str, UUID], Row] = {}
    for line in bag.lines(where):
        event, place, redriven = line.decode().split("\t")
        event_id, redriven_from = UUID(event), None if redriven == "-" else whole(redriven)
        kind = "R" if redriven_from is not None else KINDS_OF_PLACE[place][0]
        leaf = by_kind.get((event_id, kind))
        if leaf is None or (place, event_id) in rows:
            report.found(
                "proof", where, f"{event_id} as {place}: there is no leaf of kind {kind}, or it is there twice"
            )
            continue
        first = by_kind.get((event_id, "D")) or by_kind.get((event_id, "Q"))
        if redriven_from is not None and (first is None or first.sequence != redriven_from):
            report.found("proof", where, f"{event_id} was no dead letter at sequence {redriven_from} before its retry")
        rows[place, event_id] = Row(place, leaf, redriven_from)
    stored = {event_id for _, event_id in rows}
    for leaf in leaves:
        if leaf.event_id not in stored:
            report.found("missing", where, f"event {leaf.event_id} has a leaf of kind {leaf.kind} and no row")
    return sorted(rows.values(), key=lambda row: (PLACES.index(row.place), row.leaf.batch, row.leaf.sequence))


# --- 11. Reconciliation: was every promise kept, and in order? --------------------------------------------------------

TEXT_LIMIT_BYTES, TEXT_START_CHARS = 1_024, 200


def short(text: str) -> str:
    """As the service stores a text too long to index."""
    encoded = text.encode("utf-8", "surrogatepass")
    if len(encoded) <= TEXT_LIMIT_BYTES:
        return text
    return f"{text[:TEXT_START_CHARS]}\u2026sha256:{sha256(encoded).hex()}"


@dataclass
class Promise:
    """An event that an answer promised, over all sends of it."""

    receipt: Receipt
    send: Send
    sent_ns: int
    ack_ns: int
    is_fresh: bool


@dataclass
class Reconciled:
    """How often each thing is wrong."""

    counts: Counter[str] = field(default_factory=Counter)
    promises: dict[UUID, Promise] = field(default_factory=dict)
    stored: int = 0
    stored_without_ack: int = 0

    def figures(self) -> dict[str, int]:
        """Under their names in summary.json."""
        count = self.counts
        return {
            "lost": count["lost"],
            "duplicates": count["duplicated"],
            "idempotency_violations": count["duplicated"] + count["mistaken"],
            "order_violations": count["commit order"] + count["real-time order"] + count["split key"],
            "corrupted": count["corrupted"],
            "unexpected": count["unexpected"],
            "misplaced": count["misplaced"],
            "without_receipt": count["no receipt"],
            "stored": self.stored,
            "stored_without_ack": self.stored_without_ack,
        }


def reconcile(run: Run, lineage: Lineage) -> Reconciled:
    rows = lineage.rows
    if not run.is_generated:  # recorded runs are followed by id: one row for each
        rows = list({row.id: row for row in rows}.values())
    found = Reconciled(stored=len(rows))
    by_id = {row.id: row for row in rows}
    lost = _collect_promises(run, rows, found)
    lost |= _find_homes(run, by_id, lineage.aliases, found)
    _find_expected(run, rows, lost, found)
    if run.is_generated:
        _find_quarantined(run, rows, found)
        promised = {lineage.aliases.get(event_id, event_id) for event_id in found.promises}
        found.stored_without_ack = sum(row.id not in promised for row in rows)
    _judge_rows(run, rows, found)
    _judge_order(run, rows, found)
    return found


def _collect_promises(run: Run, rows: Sequence[Row], found: Reconciled) -> set[str]:
    """Afterwards the promises are known. Returns the names that are lost already, having no receipt and no row."""
    lost: set[str] = set()
    names = {row.name for row in rows}
    first_sent: dict[str, int] = {}
    for send in run.sends:
        for attempt in send.attempts:
            first_sent[send.body_sha256] = min(attempt.sent_ns, first_sent.get(send.body_sha256, attempt.sent_ns))
    for send in run.sends:
        if send.yes is None:
            continue
        if not send.answer.receipts and send.answer.code != QUARANTINED_CODE:
            found.counts["no receipt"] += 1
            if send.message_id and (send.message_id, send.event_type) not in names:
                found.counts["lost"] += 1
                lost.add(send.name)
        for receipt in send.answer.receipts:
            fresh = run.is_generated or send.answer.status == "accepted"
            known = found.promises.get(receipt.event_id)
            sent_ns = first_sent[send.body_sha256]
            if known is None:
                found.promises[receipt.event_id] = Promise(receipt, send, sent_ns, send.yes.ack_ns, fresh)
                continue
            found.counts["mistaken"] += _is_another(known.send, send)
            known.sent_ns, known.ack_ns = min(known.sent_ns, sent_ns), min(known.ack_ns, send.yes.ack_ns)
            known.is_fresh = known.is_fresh or fresh
    return lost


def _is_another(one: Send, other: Send) -> bool:
    """Two events under one receipt: by their names where both are known, else by their bodies."""
    if one.events and other.events:
        return not set(one.events) & set(other.events)
    if one.message_id and other.message_id:
        told = [(each.message_id, each.event_type, each.ordering_key, each.body_sha256) for each in (one, other)]
        return told[0] != told[1]
    return one.body_sha256 != other.body_sha256 and len(one.answer.receipts) == 1


def _find_homes(run: Run, by_id: dict[UUID, Row], aliases: dict[UUID, UUID], found: Reconciled) -> set[str]:
    lost: set[str] = set()
    for event_id, promise in found.promises.items():
        row, send = by_id.get(event_id) or by_id.get(aliases.get(event_id, event_id)), promise.send
        if row is None:
            found.counts["lost"] += 1
            lost.add(send.name)
            continue
        if send.message_id and len(send.answer.receipts) == 1:
            if row.name != (short(send.message_id), short(send.event_type)):
                found.counts["mistaken"] += 1
                continue
            found.counts["corrupted"] += run.is_generated and send.ordering_key != row.leaf.ordering_key
        found.counts["corrupted"] += not _is_as_promised(run, promise, row)
    return lost


def _is_as_promised(run: Run, promise: Promise, row: Row) -> bool:
    """The row has the body that was sent, and the place and body that the receipt tells."""
    send, receipt, leaf = promise.send, promise.receipt, row.leaf
    if run.is_generated and leaf.body_sha256 != send.body_sha256:
        return False
    signed = send.yes.body_sha256 if send.yes else ""
    is_told_once = send.answer.status == "accepted" and not send.answer.duplicate_count
    if signed and is_told_once and receipt.body_sha256 != signed:
        return False
    if row.id != receipt.event_id:
        return True  # known from before: a receipt of its own, and the earlier row
    if row.redriven_from is not None:
        return (receipt.sequence, receipt.body_sha256) == (row.redriven_from, leaf.body_sha256)
    return receipt == Receipt(leaf.event_id, leaf.lane, leaf.epoch, leaf.sequence, leaf.body_sha256)


def _find_expected(run: Run, rows: Sequence[Row], lost: set[str], found: Reconciled) -> None:
    """Every event that a delivery holds is somewhere, under its own key."""
    by_name = {row.name: row for row in rows}
    for send in run.sends:
        if send.yes is None or send.events is None or send.name in lost:
            continue
        found.counts["lost"] += send.answer.event_count not in (0, len(send.events))
        for message_id, event_type, ordering_key in send.events:
            row = by_name.get((short(message_id), short(event_type)))
            if message_id and row is None:
                found.counts["lost"] += 1
            elif row and row.leaf.ordering_key != short(ordering_key):
                found.counts["corrupted"] += 1


def _find_quarantined(run: Run, rows: Sequence[Row], found: Reconciled) -> None:
    """The answer that both bodies are kept is a promise too."""
    kept = {(*row.name, row.leaf.body_sha256) for row in rows if row.place == "quarantine"}
    for send in run.sends:
        if send.attempts and send.attempts[-1].status == 409 and send.answer.code == QUARANTINED_CODE:
            found.counts["lost"] += (send.message_id, send.event_type, send.body_sha256) not in kept


def _judge_rows(run: Run, rows: Sequence[Row], found: Reconciled) -> None:
    """Stored once, in the right place, and sent at all."""
    kept = [row for row in rows if row.place != "quarantine"]
    by_name: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in kept:
        by_name[row.name].append(row)
    for mine in by_name.values():
        events = sum(row.place == "event" for row in mine)
        found.counts["duplicated"] += events > 1 or len({row.id for row in mine}) > 1
    if not run.is_generated:
        return
    poison = {(send.message_id, send.event_type) for send in run.sends if send.is_poison}
    retried = {row.id for row in kept if row.redriven_from is not None}
    for row in kept:
        if not (row.place == "dead_letter" and row.id in retried):
            found.counts["misplaced"] += (row.place == "dead_letter") != (row.name in poison)
    sent = {(send.message_id, send.event_type) for send in run.sends if send.attempts or run.end is None}
    found.counts["unexpected"] += sum(name not in sent for name in by_name)


def _judge_order(run: Run, rows: Sequence[Row], found: Reconciled) -> None:
    """Within an ordering key: one lane; commits in the order of acceptance; acked before sent is accepted before."""
    by_key: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        known = found.promises.get(row.id)
        if row.place == "event" and (run.is_generated or (known and known.is_fresh)):
            by_key[row.leaf.ordering_key].append(row)
    for mine in by_key.values():
        found.counts["split key"] += len({row.leaf.lane for row in mine}) > 1
        committed = sorted(mine, key=lambda row: (row.leaf.batch, row.leaf.sequence))
        pairs = zip(committed, committed[1:])
        found.counts["commit order"] += sum(_accepted(one) >= _accepted(next_) for one, next_ in pairs)
        timed = [
            (promise.sent_ns, promise.ack_ns, _accepted(row))
            for row in mine
            if row.redriven_from is None and (promise := found.promises.get(row.id))
        ]
        found.counts["real-time order"] += _overtaken_count(timed)


def _accepted(row: Row) -> tuple[int, int]:
    return row.leaf.epoch, row.leaf.sequence


def _overtaken_count(timed: Sequence[tuple[int, int, tuple[int, int]]]) -> int:
    """How many were accepted before something whose ack had returned when they were sent."""
    acks = sorted((ack_ns, accepted) for _, ack_ns, accepted in timed)
    highest, at, count = (-1, -1), 0, 0
    for sent_ns, _, accepted in sorted(timed):
        while at < len(acks) and acks[at][0] < sent_ns:
            highest, at = max(highest, acks[at][1]), at + 1
        count += highest > accepted
    return count


def doubt_count(run: Run) -> int:
    """Why the journal is not enough to judge by: nothing sent; too little; no end; not every send has an outcome."""
    tried = sum(bool(send.attempts) for send in run.sends)
    if not tried:
        return 1
    return (tried < SENDS_AT_LEAST_COUNT) + (run.end is None or run.end["sent_count"] != tried)


# --- 12. Samples and histograms against the journal -------------------------------------------------------------------

HIGHEST_US = 60_000_000
HALF = 1_024  # of 2,048 counters a bucket, as three digits need
HISTOGRAM_LIMIT_BYTES = 1 << 20  # unpacked
COOKIE_V2, COOKIE_V2_ZIP = 0x1C849303, 0x1C849304


def hdr_index(value_us: int) -> int:
    """The counter of a value: 2,048 of width 1, then 1,024 for each doubling."""
    value = min(max(value_us, 1), HIGHEST_US)
    bucket = max(0, (value | (2 * HALF - 1)).bit_length() - 11)
    return (bucket + 1) * HALF + (value >> bucket) - HALF


def hdr_highest(index: int) -> int:
    """The greatest value that the counter stands for."""
    bucket = index // HALF - 1
    if bucket < 0:
        return index
    return (((index % HALF) + HALF + 1) << bucket) - 1


def hdr_counts(log: str) -> Counter[int]:
    """All intervals of an HDR log (V2) together, by counter. Raises ValueError."""
    counts: Counter[int] = Counter()
    for line in log.splitlines():
        if line.startswith(("#", '"')) or not line.strip():
            continue
        fields = [part for part in line.split(",") if not part.startswith("Tag=")]
        packed = base64.b64decode(fields[3], validate=True)
        cookie, length = struct.unpack(">II", packed[:8])
        if cookie & ~0xF0 != COOKIE_V2_ZIP & ~0xF0 or len(packed) != 8 + length:
            raise ValueError("no HDR histogram of version 2")
        counts.update(_hdr_payload(zlib.decompressobj().decompress(packed[8:], HISTOGRAM_LIMIT_BYTES)))
    return counts


def _hdr_payload(data: bytes) -> dict[int, int]:
    """ZigZag LEB128 numbers: a positive one is a count, a negative one so many counters of zero."""
    cookie, length, offset, digits, lowest = struct.unpack(">IIIIQ", data[:24])
    if cookie & ~0xF0 != COOKIE_V2 & ~0xF0 or (offset, digits, lowest) != (0, 3, 1):
        raise ValueError("an HDR histogram of another shape")
    numbers, at, end, index = {}, 40, 40 + length, 0
    while at < end:
        packed = shift = 0
        while True:
            byte, at = data[at], at + 1
            packed |= (byte if shift == 56 else byte & 0x7F) << shift
            shift += 7
            if byte < 0x80 or shift > 56:
                break
        number = (packed >> 1) ^ -(packed & 1)
        if number > 0:
            numbers[index] = number
        index += -number if number < 0 else 1
    return numbers


def check_histogram(bag: Bag, path: str, samples_us: Sequence[int] | None) -> None:
    """`path` without its ending: .hlog and .csv must hold these samples; without samples, the same as each other."""
    report = bag.report
    truth = None if samples_us is None else Counter(map(hdr_index, samples_us))
    if bag.has(f"{path}.hlog"):
        with report.reading(f"{path}.hlog"):
            counts = hdr_counts(bag.text(f"{path}.hlog"))
            if truth is not None and counts != truth:
                said, is_so = sum(counts.values()), sum(truth.values())
                report.differs(f"{path}.hlog", "the histogram (here its count)", said=said, recomputed=is_so)
            truth = counts if truth is None else truth
    if bag.has(f"{path}.csv") and truth is not None:
        with report.reading(f"{path}.csv"):
            cumulative, wanted = 0, [["le_us", "count", "cumulative"]]
            for index in sorted(truth):
                cumulative += truth[index]
                wanted.append([str(hdr_highest(index)), str(truth[index]), str(cumulative)])
            _compare_tables(report, f"{path}.csv", list(csv.reader(io.StringIO(bag.text(f"{path}.csv")))), wanted)


def _compare_tables(report: Report, where: str, said: list[list[str]], wanted: list[list[str]]) -> None:
    if len(said) != len(wanted):
        report.differs(where, "the number of rows", said=len(said), recomputed=len(wanted))
    for number, (one, other) in enumerate(zip(said, wanted), start=1):
        if one != other:
            report.differs(where, f"row {number}", said=",".join(one), recomputed=",".join(other))
            return


SAMPLE_COLUMNS = (
    "n message_id event_type ordering_key body_sha256 duplicate_of intended_ns sent_ns ack_ns latency_us service_us "
    "attempts first_status last_status error accepted request_id receipt"
)


def _sample_of(send: Send) -> list[str]:
    plan = [send.n, send.message_id, send.event_type, send.ordering_key, send.body_sha256]
    plan += ["" if send.duplicate_of is None else send.duplicate_of, send.intended_ns]
    if not send.attempts:
        return [str(value) for value in [*plan, "", "", "", "", 0, "", "", "unsent", False, "", ""]]
    first, last = send.attempts[0], send.attempts[-1]
    times = [first.sent_ns, first.ack_ns]
    times += [(first.ack_ns - send.intended_ns) // 1_000, (first.ack_ns - first.sent_ns) // 1_000]
    outcome = [len(send.attempts), first.status, last.status, first.error, send.is_accepted]
    return [str(value) for value in [*plan, *times, *outcome, send.answer.request_id, send.answer.receipt]]


def check_samples(bag: Bag, run: Run) -> None:
    where = "data/replay/samples.csv"
    with bag.report.reading(where):
        csv.field_size_limit(1 << 24)
        said = list(csv.reader(io.StringIO(bag.text(where), newline="")))
        _compare_tables(bag.report, where, said, [SAMPLE_COLUMNS.split(), *map(_sample_of, run.sends)])


# --- 13. Summary and verdict, recomputed ------------------------------------------------------------------------------

RECONCILED = {
    "idempotency_violations",
    "order_violations",
    "lost",
    "duplicates",
    "corrupted",
    "unexpected",
    "misplaced",
    "without_receipt",
}
DOUBTFUL_CLOCK_SECONDS = 0.000_002  # a time in whole microseconds went through a float


def is_same(one: object, other: object) -> bool:
    """Equal; two floats may differ in the last digit that different orders of the same sum leave."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(is_same(value, other[name]) for name, value in one.items())
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return math.isclose(one, other, rel_tol=1e-12, abs_tol=0.0)
    return one == other


def check_summary(bag: Bag, run: Run, lineage: Lineage, summary: dict[str, Any]) -> dict[str, Any]:
    """Every figure. Afterwards the recomputed ones are known: the verdict is judged by those."""
    report, where = bag.report, "data/replay/summary.json"
    reconciled = reconcile(run, lineage)
    figures: dict[str, Any] = figures_of(run)
    was_reconciled = summary.get("lost") is not None
    proved: dict[str, Any] = dict(reconciled.figures())
    if not was_reconciled:  # the database could not be read then: unknown, whatever the lineage says now
        proved = dict.fromkeys(proved)
        figures["recovered"] = None
    figures.update(proved)
    for name, value in figures.items():
        if name != "was_on_time" and not is_same(summary.get(name), value):
            report.differs(where, name, said=summary.get(name), recomputed=value)
    wrong = {kind for kind, count in reconciled.counts.items() if count} if was_reconciled else set()
    if {example["kind"] for example in summary["examples"]} != wrong:
        said = sorted(example["kind"] for example in summary["examples"])
        report.differs(where, "the kinds of examples", said=said, recomputed=sorted(wrong))
    doubts = doubt_count(run) if was_reconciled else 1
    if len(summary["doubts"]) != doubts:
        report.differs(where, "the number of doubts", said=len(summary["doubts"]), recomputed=doubts)
    _check_drained(run, lineage, reconciled, summary, report=report)
    figures = {**summary, **figures}
    _check_criteria(where, summary["criteria"], figures, specs=summary["criteria"], report=report)
    outcome = overall([judged(one, figures)[1] for one in summary["criteria"]], has_doubts=bool(doubts))
    if summary["verdict"] != outcome:
        report.differs(where, "verdict", said=summary["verdict"], recomputed=outcome)
    return {**figures, "doubts": [None] * doubts}


def _check_drained(run: Run, lineage: Lineage, found: Reconciled, summary: dict[str, Any], *, report: Report) -> None:
    """All that was promised is there, if it says so; and how long after the last ack the last commit came."""
    where, ids = "data/replay/summary.json", {row.id for row in lineage.rows}
    missing = [one for one in found.promises if one not in ids and one not in lineage.aliases]
    if summary["is_drained"] and missing:
        report.differs(where, "is_drained", said=True, recomputed=False)
    acks = [send.yes.ack_ns for send in run.sends if send.yes]
    commits = [batch.committed_us for row in lineage.rows if (batch := lineage.batches.get(row.leaf.batch))]
    after: float | None = None
    if summary["is_drained"] and acks and commits:
        acked_us = round((max(acks) + run.wall_minus_monotonic_ns) / 1_000)
        after = max(0.0, (max(commits) - acked_us) / 1_000_000)
    said = summary["drained_after_seconds"]
    if (said is None) != (after is None) or abs((said or 0) - (after or 0)) > DOUBTFUL_CLOCK_SECONDS:
        report.differs(where, "drained_after_seconds", said=said, recomputed=after)


def _figure(metric: str, figures: dict[str, Any]) -> float | None:
    """By its dotted name; None where it is unknown. Nothing found where nothing was promised is not zero."""
    if metric in RECONCILED and not figures["acknowledged"]:
        return None
    value: Any = figures
    for name in metric.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_number else None


def judged(criterion: dict[str, Any], figures: dict[str, Any]) -> tuple[float | None, str]:
    """The fact and PASS, FAIL or INCONCLUSIVE. A generator that was late itself proves nothing about the service, and
    what is too old to be believed, or does not say when it was found out, decides nothing.
    """
    metric, operator, threshold = criterion["metric"], criterion["operator"], criterion["threshold"]
    actual = _figure(metric, figures)
    if actual is None:
        return None, "INCONCLUSIVE"
    is_met = {">=": actual >= threshold, "<=": actual <= threshold, "==": actual == threshold}[operator]
    outcome = "PASS" if is_met else "FAIL"
    if metric == "accepted_ratio" and not figures["kept_pace"]:
        is_too_many = figures["rejected"] > (1 - threshold) * figures["planned"]
        outcome = "FAIL" if is_too_many else "INCONCLUSIVE"
    if metric == "ack_ms.p95" and not figures["kept_pace" if is_met else "was_on_time"]:
        outcome = "INCONCLUSIVE"
    allowed, age = criterion.get("max_age_hours"), age_hours(criterion, figures)
    if allowed is not None and (age is None or age > allowed):
        outcome = "INCONCLUSIVE"
    return actual, outcome


def age_hours(criterion: dict[str, Any], figures: dict[str, Any]) -> float | None:
    """Of what is judged, at the end of the run; never negative. None where nothing tells, or no age is asked for."""
    group = figures.get(criterion["metric"].partition(".")[0])
    if criterion.get("max_age_hours") is None or not isinstance(group, dict):
        return None
    try:
        age: timedelta = figures["ended_at"] - moment_of(str(group.get("at")))
        return max(timedelta(0), age) / timedelta(hours=1)
    except (ValueError, TypeError):
        return None


def moment_of(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))  # noqa: FURB162  (Python 3.9 and 3.10 know no Z)


def at_95(criterion: dict[str, Any], figures: dict[str, Any]) -> dict[str, Any] | None:
    """Whether the threshold holds with 95% confidence: of that many bad ones or fewer, were the share of bad ones the
    one that the threshold still allows, the probability is under 5% (exact binomial).
    """
    metric = criterion["metric"]
    if metric == "accepted_ratio":
        count, good, share = figures["planned"], figures["accepted"], 1 - criterion["threshold"]
    elif metric == "ack_ms.p95" and "acks" in figures:
        count, good, share = figures["acks"]["count"], figures["acks"]["within"], 0.05
    else:
        return None
    if not 0 < share < 1:
        return None
    limit = limit_count(count, share)
    return {"holds": limit is not None and count - good <= limit, "bad": count - good, "count": count, "limit": limit}


def limit_count(count: int, share: float) -> int | None:
    """The largest number of bad ones of `count` whose lower tail at this share is under 5%."""
    tail, limit = 0.0, None
    for bad in range(count + 1):
        ways = math.lgamma(count + 1) - math.lgamma(bad + 1) - math.lgamma(count - bad + 1)
        tail += math.exp(ways + bad * math.log(share) + (count - bad) * math.log1p(-share))
        if tail >= 0.05:
            break
        limit = bad
    return limit


def overall(outcomes: Sequence[str], *, has_doubts: bool) -> str:
    """Every criterion decides. One FAIL is a FAIL; anything unknown, missing or doubted is INCONCLUSIVE."""
    if "FAIL" in outcomes:
        return "FAIL"
    return "INCONCLUSIVE" if has_doubts or not outcomes or "INCONCLUSIVE" in outcomes else "PASS"


def _check_criteria(
    where: str,
    said: Sequence[dict[str, Any]],
    figures: dict[str, Any],
    *,
    specs: Sequence[dict[str, Any]],
    report: Report,
) -> None:
    """`specs`: the same criteria as the gate's specification has them."""
    for one, spec in zip(said, specs):
        actual, outcome = judged(spec, figures)
        margin = None
        if actual is not None:
            distance = actual - spec["threshold"]
            margin = distance if spec["operator"] == ">=" else -distance
        wanted: dict[str, Any] = {"actual": actual, "outcome": outcome, "margin": margin}
        if "source" in spec:  # as the second format of specifications has it
            wanted.update(age_hours=age_hours(spec, figures), at_95=at_95(spec, figures))
        for name, value in wanted.items():
            if not is_same(one[name], value):
                report.differs(where, f"{one['name']}: {name}", said=one[name], recomputed=value)


GATE_FORMATS = {"autocom-gate/1", "autocom-gate/2"}


def check_verdict(bag: Bag, figures: dict[str, Any] | None) -> dict[str, Any]:
    """The gate's verdict by its spec, from the recomputed figures. Returns what verdict.json says."""
    report, where = bag.report, "data/gate/verdict.json"
    verdict: dict[str, Any] = {}
    with report.reading(where):
        verdict = dict(bag.json(where))
        spec, missing = bag.json("data/gate/spec.json"), _check_missing(bag, verdict)
        if spec["format"] not in GATE_FORMATS:
            raise ValueError(f"the spec is of none of the formats {', '.join(sorted(GATE_FORMATS))}")
        if (verdict["gate"], verdict["version"]) != (spec["name"], spec["version"]):
            report.differs(where, "the gate", said=verdict["gate"], recomputed=spec["name"])
        facts = ("name", "metric", "operator", "threshold", "unit")
        said = [[one[name] for name in facts] + [one.get("source", "")] for one in verdict["criteria"]]
        wanted = [[one[name] for name in facts] + [one.get("source", "")] for one in spec["criteria"]]
        if said != wanted:
            report.differs(where, "the list of criteria", said=said, recomputed=wanted)
        if figures is None:
            return verdict
        if len(verdict["doubts"]) < len(figures["doubts"]):
            report.differs(where, "doubts", said=verdict["doubts"], recomputed=len(figures["doubts"]))
        if verdict["run_id"] != figures["run_id"]:
            report.differs(where, "run_id", said=verdict["run_id"], recomputed=figures["run_id"])
        _check_criteria(where, verdict["criteria"], figures, specs=spec["criteria"], report=report)
        doubted = bool(missing or verdict["doubts"] or figures["doubts"])
        outcome = overall([judged(one, figures)[1] for one in spec["criteria"]], has_doubts=doubted)
        if verdict["verdict"] != outcome:
            report.differs(where, "verdict", said=verdict["verdict"], recomputed=outcome)
    return verdict


def _check_missing(bag: Bag, verdict: dict[str, Any]) -> list[str]:
    """Every file that the gate requires is there or told as missing. Returns those that are not there."""
    required = bag.json("data/gate/spec.json")["required_files"]
    missing = sorted(path for path in required if not bag.has(path))
    for path in missing:
        if path not in bag.absent:
            bag.report.found("missing", path, "the gate requires it, and data/missing.json does not tell of it")
    for path in sorted(filter(bag.has, bag.absent)):
        bag.report.found("invalid", "data/missing.json", f"{path} is told as missing, and it is there")
    if sorted(verdict["missing"]) != missing:
        bag.report.differs("data/gate/verdict.json", "missing", said=verdict["missing"], recomputed=missing)
    for path in required:
        if bag.has(path) and (bag.folder / path).stat().st_size == 0 and not path.endswith(".tsv"):
            bag.report.found("missing", path, "the gate requires it, and it is empty")
    return missing


# --- 14. What a gate asks beside the run: facts of the bundle's other files -------------------------------------------

SMOKE_FIGURES = ("planned", "accepted", "accepted_ratio", "ack_ms", "run_id")
RUN_COLUMNS = ["entry", "at", "run_id", "verdict", "planned", "accepted", "lost"]


def facts_of(bag: Bag, run: Run) -> dict[str, Any]:
    """Each group by its name. What its files do not tell is left out: unknown wherever a criterion asks for it."""
    readers: dict[str, Callable[[Bag], dict[str, Any]]] = {
        "smoke": _smoke_facts,
        "faults": _fault_facts,
        "rbac": _rbac_facts,
        "rollback": _drill_facts,
        "audit": _audit_facts,
        "freeze": _freeze_facts,
        "acks": lambda one: _ack_facts(one, run),
    }
    answered_ns = [attempt.ack_ns for send in run.sends for attempt in send.attempts]
    ended_ns = max(answered_ns, default=0) + run.wall_minus_monotonic_ns
    facts: dict[str, Any] = {"ended_at": datetime.fromtimestamp(ended_ns // NS_PER_SECOND, tz=timezone.utc)}
    for name, read in readers.items():
        try:
            facts[name] = read(bag)
        except (ToldMissing, OSError, *MALFORMED):
            continue
    return facts


def _smoke_facts(bag: Bag) -> dict[str, Any]:
    """From the smoke run's own journal; its id is the moment at which it began."""
    figures = figures_of(read_run(bag.raw("data/smoke/journal.jsonl")))
    at = datetime.strptime(figures["run_id"][1:16], "%Y%m%dT%H%M%S").replace(tzinfo=timezone.utc)
    return {**{name: figures[name] for name in SMOKE_FIGURES}, "at": at.isoformat()}


def _of_same_code(bag: Bag, where: str, *, by: str) -> dict[str, Any]:
    """Raises LookupError where it was found on other code than that of the run."""
    told: dict[str, Any] = bag.json(where)
    run_on = bag.json("data/environment/environment.json")["autocom"]
    if told["commit"] == "unknown" or (told["commit"], told[by]) != (run_on["commit"], run_on[by]):
        raise LookupError(f"{where} is of other code than the run")
    return told


def _drill_facts(bag: Bag) -> dict[str, Any]:
    told = _of_same_code(bag, "data/rollback/drill.json", by="build")
    return {name: told[name] for name in ("seconds", "at")}


def _fault_facts(bag: Bag) -> dict[str, Any]:
    told = _of_same_code(bag, "data/faults/faults.json", by="is_changed")
    caught = [one["is_caught"] is True for one in told["planted_bugs"]]
    seeds_of: dict[str, set[int]] = {}
    events, failed = [], 0
    for cell in told["cells"]:
        if cell["outcome"] != "PASS":
            failed += 1
            continue
        events.append(cell["planned_count"])
        seeds_of.setdefault(cell["fault"], set()).add(cell["seed"])
    return {
        "passed": len(events),
        "not_passed": failed,
        "kinds": len(seeds_of),
        "fewest_seeds": min(map(len, seeds_of.values()), default=0),
        "fewest_events": min(events, default=0),
        "bugs_missed": caught.count(False),
        "bugs_caught": caught.count(True),
        "at": told["started_at"],
    }


def _rbac_facts(bag: Bag) -> dict[str, Any]:
    cells = Counter(row["verdict"] for row in csv.DictReader(io.StringIO(bag.text("data/rbac/matrix.csv"), newline="")))
    count, wrong = sum(cells.values()), cells["MISMATCH"]
    at = _of_same_code(bag, "data/rbac/summary.json", by="build")["at"]
    return {"cells": count, "mismatches": wrong, "untested": count - wrong - cells["match"], "at": at}


def _audit_facts(bag: Bag) -> dict[str, Any]:
    where = "data/audit/entries.jsonl"
    bag.raw(where)
    return {"findings": sum(one.where.startswith(where) and one.fault != "missing" for one in bag.report.findings)}


def _freeze_facts(bag: Bag) -> dict[str, Any]:
    """The newest freeze of the gate before the run. Raises LookupError unless it is of this very specification."""
    freeze = _freeze_of(bag)
    if freeze["facts"]["sha256"] != bag.digests["data/gate/spec.json"]:
        raise LookupError("another text was frozen")
    return {"entry": freeze["number"], "at": freeze["at"]}


def _freeze_of(bag: Bag) -> dict[str, Any]:
    """Raises ValueError."""
    gate, entries = bag.json("data/gate/spec.json")["name"], _entries_of(bag)
    own = _own_entry(bag, entries)["number"]
    frozen = [one for one in entries if one["act"] == "gate.spec_frozen" and one["facts"].get("gate") == gate]
    return max((one for one in frozen if one["number"] < own), key=lambda one: int(one["number"]))


def _own_entry(bag: Bag, entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The one of the bundle's run. Raises ValueError."""
    run_id = bag.json("data/replay/summary.json")["run_id"]
    own, *_ = [one for one in entries if one["act"] == "replay.run" and one["facts"].get("run_id") == run_id]
    return own


def _entries_of(bag: Bag) -> list[dict[str, Any]]:
    """Those of the audit log that can be read; the others are findings already."""
    matches = map(EXPORTED.fullmatch, bag.lines("data/audit/entries.jsonl")[1:])
    return [json_of(match.group(1)) for match in matches if match]


def _ack_facts(bag: Bag, run: Run) -> dict[str, Any]:
    spec = bag.json("data/gate/spec.json")
    (limit_ms, *_) = [one["threshold"] for one in spec["criteria"] if one["metric"] == "ack_ms.p95"]
    firsts = [(send, send.attempts[0]) for send in run.sends if send.attempts]
    told = [(one.ack_ns - send.intended_ns) // 1_000 for send, one in firsts if 200 <= one.status < 300]
    return {"count": len(told), "within": sum(one <= limit_ms * 1_000 for one in told)}


def check_smoke(bag: Bag) -> None:
    """The smoke run's summary is that of its journal, and it stands in the audit log before the run."""
    where, journal = "data/smoke/summary.json", "data/smoke/journal.jsonl"
    if not bag.has(where) and not bag.has(journal):
        return
    with bag.report.reading(where):
        said, wanted = bag.json(where), _smoke_facts(bag)
        for name in SMOKE_FIGURES:
            if not is_same(said[name], wanted[name]):
                bag.report.differs(where, name, said=said[name], recomputed=wanted[name])
        entries = _entries_of(bag)
        own = _own_entry(bag, entries)["number"]
        files = [one["facts"]["files"] for one in entries if _is_smoke(one, wanted["run_id"]) and one["number"] < own]
        if not files:
            bag.report.found("missing", "data/audit/entries.jsonl", f"no entry before the run's tells of {where}")
        for path in (where, journal):
            if files and files[0].get(path.rpartition("/")[2]) != bag.digests[path]:
                bag.report.found("changed", path, "its audit entry has another digest")


def _is_smoke(entry: dict[str, Any], run_id: str) -> bool:
    facts = entry["facts"]
    return entry["act"] == "replay.run" and (facts.get("gate"), facts.get("run_id")) == ("smoke", run_id)


def check_runs(bag: Bag) -> None:
    """Every run of the gate since the freeze is listed, failures too, as the audit log has them."""
    where = "data/gate/runs.csv"
    if not bag.has(where):
        return
    with bag.report.reading(where):
        freeze = _freeze_of(bag)
        told = [one for one in _entries_of(bag) if one["act"] == "replay.run" and one["number"] > freeze["number"]]
        rows = [_run_row(one) for one in told if one["facts"].get("gate") == freeze["facts"].get("gate")]
        said = list(csv.reader(io.StringIO(bag.text(where), newline="")))
        _compare_tables(bag.report, where, said, [RUN_COLUMNS, *rows])


def _run_row(entry: dict[str, Any]) -> list[str]:
    facts, counts = entry["facts"], entry["facts"].get("counts") or {}
    known = [str(counts[name]) if counts.get(name) is not None else "" for name in ("planned", "accepted", "lost")]
    at = moment_of(entry["at"]).isoformat()
    return [str(entry["number"]), at, str(facts.get("run_id")), str(facts.get("verdict")), *known]


# --- 15. A whole bundle -----------------------------------------------------------------------------------------------


def verify_path(path: Path, *, keys: Sequence[Key] = (), kept: Sequence[str] = (), tell: Tell = silent) -> Report:
    """A bundle's folder or archive. Raises OSError where there is nothing to read."""
    if path.is_dir():
        return verify_folder(path, keys=keys, kept=kept, tell=tell)
    report = Report()
    with path.open("rb"), tempfile.TemporaryDirectory(prefix="autocom-verify-") as scratch:
        try:
            folder = unpack(path, Path(scratch))
        except (ValueError, OSError) as error:
            report.found("invalid", path.name, f"the archive was not unpacked: {_short(error)}")
            return report
        report = verify_folder(folder, keys=keys, kept=kept, tell=tell)
        report.told["archive_sha256"] = _digest_of_file(path)
        return report


def verify_folder(folder: Path, *, keys: Sequence[Key] = (), kept: Sequence[str] = (), tell: Tell = silent) -> Report:
    """Files, signatures, log, audit log, lineage; then what the run came to, from its raw files."""
    bag = Bag(folder, Report(), tell=tell)
    take_stock(bag)
    total_bytes = sum((folder / path).stat().st_size for path in bag.digests)
    check_lists(bag)
    check_signature(bag, keys)
    if not bag.keys:
        return bag.report
    info = check_bag_info(bag)
    with bag.report.reading("data/missing.json"):
        bag.absent = {str(one["path"]) for one in bag.json("data/missing.json") if str(one["why"])}
    tell("deriving the log from each event", total_bytes, total_bytes)
    lineage = check_lineage(bag, kept=kept)
    tell("checking the audit log", total_bytes, total_bytes)
    check_audit(bag, kept=kept)
    check_kept_origins(kept, origins=set(bag.report.told.pop("origins", [])), report=bag.report)
    tell("recomputing every figure", total_bytes, total_bytes)
    summary, figures = _check_run(bag, lineage)
    verdict = check_verdict(bag, figures)
    with bag.report.reading("statements"):
        check_statements(bag, verdict=verdict, summary=summary)
    with bag.report.reading("bag-info.txt"):
        wanted = {"Gate": verdict["gate"], "Gate-Version": str(verdict["version"]), "Run-Id": verdict["run_id"]}
        for name, value in {**wanted, "Verdict": verdict["verdict"]}.items():
            if info[name] != value:
                bag.report.differs("bag-info.txt", name, said=info[name], recomputed=value)
        bag.report.told.update(run=verdict["run_id"], gate=f"{verdict['gate']} {verdict['version']}")
        bag.report.told.update(verdict=verdict["verdict"], missing=verdict["missing"], files=len(bag.digests))
        bag.report.told["spec_sha256"] = bag.digests["data/gate/spec.json"]  # to be compared with the gate agreed on
    return bag.report


def _check_run(bag: Bag, lineage: Lineage) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The summary as it stands, and the figures as recomputed; None where the journal cannot be read."""
    summary: dict[str, Any] = {}
    figures: dict[str, Any] | None = None
    with bag.report.reading("data/replay/journal.jsonl"):
        run = read_run(bag.raw("data/replay/journal.jsonl"))
        bag.report.told["sends"] = len(run.sends)
        check_samples(bag, run)
        check_histogram(bag, "data/replay/ack", ack_latencies_us(run))
        check_histogram(bag, "data/latency/client", ack_latencies_us(run))
        events = [row.leaf for row in lineage.rows if row.place == "event" and row.leaf.batch in lineage.batches]
        waits = [lineage.batches[leaf.batch].committed_us - leaf.accepted_us for leaf in events]
        check_histogram(bag, "data/latency/consumer", waits)
        check_histogram(bag, "data/latency/receiver", None)
        with bag.report.reading("data/replay/summary.json"):
            summary = dict(bag.json("data/replay/summary.json"))
            figures = {**check_summary(bag, run, lineage, summary), **facts_of(bag, run)}
        check_smoke(bag)
        check_runs(bag)
    return summary, figures


# --- 16. A log's folder, and the proof of one event -------------------------------------------------------------------


def verify_log(folder: Path, *, keys: Sequence[Key], kept: Sequence[str] = ()) -> Report:
    """EVIDENCE_ROOT/log/<log>/<token>/: seals, segments, checkpoint, from the first leaf to the last."""
    report = Report()
    log = read_log(folder, where="", keys=keys, report=report, is_whole=True)
    with report.reading("checkpoint"):
        text = (folder / "checkpoint").read_text()
        checkpoint = signed_checkpoint(text, where="checkpoint", keys=keys, report=report)
        if not log.seals or log.seals[-1].checkpoint != checkpoint:
            report.found("gap", "checkpoint", f"it is over {checkpoint.size} leaves, and no last seal has it")
    if not log.seals:
        report.found("missing", "seals", "there is no seal")
        return report
    with report.reading("segments"):
        check_lines(log, where="segments", report=report)
    heads = [seal.checkpoint for seal in log.seals]
    check_kept(kept, heads=heads, log=log, report=report)
    check_kept_origins(kept, origins={head.origin for head in heads}, report=report)
    last = heads[-1]
    report.told.update(log=f"{last.origin} {last.size} {last.root.hex()}", seals=len(heads), leaves=len(log.lines))
    return report


def verify_proof(text: str, *, keys: Sequence[Key], receipt: str = "") -> Report:
    """One event: its leaf in its batch, the batch in the log, the log's checkpoint; and the receipt, if given."""
    report = Report()
    with report.reading("proof"):
        head, separator, note = text.partition("\n\n")
        kind, leaf_text, at, count, way, batch_text, c2sp, n, *hashes = head.split("\n")
        if (kind, c2sp, separator) != ("autocom-proof/1", "c2sp.org/tlog-proof@v1", "\n\n"):
            raise ValueError("no proof of version 1")
        batch_line = _after("batch", batch_text).encode()
        position, size, index = (
            whole(_after("position", at)),
            whole(_after("leaf_count", count)),
            whole(_after("index", n)),
        )
        if way.split(" ")[0] != "path":
            raise ValueError("the line `path` is missing")
        path = [digest_of(word) for word in way.split(" ")[1:]]
        batch = batch_line_of(batch_line)
        checkpoint = signed_checkpoint(note, where="checkpoint", keys=keys, report=report)
        is_aged = leaf_text.startswith("leaf_sha256 ")
        line = b"" if is_aged else _after("leaf", leaf_text).encode()
        hashed = digest_of(_after("leaf_sha256", leaf_text)) if is_aged else leaf_hash(line)
        if root_by_path(hashed, path, position=position, size=size) != batch.root or size != batch.leaf_count:
            report.found("proof", "path", f"the leaf does not lead to the root of batch {batch.number}")
        log_path = [base64.b64decode(word, validate=True) for word in hashes]
        root = root_by_path(leaf_hash(batch_line), log_path, position=index, size=checkpoint.size)
        if root != checkpoint.root:
            report.found("proof", "index", "the batch does not lead to the root of the checkpoint")
        if is_aged:
            report.unknown.append("the event aged out: its leaf's hash is in the log, and nothing tells what it was")
        else:
            _tell_leaf(line, batch, receipt=receipt, report=report)
        report.told.update(batch=batch.number, committed_us=batch.committed_us)
        report.told.update(log=f"{checkpoint.origin} {checkpoint.size} {checkpoint.root.hex()}")
    return report


def _tell_leaf(line: bytes, batch: BatchLine, *, receipt: str, report: Report) -> None:
    leaf = leaf_of(line, batch=batch.number)
    in_range = batch.first_sequence <= leaf.sequence <= batch.last_sequence
    if (leaf.lane, leaf.epoch) != (batch.lane, batch.epoch) or not in_range:
        report.found("proof", "leaf", f"the event does not lie in batch {batch.number}")
    if receipt:
        _check_receipt(receipt, leaf, report=report)
    report.told.update(event=str(leaf.event_id), leaf=line.decode("utf-8", "surrogatepass").replace("\t", " "))


def _after(name: str, line: str) -> str:
    word, separator, rest = line.partition(" ")
    if word != name or not separator:
        raise ValueError(f"the line `{name}` is missing")
    return rest


def _check_receipt(text: str, leaf: Leaf, *, report: Report) -> None:
    promised = receipts_of(text.strip())
    if len(promised) != 1:
        raise ValueError("the receipt is not one line of nine words that begins with acr1")
    stored = Receipt(leaf.event_id, leaf.lane, leaf.epoch, leaf.sequence, leaf.body_sha256)
    if leaf.kind == "R":  # a retry gave it another place, and kept its id and its body
        stored = stored._replace(lane=promised[0].lane, epoch=promised[0].epoch, sequence=promised[0].sequence)
        report.warnings.append("a retry stored this event: its place is not the one in the receipt, id and body are")
    for name, said, is_so in zip(Receipt._fields, promised[0], stored):
        if said != is_so:
            report.differs("receipt", name, said=str(said), recomputed=str(is_so))
    report.warnings.append("the receipt's own MAC can be checked by the service alone")


# --- 17. The command line ---------------------------------------------------------------------------------------------


def as_text(report: Report) -> str:
    lines = [f"! {one.fault:<10} {one.where}: {one.what}" for one in report.findings[:SHOWN_COUNT]]
    if len(report.findings) > SHOWN_COUNT:
        lines.append(f"! and {len(report.findings) - SHOWN_COUNT} more")
    lines += [f"? UNKNOWN    {one}" for one in report.unknown]
    lines += [f"  {name:<14} {_told(value)}" for name, value in report.told.items()]
    lines += [f"* {one}" for one in report.warnings]
    counts = Counter(one.fault for one in report.findings)
    told = ", ".join(f"{count} {fault}" for fault, count in sorted(counts.items()))
    clean = (
        "UNKNOWN: nothing is wrong, and not everything could be checked" if report.unknown else "OK: everything fits"
    )
    return "\n".join([*lines, f"FINDINGS: {told}" if told else clean])


def _told(value: object) -> str:
    return ", ".join(map(str, value)) or "nothing" if isinstance(value, list) else str(value)


def as_json(report: Report) -> str:
    told = {"findings": [one._asdict() for one in report.findings], "unknown": report.unknown}
    return json.dumps({**told, "warnings": report.warnings, "told": report.told}, indent=2, default=str)


def main(words: Sequence[str]) -> int:
    modes = {"log": "a log's folder", "proof": "the proof of one event", "bundle": "an evidence bundle"}
    mode, rest = (words[0], words[1:]) if words and words[0] in modes else ("bundle", words)
    parser = argparse.ArgumentParser(prog=f"verify.py {mode}", description=f"Verify {modes[mode]}.", allow_abbrev=False)
    parser.add_argument("path", type=Path)
    parser.add_argument("--key", action="append", default=[], help="verifier key, or PEM file of the public key")
    parser.add_argument("--kept", action="append", default=[], type=Path, help="file of a checkpoint kept elsewhere")
    parser.add_argument("--receipt", default="", help="with `proof`: the line that the sender was given")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    given = parser.parse_args(rest)
    try:
        keys = [key_of(Path(text).read_text() if Path(text).is_file() else text) for text in given.key]
        kept = [path.read_text() for path in given.kept]
        report = verify(mode, given.path, keys=keys, kept=kept, receipt=given.receipt)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"verify.py: {error}\n")
        return WRONG_USAGE
    print(as_json(report) if given.json else as_text(report))
    return report.exit_status


def verify(mode: str, path: Path, *, keys: Sequence[Key], kept: Sequence[str], receipt: str = "") -> Report:
    """Raises OSError where there is nothing to read, ValueError where a key is needed."""
    if mode == "bundle":
        return verify_path(path, keys=keys, kept=kept)
    if not keys:
        raise ValueError("--key is needed: a log and a proof carry no key of their own")
    if mode == "log":
        if not path.is_dir():
            raise ValueError(f"{path} is no folder")
        return verify_log(path, keys=keys, kept=kept)
    return verify_proof(path.read_text(), keys=keys, receipt=receipt)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
