"""The container: BagIt 1.0, a SHA256SUMS over everything, and one signature over that."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from autocom.kernel.signed_note import NoteSigner

BAGIT = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
SUMS, SIGNATURE = "SHA256SUMS", "SHA256SUMS.sig"
PAYLOAD_MANIFEST, TAG_MANIFEST = "manifest-sha256.txt", "tagmanifest-sha256.txt"


def write_payload_manifest(bag: Path) -> None:
    """True afterwards: every file below data/ is named with its digest. None may be added or changed from now on."""
    _write_manifest(bag, PAYLOAD_MANIFEST, lambda path: path.startswith("data/"))


def write_info(bag: Path, info: Mapping[str, str]) -> None:
    """`bagit.txt` and `bag-info.txt`, whose Payload-Oxum is bytes and number of the payload's files."""
    sizes = [path.stat().st_size for path in files(bag / "data")]
    told = {**info, "Payload-Oxum": f"{sum(sizes)}.{len(sizes)}"}
    (bag / "bagit.txt").write_text(BAGIT, encoding="utf-8")
    (bag / "bag-info.txt").write_text("".join(f"{name}: {told[name]}\n" for name in sorted(told)), encoding="utf-8")


def close(bag: Path, signer: NoteSigner) -> bytes:
    """The digest of SHA256SUMS, which is signed. True afterwards: every file is named in it, and nothing else."""
    written_last = {TAG_MANIFEST, SUMS, SIGNATURE}
    _write_manifest(bag, TAG_MANIFEST, lambda path: not path.startswith("data/") and path not in written_last)
    _write_manifest(bag, SUMS, lambda path: path not in (SUMS, SIGNATURE))
    sums = (bag / SUMS).read_bytes()
    (bag / SIGNATURE).write_bytes(signer.sign(sums))
    return hashlib.sha256(sums).digest()


def files(folder: Path) -> Iterable[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_manifest(bag: Path, name: str, is_named: Callable[[str], bool]) -> None:
    paths = (path.relative_to(bag).as_posix() for path in files(bag))
    lines = [f"{digest(bag / path)}  {path}\n" for path in sorted(filter(is_named, paths))]
    (bag / name).write_text("".join(lines), encoding="utf-8")
