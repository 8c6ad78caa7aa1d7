#!/usr/bin/env python3
"""An independent witness of a log: keeps its newest checkpoint, and finds out when history was rewritten.

    python3 witness.py --url https://autocom.example.com --keep DIR --vkey NAME+HASH+BASE64

Each round, for each log: the checkpoint is fetched, its signature verified with a pinned key, and the log must prove
that it grew out of the checkpoint that was kept. Then, and only then, the new one is kept (one head for each log) and,
with a key of the witness's own, countersigned. Python's standard library and the `openssl` command, nothing else.

Exit 0: every log is consistent with what was kept. 1: one is not, and what is wrong. 2: wrong usage. 3: one could not
be asked, or has sealed nothing yet. Not checked: what the log's lines say, and whether the log still grows.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import fcntl
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

PASS, FAIL, WRONG_USAGE, INCONCLUSIVE = 0, 1, 2, 3
LOGS = ("events", "audit")
ED25519, COSIGNATURE = b"\x01", b"\x04"
DASH = "\N{EM DASH} "
ANSWER_LIMIT_BYTES = 262_144
TIMEOUT_SECONDS = 15
DER_HEAD = bytes.fromhex("302a300506032b6570032100")  # what stands before the 32 bytes of an Ed25519 public key


class Finding(Exception):
    """The log is not what it was, or not whose it was; the message says exactly what is wrong."""


class Usage(Exception):
    """An argument or a file of the witness is wrong; the message says what a right one looks like."""


class Unknown(Exception):
    """Nothing can be said: the log did not answer, or has nothing to say yet."""


class Key(NamedTuple):
    """A key that signs notes, and the name it signs under."""

    name: str
    hash: bytes
    public: bytes


class Head(NamedTuple):
    """A checkpoint as it was signed. `text` is the signed part, `note` all of it."""

    origin: str
    size: int
    root: bytes
    text: str
    note: str


class Signer(NamedTuple):
    """The witness's own key; openssl reads the file, this program never does."""

    key: Key
    file: Path


# --- arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", required=True, help="of the console, such as https://autocom.example.com")
    parser.add_argument("--keep", required=True, type=Path, metavar="DIR", help="where the witness keeps its heads")
    parser.add_argument(
        "--vkey", action="append", default=[], help="a key of the log that you trust; several may be given"
    )
    parser.add_argument("--trust-first", action="store_true", help="without --vkey: trust the keys of the first answer")
    parser.add_argument("--log", action="append", choices=LOGS, help="default: all of them")
    parser.add_argument(
        "--accept", action="append", default=[], metavar="ORIGIN", help="a log that began anew, once looked at"
    )
    parser.add_argument("--key", type=Path, metavar="FILE", help="countersign: an Ed25519 private key in PEM")
    parser.add_argument("--name", help="the name that the witness countersigns under, such as auditor.example.com/w1")
    parser.add_argument("--submit", action="store_true", help="post the countersignature back to the log")
    rounds = parser.add_mutually_exclusive_group()
    rounds.add_argument("--once", action="store_true", help="one round (the default)")
    rounds.add_argument("--every", type=seconds, metavar="SECONDS", help="a round every so often, until a finding")


def seconds(text: str) -> float:
    if not text.isdigit() or not 1 <= int(text) <= 86_400:
        raise argparse.ArgumentTypeError(f"{text!r}: a whole number of seconds from 1 to 86400 is needed")
    return float(text)


def run(options: argparse.Namespace) -> int:
    """Rounds until one finds something; the exit code of the last."""
    try:
        witness = Witness(options)
        if witness.signer:
            say(f"witness {own_vkey(witness.signer)}")
        while True:
            status = witness.round()
            if options.every is None or status in (FAIL, WRONG_USAGE):
                return status
            time.sleep(options.every)
    except Usage as error:
        say(f"witness: {error}", to=sys.stderr)
        return WRONG_USAGE
    except KeyboardInterrupt:
        return INCONCLUSIVE


def say(line: str, to: Any = None) -> None:
    """What a server told is shown without anything that could move the reader's cursor."""
    shown = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in line)
    print(shown, file=to or sys.stdout, flush=True)


# --- one round


class Witness:
    """Raises Usage for arguments that do not go together."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.base = base_address(options.url)
        self.logs: list[str] = options.log or list(LOGS)
        self.accepted: list[str] = options.accept
        self.pinned = [parse_key(vkey) for vkey in options.vkey]
        self.trust_first: bool = options.trust_first
        if options.submit and options.key is None:
            raise Usage("--submit sends a countersignature: give the key that makes it with --key and --name")
        self.signer = own_signer(options.key, options.name) if options.key else None
        self.submit: bool = options.submit
        self.kept = Kept(options.keep)
        if not (self.pinned or self.trust_first or self.kept.keys()):
            raise Usage("give the log's key with --vkey (learn it another way than from the log), or say --trust-first")

    def round(self) -> int:
        return worst([self.look(log) for log in self.logs])

    def look(self, log: str) -> int:
        """One line for the log. Comparing and keeping are one step: two witnesses of one directory take turns."""
        try:
            with self.kept.locked():
                told = self.witnessed(log)
        except Finding as finding:
            say(f"FAIL {log}: {finding}")
            return FAIL
        except Unknown as why:
            say(f"INCONCLUSIVE {log}: {why}")
            return INCONCLUSIVE
        say(f"PASS {log}: {told}")
        return PASS

    def witnessed(self, log: str) -> str:
        """1 signed by a trusted key, 2 the log that was kept, 3 grown out of what was kept, 4 kept, 5 countersigned."""
        head = self.signed_head(self.ask(f"{log}/checkpoint"))
        self.check_origin(log, head)
        before = self.kept.head(head.origin)
        if before is not None:
            self.check_growth(log, before, head)
        self.kept.keep(log, head)
        told = f"{head.origin} size {head.size} root {head.root.hex()}"
        told += f", grown from {before.size}" if before else ", kept for the first time"
        return told + self.countersigned(log, head)

    # 1

    def signed_head(self, note: str) -> Head:
        head, lines = parse_note(note)
        keys = self.trusted_keys()
        named = [key for key in keys if any(line[:2] == (key.name, key.hash) for line in lines)]
        if not named:
            told = ", ".join(f"{name}+{key_hash.hex()}" for name, key_hash, _ in lines)
            raise Finding(
                f"no key that you trust signed its checkpoint of size {head.size}; it names {told}. Trusted: "
                + ", ".join(f"{key.name}+{key.hash.hex()}" for key in keys)
            )
        for key in named:
            signatures = [packed for name, key_hash, packed in lines if (name, key_hash) == (key.name, key.hash)]
            if not all(has_signed(key, head.text.encode(), packed) for packed in signatures):
                raise Finding(
                    f"forged: the signature in the name of {key.name}+{key.hash.hex()} does not fit its checkpoint of "
                    f"size {head.size}"
                )
        return head

    def trusted_keys(self) -> list[Key]:
        """Those of --vkey; else those that were kept; else, with --trust-first, those that the log names now."""
        if self.pinned:
            return self.pinned
        if kept := self.kept.keys():
            return kept
        self.kept.keep_keys(self.ask("keys"))
        return self.kept.keys()

    # 2

    def check_origin(self, log: str, head: Head) -> None:
        known = self.kept.origin(log)
        if head.origin.rsplit("/", 2)[-2:-1] != [log]:
            raise Finding(f"this is the checkpoint of another log: {head.origin}, where one of {log} was asked for")
        if known in (None, head.origin) or head.origin in self.accepted:
            return
        raise Finding(
            f"the log began anew: it was {known}, now it is {head.origin} (size {head.size}). "
            f"{self.start_told(log, head, self.kept.head(known))}. Ask its operators why; "
            f"then `--accept {head.origin}` makes the witness follow the new one"
        )

    def start_told(self, log: str, head: Head, before: Head | None) -> str:
        """What the first leaf of the new log says of the one before, proved to be its first leaf."""
        try:
            start = self.ask(f"{log}/start").rstrip("\n")
            fields = start.split("\t")
            leaf = hashlib.sha256(b"\x00" + start.encode()).digest()
            self.prove(log, old_size=1, old_root=leaf, head=head)
            previous, size, root = fields[2], int(fields[3]), fields[4]
        except (Finding, Unknown, IndexError, ValueError) as error:
            return f"What its start line says cannot be believed ({error})"
        if before is None or previous != before.origin:
            return (
                f"Its start line names {previous} with {size} leaves as the log before, which the witness did not keep"
            )
        if size < before.size:
            lost_count = before.size - size
            return (
                f"Its start line says that {size} leaves were there before, but {before.size} were kept: "
                f"{lost_count} were lost"
            )
        if size == before.size and root != before.root.hex():
            return f"Its start line names another root for {size} leaves than the kept one: history was rewritten"
        return f"Its start line says that {size} leaves were there before; {before.size} were kept"

    # 3

    def check_growth(self, log: str, before: Head, head: Head) -> None:
        if head.size < before.size:
            raise Finding(
                f"truncated: it shows {head.size} leaves, and {before.size} were kept: {before.size - head.size} are "
                "gone (cut off, or an older backup)"
            )
        if head.size == before.size:
            if head.root != before.root:
                raise Finding(
                    f"fork: two roots for the same {head.size} leaves, {before.root.hex()} kept and {head.root.hex()} "
                    "shown"
                )
            return
        self.prove(log, old_size=before.size, old_root=before.root, head=head)

    def prove(self, log: str, *, old_size: int, old_root: bytes, head: Head) -> None:
        if old_size == head.size:
            path: list[bytes] = []
        else:
            path = parse_path(self.ask(f"{log}/consistency?old={old_size}&size={head.size}"))
        if not is_consistent(old_size, old_root, head.size, head.root, path):
            raise Finding(
                f"rewritten: its {head.size} leaves (root {head.root.hex()}) did not grow out of the {old_size} that "
                f"were kept (root {old_root.hex()})"
            )

    # 5

    def countersigned(self, log: str, head: Head) -> str:
        if self.signer is None:
            return ""
        line = cosignature_line(self.signer, head.text, now_seconds=int(time.time()))
        self.kept.keep_cosigned(head, line)
        if not self.submit:
            return f", countersigned as {self.signer.key.name}"
        self.send(f"{log}/cosignatures", f"{head.text}\n{line}\n")
        return f", countersigned as {self.signer.key.name} and submitted"

    # --- HTTP

    def ask(self, path: str) -> str:
        return self.answer(urllib.request.Request(f"{self.base}/{path}", headers={"Accept": "text/plain"}))  # noqa: S310

    def send(self, path: str, text: str) -> None:
        headers = {"Content-Type": "text/plain; charset=utf-8"}
        self.answer(urllib.request.Request(f"{self.base}/{path}", text.encode(), headers))  # noqa: S310

    def answer(self, request: urllib.request.Request) -> str:
        """Raises Finding where the log itself says that it cannot prove what was asked, else Unknown."""
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as reply:  # noqa: S310
                body = reply.read(ANSWER_LIMIT_BYTES + 1)
        except urllib.error.HTTPError as error:
            code, detail = problem_told(error)
            if code in ("log_not_consistent", "log_size_unknown"):
                raise Finding(f"it gives no proof: {detail}") from error
            raise Unknown(f"{request.full_url} answers {error.code}: {detail}") from error
        except (OSError, ValueError) as error:
            raise Unknown(f"{request.full_url} cannot be asked: {getattr(error, 'reason', error)}") from error
        if len(body) > ANSWER_LIMIT_BYTES:
            raise Finding(f"{request.full_url} answers with more than {ANSWER_LIMIT_BYTES} bytes")
        text: str = body.decode("utf-8", "replace")
        return text


def base_address(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Usage(f"--url is {url!r}: write it as https://autocom.example.com")
    path = parts.path.rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path.removesuffix('/log')}/log"


def problem_told(error: urllib.error.HTTPError) -> tuple[str, str]:
    try:
        problem = json.loads(error.read(ANSWER_LIMIT_BYTES))
        return str(problem.get("code", "")), str(problem.get("detail", ""))
    except (ValueError, AttributeError, OSError):
        return "", str(error.reason)


def worst(statuses: list[int]) -> int:
    return FAIL if FAIL in statuses else INCONCLUSIVE if INCONCLUSIVE in statuses else PASS


# --- what is kept


class Kept:
    """A directory: for each log its origin, for each origin its newest head. Nothing in it is secret."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Usage(f"--keep {folder}: {error.strerror}") from error

    def locked(self) -> Lock:
        return Lock(self.folder / ".lock")

    def origin(self, log: str) -> str | None:
        text = self._text(f"{log}.origin")
        return text.strip() if text else None

    def head(self, origin: str | None) -> Head | None:
        text = self._text(f"{file_name(origin)}.checkpoint") if origin else None
        if text is None:
            return None
        try:
            return parse_note(text)[0]
        except Finding as error:
            raise Usage(
                f"{self.folder / file_name(origin or '')}.checkpoint was damaged ({error}): get it from a copy"
            ) from error

    def keep(self, log: str, head: Head) -> None:
        self._write(f"{file_name(head.origin)}.checkpoint", head.note)
        self._write(f"{log}.origin", f"{head.origin}\n")

    def keep_cosigned(self, head: Head, line: str) -> None:
        self._write(f"{file_name(head.origin)}.cosigned", f"{head.note}{line}\n")

    def keys(self) -> list[Key]:
        return [parse_key(line) for line in (self._text("vkeys") or "").split()]

    def keep_keys(self, text: str) -> None:
        if not [parse_key(line) for line in text.split()]:
            raise Unknown("it names no keys yet")
        self._write("vkeys", text)

    def _text(self, name: str) -> str | None:
        path = self.folder / name
        try:
            return path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise Usage(f"{path} cannot be read: {error}") from error

    def _write(self, name: str, text: str) -> None:
        """The old content or the new one, whatever happens meanwhile."""
        path = self.folder / name
        try:
            with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=self.folder, delete=False) as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(file.name).replace(path)
            sync(self.folder)
        except OSError as error:
            raise Usage(f"{path} cannot be written: {error.strerror}") from error


class Lock:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        self.file = self.path.open("w")
        fcntl.flock(self.file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        self.file.close()


def file_name(origin: str) -> str:
    return urllib.parse.quote(origin, safe="")


def sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# --- notes, keys, proofs (C2SP signed-note, tlog-checkpoint, tlog-cosignature; RFC 9162 section 2.1.4.2)


def parse_note(note: str) -> tuple[Head, list[tuple[str, bytes, bytes]]]:
    """The checkpoint and its signature lines: name, key hash, signature. Nothing is verified yet."""
    text, separator, lines = note.rpartition("\n\n")
    parts = text.split("\n")
    if not separator or not lines.endswith("\n") or len(parts) < 3 or not parts[0]:
        raise Finding("this is no signed checkpoint")
    root = unpacked(parts[2])
    if not (parts[1].isascii() and parts[1].isdigit() and len(parts[1]) < 20) or len(root) != 32:
        raise Finding("this is no checkpoint: it has a line each of origin, size, and the root in base64")
    signatures = []
    for line in lines[:-1].split("\n"):
        name, _, packed = line.removeprefix(DASH).partition(" ")
        if not line.startswith(DASH) or len(unpacked(packed)) <= 4:
            raise Finding(f"{line[:60]!r} is no signature line")
        signatures.append((name, unpacked(packed)[:4], unpacked(packed)[4:]))
    return Head(parts[0], int(parts[1]), root, text + "\n", note), signatures


def parse_key(vkey: str) -> Key:
    name, _, rest = vkey.strip().partition("+")
    told, _, packed = rest.partition("+")
    key = unpacked(packed)
    key_hash = hashlib.sha256(name.encode() + b"\n" + key).digest()[:4]
    if not name or key[:1] != ED25519 or len(key) != 33 or key_hash.hex() != told:
        raise Usage(f"{vkey[:80]!r} is no Ed25519 verifier key: it is name+hash+base64, as GET /log/keys shows it")
    return Key(name, key_hash, key[1:])


def parse_path(text: str) -> list[bytes]:
    path = [unpacked(line) for line in text.split()]
    if any(len(each) != 32 for each in path):
        raise Finding("its consistency proof is no list of hashes in base64")
    return path


def unpacked(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def is_consistent(old_size: int, old_root: bytes, size: int, root: bytes, path: list[bytes]) -> bool:
    if old_size == size:
        return not path and old_root == root
    if not 0 < old_size < size or not path:
        return False
    hashes = [old_root, *path] if old_size & (old_size - 1) == 0 else path
    inner, last = old_size - 1, size - 1
    while inner & 1:
        inner, last = inner >> 1, last >> 1
    old = new = hashes[0]
    for beside in hashes[1:]:
        if last == 0:
            return False
        if inner & 1 or inner == last:
            old, new = node(beside, old), node(beside, new)
            while inner and not inner & 1:
                inner, last = inner >> 1, last >> 1
        else:
            new = node(new, beside)
        inner, last = inner >> 1, last >> 1
    return last == 0 and old == old_root and new == root


# --- Ed25519, by openssl


def has_signed(key: Key, message: bytes, signature: bytes) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        files = {"key": DER_HEAD + key.public, "message": message, "signature": signature}
        for name, content in files.items():
            Path(folder, name).write_bytes(content)
        arguments = [
            "-verify",
            "-rawin",
            "-pubin",
            "-keyform",
            "DER",
            "-inkey",
            "key",
            "-in",
            "message",
            "-sigfile",
            "signature",
        ]
        return openssl("pkeyutl", *arguments, folder=folder).returncode == 0


def own_signer(file: Path, name: str | None) -> Signer:
    if not name or "+" in name or len(name.split()) != 1:
        raise Usage("--key needs the name that the witness signs under: --name auditor.example.com/w1 (no blank, no +)")
    done = openssl("pkey", "-in", str(file.absolute()), "-pubout", "-outform", "DER", folder="/")
    if done.returncode or not done.stdout.startswith(DER_HEAD):
        raise Usage(
            f"--key {file} is no Ed25519 private key in PEM: `openssl genpkey -algorithm ed25519 -out {file}` makes one"
        )
    public = done.stdout[len(DER_HEAD) :]
    key_hash = hashlib.sha256(name.encode() + b"\n" + COSIGNATURE + public).digest()[:4]
    return Signer(Key(name, key_hash, public), file.absolute())


def own_vkey(signer: Signer) -> str:
    """What the log's operators need in WITNESS_KEYS."""
    packed = base64.b64encode(COSIGNATURE + signer.key.public).decode()
    return f"{signer.key.name}+{signer.key.hash.hex()}+{packed}"


def cosignature_line(signer: Signer, text: str, *, now_seconds: int) -> str:
    message = f"cosignature/v1\ntime {now_seconds}\n{text}".encode()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "message").write_bytes(message)
        done = openssl("pkeyutl", "-sign", "-rawin", "-inkey", str(signer.file), "-in", "message", folder=folder)
    if done.returncode or len(done.stdout) != 64:
        raise Usage(f"openssl did not sign with {signer.file}: OpenSSL 3.0 or newer is needed")
    packed = signer.key.hash + now_seconds.to_bytes(8, "big") + done.stdout
    return f"{DASH}{signer.key.name} {base64.b64encode(packed).decode()}"


def openssl(*arguments: str, folder: str) -> subprocess.CompletedProcess[bytes]:
    try:
        command = ["openssl", *arguments]
        return subprocess.run(command, cwd=folder, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    except FileNotFoundError as error:
        raise Usage("the command `openssl` is missing: signatures are checked with it") from error


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    return run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
